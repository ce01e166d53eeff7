"""Answers that are not a success."""

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, and what to do."""

    type: str
    message: str
    remedy: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    error: Fault
