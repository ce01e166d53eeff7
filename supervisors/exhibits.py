"""Exhibits: how a session's steps are shown, the same from call to call, so that a provider's cache serves them."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from policies.guards.judge import Case
from policies.trail import utf8
from policies.vocabulary.steps import Part
from supervisors.critics.fences import FENCE_BYTES, Draw, Exhibit, exhibit
from supervisors.critics.prompt import Matter

MOST_STEP_BYTES: Final = 32 * 1024
"""Of the proposed step; what lies behind is reported as an unscanned tail."""

MOST_PART_BYTES: Final = 16 * 1024
MOST_BEFORE_BYTES: Final = 64 * 1024
"""Of each of the steps before it, and of all of them with their fences: the latest are shown, and instructions before
user turns."""

_SESSIONS: Final = 256


class Exhibits:
    """What was shown of which session, in one process. Used from one thread."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._shown: OrderedDict[str, list[tuple[bytes, Exhibit]]] = OrderedDict()

    def matter(self, case: Case) -> Matter:
        """A case as a model is shown it."""
        kept, dropped = _kept(case.scene.trail.parts)
        before = self._before(case.asking.session_id, kept)
        name = f"s{len(before) + 1}"
        facts = case.facts
        if dropped:
            facts = msgspec.structs.replace(facts, partial=True)
        return Matter(
            charges=case.charges,
            history=before,
            steps=(exhibit(name, case.scene.step, most=MOST_STEP_BYTES, draw=self._draw),),
            facts={name: facts},
        )

    def forget(self, sessions: Iterable[str]) -> None:
        """Show these sessions anew the next time: they were erased."""
        for session_id in sessions:
            self._shown.pop(session_id, None)

    def _before(self, session_id: str | None, parts: Sequence[Part]) -> tuple[Exhibit, ...]:
        """The steps before, each in the fence it had when it was first shown, as far as they are still the same."""
        known = self._shown.get(session_id, []) if session_id is not None else []
        keys = [_key(part) for part in parts]
        same = 0
        while same < min(len(known), len(keys)) and known[same][0] == keys[same]:
            same += 1
        shown = known[:same] + [
            (keys[at], exhibit(f"s{at + 1}", parts[at], most=MOST_PART_BYTES, draw=self._draw))
            for at in range(same, len(parts))
        ]
        if session_id is not None:
            self._shown[session_id] = shown
            self._shown.move_to_end(session_id)
            while len(self._shown) > _SESSIONS:
                self._shown.popitem(last=False)
        return tuple([each for _, each in shown])


def _kept(parts: Sequence[Part]) -> tuple[list[Part], bool]:
    """The parts that fit, in order, and whether some do not."""
    left = MOST_BEFORE_BYTES
    chosen: set[int] = set()
    latest = sorted(range(len(parts)), key=lambda at: (parts[at].kind != "instructions", -at))
    for at in latest:
        size = min(len(utf8(parts[at].text)), MOST_PART_BYTES) + FENCE_BYTES
        if size > left:
            continue
        left -= size
        chosen.add(at)
    return [part for at, part in enumerate(parts) if at in chosen], len(chosen) < len(parts)


def _key(part: Part) -> bytes:
    return blake2b(part.kind.encode() + b"\0" + utf8(part.text), digest_size=16).digest()
