"""Bodies: exact bytes in, contents and a row out; and the way back, checked by digest."""

from hashlib import sha256
from typing import Any

import msgspec

from policies.vocabulary.exchanges import Body
from storage import frame, growth
from storage.contents import ContentReader, ContentWriter, Link, Tail
from storage.errors import ContentDamaged
from storage.scopes import Scope
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


def keep(body: Body, writer: ContentWriter, scope: Scope, branch: str | None = None) -> Kept:
    """Store a body: taken apart at its cuts, or whole where it has none or came encoded."""
    raw = body.raw
    if raw is None:
        return Kept(digest_only(body))
    if not body.cuts or body.content_encoding not in _PLAIN:
        return Kept(_whole(body, raw, writer, scope))
    row = None if branch is None else _grown(body, raw, writer, scope, branch)
    if row is not None:
        return Kept(row)
    apart = frame.split(raw, body.cuts)
    if apart is None or not _rebuilds(apart, raw):
        return Kept(_whole(body, raw, writer, scope), fell_back=True)
    return Kept(_framed(body, raw, apart, writer, scope, branch))


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


def _grown(body: Body, raw: bytes, writer: ContentWriter, scope: Scope, branch: str) -> BodyRow | None:
    """The row of a body that is the last one of its branch with messages added; None where it is not."""
    tail = writer.tail(branch)
    if tail is not None and tail.scope != scope.number:
        return None
    more = None if tail is None else growth.grown(raw, body.cuts, tail.ends, tail.separator)
    if tail is None or more is None:
        return None
    messages = writer.chain(more.pieces, scope, tail.messages)
    digest, unfinished = _digests(body, raw, more.ends.length, (tail.ends.length, tail.digest))
    row = _row(body, digest, tail.frame, tail.lead, messages)
    writer.remember(branch, Tail(more.ends, tail.separator, scope.number, tail.frame, tail.lead, messages, unfinished))
    return row


def _framed(
    body: Body, raw: bytes, apart: frame.Split, writer: ContentWriter, scope: Scope, branch: str | None
) -> BodyRow:
    """The row of a body in pieces."""
    lead, messages = writer.chain(apart.lead, scope), writer.chain(apart.messages, scope)
    layout = writer.put(apart.frame, scope)
    ends = None if branch is None or apart.separator is None else growth.ends_of(raw, body.cuts)
    digest, unfinished = _digests(body, raw, 0 if ends is None else ends.length, (0, None))
    row = _row(body, digest, layout, lead.pack(), messages)
    if branch is not None and ends is not None and apart.separator is not None:
        writer.remember(branch, Tail(ends, apart.separator, scope.number, layout, row.lead, messages, unfinished))
    return row


def _row(body: Body, digest: bytes, layout: bytes, lead: bytes | None, messages: Link) -> BodyRow:
    return BodyRow(
        "framed", body.length, digest, body.media_type, body.content_encoding,
        layout, lead, messages.pack(), messages.depth,
    )  # fmt: skip


def _digests(body: Body, raw: bytes, end: int, before: tuple[int, Any]) -> tuple[bytes, Any]:
    """SHA-256 of a body, going on from what is known of its beginning, and the one to go on from next."""
    if body.sha256 is not None:
        return body.sha256, None
    if end < _DIGEST_WORTH_KEEPING:
        return sha256(raw).digest(), None
    rest = memoryview(raw)
    known, unfinished = before
    if unfinished is None:
        known, unfinished = 0, sha256()
    unfinished = unfinished.copy()
    unfinished.update(rest[known:end])
    whole = unfinished.copy()
    whole.update(rest[end:])
    return whole.digest(), unfinished


def _whole(body: Body, raw: bytes, writer: ContentWriter, scope: Scope) -> BodyRow:
    return BodyRow(
        form="whole",
        length=body.length,
        sha256=body.sha256 or sha256(raw).digest(),
        media_type=body.media_type,
        encoding=body.content_encoding,
        content=writer.put(raw, scope),
    )


def _rebuilds(apart: frame.Split, raw: bytes) -> bool:
    try:
        return frame.join(apart.frame, apart.lead, apart.messages) == raw
    except frame.Broken:
        return False
