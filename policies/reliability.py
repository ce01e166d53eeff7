"""Reliability: what scores are worth, held against what persons say of the same steps. Arithmetic only."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from policies.vocabulary.critiques import Critique, Label, Opinion
from policies.vocabulary.labels import LabelGiven, StepLabel

_Z: Final = 1.96
_HIGHEST: Final = 100

Agreement: TypeAlias = Literal["agreed", "unsure", "missed", "false_alarm"]
"""What a critique is worth beside a label: both the same; it could not say; it let a violation pass; it called what was
in order a violation."""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One opinion beside one person's label of the same step."""

    critique_id: str
    step_id: str
    clause: str
    """Of the opinion; where the person meant the step as a whole, of the strongest there is."""

    score: int
    said: Label
    label: StepLabel
    by: str
    at_ns: int
    """When the label was given, Unix epoch, nanoseconds, UTC."""

    @property
    def agreement(self) -> Agreement:
        """Which of the four it is."""
        if self.said == "unsure":
            return "unsure"
        if self.said == self.label:
            return "agreed"
        return "missed" if self.label == "violation" else "false_alarm"


def compared(labels: Iterable[LabelGiven], critiques: Iterable[Critique]) -> list[Compared]:
    """Every label that counts with every critique of the same step, in the order of the labels.

    Of several labels by one person of one step and clause the newest counts. A critique of several steps speaks of one
    of them where it calls all of them in order, or names it as the first bad one; of the others nothing follows.
    """
    of_step: dict[str, list[Critique]] = defaultdict(list)
    for critique in critiques:
        for step_id in critique.steps:
            of_step[step_id].append(critique)
    newest: dict[tuple[str, str | None, str], LabelGiven] = {}
    for given in sorted(labels, key=lambda each: each.at_ns):
        newest[given.step_id, given.clause, given.by] = given
    return [
        _beside(given, critique, opinion)
        for given in newest.values()
        for critique in of_step[given.step_id]
        if (opinion := _about(critique, given)) is not None
    ]


def _beside(given: LabelGiven, critique: Critique, opinion: Opinion) -> Compared:
    return Compared(
        critique_id=critique.critique_id,
        step_id=given.step_id,
        clause=opinion.clause,
        score=opinion.score,
        said=opinion.label,
        label=given.label,
        by=given.by,
        at_ns=given.at_ns,
    )


def _about(critique: Critique, given: LabelGiven) -> Opinion | None:
    """What a critique says of a labelled step: the strongest opinion that is about it."""
    alone = len(critique.steps) == 1
    about = [
        opinion
        for opinion in critique.opinions
        if given.clause in (None, opinion.clause)
        and (alone or opinion.label == "ok" or opinion.first_bad_step == given.step_id)
    ]
    return max(about, key=lambda each: each.score, default=None)


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Steps whose scores lie close together."""

    low: int
    high: int
    """Both included."""

    steps: int
    mean: float
    """Mean score."""

    share: float
    """Of them, the share that is bad."""

    interval: tuple[float, float]
    """95 %, Wilson."""


def reliability(pairs: Iterable[tuple[int, bool]], width: int = 10) -> list[Bin]:
    """Scores against what was true, in bins of equal width; empty bins are left out."""
    bins: dict[int, list[tuple[int, bool]]] = {}
    for score, bad in pairs:
        bins.setdefault(min(score, _HIGHEST - 1) // width, []).append((score, bad))
    return [
        Bin(
            low=number * width,
            high=_HIGHEST if (number + 1) * width >= _HIGHEST else (number + 1) * width - 1,
            steps=len(members),
            mean=sum(score for score, _ in members) / len(members),
            share=sum(bad for _, bad in members) / len(members),
            interval=wilson(sum(bad for _, bad in members), len(members)),
        )
        for number, members in sorted(bins.items())
    ]


def expected_error(bins: Sequence[Bin]) -> float | None:
    """How far scores are from shares, weighted by steps (expected calibration error, 0 to 1)."""
    steps = sum(each.steps for each in bins)
    return sum(each.steps * abs(each.mean / _HIGHEST - each.share) for each in bins) / steps if steps else None


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    if not of:
        return 0.0, 1.0
    share, spread = hits / of, _Z * _Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
