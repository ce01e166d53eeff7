"""Reliability diagrams: what a score says against what was true, a panel for each judge. Plain SVG."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from policies.reliability import Bin

_SIDE, _LEFT, _TOP, _GAP = 280, 56, 64, 74


def chart(title: str, panels: Mapping[str, Sequence[Bin]], about: str) -> str:
    """One SVG document; `about` is the line under it."""
    width = _LEFT + max(1, len(panels)) * (_SIDE + _GAP)
    height = _TOP + _SIDE + 86
    drawn = "".join(_panel(name, bins, _LEFT + at * (_SIDE + _GAP)) for at, (name, bins) in enumerate(panels.items()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        "<style>text{font:12px system-ui,sans-serif;fill:#202124}.panel{font-weight:600}.small{font-size:11px;"
        "fill:#5f6368}.axis{stroke:#9aa0a6;fill:none}.right{stroke:#9aa0a6;stroke-dasharray:4 4}"
        '.error{stroke:#2f5fd0;stroke-width:1.5}</style><rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="16" y="24" style="font-size:16px;font-weight:600">{escape(title)}</text>{drawn}'
        f'<text x="16" y="{height - 14}" class="small">{escape(about)}</text></svg>\n'
    )


def _panel(name: str, bins: Sequence[Bin], left: int) -> str:
    bottom = _TOP + _SIDE
    ticks = "".join(_tick(tick, left, bottom) for tick in (0, 25, 50, 75, 100))
    return (
        f'<text x="{left}" y="{_TOP - 12}" class="panel">{escape(name)}</text>'
        f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" class="axis"/>'
        f'<line x1="{left}" y1="{bottom}" x2="{left + _SIDE}" y2="{_TOP}" class="right"/>{ticks}'
        f'<text x="{left + _SIDE / 2:.0f}" y="{bottom + 34}" text-anchor="middle">score</text>'
        f'<text x="{left}" y="{bottom + 34}" class="small">share of bad steps</text>'
        + "".join(_point(each, left, bottom) for each in bins)
    )


def _tick(value: int, left: int, bottom: int) -> str:
    along = _SIDE * value / 100
    return (
        f'<text x="{left + along:.0f}" y="{bottom + 16}" text-anchor="middle" class="small">{value}</text>'
        f'<text x="{left - 8}" y="{bottom - along + 4:.0f}" text-anchor="end" class="small">{value} %</text>'
    )


def _point(each: Bin, left: int, bottom: int) -> str:
    """A bin: its share of bad steps over its mean score, with the interval; bigger where more steps are in it."""
    x = left + _SIDE * each.mean / 100
    y, low, high = (bottom - _SIDE * share for share in (each.share, *each.interval))
    radius = min(9.0, 2.5 + each.steps**0.5 / 8)
    return (
        f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" class="error"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#2f5fd0"><title>scores {each.low} to {each.high}: '
        f"{each.steps} steps, {100 * each.share:.1f} % bad</title></circle>"
        f'<text x="{x + radius + 3:.1f}" y="{y - 4:.1f}" class="small">{each.steps}</text>'
    )
