"""Reported spans in lines, below the tree of what was witnessed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from gateway.cli.screen import between, count, local
from gateway.shown import clean

Row = Mapping[str, Any]

_DEEPEST: Final = 20
"""Levels that are still moved to the right."""


def reported(listed: Row) -> Iterator[Text]:
    """Everything printed of what an application reported."""
    yield Text()
    yield Text.assemble(("reported by the application itself", "bold"), (" (^ nobody here saw it)", "dim"))
    for span in listed["spans"]:
        yield _line(span)
    if listed["more"]:
        yield Text("  … and more: --json", style="dim")


def _line(span: Row) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("  " * (1 + min(span["depth"], _DEEPEST)))
    line.append(f"{local(span['started_at'])} ", "dim")
    line.append("^ ", "dim")
    line.append(clean(span["name"]), "bold red" if span["status"] == "error" else "bold")
    if span["status"] == "error":
        line.append(" error", "red")
    line.append(f"  {between(span['started_at'], span['ended_at'])}")
    for fact in ("operation", "agent", "tool", "model"):
        if span[fact] and clean(span[fact]) not in clean(span["name"]):
            line.append(f"  {clean(span[fact])}")
    if span["input_tokens"] is not None or span["output_tokens"] is not None:
        line.append(f"  {count(span['input_tokens'])}→{count(span['output_tokens'])} tok")
    if span["exchanges"]:
        line.append(f"  ⇢ {', '.join(clean(each) for each in span['exchanges'])}", "cyan")
    return line
