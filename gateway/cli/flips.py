"""The report of a backtest as people read it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from gateway.cli.screen import clean, count, counted

Row = Mapping[str, Any]

_STYLES: Final = {"allow": "green", "flag": "yellow"}


def told(report: Row) -> Iterator[Any]:
    """Everything printed for one report, in order."""
    yield from _heading(report)
    for flips in report["flips"]:
        yield from _clause(flips)
    yield from _interference(report)
    yield from _rest(report)


def _heading(report: Row) -> Iterator[Text]:
    names = ", ".join(clean(name) for name in report["policies"])
    as_if = "as if enforced" if report["enforce"] else "observing only"
    yield Text.assemble(("candidate ", "bold"), (names, "bold cyan"), f", {as_if}; nothing was activated")
    yield Text(
        f"  {counted(report['steps'], 'step')} in {counted(report['exchanges'], 'exchange')} of "
        f"{counted(report['sessions'], 'session')} judged anew",
        "dim",
    )
    if not report["steps"] and not report["flips"]:
        return
    if not report["flipped"] and not report["hypothetical"]:
        part = ", as far as it could be replayed" if report["unreplayed"] else ""
        yield Text(f"\n  ✓ every verdict as it was{part}", "green")
        return
    line = Text(f"\n  {counted(report['flipped'], 'step')} with another verdict", "bold")
    if report["hypothetical"]:
        line.append(f", and {count(report['hypothetical'])} more behind one of them, which may never have come")
    yield line


def _clause(flips: Row) -> Iterator[Any]:
    certain, hypothetical = flips["steps"], flips["hypothetical"]
    sums = [counted(certain, "step")] if certain else []
    sums += [f"{count(hypothetical)} hypothetical"] if hypothetical else []
    yield Text()
    yield Text.assemble(
        "  ", (clean(flips["clause"]) or "no clause", "cyan"), "  ", *_change(flips), f"  {', '.join(sums)}"
    )
    for flip in flips["examples"]:
        yield from _flip(flip)


def _flip(flip: Row) -> Iterator[Any]:
    place = "the exchange" if flip["seq"] is None else f"step {flip['seq']}"
    line = Text.assemble((clean(flip["exchange_id"]), "bold"), f" {place}")
    for word in (flip["kind"], flip["tool"]):
        if word:
            line.append(f" {clean(word)}")
    if flip["reason"]:
        line.append(f"  {clean(flip['reason'])}", "dim")
    if flip["hypothetical"]:
        line.append("  (hypothetical)", "yellow")
    yield _indented(line, 4)
    if flip["why"]:
        yield _indented(Text(clean(flip["why"])), 6)
    if flip["text"]:
        yield _indented(Text(clean(flip["text"]), "yellow"), 6)


def _change(flips: Row) -> tuple[Any, ...]:
    before, after = flips["before"], flips["after"]
    other = " (other bytes)" if before == after else ""
    return (before, _STYLES.get(before, "red")), " → ", (f"{after}{other}", _STYLES.get(after, "red"))


def _interference(report: Row) -> Iterator[Text]:
    yield Text("\ninterfered with (redacted, rewritten, held, rejected, terminated)", "bold")
    for word, sums in (("then", report["then"]), ("now", report["now"])):
        yield Text(
            f"  {word:<5} {counted(sums['steps'], 'step')} in {counted(sums['exchanges'], 'exchange')} "
            f"of {counted(sums['sessions'], 'session')}"
        )


def _rest(report: Row) -> Iterator[Any]:
    """What the report does not cover."""
    if not report["unreplayed"] and not report["left_out"]:
        return
    yield Text("\nnot replayed, or not all of it", "bold")
    for each in report["unreplayed"]:
        ids = ", ".join(clean(name) for name in each["examples"])
        yield _indented(Text(f"{counted(each['exchanges'], 'exchange')}: {clean(each['why'])} ({ids})"), 2)
    if report["left_out"]:
        yield Text(f"  {counted(report['left_out'], 'session')} more were not looked at; --most raises the bound")


def _indented(text: Text, columns: int) -> Padding:
    return Padding(text, (0, 0, 0, columns), expand=False)
