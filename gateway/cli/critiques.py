"""Critiques and labels in sentences."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from gateway.cli.screen import duration, local, money, noun
from gateway.cli.tree import VERDICTS
from gateway.shown import clean, clean_lines

Row = Mapping[str, Any]

_STYLES: Final = {"ok": "green", "unsure": "yellow", "violation": "bold red"}
_WIDTH: Final = 90
_LINES: Final = 6


def told(said: Row) -> Iterator[Any]:
    """Everything printed for a session's critiques, in order."""
    yield Text.assemble(("session ", "bold"), (clean(said["session_id"]), "bold cyan"))
    if said["distrusted"]:
        yield Text("  ⏸ distrusted: its next tool call waits for a person", "bold yellow")
    if said["waiting"]:
        yield Text(f"  {said['waiting']} steps are still to be read", "yellow")
    if not said["critiques"]:
        yield Text("  no critiques yet")
    yield from critiques(said["critiques"])
    yield from labels(said["labels"])


def critiques(found: Sequence[Row]) -> Iterator[Any]:
    """Each critique: what it is about, what it says of each clause, whom it blames, what it took."""
    for critique in found:
        yield Text()
        yield _heading(critique)
        for opinion in critique["opinions"]:
            yield from _opinion(opinion)
        if critique["blamed"]:
            yield Text(f"    blamed: {', '.join(_blamed(each) for each in critique['blamed'])}")


def labels(given: Sequence[Row]) -> Iterator[Text]:
    """Each label on a line."""
    if given:
        yield Text()
    for label in given:
        line = Text(f"  {local(label['at'])} {clean(label['step_id'])} ")
        line.append(f"labelled {label['label']}", _STYLES[label["label"]])
        line.append(f" by {clean(label['by'])}" + (f" for {clean(label['clause'])}" if label["clause"] else ""))
        yield line


def _heading(critique: Row) -> Text:
    steps = critique["steps"]
    about = "a proposed call" if not steps else f"{len(steps)} {noun(len(steps), 'step')} to {steps[-1]}"
    line = Text(f"  {local(critique['at'])} ", "dim").append(f"{critique['seat']} on {clean(about)}", "not dim bold")
    if critique["failure"]:
        return line.append(f"  not judged: {clean(critique['failure'])}", "not dim red")
    if critique["verdict"] in VERDICTS:
        mark, style = VERDICTS[critique["verdict"]]
        line.append(f"  {mark}", f"not dim {style}")
    if critique["shadow"] not in ("allow", critique["verdict"]):
        line.append(f"  (would {critique['shadow']})", "not dim yellow")
    return line.append(f"  {_took(critique['calls'])}")


def _took(calls: Sequence[Row]) -> str:
    if not calls:
        return ""
    costs = [call["cost_micro_usd"] for call in calls]
    cost = "cost unknown" if None in costs else money(sum(costs))
    micros = sum(call["micros"] for call in calls)
    times = "1 call" if len(calls) == 1 else f"{len(calls)} calls"
    return f"{clean(calls[-1]['model'])}, {times}, {duration(micros * 1000)}, {cost}"


def _opinion(opinion: Row) -> Iterator[Any]:
    line = Text("    ").append(opinion["label"], _STYLES[opinion["label"]])
    line.append(f" {opinion['score']}  {clean(opinion['clause'])}")
    if opinion["view"] != "policy":
        line.append(f"  from the {clean(opinion['view'])} view", "dim")
    if opinion["first_bad_step"]:
        line.append(f"  first in {clean(opinion['first_bad_step'])}", "dim")
    yield line
    if opinion["feedback"]:
        yield Padding(Text("\n".join(textwrap.wrap(clean(opinion["feedback"]), _WIDTH))), (0, 0, 0, 6))
    for quote in opinion["quotes"]:
        if quote["text"]:
            lines = clean_lines(quote["text"]).splitlines()[:_LINES]
            yield Padding(Text("\n".join([f"> {each[:_WIDTH]}" for each in lines]), "dim"), (0, 0, 0, 6))


def _blamed(blame: Row) -> str:
    return clean(f"{blame['component']} {blame['name']}".strip())
