"""Transcript: what a model was shown of a session so far, in order, each step within the fence it had then.

It only grows, so that what a provider remembers of the last call is the beginning of the next. One that grew too long
begins anew with the newest part.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from policies.guards.judge import Charge
from policies.trail import utf8
from policies.vocabulary.steps import Part
from supervisors.critics.fences import Draw, Exhibit, exhibit
from supervisors.critics.prompt import Matter

STEP_BYTES: Final = 32 * 1024
"""Of one step's text that a model is shown; the mark of a longer one says how much is missing."""

SHOWN_BYTES: Final = 192 * 1024
"""Of a session that a model is shown; of a longer one the beginning is left out."""

_REMEMBERED_BYTES: Final = 4 << 20
"""Of all transcripts that are known at a time; another session's is made anew, and its first call costs more."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded step of a session."""

    number: int
    """Of its exchange, in the order of recording."""

    step_id: str
    part: Part | None
    """None where its text was not kept."""


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """What was shown of one session. Never changed, only followed by a longer one."""

    number: int = 0
    """The last exchange that was shown."""

    shown: tuple[Exhibit, ...] = ()
    size: int = 0
    """Bytes of all of it, fences included: of short steps they are the most of what a prompt takes."""

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the steps that were shown."""
        return frozenset([each.step_id for each in self.shown])

    def followed(self, steps: Sequence[Seen], draw: Draw) -> "Transcript":
        """The transcript with further steps at its end; those whose text was not kept are left out."""
        kept = [(step, step.part) for step in steps if step.part is not None]
        named = [
            exhibit(f"s{at}", part, most=STEP_BYTES, draw=draw, step_id=step.step_id)
            for at, (step, part) in enumerate(kept, len(self.shown) + 1)
        ]
        return Transcript(
            number=max([self.number, *[step.number for step in steps]]),
            shown=(*self.shown, *named),
            size=self.size + sum([len(utf8(each.fenced)) for each in named]),
        )

    def matter(self, charges: Sequence[Charge], asked: Collection[str]) -> Matter:
        """The question about these steps, by id: the last of what was shown. At least one has to be among it."""
        first = next(at for at, step in enumerate(self.shown) if step.step_id in asked)
        last = max(at for at, step in enumerate(self.shown) if step.step_id in asked)
        new = self.shown[first : last + 1]
        context = frozenset([step.name for step in new if step.step_id not in asked])
        return Matter(charges=tuple(charges), history=self.shown[:first], steps=new, context=context)


class Transcripts:
    """The newest transcripts, by session and by the clauses that are asked about."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, tuple[str, ...]], Transcript] = OrderedDict()
        self._size = 0

    def of(self, session_id: str, clauses: tuple[str, ...]) -> Transcript:
        """What was shown; nothing yet where that is not known."""
        return self._known.get((session_id, clauses), Transcript())

    def keep(self, session_id: str, clauses: tuple[str, ...], transcript: Transcript) -> None:
        """Remember what was shown by now."""
        self._drop((session_id, clauses))
        self._known[session_id, clauses] = transcript
        self._size += transcript.size
        while self._size > _REMEMBERED_BYTES:
            self._drop(next(iter(self._known)))

    def forget(self, sessions: Collection[str]) -> None:
        """Begin anew with the next call about these sessions."""
        for key in [key for key in self._known if key[0] in sessions]:
            self._drop(key)

    def _drop(self, key: tuple[str, tuple[str, ...]]) -> None:
        """Forget one, where it is known."""
        gone = self._known.pop(key, None)
        if gone is not None:
            self._size -= gone.size
