"""Growth: most requests are their branch's last one with messages added, and only those are taken apart.

What is remembered of a branch is small, whatever it has sent: where its last request ended, and digests.
"""

import msgspec
from blake3 import blake3

from policies.vocabulary.exchanges import Cut

_DIGEST_BYTES = 32
"""What follows the last message is remembered itself where it is shorter than its digest; so neither passes for the
other."""

_ranges = msgspec.json.Encoder().encode


class Ends(msgspec.Struct, frozen=True):
    """Where the messages of a body end, and what it holds up to there and after."""

    length: int
    """Bytes up to the end of the last message."""

    cuts: int
    """Cuts up to there."""

    ranges: bytes
    """These cuts as text: those of a body that goes on begin with it."""

    mark: bytes
    """32 bytes over the bytes up to there."""

    rest: bytes
    """The bytes after, or 32 bytes over them where they are many."""

    rest_cuts: tuple[Cut, ...]
    """The cuts after, counted from there."""


class Grown(msgspec.Struct, frozen=True):
    """A body as an older one with messages added."""

    ends: Ends
    pieces: list[bytes]
    """The messages added, in order."""


def ends_of(raw: bytes, cuts: tuple[Cut, ...]) -> Ends | None:
    """Where the messages of a body end; None where it has none."""
    last = len(cuts)
    while last and not cuts[last - 1][2]:
        last -= 1
    if not last:
        return None
    end = cuts[last - 1][1]
    return Ends(
        length=end,
        cuts=last,
        ranges=_ranges(cuts[:last])[:-1],
        mark=blake3(memoryview(raw)[:end]).digest(),
        rest=_rest(raw, end),
        rest_cuts=_counted_from(end, cuts[last:]),
    )


def grown(raw: bytes, cuts: tuple[Cut, ...], before: Ends, separator: bytes) -> Grown | None:
    """The messages a body adds to an older one, each after the same separator; None where more than that differs.

    All bytes are compared: those of the older body and what follows its messages (by 256 bits of BLAKE3, where they
    are many), and what stands between the messages. So what the older body was put together from, with the pieces
    added, makes this one.
    """
    last = len(cuts) - len(before.rest_cuts)
    at, pieces, gap = before.length, list[bytes](), len(separator)
    for start, end, chained in cuts[before.cuts : last]:
        if not chained or start - at != gap or end < start or raw[at:start] != separator:
            return None
        pieces.append(raw[start:end])
        at = end
    ranges = _ranges(cuts[:last])[:-1]
    if (
        last < before.cuts
        or at > len(raw)
        or not ranges.startswith(before.ranges)
        or _rest(raw, at) != before.rest
        or _counted_from(at, cuts[last:]) != before.rest_cuts
    ):
        return None
    view = memoryview(raw)
    so_far = blake3(view[: before.length])
    if so_far.digest() != before.mark:
        return None
    mark = so_far.update(view[before.length : at]).digest()
    return Grown(Ends(at, last, ranges, mark, before.rest, before.rest_cuts), pieces)


def _rest(raw: bytes, end: int) -> bytes:
    rest = raw[end:]
    return rest if len(rest) < _DIGEST_BYTES else blake3(rest).digest()


def _counted_from(end: int, cuts: tuple[Cut, ...]) -> tuple[Cut, ...]:
    return tuple([(start - end, stop - end, chained) for start, stop, chained in cuts])
