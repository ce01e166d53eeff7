"""Frames: what remains of a body once its pieces are taken out.

A frame lists literals and runs of holes. The longest run of messages does not say how many it holds, so the
frame of turn forty is byte for byte the frame of turn two and is stored once.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from policies.vocabulary.exchanges import Cut

Chain: TypeAlias = Literal["lead", "messages"]

LEAD = 0
MESSAGE = 1
LITERAL = 2

Op: TypeAlias = bytes | tuple[int, bytes, int]
"""A literal, or (hole kind, separator, count); count 0 once: all messages the other runs leave over."""

_VERSION = 1
_LARGE_LITERAL = 256
"""Literals from here on are pieces of their own: stored once, where a frame may change at every turn."""

_DEFAULT_SEPARATOR = b","

_REMEMBERED_BYTES = 1024
"""Frames up to here are read once and remembered."""


_encode_layout = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, list[bytes | tuple[int, bytes, int]]]).decode


class Split(msgspec.Struct, frozen=True):
    """A body taken apart."""

    frame: bytes
    lead: tuple[bytes, ...]
    """Unchained pieces and large literals, in order."""

    messages: tuple[bytes, ...]
    """Chained pieces, in order."""

    separator: bytes | None
    """Messages added after the last one, with this before each, leave the frame the same; None where none would."""


class Broken(Exception):
    """A frame does not fit its pieces."""


def split(raw: bytes, cuts: Sequence[Cut]) -> Split | None:
    """Take a body apart at its cuts; None where they are not ascending, disjoint ranges of it."""
    holes: list[int] = []
    gaps: list[bytes] = []
    lead: list[bytes] = []
    messages: list[bytes] = []
    at = 0
    for start, end, chained in cuts:
        if not at <= start <= end:
            return None
        gap = raw[at:start]
        if len(gap) >= _LARGE_LITERAL:
            gaps.append(b"")
            holes.append(LITERAL)
            lead.append(gap)
            gap = b""
        gaps.append(gap)
        if chained:
            holes.append(MESSAGE)
            messages.append(raw[start:end])
        else:
            holes.append(LEAD)
            lead.append(raw[start:end])
        at = end
    if at > len(raw):
        return None
    tail = raw[at:]
    if len(tail) >= _LARGE_LITERAL:
        gaps.append(b"")
        holes.append(LITERAL)
        lead.append(tail)
        tail = b""
    gaps.append(tail)
    layout, separator = _encode(holes, gaps)
    return Split(layout, tuple(lead), tuple(messages), separator)


def join(frame: bytes, lead: Sequence[bytes], messages: Sequence[bytes]) -> bytes:
    """Put a body together again. Raises `Broken`."""
    out: list[bytes] = []
    rest = {LEAD: iter(lead), MESSAGE: iter(messages), LITERAL: iter(lead)}
    rest[LITERAL] = rest[LEAD]
    try:
        for op in _runs(frame, len(messages)):
            if isinstance(op, bytes):
                out.append(op)
                continue
            kind, separator, count = op
            pieces = rest[kind]
            out.append(separator.join([next(pieces) for _ in range(count)]))
    except (StopIteration, KeyError):
        raise Broken("a frame has more holes than pieces") from None
    if next(rest[LEAD], None) is not None or next(rest[MESSAGE], None) is not None:
        raise Broken("a frame has fewer holes than pieces")
    return b"".join(out)


def locate(frame: bytes, messages: int, cut: int) -> tuple[Chain, int] | None:
    """Where cut number `cut` of a body with so many messages lies: its chain and its place there, from 0."""
    seen = 0
    place = [0, 0]
    for op in _runs(frame, messages):
        if isinstance(op, bytes):
            continue
        kind, _, count = op
        chain = 1 if kind == MESSAGE else 0
        if kind != LITERAL:
            if cut < seen + count:
                return ("messages" if chain else "lead"), place[chain] + cut - seen
            seen += count
        place[chain] += count
    return None


def _encode(holes: Sequence[int], gaps: Sequence[bytes]) -> tuple[bytes, bytes | None]:
    """A frame, and the separator of its run without a number where no message comes after that."""
    ops: list[Op] = [gaps[0]] if gaps[0] else []
    longest, longest_at, last_at, between = 0, -1, -1, b""
    at, total = 0, len(holes)
    while at < total:
        kind, end = holes[at], at + 1
        separator = gaps[end]
        while end < total and holes[end] == kind and gaps[end] == separator:
            end += 1
        count = end - at
        if count == 1:
            separator = _DEFAULT_SEPARATOR
        if kind == MESSAGE:
            last_at = len(ops)
            if count > longest:
                longest, longest_at, between = count, last_at, separator
        ops.append((kind, separator, count))
        if gaps[end]:
            ops.append(gaps[end])
        at = end
    if longest_at >= 0:
        ops[longest_at] = (MESSAGE, between, 0)
    return _encode_layout((_VERSION, ops)), between if longest_at == last_at >= 0 else None


def _runs(frame: bytes, messages: int) -> Sequence[Op]:
    ops, told = _layout(frame) if len(frame) <= _REMEMBERED_BYTES else _read(frame)
    return [op if isinstance(op, bytes) or op[2] else (op[0], op[1], messages - told) for op in ops]


def _read(frame: bytes) -> tuple[tuple[Op, ...], int]:
    """What a frame says, and how many messages its stated runs hold."""
    try:
        version, ops = _decode(frame)
    except msgspec.DecodeError:
        raise Broken("a frame cannot be read") from None
    if version != _VERSION:
        raise Broken(f"frame version {version} is not known to this release")
    return tuple(ops), sum(op[2] for op in ops if not isinstance(op, bytes) and op[0] == MESSAGE)


_layout = lru_cache(maxsize=256)(_read)
"""The same for frames that come again at every turn."""
