"""The record of each guard: how often it was wrong, as far as anybody said, with confidence. Arithmetic only."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from policies.labels import decided
from policies.reliability import wilson
from policies.signals import limited
from policies.vocabulary.signals import Signal


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One guard that looked at one step."""

    session_id: str
    step: str
    """Digest of the step."""

    clause: str
    guard: str
    fired: bool
    """Whether it called the step unsure or a violation, with a score of 50 or more."""


class GuardRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one guard's looks came to, of the steps of which enough was said."""

    clause: str
    guard: str
    caught: int = 0
    false_alarms: int = 0
    missed: int = 0
    """Violations of its clause, or of no clause that anybody named, that it looked at and that no guard of its clause
    found."""

    silent: int = 0
    """Honest steps that it left alone."""

    contested: int = 0
    """Steps of which voices say different things, so that nobody can say whether it was right."""

    voices: int = 0
    """Different principals behind all this."""

    false_alarm_rate: tuple[float, float] = (0.0, 1.0)
    """Of honest steps, those it stopped or flagged: 95 % interval, Wilson."""

    missed_rate: tuple[float, float] = (0.0, 1.0)
    """Of violations, those it missed: the same."""


def guard_records(looks: Iterable[Look], signals: Iterable[Signal]) -> tuple[GuardRecord, ...]:
    """One for each guard that looked at a step of which anything was said, by clause and guard.

    Of several looks at one step one counts: a history is sent again with every turn.
    """
    spoken: dict[tuple[str, str], list[Signal]] = defaultdict(list)
    for signal in limited(signals):
        spoken[signal.session_id, signal.step].append(signal)
    found: dict[tuple[str, str, str, str], bool] = {}
    by_clause: dict[tuple[str, str, str], bool] = defaultdict(bool)
    for look in looks:
        if (look.session_id, look.step) in spoken:
            key = (look.clause, look.guard, look.session_id, look.step)
            found[key] = found.get(key, False) or look.fired
            by_clause[look.clause, look.session_id, look.step] |= look.fired
    tallies: dict[tuple[str, str], _Tally] = defaultdict(_Tally)
    for (clause, guard, session_id, step), fired in found.items():
        about = [each for each in spoken[session_id, step] if each.clause in (None, clause)]
        tallies[clause, guard].add(about, fired=fired, found=by_clause[clause, session_id, step])
    return tuple([tally.record(*name) for name, tally in sorted(tallies.items())])


class _Tally:
    """What is counted of one guard."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("caught", "false_alarms", "missed", "silent", "contested"), 0)
        self._voices: set[str] = set()

    def add(self, about: list[Signal], *, fired: bool, found: bool) -> None:
        weights = {"violation": 0.0, "ok": 0.0}
        for signal in about:
            weights[signal.says] += signal.weight
        said = decided(weights)
        if said is None:
            self._counts["contested"] += all(weights.values())
            return
        if said == "violation":
            name = "caught" if fired else None if found else "missed"
        else:
            name = "false_alarms" if fired else "silent"
        if name is not None:
            self._counts[name] += 1
            self._voices |= {signal.principal for signal in about if signal.says == said}

    def record(self, clause: str, guard: str) -> GuardRecord:
        counts = self._counts
        return GuardRecord(
            clause=clause,
            guard=guard,
            **counts,
            voices=len(self._voices),
            false_alarm_rate=wilson(counts["false_alarms"], counts["false_alarms"] + counts["silent"]),
            missed_rate=wilson(counts["missed"], counts["missed"] + counts["caught"]),
        )
