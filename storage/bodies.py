"""Bodies: exact bytes in, contents and a row out; and the way back, checked by digest."""

from hashlib import sha256
from typing import Any

import msgspec

from policies.vocabulary.exchanges import Body
from storage import frame
from storage.contents import ContentReader, ContentWriter, Tail
from storage.errors import ContentDamaged
from storage.spans import BodyRow

_UNKNOWN_DIGEST = bytes(32)
_DIGEST_WORTH_KEEPING = 4096
"""Bytes of a beginning from which on going on with its digest is cheaper than taking it again."""

_PLAIN = (None, "", "identity")


class Kept(msgspec.Struct, frozen=True):
    """A body as stored."""

    row: BodyRow
    fell_back: bool = False
    """True where it had cuts and was kept whole because they would not have rebuilt it."""


def digest_only(body: Body) -> BodyRow:
    """The row of a body whose bytes are not kept."""
    digest = body.sha256 or (_UNKNOWN_DIGEST if body.raw is None else sha256(body.raw).digest())
    return BodyRow("absent", body.length, digest, body.media_type, body.content_encoding)


def keep(body: Body, writer: ContentWriter, branch: str | None = None) -> Kept:
    """Store a body: taken apart at its cuts, or whole where it has none or came encoded."""
    raw = body.raw
    if raw is None:
        return Kept(digest_only(body))
    if not body.cuts or body.content_encoding not in _PLAIN:
        return Kept(_whole(body, raw, writer))
    apart = frame.split(raw, body.cuts)
    if apart is None or not _rebuilds(apart, raw):
        return Kept(_whole(body, raw, writer), fell_back=True)
    return Kept(_framed(body, raw, apart, writer, branch))


def rebuild(row: BodyRow, reader: ContentReader) -> bytes:
    """The exact bytes of a stored body. Raises `ContentDamaged`."""
    if row.content is None:
        raise ContentDamaged("a body has no content")
    raw = reader.get(row.content)
    if row.form == "framed":
        try:
            raw = frame.join(raw, reader.chain(row.lead), reader.chain(row.state))
        except frame.Broken as broken:
            raise ContentDamaged(str(broken)) from None
    if sha256(raw).digest() != row.sha256:
        raise ContentDamaged("a body has another digest than the one that was sent")
    return raw


def one_cut(row: BodyRow, reader: ContentReader, index: int) -> bytes | None:
    """One cut of a stored body without the others; None where it has no such cut. Raises `ContentDamaged`."""
    if row.form != "framed" or row.content is None or index < 0:
        return None
    try:
        place = frame.locate(reader.get(row.content), reader.depth(row.state), index)
    except frame.Broken as broken:
        raise ContentDamaged(str(broken)) from None
    if place is None:
        return None
    state = row.state if place[0] == "messages" else row.lead
    if state is None:
        raise ContentDamaged("a frame points to a chain that is not there")
    return reader.link(state, place[1])


def _framed(body: Body, raw: bytes, apart: frame.Split, writer: ContentWriter, branch: str | None) -> BodyRow:
    """The row of a body in pieces; those its branch sent before are passed over, and so is their part of the digest."""
    before = _before(raw, body, writer, branch)
    in_head = apart.lead_before_last_message()
    lead = writer.chain(apart.lead[before.lead.depth : in_head], before.lead)
    messages = writer.chain(apart.messages[before.messages.depth :], before.messages)
    cuts = body.cuts[: _cuts_to_last_message(body)]
    end = cuts[-1][1] if cuts else 0
    digest, unfinished = _digests(body, raw, before, end)
    if branch is not None and end > len(before.head):
        writer.remember(branch, Tail(raw[:end], cuts, lead, messages, unfinished))
    return BodyRow(
        form="framed",
        length=body.length,
        sha256=digest,
        media_type=body.media_type,
        encoding=body.content_encoding,
        content=writer.put(apart.frame),
        lead=(lead if in_head == len(apart.lead) else writer.chain(apart.lead[in_head:], lead)).pack(),
        state=messages.pack(),
        messages=len(apart.messages),
    )


def _before(raw: bytes, body: Body, writer: ContentWriter, branch: str | None) -> Tail:
    """What the branch sent last where this body begins with the same bytes, cut alike; else the empty tail."""
    tail = None if branch is None else writer.tail(branch)
    if tail is None or not raw.startswith(tail.head) or body.cuts[: len(tail.cuts)] != tail.cuts:
        return writer.no_tail
    return tail


def _cuts_to_last_message(body: Body) -> int:
    count = len(body.cuts)
    while count and not body.cuts[count - 1][2]:
        count -= 1
    return count


def _digests(body: Body, raw: bytes, before: Tail, end: int) -> tuple[bytes, Any]:
    """SHA-256 of a body, going on from what is known of its beginning, and the one to go on from next."""
    if body.sha256 is not None:
        return body.sha256, None
    if end < _DIGEST_WORTH_KEEPING:
        return sha256(raw).digest(), None
    rest = memoryview(raw)
    known = 0 if before.digest is None else len(before.head)
    unfinished = sha256() if before.digest is None else before.digest.copy()
    unfinished.update(rest[known:end])
    whole = unfinished.copy()
    whole.update(rest[end:])
    return whole.digest(), unfinished


def _whole(body: Body, raw: bytes, writer: ContentWriter) -> BodyRow:
    return BodyRow(
        form="whole",
        length=body.length,
        sha256=body.sha256 or sha256(raw).digest(),
        media_type=body.media_type,
        encoding=body.content_encoding,
        content=writer.put(raw),
    )


def _rebuilds(apart: frame.Split, raw: bytes) -> bool:
    try:
        return frame.join(apart.frame, apart.lead, apart.messages) == raw
    except frame.Broken:
        return False
