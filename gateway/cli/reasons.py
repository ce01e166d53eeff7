"""An explanation in sentences: what was done, on whose word, what matched where, what ran, and what can be done."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from gateway.cli.critiques import critiques, labels
from gateway.cli.tables import out_of_force
from gateway.cli.tree import VERDICTS
from gateway.shown import clean, clean_lines
from policies.vocabulary.monitoring import LATER

Row = dict[str, Any]

_DONE: Final = {
    "allow": "passed",
    "flag": "passed and was flagged",
    "redact": "was passed on with parts of it blacked out",
    "rewrite": "was passed on with parts of it replaced by a notice",
    "hold": "waited for a person",
    "reject": "was not passed on",
    "terminate": "was not passed on, and its session was ended",
}
_WIDTH: Final = 90
"""Columns of a passage."""

_LINES: Final = 14
"""Lines of a passage that are shown."""

_IF_RIGHT: Final = (
    "If it was right to do: add it as an `ok` example to the clause, mend the clause until `stepwarden check` accepts "
    'both, or set its `mode = "shadow"`.'
)
_SCORES: Final = ((90, "near certain"), (75, "likely a violation"), (50, "needs a second look"), (25, "unusual"))


def told(explanation: Row) -> Iterator[Any]:
    """Everything printed for one explanation, in order."""
    yield _heading(explanation)
    if not explanation["full"]:
        yield from _advice(explanation)
        yield Text(
            "\nAn operator sees the clauses and what matched: `stepwarden explain` with a key of that role.", "dim"
        )
        return
    yield from _what(explanation)
    yield from (out_of_force(change) for change in explanation["out_of_force"])
    yield from _decisions(explanation["holds"])
    yield from _why(explanation)
    yield from _advice(explanation)
    yield from _guards(explanation["guards"])
    yield from critiques(explanation["critiques"])
    yield from labels(explanation["labels"])


def _heading(explanation: Row) -> Text:
    mark, style = VERDICTS.get(explanation["verdict"], ("✓ allowed", "green"))
    line = Text.assemble(("exchange ", "bold"), (clean(explanation["exchange_id"]), "bold cyan"), "  ", (mark, style))
    if explanation["reason"]:
        line.append(f"  {clean(explanation['reason'])}", style)
    return line.append(f"  app {clean(explanation['app'])}", "dim")


def _what(explanation: Row) -> Iterator[Text]:
    """What became of each step that something was said of."""
    yield Text()
    if explanation["unread"]:
        yield Text(f"  No guard could read this exchange ({clean(explanation['unread'])}); the app's `unseen` decided.")
    marked = [step for step in explanation["steps"] if step["verdict"] != "allow" or step["shadow"] != "allow"]
    for step in marked:
        line = Text(f"  {_name(step)} {_DONE[step['verdict']]}")
        if step["edits"]:
            line.append(f": {clean(', '.join(dict.fromkeys(step['edits'])))}")
        line.append(".")
        if step["shadow"] not in ("allow", step["verdict"]):
            line.append(f" In force, it would have been: {step['shadow']}.", "yellow")
        yield line
    if explanation["asked_again"]:
        times = "once" if explanation["asked_again"] == 1 else f"{explanation['asked_again']} times"
        yield Text(f"  The model was asked again, {times}, in the caller's place; the caller got what came of it.")
    if not marked and not explanation["unread"]:
        yield Text("  Nothing was stopped, changed or flagged.")


def _name(step: Row) -> str:
    kinds = {"tool_call": "The call of", "tool_result": "What came back from", "tool_definitions": "The definition of"}
    if step["tool"] and step["kind"] in kinds:
        return f"{kinds[step['kind']]} {clean(step['tool'])} (step {step['seq']})"
    return f"Step {step['seq']}, {step['kind']},"


def _why(explanation: Row) -> Iterator[Any]:
    """Clause by clause: its text, then what matched."""
    clauses = {clause["name"]: clause for clause in explanation["clauses"]}
    found = [(step, match) for step in explanation["steps"] for match in step["matches"]]
    if not found:
        return
    yield Text("\nwhy", style="bold")
    if not explanation["current"]:
        yield Text(
            "  Other clauses are in force now than then; their texts are shown as they are today.", style="yellow"
        )
    order = list(dict.fromkeys(match["clause"] for _, match in found))
    for name in order:
        clause = clauses.get(name)
        severity = f"  {clause['severity']}" if clause else ""
        yield Text.assemble("  ", (clean(name), "cyan"), severity)
        if clause:
            yield _indented(Text(clean(clause["text"]), "italic"), 4)
        yield from _matches([(step, match) for step, match in found if match["clause"] == name])


def _matches(found: Sequence[tuple[Row, Row]]) -> Iterator[Any]:
    def together(pair: tuple[Row, Row]) -> tuple[int, str, int, str]:
        step, match = pair
        return step["seq"], match["guard"], match["score"], match["note"]

    for (seq, guard, score, note), group in groupby(found, key=together):
        said = f": {clean(note)}" if note else ""
        yield _indented(Text(f"step {seq}, guard {clean(guard)}, score {score} ({_score(score)}){said}"), 4)
        shown: set[tuple[Any, ...]] = set()
        for _, match in group:
            source: Row | None = match["source"]
            whence = None if source is None else (source["start"], source["text"])
            place = (match["label"], match["pointer"], match["start"], whence)
            if place not in shown:
                shown.add(place)
                yield from _match(match)


def _score(score: int) -> str:
    return next((word for least, word in _SCORES if score >= least), "routine")


def _match(match: Row) -> Iterator[Any]:
    line = Text()
    line.append(clean(match["label"]) or "the step", "bold")
    if match["pointer"]:
        line.append(f" in argument {clean(match['pointer'])}")
    if match["start"] < match["end"]:
        line.append(f", bytes {match['start']} to {match['end']}")
    if match["text"]:
        line.append(": ").append(_short(match["text"]), "yellow")
    yield _indented(line, 6)
    source = match["source"]
    if source is None:
        return
    whence = f"{source['kind']} of {clean(source['tool'])}" if source["tool"] else source["kind"]
    yield _indented(Text(f"it goes back to bytes {source['start']} to {source['end']} of an earlier {whence}"), 6)
    if source["text"]:
        yield _indented(_passage(source["text"]), 8)


def _short(text: str) -> str:
    shown = clean(text)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"  # noqa: PLR2004 - two lines of a terminal


def _passage(text: str) -> Text:
    lines = [part for line in clean_lines(text.strip()).splitlines() for part in textwrap.wrap(line, _WIDTH) or [""]]
    shown = "\n".join(f"│ {line}" for line in lines[:_LINES])
    return Text(shown + (f"\n│ … {len(lines) - _LINES} more lines" if len(lines) > _LINES else ""), "yellow")


def _decisions(holds: Sequence[Row]) -> Iterator[Text]:
    for hold in holds:
        line = Text(f"  {clean(hold['hold_id'])}, which it waited for, is {hold['state']}")
        if hold["decided_by"]:
            line.append(f", decided by {clean(hold['decided_by'])}")
        if hold["decided_reason"]:
            line.append(f": {clean(hold['decided_reason'])}")
        yield line


def _advice(explanation: Row) -> Iterator[Any]:
    if not explanation["advice"]:
        return
    yield Text("\nwhat to do", style="bold")
    yield _indented(Text(clean(explanation["advice"])), 2)
    if explanation["full"]:
        yield _indented(Text(_IF_RIGHT, "dim"), 2)


def _guards(guards: Sequence[Row]) -> Iterator[Any]:
    """Which guards ran, in sum, and each that did not."""
    if not guards:
        return
    yield Text("\nguards", style="bold")
    ran = [guard for guard in guards if guard["steps"]]
    micros = sum(guard["micros"] for guard in ran)
    kinds = Counter(clean(guard["guard"]).partition(".")[0] for guard in ran)
    listed = ", ".join(kind if times == 1 else f"{kind} ({times} clauses)" for kind, times in sorted(kinds.items()))
    yield _indented(Text(f"ran: {listed or 'none'}"), 2)
    yield Text(f"  together {micros / 1000:.1f} ms; `stepwarden exchanges show` lists them step by step", "dim")
    yield from [_indented(_not_run(guard), 2) for guard in guards if guard["not_run"]]


def _not_run(guard: Row) -> Text:
    where = f"{clean(guard['guard'])} of {clean(guard['clause'])}"
    times = "one step" if guard["not_run"] == 1 else f"{guard['not_run']} steps"
    if guard["skipped"] == [LATER]:
        return Text(f"left to the monitor: {where} on {times}", "dim")
    why = clean(", ".join(guard["skipped"]))
    return Text(f"did not run: {where} on {times} ({why}); `on_error` decided", "bold red")


def _indented(text: Text, columns: int) -> Padding:
    """A paragraph that keeps its indent where it wraps."""
    return Padding(text, (0, 0, 0, columns), expand=False)
