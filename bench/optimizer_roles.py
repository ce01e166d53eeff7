"""Roles of optimizer models against the optimizers that ask one, on the behaviour model, class by class."""

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.progress import track

from bench.behaviour import CLASSES, Sides, WorldTrials, world
from bench.optimizer_recorded import start
from bench.plots import Axes, Series
from bench.roles import ROLES, Scripted
from bench.sheet import Sheet, said, table
from policies.copies import shingles
from policies.gate.case import Approval, Exposure
from policies.gate.ladder import OFFLINE, case_of, climb
from policies.gate.memory import Memory
from policies.parameters import EditRefused, apply
from policies.replay import Replay
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.revisions import Parameters
from supervisors.optimizers.interface import Task
from supervisors.optimizers.model import Metered, Spending
from supervisors.optimizers.written import ASKING

ROUNDS: Final = 5
SEEDS: Final = 5
SETTINGS: Final = GateSettings()
AGREED: Final = Approval(by="unread", agreed=True, reason="a person who agrees to whatever waits")
BUDGET: Final = Spending(calls=400, tokens=10**7)

SLOW: Final = "slow"
SLOW_CALLS: Final = 5
"""Calls after which the time of a slow model's run is over."""


class _Run(msgspec.Struct, frozen=True):
    """One role with one optimizer and seed."""

    truths: tuple[float, ...]
    """How much goes well in truth, before the first round and after each."""

    classes: dict[str, tuple[float, float]]
    """The same by class of application, before and after."""

    taken: int
    ends: Counter[str]
    calls: int


def roles(_: argparse.Namespace) -> Sheet:
    """Every role with every optimizer, a person agreeing unread to all but what loosens."""
    rows: list[tuple[str, ...]] = []
    figures: dict[str, Any] = {}
    curves: list[Series] = []
    classes: list[tuple[str, ...]] = []
    for role in track((*ROLES, SLOW), description="roles"):
        for kind in ASKING.values():
            runs = [_run(kind, role, seed) for seed in range(SEEDS)]
            before, after = (sum(run.truths[at] for run in runs) / SEEDS for at in (0, -1))
            taken = sum(run.taken for run in runs)
            ends = sum((run.ends for run in runs), Counter[str]())
            stopped = ", ".join(f"{name} {count}" for name, count in ends.most_common(3)) or "nothing proposed"
            calls = sum(run.calls for run in runs) // SEEDS
            rows.append((role, kind.name, f"{100 * before:.1f}", f"{100 * after:.1f}", str(taken), stopped, str(calls)))
            figures[f"{role}, {kind.name}"] = {"before": before, "after": after, "taken": taken, "ends": dict(ends)}
            if role == "helpful":
                mean = [100 * sum(run.truths[at] for run in runs) / SEEDS for at in range(ROUNDS + 1)]
                curves.append(Series(kind.name, tuple(enumerate(mean))))
                classes.append((kind.name, *[_gain(runs, name) for name in CLASSES]))
    curves.append(Series("no-op", tuple((at, curves[0].points[0][1]) for at in range(ROUNDS + 1)), dashed=True))
    head = ("role", "optimizer", "tasks done before %", "after %", "edits in force", "stopped by", "calls a run")
    summary = (
        f"200 tasks kept back, {ROUNDS} rounds, {SEEDS} seeds; a person agrees unread to all that waits, but for what "
        f"loosens. `slow` helps, and its run's time is over after {SLOW_CALLS} calls."
    )
    lines = [
        summary,
        "",
        *table(head, rows),
        "",
        "What a helpful model gains by class of application, points of tasks done:",
        "",
        *table(("optimizer", *CLASSES), classes),
    ]
    axes = Axes(title="A helpful model, round by round", x="rounds", y="% of tasks done in truth", low=40, high=100)
    return Sheet(title="Roles of models", figures=figures, lines=lines, pictures=[(axes, curves)])


def _gain(runs: Sequence[_Run], name: str) -> str:
    return said([100 * (after - before) for before, after in (run.classes[name] for run in runs)])


def _run(kind: type[Any], role: str, seed: int) -> _Run:
    place = world(300, seed)
    sides = Sides(place, place.episodes[:100], place.episodes[100:])
    words = SETTINGS.longest_copy
    evidence = shingles((step.text for episode in sides.dev for step in episode.steps), words)
    exposure = Exposure(seen=frozenset(e.group for e in sides.dev), kept=frozenset(e.group for e in sides.kept))
    lot = random.Random(seed)
    first = now = msgspec.structs.replace(start(), app="world")
    memory, attempt, taken, ends = Memory(), 1, 0, Counter[str]()
    scripted = Scripted("helpful" if role == SLOW else role)
    model = Metered(scripted, BUDGET, late=lambda: role == SLOW and len(scripted.prompts) >= SLOW_CALLS)
    truths = [place.truth(first)]
    optimizer = kind(model, lambda: f"fence-{lot.getrandbits(64):016x}")
    for round_ in range(ROUNDS):
        task = Task(
            parameters=now, dev=Replay(sides.dev), memory=memory, seed=round_,
            score=place.scorer(sides.dev, lot),
        )  # fmt: skip
        for proposal in optimizer.propose(task).proposals:
            child = _applied(now, proposal.edits)
            case = case_of(
                proposal, now, WorldTrials(sides, now, child, seed * 100 + round_), evidence=evidence, attempt=attempt,
                exposure=exposure, memory=memory,
            )  # fmt: skip
            agreed = None if case.direction == "loosens" and proposal.exact else AGREED
            climbed = climb(msgspec.structs.replace(case, approval=agreed), (*OFFLINE, "approval"))
            attempt += any(decision.rung == "holdout" for decision in climbed.decisions)
            if climbed.reached:
                now, taken = child, taken + 1
            else:
                memory = memory.with_refused(proposal)
                ends[f"{climbed.last.rung}: {climbed.last.why}"] += 1
        truths.append(place.truth(now))
    classes = {name: (place.truth(first, name), place.truth(now, name)) for name in CLASSES}
    return _Run(tuple(truths), classes, taken, ends, model.spent.calls)


def _applied(now: Parameters, edits: Any) -> Parameters:
    try:
        return apply(now, edits)
    except EditRefused:
        return now
