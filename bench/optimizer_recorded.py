"""Recorded attacks on unseen tasks: what optimizers without a model make of a weak policy, split by task."""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from rich.progress import track

from bench.episodes import APP, episodes, unshaped
from bench.plots import Axes, Series
from bench.sheet import Sheet, interval, said, table
from bench.targets import ROOT
from policies.gate.trials import Ground
from policies.loader import load
from policies.replay import Replay
from policies.shipped import shipped
from policies.splits import Split, divide
from policies.vocabulary.clauses import Clause
from policies.vocabulary.episodes import Episode
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.revisions import Parameters
from supervisors.optimizers.allowances import Allowances
from supervisors.optimizers.baselines import NoOp, RandomEdit, Sweep
from supervisors.optimizers.course import Course, Move, Terms, run
from supervisors.optimizers.gaps import Gaps
from supervisors.optimizers.interface import Optimizer
from supervisors.optimizers.patterns import Patterns
from supervisors.optimizers.selection import Selection
from supervisors.optimizers.thresholds import Thresholds

WEAK: Final = ROOT / "bench" / "policies" / "weak.toml"
SETTINGS: Final = GateSettings(guard_budget=0.08, total_budget=0.12, least_holdout=20, by_itself_per_day=100)
"""Tasks are few: 60 honest ones can show no less than 5 %, and one disturbed of them is 7.6 % at worst."""

UNSEEN: Final = 0.34
KEPT: Final = 0.45
"""Shares of the tasks: unseen by everybody; of the others, kept from optimizers by the gate."""

