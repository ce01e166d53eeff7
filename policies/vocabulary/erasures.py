"""Erasures: what a person has destroyed, and on what basis."""

from typing import Final

import msgspec

BASIS: Final = r"^[A-Za-z0-9 .,:;()/§_-]{1,120}$"
"""A basis stands in the audit log for good, so it has no room for addresses, and should hold no names."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """That a scope is to be erased."""

    scope: str
    """`session:ID`, `user:ID` or `app:NAME`."""

    basis: str
    """The ground in law or contract; the audit log says it word for word."""

    by: str
    """Who decided; the audit log knows the person by an alias."""

    actor: str
    """The key it came under, or `owner`."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased."""

    scope: str
    """As the audit log names it: the kind of scope and a keyed hash."""

    sessions: tuple[str, ...]
    """Ids of the sessions that are no more."""

    exchanges: int
    basis: str
    at_ns: int
    """Wall clock, Unix epoch, nanoseconds, UTC."""
