"""Labels: from what was said of steps to episodes that candidates can be held against.

A step is a violation, or honest, where the weight of what was said of it is enough and clearly on one side. Where
voices contradict each other it is undecided: to stop there is neither right nor wrong. A session of which nobody said
enough is no episode at all; silence is no label.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec
from blake3 import blake3

from policies.signals import limited
from policies.trail import utf8
from policies.vocabulary.episodes import Episode
from policies.vocabulary.signals import Signal
from policies.vocabulary.steps import Part

ENOUGH: Final = 0.75
"""Weight that decides a step: one label does, a critique alone does not, three approvals of holds do not."""

CLEAR: Final = 2 / 3
"""Share of the weight that has to be on one side."""


def step_digest(part: Part) -> str:
    """The name under which signals speak of a step: kind, tool and text, 16 bytes in hex."""
    content = b"\0".join([part.kind.encode(), utf8(part.tool or ""), utf8(part.text)])
    return blake3(content).hexdigest(length=16)


def labelled(episode: Episode, signals: Iterable[Signal]) -> Episode | None:
    """The episode with its steps decided by what was said of them; None where nothing was decided."""
    spoken = [signal for signal in limited(signals) if signal.session_id == episode.episode_id]
    weights: dict[str, dict[str, float]] = defaultdict(lambda: {"violation": 0.0, "ok": 0.0})
    for signal in spoken:
        weights[signal.step][signal.says] += signal.weight
    names = [step_digest(step) for step in episode.steps]
    settled = {name: said for name, each in weights.items() if (said := decided(each)) is not None}
    if not any(name in settled for name in names):
        return None
    own = {name: settled[name] for name in names if name in settled}
    return msgspec.structs.replace(
        episode,
        voices=tuple(sorted({each.principal for each in spoken if own.get(each.step) == each.says})),
        bad=frozenset(at for at, name in enumerate(names) if settled.get(name) == "violation"),
        undecided=frozenset(at for at, name in enumerate(names) if name in weights and name not in settled),
    )


def decided(weights: dict[str, float]) -> str | None:
    """Which side the weight of what was said of a step is on; None where it is not enough, or not clearly on one."""
    total = sum(weights.values())
    side = max(weights, key=lambda each: weights[each])
    return side if weights[side] >= ENOUGH and weights[side] >= CLEAR * total else None
