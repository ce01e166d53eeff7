"""The part of a report that is about judging beside the guards: critiques, labels, canaries, distrust, proposals."""

from collections import Counter
from collections.abc import Iterator

from gateway.evidence.findings import Findings
from gateway.evidence.log_entries import LogEntry
from gateway.evidence.page import Html, el, joined, table
from gateway.evidence.report_rules import plain

_WHAT = {
    "critique.recorded": "Critiques",
    "label.recorded": "Labels of persons",
    "canary.missed": "Canaries that the supervisor missed",
}


def supervised(found: Findings) -> Html:
    """What a supervisor's model and persons said of recorded steps, and which sessions were distrusted."""
    said, sections = found.tally.sections["supervised"], found.tally.sections
    rows = [(what, how, f"{count:,}") for (what, how), count in sorted(Counter(map(_kind, said.shown)).items())]
    partial = el("p", f"Of the first {len(said.shown):,} of {said.count:,} entries.", class_="small")
    return joined([
        *([partial] if len(said.shown) < said.count else []),
        table(("What", "Came to", "Times"), rows, kind="figures"),
        *_listed(found, "Sessions that were distrusted, or trusted again", sections["distrusted"].shown),
        *_listed(found, "Tools of MCP servers: first seen, changed, approved", sections["tools"].shown),
    ])  # fmt: skip


def _kind(entry: LogEntry) -> tuple[str, str]:
    """What an entry counts as; a critique that failed judged nothing."""
    failed, shadow = entry.text("failed"), entry.text("shadow")
    words = {
        "critique.recorded": f"nothing was judged: {failed}" if failed else entry.text("verdict"),
        "label.recorded": entry.text("label"),
        "canary.missed": entry.text("clause"),
    }
    beside = f", in shadow {shadow}" if shadow and not failed else ""
    return _WHAT.get(entry.type, entry.type), words.get(entry.type, "") + beside


def _listed(found: Findings, title: str, entries: list[LogEntry]) -> Iterator[Html]:
    if entries:
        yield el("h3", title)
        yield plain(found, entries)
