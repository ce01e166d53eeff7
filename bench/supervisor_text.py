"""The supervisor's report as text."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def lines(document: Json) -> Iterator[str]:
    """What a person reads of a report."""
    yield f"asked: {document['asked']}"
    if document["stopped_early"]:
        yield f"STOPPED EARLY, {document['stopped_early']}"
    for name, section in document["sections"].items():
        yield ""
        yield from _SECTIONS[name](section)
        took = section["took"]
        failed = ", ".join(f"{count} {why}" for why, count in took["failed"].items())
        yield (
            f"  took {took['calls']} calls, {took['input_tokens']} tokens in, {took['output_tokens']} out, "
            f"{took['usd']:.2f} USD" + (f"; failed: {failed}" if failed else "")
        )


def _attacks(section: Json) -> Iterator[str]:
    yield "attacks on the judge: verdicts changed"
    for seat in ("gate", "monitor"):
        found = section.get(seat)
        if found:
            flips = f": {', '.join(found['flips'])}" if found["flips"] else ""
            yield f"  {seat:8} {len(found['flips'])} of {found['asked']}{flips}"


def _plumbing(section: Json) -> Iterator[str]:
    goal = section["goal"]
    yield "plumbing, with a gate that knows every label"
    heads = ("sent to the gate", "attack calls asked about", "violations stopped")
    yield f"  {'source':12} {'steps':>7} {heads[0]:>18} {heads[1]:>26} {heads[2]:>20}"
    for name, row in section.items():
        if name in ("goal", "took", "steps"):
            continue
        asked = (
            "-"
            if row["asked_share"] is None
            else f"{row['asked_share']:.1%} ({row['asked_about']}/{row['attack_calls']})"
        )
        stopped = f"{row['violations_stopped']}/{row['violations']}"
        yield f"  {name:12} {row['steps']:7} {row['sent_share']:18.1%} {asked:>26} {stopped:>20}"
    most, least = goal["most_sent"], goal["least_asked"]
    yield f"  goal: at most {most:.0%} sent, at least {least:.0%} asked about, every violation stopped"


def _board(section: Json) -> Iterator[str]:
    yield "board: the same through a running gateway, over HTTP"
    for name, row in section.items():
        if name != "took":
            yield (
                f"  {name:12} {row['runs']} runs, {row['errors']} errors; {row['sent_share']:.1%} of the steps sent, "
                f"{row['asked_about']} of {row['attack_calls']} attack calls asked about; enforced, "
                f"{row['violations_stopped']} of {row['violations']} violations stopped"
            )


def _gate(section: Json) -> Iterator[str]:
    heads = "  ".join(f"{head:>28}" for head in ("recall at 1%", "recall at 3%", "recall at a score of 75"))
    yield f"gate: {section['steps_sent']} of {section['steps']} steps of {section['runs']} runs were sent"
    yield f"  {'held half of the tasks':24} {'AUC':>5}  {heads}"
    for judge in ("gate", "plain"):
        for source, row in section[judge].items():
            if row["held_bad"]:
                cells = "  ".join(f"{_recall(row['at'][most]):>28}" for most in ("1%", "3%", "75"))
                yield f"  {judge + ', ' + source:24} {_number(row['auc'])}  {cells}"
    yield f"  agreement with the labels of the steps sent: kappa {_number(section['kappa'])}"
    yield f"  first bad step named: {_share(section['first_bad_step'])}"
    yield f"  mean distance of scores from shares: {_number(section['calibration_error'])}"
    gate, plain = section["usd_per_1000_steps"], section["plain_usd_per_1000_steps"]
    yield f"  {gate:.3f} USD for 1,000 steps; the plain question {plain:.3f}"


def _recall(point: Json) -> str:
    if point["recall"] is None:
        return "-"
    low, high = point["recall_interval"]
    precision = "-" if point["precision"] is None else f"{point['precision']:.0%}"
    return f"{point['recall']:.0%} [{low:.0%}, {high:.0%}] p {precision} i {point['interference'] or 0:.1%}"


def _monitor(section: Json) -> Iterator[str]:
    chance = section["first_bad_step_by_chance"]
    yield f"monitor: {section['judged']} of {section['sessions']} failed runs judged (Who&When)"
    yield f"  a first bad step named  in {section['named']} of them"
    yield f"  ... the right one       {_share(section['first_bad_step'])}; by chance {chance:.1%}"
    yield f"  at most one step off    {_share(section['within_one'])}"
    yield f"  the agent to blame      {_share(section['agent'])}"
    yield f"  agreement over steps    kappa {_number(section['kappa'])}"
    yield f"  {section['took']['usd_per_1000_steps']:.3f} USD for 1,000 steps"


def _labels(section: Json) -> Iterator[str]:
    yield f"labels: {section['answered']} of {section['labels']} labelled steps were judged by the monitor"
    yield f"  agreement               kappa {_number(section['kappa'])}"
    yield f"  precision at 75         {_share(section['precision'])}"
    yield f"  recall at 75            {_share(section['recall'])}"


def _share(counted: Json) -> str:
    if counted["share"] is None:
        return "-"
    low, high = counted["interval"]
    return f"{counted['share']:.1%} ({counted['hits']}/{counted['of']}) [{low:.1%}, {high:.1%}]"


def _number(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.2f}"


_SECTIONS = {
    "attacks": _attacks,
    "plumbing": _plumbing,
    "board": _board,
    "gate": _gate,
    "monitor": _monitor,
    "labels": _labels,
}
