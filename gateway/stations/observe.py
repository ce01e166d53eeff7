"""Observe: a response is read from a copy of its bytes, after each chunk has been relayed."""

import hashlib
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from gateway.config import Limits
from gateway.decoding import Bomb, Decoder, Undecoded
from gateway.heads import Head
from gateway.wire.interface import Dialect, Operation, Reply, ReplyReader, RequestView
from policies.vocabulary.exchanges import Body
from policies.vocabulary.steps import Part

_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
"""What may stand before a document or an event and says nothing of either; a byte order mark among it."""

_EVENT_OPENINGS: Final = frozenset(b":deir")
"""First byte of every line an event can begin with (a comment, `data`, `event`, `id`, `retry`), and of no JSON."""

_GLANCE: Final = 512
"""Bytes of a coded body that are decoded to see how it begins."""

_SWELLING: Final = 1 << 20
"""Bytes these may decode to before the look is given up."""


class Observation:
    """One response as it passes: the bytes kept for the record, and the reply read from their decoded copy."""

    def __init__(
        self,
        dialect: Dialect,
        operation: Operation,
        head: Head,
        *,
        keep: int,
        limits: Limits,
        view: RequestView | None = None,
        epoch_ns: int | None = None,
    ) -> None:
        """`keep` bounds the copy for the record, in bytes; beyond it only length and digest are kept.

        `view` is what is being answered, where that is known: a provider that was asked for events may send them under
        another media type, or none, and clients read them all the same. `epoch_ns` is what makes a wall clock of the
        monotonic one, so that all times of an exchange are told by one clock that nobody sets.
        """
        self._epoch_ns = time.time_ns() - time.monotonic_ns() if epoch_ns is None else epoch_ns
        self.head = head
        self.stream = head.is_stream
        """Whether the body is server-sent events, by its media type or by its first byte."""
        choices = 1 if view is None else view.choices
        self._reader: ReplyReader = dialect.reply_reader(operation, stream=self.stream, choices=choices)
        self._demanding = operation == "chat"
        self._unlabelled: Callable[[], ReplyReader] | None = None
        """Makes the reader of a stream, while it is open whether this is one."""
        if self._demanding and not self.stream and view is not None and view.stream:
            self._unlabelled = lambda: dialect.reply_reader(operation, stream=True, choices=choices)
        self._decoder: Decoder | None = None
        self._keep = keep
        self._kept: list[bytes] = []
        self._hash: Any = None
        """Running digest, begun once the body outgrows what is kept."""
        self._closed: Reply | None = None
        self.length = 0
        self.parts: list[Part] = []
        """Of the reply, those whose blocks have closed, in the order in which they did."""
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
    def may_be_nothing(self) -> bool:
        """Whether the first bytes are worth waiting for: an empty body is no answer; a stream may begin late."""
        return not self.stream or self.head.length == 0

    @property
    def whole(self) -> bool:
        """Whether all bytes the head declared have come; False where it declared none."""
        return self.length == self.head.length

    def feed(self, chunk: bytes) -> None:
        """Take one chunk that has just been relayed. Never raises for what a provider sent."""
        now = time.monotonic_ns() + self._epoch_ns
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
            self._read(chunk, now)
        else:
            self._feed_decoded(self._decoder, chunk, now)

    def _feed_decoded(self, decoder: Decoder, chunk: bytes, now: int) -> None:
        try:
            self._read(decoder.feed(chunk), now)
        except (Bomb, Undecoded) as error:
            self.unread = str(error)

    def _read(self, data: bytes, now: int) -> None:
        if self._unlabelled is not None:
            self._label(self._unlabelled, data)
        self.parts += self._reader.feed(data, now)

    def _label(self, reader_of_stream: Callable[[], ReplyReader], data: bytes) -> None:
        """Tell events from a document by what comes first."""
        opening = data.lstrip(_BLANK)
        if not opening:
            return
        self._unlabelled = None
        if opening[0] in _EVENT_OPENINGS:
            self.stream = True
            self._reader = reader_of_stream()

    def begins_events(self, first: bytes) -> bool:
        """Whether a body that begins so is server-sent events, whatever its media type says; takes nothing."""
        if self.stream or self._unlabelled is None or self.head.encoding is not None:
            return self.stream
        opening = first.lstrip(_BLANK)
        return bool(opening) and opening[0] in _EVENT_OPENINGS

    def no_answer(self, first: bytes) -> Literal["nothing", "page"] | None:
        """What a body that begins so is in place of an answer; takes nothing.

        `nothing`: it is over and holds blanks at most. `page`: by its media type, or by its first letter.
        """
        opening = self._opening(first)
        if opening is not None and not opening.strip(_BLANK) and (not opening or self.head.length == len(first)):
            return "nothing"
        is_page = self.head.is_page or (opening or b"")[:_GLANCE].lstrip(_BLANK).startswith(b"<")
        return "page" if is_page else None

    def _opening(self, first: bytes) -> bytes | None:
        """What these first bytes of the body say, as far as it takes to tell; None where they do not say it yet."""
        if self.head.encoding is None or not first:
            return first
        try:
            decoder = Decoder(self.head.encoding, cap=_SWELLING, ratio=_SWELLING)
            opening = decoder.feed(first[:_GLANCE])
            if not opening:
                decoder.close()  # else more is to come of which nothing can be said yet
        except Undecoded:
            return None
        return opening

    @property
    def unfinished(self) -> bool:
        """Whether this is a turn in events, and the event that ends it has not come; asked when no byte will follow.

        A stream that cannot be read has the benefit of the doubt.
        """
        return self.stream and self._demanding and not self._reader.complete and self.unread is None

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
            self._closed = self._reader.close(time.monotonic_ns() + self._epoch_ns)
        return self._closed
