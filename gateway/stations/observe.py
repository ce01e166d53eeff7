"""Observe: a response is read from a copy of its bytes, after each chunk has been relayed."""

import hashlib
import time
from typing import Any

from gateway.config import Limits
from gateway.decoding import Bomb, Decoder, Undecoded
from gateway.heads import Head
from gateway.wire.interface import Dialect, Operation, Reply, ReplyReader
from policies.vocabulary.exchanges import Body


class Observation:
    """One response as it passes: the bytes kept for the record, and the reply read from their decoded copy."""

    def __init__(self, dialect: Dialect, operation: Operation, head: Head, *, keep: int, limits: Limits) -> None:
        """`keep` bounds the copy for the record, in bytes; beyond it only length and digest are kept."""
        self.head = head
        self.stream = head.is_stream
        self._reader: ReplyReader = dialect.reply_reader(operation, stream=self.stream)
        self._decoder: Decoder | None = None
        self._keep = keep
        self._kept: list[bytes] = []
        self._hash: Any = None
        """Running digest, begun once the body outgrows what is kept."""
        self._closed: Reply | None = None
        self.length = 0
        self.first_byte_ns: int | None = None
        self.unread: str | None = None
        """Why the rest of the body could not be read, as a sentence; the relay is not affected."""
        if head.encoding is not None and operation != "other":
            self._decode(head.encoding, limits)

    def _decode(self, encoding: str, limits: Limits) -> None:
        try:
            self._decoder = Decoder(encoding, cap=limits.decoded_bytes, ratio=limits.ratio)
        except Undecoded as error:
            self.unread = str(error)

    @property
    def extensible(self) -> bool:
        """Whether bytes of ours can be added to the end of this body: a plain stream of undeclared length."""
        return self.stream and self.head.encoding is None and self.head.length is None

    @property
    def whole(self) -> bool:
        """Whether all bytes the head declared have come; False where it declared none."""
        return self.length == self.head.length

    def feed(self, chunk: bytes) -> None:
        """Take one chunk that has just been relayed. Never raises for what a provider sent."""
        now = time.time_ns()
        if self.first_byte_ns is None:
            self.first_byte_ns = now
        self.length += len(chunk)
        if self._hash is not None:
            self._hash.update(chunk)
        else:
            self._kept.append(chunk)
            if self.length > self._keep:
                self._hash = hashlib.sha256(b"".join(self._kept))
                self._kept.clear()
        if self._closed is not None or self.unread is not None:
            return
        if self._decoder is None:
            self._reader.feed(chunk, now)
        else:
            self._feed_decoded(self._decoder, chunk, now)

    def _feed_decoded(self, decoder: Decoder, chunk: bytes, now: int) -> None:
        try:
            self._reader.feed(decoder.feed(chunk), now)
        except (Bomb, Undecoded) as error:
            self.unread = str(error)

    @property
    def complete(self) -> bool:
        """Whether the reply reached the end its dialect demands."""
        return self._reader.complete

    @property
    def ended(self) -> bool:
        """Whether the stream's terminal event was seen; nothing that follows counts."""
        return self._reader.ended

    def body(self) -> Body:
        """The bytes as they passed; only their digest where they were too many to keep."""
        return Body(
            raw=b"".join(self._kept) if self._hash is None else None,
            length=self.length,
            sha256=self._hash.digest() if self._hash is not None else None,
            media_type=self.head.media_type,
            content_encoding=self.head.encoding,
        )

    def terminal_error(self, message: str, exchange_id: str) -> bytes:
        """What ends this unfinished stream as an error in its own dialect."""
        return self._reader.terminal_error(message, exchange_id)

    def close(self) -> Reply:
        """The reply as far as it was read; idempotent."""
        if self._closed is None:
            self._closed = self._reader.close(time.time_ns())
        return self._closed
