"""Pictures of measurements: lines with axes, as plain SVG."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias
from xml.sax.saxutils import escape

import msgspec

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 360, 60, 44, 190, 52
Place: TypeAlias = Callable[[float, float], tuple[float, float]]
"""Where a point stands in the picture."""

_COLOURS: Final = ("#2f5fd0", "#c8553d", "#4c9a5f", "#8a5cc2", "#c79a2b", "#7f8ea3", "#333333")


class Series(msgspec.Struct, frozen=True):
    """One line."""

    name: str
    points: tuple[tuple[float, float], ...]
    spread: tuple[tuple[float, float], ...] = ()
    """Lower and upper end at each point; as many as points, or none."""

    dashed: bool = False


class Axes(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture says of itself."""

    title: str
    x: str
    y: str
    low: float = 0.0
    high: float
    about: str = ""
    """Conditions, in small print."""


def lines(axes: Axes, series: Sequence[Series]) -> str:
    """The series as one SVG document."""
    xs = [x for each in series for x, _ in each.points] or [0.0, 1.0]
    left, right = min(xs), max(*xs, min(xs) + 1e-9)

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - left) / (right - left)
        share = (min(max(y, axes.low), axes.high) - axes.low) / (axes.high - axes.low)
        return across, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    parts = [*_grid(axes, left, right, at)]
    for number, each in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        parts += _band(each, colour, at)
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(x, y) for x, y in each.points))
        dash = ' stroke-dasharray="6 4"' if each.dashed else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        y = _TOP + 10 + 18 * number
        parts.append(f'<rect x="{_WIDTH - _RIGHT + 14}" y="{y - 8}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 34}" y="{y}" class="small">{escape(each.name)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        "<style>text{font:13px system-ui,sans-serif;fill:#202124}.small{font-size:11px;fill:#5f6368}</style>"
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _grid(axes: Axes, left: float, right: float, at: Place) -> list[str]:
    parts = [f'<text x="16" y="24" style="font-size:15px;font-weight:600">{escape(axes.title)}</text>']
    for step in range(6):
        y = axes.low + (axes.high - axes.low) * step / 5
        (x0, py), (x1, _) = at(left, y), at(right, y)
        parts.append(f'<line x1="{x0:.1f}" y1="{py:.1f}" x2="{x1:.1f}" y2="{py:.1f}" stroke="#e3e5e8"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{py + 4:.1f}" text-anchor="end" class="small">{y:.3g}</text>')
        x = left + (right - left) * step / 5
        px, _ = at(x, axes.low)
        parts.append(
            f'<text x="{px:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle" class="small">{x:.4g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{_HEIGHT - _BOTTOM + 32}" text-anchor="middle">{escape(axes.x)}</text>')
    parts.append(f'<text x="16" y="{_TOP - 6}" class="small">{escape(axes.y)}</text>')
    parts.append(f'<text x="16" y="{_HEIGHT - 6}" class="small">{escape(axes.about)}</text>')
    return parts


def _band(series: Series, colour: str, at: Place) -> list[str]:
    if not series.spread:
        return []
    xs = [x for x, _ in series.points]
    upper = [at(x, high) for x, (_, high) in zip(xs, series.spread, strict=True)]
    lower = [at(x, low) for x, (low, _) in zip(xs, series.spread, strict=True)]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in [*upper, *reversed(lower)])
    return [f'<polygon points="{path}" fill="{colour}" opacity="0.14"/>']
