"""Leaps: where the clock is days beyond what it was, nothing is deleted on its word until it has gone on for a day.

A gateway that was off for long finds the clock so, and so does one whose clock was set wrong; nothing here can tell
which it is. What is recorded therefore stays for a day more, in which people may set the clock right. One that is set
back by then has cost nothing.
"""

from typing import Final

import msgspec

from storage.partitions import DAY_NS

_FAR_NS: Final = 3 * DAY_NS
"""A clock that is further on than this has leapt: a weekend passes between two looks, not more."""

_LONG_NS: Final = DAY_NS
"""How long it has to go on from there before it is believed."""


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """What the clock said, Unix epoch in nanoseconds."""

    believed_ns: int
    leapt_ns: int | None = None
    """Where it leapt to; None where it did not."""

    looked_ns: int | None = None
    """What it said last, behind the leap."""

    @property
    def leapt(self) -> bool:
        """Whether it is not believed now."""
        return self.leapt_ns is not None


def looked(before: Clock, now_ns: int) -> Clock:
    """After another look at the clock."""
    if now_ns - before.believed_ns <= _FAR_NS:
        return Clock(believed_ns=now_ns)
    leapt_ns, looked_ns = before.leapt_ns, before.looked_ns
    if leapt_ns is None or looked_ns is None or not looked_ns <= now_ns <= looked_ns + _LONG_NS:
        leapt_ns = now_ns  # it leapt just now, or once more
    if now_ns - leapt_ns >= _LONG_NS:
        return Clock(believed_ns=now_ns)
    return Clock(believed_ns=before.believed_ns, leapt_ns=leapt_ns, looked_ns=now_ns)
