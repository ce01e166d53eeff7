"""Answers about erasing and keeping."""

import msgspec

from gateway.times import rfc3339
from policies.vocabulary import erasures


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased: the last answer that names it."""

    scope: str
    """As the audit log names it: the kind of scope and a keyed hash."""

    sessions: tuple[str, ...]
    exchanges: int
    basis: str
    erased_at: str

    @classmethod
    def of(cls, done: erasures.Erasure) -> "Erasure":
        """The answer for one erasure."""
        return cls(
            scope=done.scope,
            sessions=done.sessions,
            exchanges=done.exchanges,
            basis=done.basis,
            erased_at=rfc3339(done.at_ns),
        )


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a session is kept beyond its time."""

    session_id: str
    held: bool
