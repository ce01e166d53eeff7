"""The plot: CPU per request and per stream as horizontal bars on a log scale, one panel a cell. Plain SVG."""

import math
from typing import Any
from xml.sax.saxutils import escape

_COLOURS = {"direct": "#9aa0a6", "echo": "#7f8ea3", "nginx": "#4c9a5f", "stepwarden": "#2f5fd0", "litellm": "#c8553d"}
_CELLS = ("sessions 1k c=64", "repeat 1k c=64", "sessions 60k c=64", "repeat 60k c=64", "stream 1k c=64")
_LEFT, _WIDTH, _BAR = 120, 520, 18


def chart(result: dict[str, Any]) -> str:
    """The result as one SVG document."""
    panels = [(cell, result["cells"][cell]) for cell in _CELLS if cell in result["cells"]]
    values = [row["cpu_ms"] for _, rows in panels for row in rows.values() if row["cpu_ms"] > 0]
    low, high = (math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))) if values else (0, 1)
    parts: list[str] = []
    y = 58
    for cell, rows in panels:
        unit = "stream of 50 chunks" if cell.startswith("stream") else "request"
        parts.append(f'<text x="16" y="{y}" class="panel">{escape(cell)}: CPU ms per {unit}</text>')
        y += 10
        for name, colour in _COLOURS.items():
            if name in rows and rows[name]["cpu_ms"] > 0:
                parts += _bar(name, rows[name]["cpu_ms"], colour, y, low, high)
                y += _BAR + 5
        y += 26
    conditions = result["conditions"]
    about = (
        f"{conditions['date']}, {conditions['cpu']}, one core for the target; load average "
        f"{conditions['load_average_before'][0]} before; commit {conditions['commit']}; log scale"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y + 14}" viewBox="0 0 760 {y + 14}">'
        "<style>text{font:13px system-ui,sans-serif;fill:#202124}.panel{font-weight:600}.small{font-size:11px;"
        'fill:#5f6368}</style><rect width="100%" height="100%" fill="#ffffff"/>'
        '<text x="16" y="24" style="font-size:16px;font-weight:600">CPU cost side by side, full recording on</text>'
        f'{"".join(parts)}<text x="16" y="{y}" class="small">{escape(about)}</text></svg>\n'
    )


def _bar(name: str, value: float, colour: str, y: int, low: int, high: int) -> list[str]:
    width = max(2.0, _WIDTH * (math.log10(value) - low) / max(1, high - low))
    return [
        f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<text x="{_LEFT + width + 6:.1f}" y="{y + 13}">{value:.3g}</text>',
    ]
