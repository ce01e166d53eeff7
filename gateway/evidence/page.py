"""Page: HTML made of elements, in which text is only ever text. No scripts, nothing loaded from anywhere."""

import html
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import final

from gateway.shown import clean

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@final
class Html:
    """Markup of our own making; whatever else is put into a page is escaped."""

    def __init__(self, markup: str) -> None:
        self.markup = markup


def _markup(child: Html | str) -> str:
    if isinstance(child, Html):
        return child.markup
    before, after = " " * child.startswith(" "), " " * child.endswith(" ")
    return f"{before}{html.escape(clean(child))}{after}"


def el(tag: str, *children: Html | str, **attributes: str) -> Html:
    """An element. Text in it, and values of attributes, may come from anybody."""
    given = "".join(f' {name.rstrip("_")}="{html.escape(clean(value))}"' for name, value in attributes.items())
    return Html(f"<{tag}{given}>{''.join(map(_markup, children))}</{tag}>")


def joined(children: Iterable[Html | str], separator: str = "") -> Html:
    """Several, one behind the other."""
    return Html(html.escape(separator).join(map(_markup, children)))


def table(heads: Sequence[str], rows: Iterable[Sequence[Html | str]], *, kind: str = "") -> Html:
    """A table with a head, or a sentence where it has no rows."""
    made = [el("tr", *[el("td", cell) for cell in row]) for row in rows]
    if not made:
        return el("p", "Nothing in this period.", class_="none")
    head = el("thead", el("tr", *[el("th", each, scope="col") for each in heads]))
    return el("table", head, el("tbody", *made), class_=kind)


def facts(rows: Iterable[tuple[str, Html | str]]) -> Html:
    """Names and what stands behind them."""
    return el("dl", *[joined([el("dt", name), el("dd", value)]) for name, value in rows])


def page(title: str, *children: Html) -> bytes:
    """A whole document."""
    style = (files("gateway.evidence") / "report.css").read_text("utf-8")
    head = Html(
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY)}">'
        f"<title>{html.escape(clean(title))}</title><style>{style}</style>"
    )
    body = joined(children, "\n")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head.markup}</head><body>\n{body.markup}\n</body></html>\n'.encode()
    )
