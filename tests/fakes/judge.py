"""A service that judges steps, on a real socket: it answers, or misbehaves in one of the ways services do."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Json = dict[str, Any]
Judge = Callable[[Json], Json]
"""What the service says of a request's document."""

Behaviour = Callable[["Service", socket.socket, Json], None]


class Seen:
    """One request as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        self.body = body
        self.document: Json = json.loads(body)


class Service:
    """Listens on loopback; `behaviour` decides what becomes of each request."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.seen: list[Seen] = []
        self.asked = threading.Event()
        """Set once a request has come."""
        self.over = threading.Event()
        """Set at the end: whoever stalls goes home."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/judge"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while (seen := _request(connection)) is not None:
                self.seen.append(seen)
                self.asked.set()
                self.behaviour(self, connection, seen.document)

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone leaves it listening while `accept` waits
        self._listener.close()


def _request(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:  # else a thread would read on for ever, beside all later tests
            return None
        body += piece
    return Seen(head, body)


def raw(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def saying(judge: Judge) -> Behaviour:
    """Answers as it should."""
    return lambda _, connection, asked: connection.sendall(raw("200 OK", json.dumps(judge(asked)).encode()))


def sending(data: bytes) -> Behaviour:
    """Sends exactly these bytes."""
    return lambda _, connection, __: connection.sendall(data)


def stalling(service: Service, connection: socket.socket, asked: Json) -> None:
    """Says nothing, and keeps the connection."""
    service.over.wait(60)


def dripping(service: Service, connection: socket.socket, asked: Json) -> None:
    """Begins an answer and never ends it, with a byte now and then."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
    while not service.over.wait(0.02):
        connection.sendall(b" ")


def resetting(service: Service, connection: socket.socket, asked: Json) -> None:
    """Resets the connection instead of answering."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    raise OSError


def half(service: Service, connection: socket.socket, asked: Json) -> None:
    """Ends in the middle of its answer."""
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"findings": [')
    raise OSError


def flooding(service: Service, connection: socket.socket, asked: Json) -> None:
    """Sends 100 MB where a few bytes would do."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
    for _ in range(1600):
        connection.sendall(b" " * 65536)


@contextmanager
def running_judge(behaviour: Behaviour) -> Iterator[Service]:
    service = Service(behaviour)
    try:
        yield service
    finally:
        service.close()
