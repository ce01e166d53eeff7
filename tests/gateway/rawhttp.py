"""HTTP/1.1 by hand: what a client library would repair, hide or refuse to send, a test must be able to see and send."""

import select
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

Pairs = Sequence[tuple[bytes, bytes]]

PATIENCE = 30.0
"""Seconds a client waits for bytes before it calls the gateway hung."""


class BrokenOff(Exception):
    """The answer ended before its own framing said so."""


@dataclass(frozen=True)
class Response:
    """An answer as it came over the socket, transfer encoding removed from the body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]

    def one(self, name: bytes) -> bytes:
        (value,) = self.all(name)
        return value

    @property
    def exchange(self) -> str:
        return self.one(b"stepwarden-exchange").decode()


def request(
    target: bytes,
    body: bytes | None = None,
    *,
    method: bytes = b"POST",
    headers: Pairs = (),
    host: bytes = b"gateway.test",
) -> bytes:
    """The bytes of one request; a body is announced by its length unless the headers announce it themselves."""
    lines = [b"%s %s HTTP/1.1\r\nhost: %s\r\n" % (method, target, host)]
    lines += [b"%s: %s\r\n" % pair for pair in headers]
    if body is not None and not any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in headers):
        lines.append(b"content-length: %d\r\n" % len(body))
    return b"".join(lines) + b"\r\n" + (body or b"")


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks, one for each piece."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Wire:
    """One client connection."""

    def __init__(self, address: tuple[str, int], *, patience: float = PATIENCE) -> None:
        self.socket = socket.create_connection(address, timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def head(self) -> Response:
        """The status line and headers; the body is still to come."""
        lines = self._until(b"\r\n\r\n").split(b"\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:] if line)]
        return Response(int(lines[0].split(b" ")[1]), headers, b"")

    def pieces(self, head: Response) -> Iterator[bytes]:
        """The body's pieces as they are framed; raises `BrokenOff` where it stops before its end."""
        lengths = head.all(b"content-length")
        if lengths:
            yield self._exactly(int(lengths[0]))
        elif head.all(b"transfer-encoding") == [b"chunked"]:
            while size := int(self._until(b"\r\n").partition(b";")[0], 16):
                yield self._exactly(size + 2)[:-2]
            self._until(b"\r\n")
        elif head.status not in {204, 304}:
            while True:
                if self._read:
                    yield self._read
                    self._read = b""
                try:
                    if not self._more():
                        return
                except ConnectionResetError as reset:
                    raise BrokenOff from reset

    def response(self, *, bodiless: bool = False) -> Response:
        """A whole answer; `bodiless` for those to HEAD."""
        head = self.head()
        body = b"" if bodiless else b"".join(self.pieces(head))
        return Response(head.status, head.headers, body)

    def is_closed(self) -> bool:
        """Whether the gateway has ended the connection (waits for it)."""
        try:
            return not self._read and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def has_more(self, *, within: float) -> bool:
        """Whether bytes have come that are not read yet, or come within so many seconds."""
        return bool(self._read) or bool(select.select([self.socket], [], [], within)[0])

    def rest(self) -> bytes:
        """All bytes up to the end of the connection, reset or not."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        return self._read

    def _more(self) -> bool:
        data = self.socket.recv(1 << 18)
        self._read += data
        return bool(data)

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more_or_broken()
        found, _, self._read = self._read.partition(end)
        return found + end

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more_or_broken()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _more_or_broken(self) -> None:
        try:
            more = self._more()
        except ConnectionResetError as reset:
            raise BrokenOff(self._read) from reset
        if not more:
            raise BrokenOff(self._read)