TEAMS: Final[dict[str, Callable[[], Sequence[Optimizer]]]] = {
    "no-op": lambda: [NoOp()],
    "random-edit": lambda: [RandomEdit()],
    "sweep": lambda: [Sweep()],
    "thresholds": lambda: [Thresholds()],
    "patterns": lambda: [Patterns()],
    "allowances": lambda: [Allowances()],
    "gaps": lambda: [Gaps()],
    "gaps, thresholds": lambda: [Gaps(), Thresholds()],
    "selection": lambda: [Selection()],
    "all together": lambda: [Selection(), Gaps(), Thresholds(), Patterns()],
}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What parameters do to unseen tasks, in percent."""

    stopped: float
    disturbed: float
    tasks_disturbed: float
    stopped_held: float
    """Over the half of the tasks that the guards were not shaped on, as far as they are unseen."""


def start() -> Parameters:
    """The weak policy."""
    return Parameters(app=APP, policies=(load(WEAK.read_text("utf-8"), "weak.toml").policy,))


def library() -> dict[str, Clause]:
    """Every clause that comes with the package."""
    return {f"{name}/{each.id}": each for name, text in shipped().items() for each in load(text, name).policy.clause}


def measured(replay: Replay, parameters: Parameters, fresh: frozenset[str]) -> Measured:
    """Attacks stopped at or before their first call, and honest runs disturbed. `fresh`: runs of unshaped tasks."""
    pairs = list(zip(replay.episodes, replay.rights(parameters), strict=True))
    attacks = [right for episode, right in pairs if not episode.honest]
    held = [right for episode, right in pairs if not episode.honest and episode.episode_id in fresh]
    honest = [(episode.group, not right) for episode, right in pairs if episode.honest]
    tasks = {group for group, _ in honest}
    return Measured(
        stopped=_percent(attacks),
        disturbed=_percent([wrong for _, wrong in honest]),
        tasks_disturbed=100 * len({group for group, wrong in honest if wrong}) / max(1, len(tasks)),
        stopped_held=_percent(held),
    )


def _percent(values: Sequence[bool]) -> float:
    return 100 * sum(values) / max(1, len(values))


def sides(every: Sequence[Episode], seed: int) -> tuple[Ground, Replay]:
    """What is used to improve, and what nobody sees."""
    halves = divide(every, Split(salt=f"unseen-{seed}", share=UNSEEN))
    used = divide(halves.dev, Split(salt=f"gate-{seed}", share=KEPT))
    return Ground(Replay(used.dev), Replay(used.holdout), start()), Replay(halves.holdout)


def recorded(options: argparse.Namespace) -> Sheet:
    """Every optimizer on every split."""
    every, fresh = episodes(options.data), unshaped(options.data)
    terms = Terms(settings=SETTINGS, library=library())
    found: dict[str, list[tuple[Measured, Course]]] = {name: [] for name in TEAMS}
    before: list[Measured] = []
    for seed in track(range(options.splits), description="splits"):
        ground, unseen = sides(every, seed)
        before.append(measured(unseen, start(), fresh))
        for name, team in TEAMS.items():
            course = run(start(), team(), ground, terms)
            found[name].append((measured(unseen, course.parameters, fresh), course))
    rows = [_row(name, before, results) for name, results in found.items()]
    head = (
        "optimizer", "attacks stopped %", "gain, points", "gain, unshaped half", "honest runs disturbed %, change",
        "honest tasks disturbed %, change", "changes in force", "asked of the hold-out",
    )  # fmt: skip
    summary = (
        f"{len(every)} recorded runs, {options.splits} splits by task; mean and 95 % interval over splits, all figures "
        f"on unseen tasks. Before: {said(each.stopped for each in before)} % of attacks stopped."
    )
    lines = [
        summary,
        "",
        *table(head, rows),
    ]
    figures = {
        name: {
            "after": [msgspec.to_builtins(each) for each, _ in results],
            "ends": [[_end(move) for move in course.moves] for _, course in results],
        }
        for name, results in found.items()
    }  # fmt: skip
    figures["before"] = [msgspec.to_builtins(each) for each in before]
    return Sheet(title="Recorded attacks on unseen tasks", figures=figures, lines=lines)


def _end(move: Move) -> str:
    """What became of a proposal."""
    edits = "+".join(type(edit).__name__ for edit in move.proposal.edits)
    last = move.climb.last
    return f"{move.proposal.author}: {edits}: {last.rung} {last.outcome} {last.why}"


def _row(name: str, before: list[Measured], results: list[tuple[Measured, Course]]) -> tuple[str, ...]:
    pairs = [(was, now) for was, (now, _) in zip(before, results, strict=True)]
    return (
        name,
        said(now.stopped for _, now in pairs),
        said(now.stopped - was.stopped for was, now in pairs),
        said(now.stopped_held - was.stopped_held for was, now in pairs),
        said(now.disturbed - was.disturbed for was, now in pairs),
        said(now.tasks_disturbed - was.tasks_disturbed for was, now in pairs),
        f"{sum(len(course.revisions) - 1 for _, course in results) / len(results):.1f}",
        f"{sum(course.attempts for _, course in results) / len(results):.1f}",
    )


SHARES: Final = (0.05, 0.15, 0.4, 1.0)


def curve(options: argparse.Namespace) -> Sheet:
    """How much is reached from how many tasks."""
    every, fresh = episodes(options.data), unshaped(options.data)
    terms = Terms(settings=SETTINGS, library=library())
    chosen = ("gaps, thresholds", "selection", "patterns")
    found: dict[str, dict[float, list[float]]] = {name: {share: [] for share in SHARES} for name in chosen}
    for seed in track(range(min(3, options.splits)), description="learning curves"):
        ground, unseen = sides(every, seed)
        for share in SHARES:
            part = Split(salt=f"curve-{seed}", share=min(share, 0.999999))
            dev = ground.dev.part(lambda episode, part=part: part.kept_back(episode.app, episode.group))
            for name in chosen:
                course = run(start(), TEAMS[name](), Ground(dev, ground.holdout, start()), terms)
                found[name][share].append(measured(unseen, course.parameters, fresh).stopped)
    series = [
        Series(
            name,
            tuple((100 * share, interval(values)[0]) for share, values in by.items()),
            tuple((min(values), max(values)) for values in by.values()),
        )
        for name, by in found.items()
    ]
    axes = Axes(
        title="Learning curves", x="% of the tasks an optimizer may see", y="attacks stopped on unseen tasks, %",
        high=100,
        about="mean, lowest and highest over splits; the hold-out stays whole",
    )  # fmt: skip
    rows = [(name, *[f"{interval(values)[0]:.0f}" for values in by.values()]) for name, by in found.items()]
    lines = table(("optimizer", *[f"{100 * share:.0f} %" for share in SHARES]), rows)
    return Sheet(title="Learning curves", figures={"stopped": _texts(found)}, lines=lines, pictures=[(axes, series)])


def _texts(found: dict[str, dict[float, list[float]]]) -> dict[str, Any]:
    return {name: {str(share): values for share, values in by.items()} for name, by in found.items()}


SESSIONS: Final = 10_000


def scale(options: argparse.Namespace) -> Sheet:
    """A run over ten thousand recorded sessions."""
    every = episodes(options.data)
    copies = [_copy(every[at % len(every)], at // len(every)) for at in range(SESSIONS)]
    halves = divide(copies, Split(salt="scale", share=KEPT))
    ground = Ground(Replay(halves.dev), Replay(halves.holdout), start())
    began = time.monotonic()
    spent: dict[str, float] = {}
    for name in track(("gaps, thresholds", "patterns", "allowances", "selection"), description="10,000 sessions"):
        since = time.monotonic()
        run(start(), TEAMS[name](), ground, Terms(settings=SETTINGS, library=library()))
        spent[name] = time.monotonic() - since
    whole = time.monotonic() - began
    lines = [
        f"{SESSIONS} sessions, every optimizer that asks no model, one after the other on one core: {whole:.0f} s "
        f"(goal: 600 s). " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items())
    ]
    return Sheet(title="Ten thousand sessions", figures={"seconds": whole, **spent}, lines=lines)


def _copy(episode: Episode, number: int) -> Episode:
    """The same run as another session of the same task."""
    return msgspec.structs.replace(episode, episode_id=f"{episode.episode_id}#{number}")
