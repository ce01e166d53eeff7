"""The gate over many simulated runs: how often it is fooled, how often blind, how soon it takes back."""

import argparse
import random
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import msgspec
from rich.progress import track

from bench.optimizer_recorded import start
from bench.plots import Axes, Series
from bench.sheet import Sheet, table
from policies.gate.canary import Canary, Standing, arm_of, seen, standing
from policies.gate.case import Opinion, Pair
from policies.gate.ladder import case_of, climb
from policies.statistics import Tally, at_least, rate_at_most
from policies.vocabulary.bands import Band
from policies.vocabulary.ladder import GateSettings, RungName
from policies.vocabulary.revisions import Proposal, SetBands, Support

RUNS: Final = 2000
ATTEMPTS: Final = 10
"""Edits that one run tries on one hold-out, one after the other."""

SIZES: Final = (100, 200, 400)
EFFECTS: Final = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
STATISTICAL: Final[tuple[RungName, ...]] = ("minibatch", "holdout")


class _Drawn(msgspec.Struct, frozen=True):
    """Trials drawn by lot."""

    mini: Sequence[Pair]
    kept: Sequence[Pair]

    def headroom(self) -> tuple[int, int]:
        return 50, 100

    def minibatch(self) -> Sequence[Pair]:
        return self.mini

    def holdout(self) -> Sequence[Pair]:
        return self.kept

    def anchors(self) -> Sequence[Pair]:
        return ()

    def honest(self) -> Sequence[Pair]:
        return ()

    def second(self) -> Sequence[Opinion] | None:
        return None


def _looks(lot: random.Random, of: int, before: float, after: float) -> list[Pair]:
    return [Pair(f"i{at}", float(lot.random() < before), float(lot.random() < after)) for at in range(of)]


def _case() -> Any:
    parent = start()
    edit = SetBands(clause="first-day/no-sending-on-others-word", action=(Band(at=80, do="reject"),))
    proposal = Proposal(
        app=parent.app, parent=parent.digest, author="optimizer:simulated", edits=(edit,), support=Support()
    )
    return case_of(proposal, parent, _Drawn((), ()))


def gate(_: argparse.Namespace) -> Sheet:
    """Null edits and real ones."""
    base, lot = _case(), random.Random(6)
    fooled, bare = [0] * ATTEMPTS, [0] * ATTEMPTS
    for _ in track(range(RUNS), description="null edits"):
        taken = bare_taken = False
        for attempt in range(ATTEMPTS):
            trials = _Drawn(_looks(lot, 3, 0.7, 0.7), _looks(lot, 200, 0.7, 0.7))
            made = msgspec.structs.replace(base, trials=trials, attempt=attempt + 1)
            taken = taken or climb(made, STATISTICAL).reached
            bare_taken = bare_taken or sum(p.after - p.before for p in trials.mini) > 0
            fooled[attempt] += taken
            bare[attempt] += bare_taken
    power = {size: [_power(base, lot, size, effect) for effect in EFFECTS] for size in SIZES}
    alpha = GateSettings().alpha
    p = at_least(fooled[-1], RUNS, alpha)
    summary = (
        f"An edit that changes nothing, {ATTEMPTS} attempts a run on one hold-out of 200 noisy tasks: the gate takes "
        f"one in {fooled[-1]} of {RUNS} runs ({100 * fooled[-1] / RUNS:.2f} %, at most "
        f"{100 * rate_at_most(fooled[-1], RUNS):.2f} %; declared {100 * alpha:.0f} %; p that it is above: {p:.3f}). "
        f'A bare "new > old" on three tasks takes one in {100 * bare[-1] / RUNS:.0f} % of runs, and '
        f"{100 * bare[0] / RUNS:.0f} % of single edits."
    )
    lines = [
        summary,
        "",
        *table(
            ("tasks kept back", *[f"+{100 * effect:.0f} points" for effect in EFFECTS]),
            [(str(size), *[f"{100 * share:.0f} %" for share in shares]) for size, shares in power.items()],
        ),
    ]
    attempts = range(1, ATTEMPTS + 1)
    calibration = [
        Series('bare "new > old"', tuple((at, 100 * count / RUNS) for at, count in zip(attempts, bare, strict=True))),
        Series("the gate", tuple((at, 100 * count / RUNS) for at, count in zip(attempts, fooled, strict=True))),
        Series("declared", tuple((at, 100 * alpha) for at in attempts), dashed=True),
    ]
    powers = [
        Series(f"{size} tasks", tuple((100 * e, 100 * share) for e, share in zip(EFFECTS, shares, strict=True)))
        for size, shares in power.items()
    ]
    pictures = [
        (Axes(title="Runs that took an empty edit", x="attempts so far", y="% of runs", high=100), calibration),
        (Axes(title="Real improvements that are taken", x="true gain, points", y="% of edits", high=100), powers),
    ]
    figures = {"null": fooled, "bare": bare, "runs": RUNS, "p": p, "power": power}
    return Sheet(title="Fooled, and blind", figures=figures, lines=lines, pictures=pictures)


