"""No caller's bytes reach the provider as part of another caller's request, though both travel on one connection."""

from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from tests.fakes.gateway import GatewayProcess, running_gateway
from tests.gateway.house import CHAT, JSON, PATIENT, waited
from tests.gateway.rawhttp import Wire, request

BODY = CHAT.request_body(stream=False)
ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "forty-two"}, "finish_reason": "stop"}]}'


class Hasty(ThreadingTCPServer):
    """A provider that answers every request at its head, keeps the connection, and then reads the body announced.

    It would read a body that never came out of whatever comes next on the connection. Closing it waits for the threads
    of its connections, so that none of them runs on beside all later tests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HastyConnection)
        self.carried: list[tuple[bytes, bytes]] = []
        """Head and body of each request whose body was announced."""


class HastyConnection(StreamRequestHandler):
    """One connection to it."""

    def handle(self) -> None:
        assert isinstance(self.server, Hasty)
        while head := self._head():
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
            self.wfile.write(b"content-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
            if lengths:
                self.server.carried.append((head, self.rfile.read(int(lengths[0].partition(b":")[2]))))

    def _head(self) -> bytes:
        """The next request's head without its blank line; empty where the connection ends."""
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b"\r\n":
            if not line:
                return b""
            lines.append(line)
        return b"".join(lines)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hasty, GatewayProcess]]:
    folder: Path = tmp_path_factory.mktemp("hasty")
    with Hasty() as provider:
        Thread(target=provider.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{provider.server_address[1]}"
        with running_gateway(folder, {"openai": url}, more=f"{PATIENT}body_seconds = 1.0\n") as gateway:
            yield provider, gateway
        provider.shutdown()


ATTACKS = {
    "an upgrade": CHAT.call(
        headers=[(b"connection", b"upgrade"), (b"upgrade", b"h2c"), (b"content-length", b"150")], body=b""
    ),
    "an upgraded upload": request(
        b"/openai/v1/files",
        b"0123",
        headers=[(b"connection", b"upgrade"), (b"upgrade", b"x"), (b"content-length", b"150")],
    ),
    "a tunnel": request(b"/openai/v1/files", b"", method=b"CONNECT", headers=[(b"content-length", b"150")]),
    "an upload cut short": request(b"/openai/v1/files", b"0123", headers=[(b"content-length", b"150")]),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_request_without_its_body_takes_nothing_from_the_next_caller(
    hasty: tuple[Hasty, GatewayProcess], name: str
) -> None:
    provider, gateway = hasty
    for number in range(3):
        with Wire(gateway.address) as attacker:
            attacker.send(ATTACKS[name]).response()
        mark = b"victim of %b %d" % (name.encode(), number)
        with Wire(gateway.address) as victim:
            assert victim.send(CHAT.call(headers=[(b"x-mark", mark)], body=BODY)).response().status == 200
            assert victim.send(CHAT.call(headers=[JSON], body=BODY)).response().status == 200
        assert carried(provider, mark) == [BODY]


def carried(provider: Hasty, mark: bytes) -> list[bytes]:
    """The bodies of requests with this mark, once there is one: it answers at the head, and may read the body after."""
    return waited(lambda: [body for head, body in list(provider.carried) if mark in head] or None)
