"""Answers: what the provider of the demo and of the tests says to one request, faults included.

An Answer is a value. The server (`gateway.demo.provider`) plays it byte for byte; nothing here does I/O.
Delays are seconds, offsets count body bytes as the client would read them (without chunk framing).
"""

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeAlias, cast

import brotli  # pyright: ignore[reportMissingTypeStubs] -- ships none
import msgspec
import zstandard

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
Coding: TypeAlias = Literal["gzip", "deflate", "br", "zstd"]


class SeenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived, and how it ended."""

    number: int
    """Counts from 0 over the life of the provider."""

    connection: int
    """Which TCP connection carried it; counts from 0."""

    method: str
    target: str
    """As sent: path and query, nothing decoded."""

    headers: Headers
    """In order and in the spelling of the client, repeated ones included."""

    body: bytes
    """Without chunk framing, with its content encoding."""

    begun: float
    """Monotonic seconds when the head was complete."""

    complete: bool = True
    """False where the client left before it had sent the whole body."""

    ended: float | None = None
    """Monotonic seconds when the answer was out or the client was gone; None while it is being answered."""

    aborted: bool = False
    """The client left before the answer was complete."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """The first value of a header, by name in any case; None where it is absent."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), None)


class Gate:
    """Holds an answer until another thread, or the test itself, says go. Opens once, stays open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._waiting: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        """Whether what waits here has been let through."""
        return self._open

    def open(self) -> None:
        """Let everything through, now and later. Safe from any thread."""
        with self._lock:
            self._open = True
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    def when_open(self, wake: Callable[[], None]) -> None:
        """Call `wake` once open: at once if it is already. `wake` may run in another thread."""
        with self._lock:
            if not self._open:
                self._waiting.append(wake)
                return
        wake()


class Piece(msgspec.Struct, frozen=True):
    """Body bytes that go out in one write, after a pause."""

    data: bytes
    delay: float = 0.0
    """Seconds before this write."""


class Reset(msgspec.Struct, frozen=True):
    """The connection is reset (RST) after this many body bytes."""

    after: int = 0
    before_headers: bool = False
    """True: not even the status line goes out."""


class Stall(msgspec.Struct, frozen=True):
    """Nothing more comes after this many body bytes, until the client leaves or `seconds` have passed."""

    after: int = 0
    seconds: float = 3600.0
    before_headers: bool = False


class Cut(msgspec.Struct, frozen=True):
    """The connection is closed cleanly (FIN) after this many body bytes, without chunk terminator or full length."""

    after: int = 0
    before_headers: bool = False
    """True: the server closes without any answer."""


class Garble(msgspec.Struct, frozen=True):
    """These raw bytes go out in place of an HTTP response; then the connection closes."""

    data: bytes = b"\x00\xff not http at all\r\n\r\n"


Fault: TypeAlias = Reset | Stall | Cut | Garble
Body: TypeAlias = Iterable[bytes | Piece | Gate]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What to send back."""

    status: int = 200
    headers: Headers = ()
    """Sent as they are; content-length, transfer-encoding and connection follow from `transfer`."""

    body: Body = ()
    """One write an element, or one for all where nothing delays them. A lazy iterable may be endless, if not sized."""

    transfer: Literal["content-length", "chunked", "close"] = "content-length"
    """`close`: neither length nor chunks; the end of the connection is the end of the body."""

    delay: float = 0.0
    """Seconds before the status line."""

    declared_length: int | None = None
    """A content-length that need not be true; None counts the body."""

    fault: Fault | None = None
    close: bool = False
    """Close the connection after the answer, and say so."""

    trailers: Headers = ()
    """After the last chunk; only where the transfer is chunked."""


def pieces(body: Body) -> Iterator[Piece | Gate]:
    """The body with plain bytes made pieces."""
    return (Piece(part) if isinstance(part, bytes) else part for part in body)


class _Compressor:
    """One content coding behind one interface: `feed` flushes, so that each event can be read when it arrives."""

    def __init__(self, coding: Coding) -> None:
        if coding == "br":
            brotlied = cast("Any", brotli).Compressor(quality=4)
            self.feed: Callable[[bytes], bytes] = lambda data: brotlied.process(data) + brotlied.flush()
            self.finish: Callable[[], bytes] = brotlied.finish
        elif coding == "zstd":
            zstd = zstandard.ZstdCompressor(level=3).compressobj()
            self.feed = lambda data: zstd.compress(data) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            self.finish = zstd.flush
        else:
            deflated = zlib.compressobj(6, zlib.DEFLATED, 31 if coding == "gzip" else 15)
            self.feed = lambda data: deflated.compress(data) + deflated.flush(zlib.Z_SYNC_FLUSH)
            self.finish = deflated.flush


def _compress(body: Body, coding: Coding) -> Iterator[Piece | Gate]:
    compressor = _Compressor(coding)
    for part in pieces(body):
        yield part if isinstance(part, Gate) else Piece(compressor.feed(part.data), part.delay)
    yield Piece(compressor.finish())


def compressed(answer: Answer, coding: Coding) -> Answer:
    """The same answer in a content coding, flushed after every piece; needs a finite body."""
    body = tuple(_compress(answer.body, coding))
    headers = (*answer.headers, (b"content-encoding", coding.encode()))
    return msgspec.structs.replace(answer, headers=headers, body=body)


def dripped(answer: Answer, *, size: int = 1, delay: float = 0.0) -> Answer:
    """The same bytes in writes of `size`, each after `delay` seconds; needs a finite body without gates."""
    whole = b"".join(part.data for part in pieces(answer.body) if isinstance(part, Piece))
    body = tuple(Piece(whole[at : at + size], delay) for at in range(0, len(whole), size))
    return msgspec.structs.replace(answer, body=body)