def _power(base: Any, lot: random.Random, size: int, effect: float) -> float:
    taken = 0
    for _ in range(300):
        trials = _Drawn(_looks(lot, 30, 0.6, 0.6 + effect), _looks(lot, size, 0.6, 0.6 + effect))
        taken += climb(msgspec.structs.replace(base, trials=trials), STATISTICAL).reached
    return taken / 300


MOST: Final = 600


def _watched(lot: random.Random, before: float, after: float, *, paired: bool) -> tuple[Standing, int, list[float]]:
    """A canary to its end, with what the bet that it is worse had come to after each of its sessions."""
    settings, trace = GateSettings(), list[float]()
    history = 0 if paired else 1000
    harmed = sum(lot.random() < before for _ in range(history))
    state = Canary(paired=paired, in_force=Tally(harmed=harmed, sessions=history))
    while state.candidate.sessions < MOST:
        arm = arm_of(str(lot.random()), "edit", settings.canary_share)
        rate = max(0.0, after - before) if paired else after
        state = seen(state, arm, settings, harm=lot.random() < (rate if arm == "candidate" else before))
        if arm == "candidate":
            trace.append(state.worse.won)
        if (stands := standing(state, settings)) != "comparing":
            return stands, state.candidate.sessions, trace
    return "comparing", MOST, trace


def canary(_: argparse.Namespace) -> Sheet:
    """Regressions and none, in both ways of comparing."""
    rows: list[tuple[str, ...]] = []
    figures: dict[str, Any] = {}
    series: list[Series] = []
    kinds = [(0.02, 0.12), (0.05, 0.15), (0.02, 0.02), (0.05, 0.05), (0.05, 0.07)]
    for paired in (True, False):
        for before, after in track(kinds, description="canaries"):
            runs = [_watched(random.Random(seed), before, after, paired=paired) for seed in range(200)]
            ends = [stands for stands, *_ in runs]
            back = [sessions for stands, sessions, _ in runs if stands == "worse"]
            way = "within a session" if paired else "between arms"
            name = f"{way}: {100 * before:.0f} % to {100 * after:.0f} %"
            figures[name] = {
                "worse": len(back),
                "not_worse": ends.count("not_worse"),
                "of": 200,
                "sessions": sorted(back),
            }
            middle = f"{median(back):.0f}" if len(back) > 10 else "-"
            rows.append((name, f"{len(back) / 2:.1f} %", middle, f"{ends.count('not_worse') / 2:.1f} %"))
            if before == 0.02:
                series += _traces(way, after > before, runs)
    axes = Axes(
        title="Canary traces: what the bet on harm has come to", x="sessions of the candidate",
        y="share of the 20 to 1 that rolls back", high=1.2, about="median of 200 runs each; block rate 2 % before",
    )  # fmt: skip
    head = ("sessions that come to harm", f"rolled back within {MOST}", "median sessions until then", "let through")
    lines = table(head, rows)
    return Sheet(title="Rolled back", figures=figures, lines=lines, pictures=[(axes, series)])


def _traces(way: str, worse: bool, runs: list[tuple[Standing, int, list[float]]]) -> list[Series]:  # noqa: FBT001
    wanted = 1 / GateSettings().canary_alpha
    points: list[tuple[float, float]] = []
    for at in range(0, 400, 10):
        values = [trace[min(at, len(trace) - 1)] / wanted for _, _, trace in runs if trace]
        points.append((at, min(1.2, median(values))))
    return [Series(f"{way}, {'+10 points' if worse else 'no worse'}", tuple(points), dashed=not worse)]
