"""Proposals and revisions as a terminal shows them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from gateway.cli.screen import clean, local

_STATES: Final = {
    "waiting": "bold yellow", "canary": "bold cyan", "active": "green", "refused": "dim", "rejected": "red",
    "rolled_back": "red",
}  # fmt: skip
_OUTCOMES: Final = {"passed": "green", "refused": "red", "abstained": "yellow", "waiting": "bold yellow"}
_SHORT: Final = 12


def run_told(found: dict[str, Any], *, dry: bool) -> Iterator[Any]:
    """What a run came to for one app."""
    yield Text.assemble(
        (f"app {clean(found['app'])}", "bold"),
        f": {found['episodes']} sessions of which enough was said, {found['violating']} of them violating; "
        f"{found['kept_back']} kept back",
    )
    if found["proposals"]:
        yield proposal_table(found["proposals"])
    elif not found["episodes"]:
        yield Text("  nothing to learn from: `stepwarden label STEP violation`, or ok, says what a step was", "dim")
    else:
        yield Text("  no optimizer knows of a change that would help", "dim")
    if found["known"]:
        yield Text(f"  {found['known']} more were suggested before: they wait, or were refused", "dim")
    if found["calls"]:
        again = ", going on from a run that was cut short" if found["resumed"] else ""
        yield Text(f"  {found['calls']} calls to the model, {found['tokens']} tokens{again}", "dim")
    for what, times in found["failures"].items():
        yield Text(f"  {clean(what)}, {times} times", "yellow")
    if dry:
        yield Text("  a dry run: nothing was kept, and the sessions kept back were not looked at", "dim")


def wrongs_told(found: dict[str, Any]) -> Iterator[Any]:
    """How often the guards of one app were wrong."""
    said = ", ".join(f"{count} of kind {clean(kind)}" for kind, count in sorted(found["signals"].items()))
    yield Text.assemble(
        (f"app {clean(found['app'])}", "bold"), f": rests on {said or 'nothing: nobody said anything yet'}"
    )
    for each in found["lines"]:
        text = f"  line {clean(each['line'])}: {each['helped']} sessions with it went well, {each['hurt']} did not"
        yield Text(text, "dim")
    if not found["guards"]:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("clause", "guard", "false alarms", "95 %", "missed", "95 %", "contested", "voices"):
        table.add_column(name, no_wrap=name != "clause", justify="left" if name in ("clause", "guard") else "right")
    for each in found["guards"]:
        table.add_row(
            clean(each["clause"]),
            clean(each["guard"]),
            f"{each['false_alarms']} of {each['false_alarms'] + each['silent']}",
            _interval(each["false_alarm_rate"]),
            f"{each['missed']} of {each['missed'] + each['caught']}",
            _interval(each["missed_rate"]),
            str(each["contested"]),
            str(each["voices"]),
        )
    yield table


def _interval(bounds: Sequence[float]) -> str:
    low, high = bounds
    return f"{100 * low:.0f}-{100 * high:.0f} %"


def proposal_table(proposals: Sequence[dict[str, Any]]) -> Table:
    """Proposals, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("no.", "app", "state", "rung"):
        table.add_column(name, no_wrap=True)
    table.add_column("what, and why", overflow="fold")
    for each in proposals:
        last = each["rungs"][-1]
        table.add_row(
            "-" if each["number"] is None else str(each["number"]),
            clean(each["app"]),
            Text(each["state"], _STATES.get(each["state"], "")),
            Text(f"{last['rung']}: {last['why']}" if last["outcome"] != "passed" else last["rung"]),
            Text.assemble((f"{clean(each['author'])}, {each['direction']}", "bold"), "\n", (clean(each["why"]), "dim")),
        )
    return table


def proposal_told(found: dict[str, Any]) -> Iterator[Any]:
    """One proposal: its evidence, what each rung said, and the diff."""
    yield Text.assemble(
        (f"proposal {found['number']}", "bold"), f" for app {clean(found['app'])}: ",
        (found["state"], _STATES.get(found["state"], "")), f", by {clean(found['author'])}, {found['direction']}",
    )  # fmt: skip
    yield Text(f"  {clean(found['why'])}")
    rests = f"  rests on {found['sessions']} sessions, on the word of {found['principals']}"
    yield Text(f"{rests}; filed {local(found['filed_at'])}")
    if found["decided_by"]:
        said = f"  decided by {clean(found['decided_by'])}, {local(found['decided_at'])}: "
        yield Text(said + clean(found["decided_reason"] or ""))
    yield Text()
    for rung in found["rungs"]:
        figures = ", ".join(f"{name} {value:g}" for name, value in rung["scores"].items())
        why = "" if rung["why"] == "fine" else f" {rung['why']}"
        line = Text.assemble(f"  {rung['rung']:<15}", (f"{rung['outcome']}{why}", _OUTCOMES.get(rung["outcome"], "")))
        yield line.append(f"  {clean(rung['note'])}  {figures}".rstrip(), "dim")
    yield Text()
    yield from _live_told(found)
    if found["diff"] is None:
        yield Text("  what it changes is not in force here any more", "dim")
    else:
        yield from diff_told(found["diff"])


def _live_told(found: dict[str, Any]) -> Iterator[Text]:
    """What live traffic says of a proposal, and everything that became of it."""
    trial = found["trial"]
    if trial is not None:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in trial["figures"].items())
        yield Text.assemble((f"  on live traffic, {trial['stage']}", "bold"), f": {figures}")
        for each in trial["woulds"]:
            yield Text(f"    {each['would']:<15} where it was {each['was']}: step {each['step_id']}", "dim")
    for move in found["moves"]:
        said = f"{move['rung']} {move['outcome']}" + ("" if move["why"] == "fine" else f" ({move['why']})")
        who = ", on a person's word" if move["by_a_person"] else ""
        state = (f"{move['state']:<12}", _STATES.get(move["state"], ""))
        yield Text.assemble((f"  {local(move['at'])}  ", "dim"), state, f"{said}{who}")
    if found["moves"]:
        yield Text()


def diff_told(lines: Iterable[str]) -> Iterator[Text]:
    """The lines of a diff, coloured."""
    for line in lines:
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        yield Text(f"  {clean(line)}", style)


def revision_table(revisions: Sequence[dict[str, Any]]) -> Table:
    """Revisions, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("revision", "app", "in force", "since", "parent"):
        table.add_column(name, no_wrap=True)
    table.add_column("author", overflow="fold")
    for each in revisions:
        table.add_row(
            Text(each["revision"][:_SHORT], "cyan"),
            clean(each["app"]),
            Text("yes", "green") if each["in_force"] else "",
            local(each["at"]),
            (each["parent"] or "")[:_SHORT],
            clean(each["author"]),
        )
    return table


def revision_told(found: dict[str, Any]) -> Iterator[Text]:
    """One revision."""
    yield Text.assemble((f"revision {found['revision']}", "bold"), ", in force" if found["in_force"] else "")
    for name in ("app", "parent", "parameters", "author", "proposal"):
        if found[name]:
            yield Text(f"  {name:<11}{clean(found[name])}")
    yield Text(f"  {'since':<11}{local(found['at'])}")
    if found["proposal"]:
        yield Text(f"  {'rests on':<11}{found['sessions']} sessions, on the word of {found['principals']}")
    figures = ", ".join(f"{name} {value:g}" for name, value in found["scores"].items())
    if figures:
        yield Text(f"  {'figures':<11}{figures}", "dim")
