"""Sticky: a session that began under a revision goes on under it, whatever is put in force meanwhile.

Which revision that is stands in the record of its exchanges, so that it holds in every worker, whoever asks, and after
a restart; what was opened and is not recorded yet is remembered here. It ends where the revision is taken back, where a
person changes the policy files or puts an old revision in force by name, and some time after the session began.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

from policies.vocabulary.sessions import Join
from storage.rows import RecordedRow, SessionRow

REMEMBERED: Final = 10_000
"""Sessions of which it is known without asking the record."""


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions begin under something else than what is in force."""

    proposal: str
    """Digest of the proposal they are drawn for."""

    share: float
    revision: str
    """What the drawn ones begin under; empty: the policy files."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What sessions of one app may run under."""

    now: str = ""
    """The revision in force; empty: the policy files."""

    kept: frozenset[str] = frozenset([""])
    """Revisions that a session which began under them goes on with."""

    arm: Arm | None = None

    @property
    def even(self) -> bool:
        """Whether every session runs under what is in force."""
        return self.arm is None and self.kept == frozenset([self.now])

    def begins(self, session_id: str) -> str:
        """What a session begins under: the same whenever it is asked."""
        if self.arm is None:
            return self.now
        from policies.gate.canary import arm_of  # noqa: PLC0415 - it knows every kind of guard, as whoever draws does

        drawn = arm_of(session_id, self.arm.proposal, self.arm.share)
        return self.arm.revision if drawn == "candidate" else self.now


class Record(Protocol):
    """The slice of the record this reads; `storage.store.Store` fits."""

    def find_named(self, session_id: str) -> SessionRow | None:
        """A session by its whole id."""
        ...

    def backwards(self, session_id: str, after: int) -> Iterator[RecordedRow]:
        """Its exchanges, the newest first."""
        ...


class _Bound(msgspec.Struct, frozen=True):
    revision: str
    since_ns: int


class Sticky:
    """What sessions run under. For one thread."""

    def __init__(self, record: Record, *, lasts_ns: int, now_ns: Callable[[], int]) -> None:
        """`lasts_ns`: how long after its beginning a session follows what is in force."""
        self._record = record
        self._lasts_ns = lasts_ns
        self._now_ns = now_ns
        self._bound: OrderedDict[str, _Bound] = OrderedDict()

    def of(self, join: Join, line: Line) -> str:
        """The revision for the next exchange of a session; empty: the policy files."""
        session_id, now_ns = join.session_id, self._now_ns()
        bound = self._bound.get(session_id)
        if bound is None and not line.even and not (join.relation == "opens" and join.derived):
            bound = self._recorded(session_id)
        since_ns = now_ns if bound is None else bound.since_ns
        if bound is None or bound.revision not in line.kept:
            # What it ran under was taken back: it is drawn for nothing else in mid-course.
            bound = _Bound(line.begins(session_id) if bound is None else line.now, since_ns)
        if now_ns - bound.since_ns > self._lasts_ns:
            bound = _Bound(line.now, bound.since_ns)
        self._bound[session_id] = bound
        self._bound.move_to_end(session_id)
        if len(self._bound) > REMEMBERED:
            self._bound.popitem(last=False)
        return bound.revision

    def forget(self, session_id: str) -> None:
        """Forget a session, which was erased."""
        self._bound.pop(session_id, None)

    def _recorded(self, session_id: str) -> _Bound | None:
        """What its newest exchange that was judged ran under; None where nothing says so."""
        session = self._record.find_named(session_id)
        if session is None:
            return None
        judged = (row.judged for row in self._record.backwards(session_id, 0))
        revision = next((each.revision for each in judged if each is not None), None)
        return None if revision is None else _Bound(revision, session.started_ns)
