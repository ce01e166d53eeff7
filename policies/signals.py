"""What signals come to: how often each clause was wrong, with confidence, and who stands behind a change.

One voice is one voice: what a principal says counts up to a limit, however often it is said, and support is counted in
principals and sessions, never in signals.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from policies.statistics import posterior_lower
from policies.vocabulary.revisions import Support
from policies.vocabulary.signals import Signal

MOST_PER_PRINCIPAL: Final = 50
"""Signals of one principal that count in one window, the newest first."""

WINDOW_NS: Final = 24 * 3600 * 1_000_000_000


class Wrongs(msgspec.Struct, frozen=True, kw_only=True):
    """How often something was wrong, as far as anybody said."""

    false_positives: float = 0.0
    """Weight of the signals that call honest what it stopped or flagged."""

    false_negatives: float = 0.0
    """Weight of the signals that call a violation what nothing stopped."""

    contested: int = 0
    """Steps that some call honest and others a violation."""

    principals: int = 0
    """How many different ones said so."""

    confidence: float = 0.0
    """Lower bound, at 95 %, of the share of voices that agree with the majority; 0 without any."""


def limited(
    signals: Iterable[Signal], *, most: int = MOST_PER_PRINCIPAL, window_ns: int = WINDOW_NS
) -> tuple[Signal, ...]:
    """The signals that count: of each principal so many in a window, one for each step of a session, newest first."""
    kept: list[Signal] = []
    used: dict[tuple[str, int], int] = defaultdict(int)
    said: set[tuple[str, str, str, str | None]] = set()
    for signal in sorted(signals, key=lambda each: (-each.at_ns, each.principal, each.step)):
        window = (signal.principal, signal.at_ns // window_ns)
        once = (signal.principal, signal.session_id, signal.step, signal.clause)
        if once in said or used[window] >= most:
            continue
        said.add(once)
        used[window] += 1
        kept.append(signal)
    return tuple(kept)


def wrongs(signals: Iterable[Signal]) -> dict[str, Wrongs]:
    """False positives and negatives of each clause (`policy/clause`); under `""` those of steps no clause spoke of.

    A signal that names a clause speaks of a step that this clause acted on; one without says that a step was a
    violation nobody stopped, or that nothing was wrong with it.
    """
    about: dict[str, list[Signal]] = defaultdict(list)
    for signal in limited(signals):
        about[signal.clause or ""].append(signal)
    return {clause: _wrongs(members) for clause, members in about.items()}


def support(signals: Iterable[Signal]) -> Support:
    """Who stands behind a change, without what they said."""
    counted = limited(signals)
    return Support(
        sessions=tuple(sorted({signal.session_id for signal in counted})),
        principals=tuple(sorted({signal.principal for signal in counted})),
    )


def _wrongs(signals: list[Signal]) -> Wrongs:
    weights = {"violation": 0.0, "ok": 0.0}
    voices: dict[str, set[str]] = {"violation": set(), "ok": set()}
    steps: dict[str, set[str]] = defaultdict(set)
    for signal in signals:
        weights[signal.says] += signal.weight
        voices[signal.says].add(signal.principal)
        steps[signal.step].add(signal.says)
    more, fewer = sorted((len(each) for each in voices.values()), reverse=True)
    return Wrongs(
        false_positives=weights["ok"],
        false_negatives=weights["violation"],
        contested=sum(len(said) > 1 for said in steps.values()),
        principals=len(voices["violation"] | voices["ok"]),
        confidence=posterior_lower(more, fewer) if more else 0.0,
    )
