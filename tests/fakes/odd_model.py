"""A supervisor's endpoint that misbehaves beneath HTTP and JSON, on a raw socket: a call meets the conduct there is."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

Talk: TypeAlias = Callable[[socket.socket, threading.Event], None]
"""What is sent once a request was read; the event is set when all is over."""

_PAUSE: Final = 0.1


def answer(body: bytes, *, head: str = "", status: str = "200 OK") -> Talk:
    """One whole answer."""
    length = f"content-length: {len(body)}\r\n"
    return lambda peer, _: peer.sendall(f"HTTP/1.1 {status}\r\n{head}{length}\r\n".encode() + body)


def good(text: str = "ok") -> Talk:
    """What both wires take for an answer."""
    document = {
        "model": "judge-1",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"input_tokens": 9, "output_tokens": 1, "prompt_tokens": 9, "completion_tokens": 1},
    }
    return answer(json.dumps(document).encode())


def dripping(first: bytes, drop: bytes) -> Talk:
    """A beginning, and then a drop again and again."""

    def drips(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(first)
        while not over.wait(_PAUSE):
            peer.sendall(drop)

    return drips


def flooding(first: bytes, wave: bytes) -> Talk:
    """A beginning, and then no end."""

    def floods(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(first)
        while not over.is_set():
            peer.sendall(wave)

    return floods


CHUNKED: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
LONG: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"

CONDUCTS: Final[Mapping[str, tuple[Talk, str]]] = {
    "drips its body": (dripping(LONG, b" "), "timed_out"),
    "drips chunks": (dripping(CHUNKED, b"1\r\n \r\n"), "timed_out"),
    "drips its head": (dripping(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), "timed_out"),
    "drips one header": (dripping(b"HTTP/1.1 200 OK\r\nx-a: ", b"b"), "timed_out"),
    "is about to answer, always": (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timed_out"),
    "says nothing": (dripping(b"", b""), "timed_out"),
    "floods its body": (flooding(CHUNKED, b"8000\r\n" + b" " * 0x8000 + b"\r\n"), "answer_too_large"),
    "hangs up": (lambda _peer, _over: None, "broke_off"),
    "hangs up in its answer": (lambda peer, _: peer.sendall(LONG + b'{"choices"'), "broke_off"),
    "is no HTTP": (lambda peer, _: peer.sendall(b"220 mail.example ESMTP\r\n"), "not_http"),
    "sends elsewhere": (answer(b"", head="location: http://127.0.0.1/\r\n", status="302 Found"), "redirected"),
    "squeezes its answer": (answer(b"\x1f\x8b\x08", head="content-encoding: gzip\r\n"), "answer_encoded"),
    "answers nothing": (answer(b""), "answer_invalid"),
    "answers a page": (answer(b"<html>Sign in</html>", head="content-type: text/html\r\n"), "answer_invalid"),
    "nests": (answer(b"[" * 200_000), "answer_invalid"),
    "is in another encoding": (answer('{"choices": []}'.encode("utf-16")), "answer_invalid"),
    "gives no choice": (answer(b'{"model": "m", "content": [], "choices": []}'), "answer_invalid"),
    "breaks": (answer(b"{}", status="500 Internal Server Error"), "status:500"),
    "is a teapot": (answer(b"{}", status="418 I'm a teapot"), "status:418"),
    "says accepted": (answer(b"{}", status="202 Accepted"), "status:202"),
}
"""By what it does: how, and the word for it."""


class OddModel:
    """Listens on loopback; `talk` decides what becomes of each call."""

    def __init__(self) -> None:
        self.talk: Talk = good()
        self.calls = 0
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.base_url: Final = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                self.calls += 1  # also one whose caller is gone before it is read
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        """One request on each connection, which is then closed."""
        with suppress(OSError), peer:
            read = peer.makefile("rb")
            length = 0
            while (line := read.readline().strip().lower()) != b"":
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            read.read(length)
            self.talk(peer, self._over)


@contextmanager
def running_odd_model() -> Iterator[OddModel]:
    model = OddModel()
    try:
        yield model
    finally:
        model.close()
