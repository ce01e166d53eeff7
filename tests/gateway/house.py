"""A gateway process between a raw client and the fake provider, and the record it keeps of what passes."""

import json
import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

from gateway import sockets
from gateway.demo.answers import SeenRequest
from gateway.demo.background import BackgroundProvider
from gateway.demo.scenarios import Scenarios
from gateway.demo.turns import WireName
from storage.ulids import pack
from tests.fakes.gateway import GatewayProcess, running_gateway
from tests.fakes.provider import running_provider
from tests.gateway.rawhttp import PATIENCE, Pairs, Response, Wire, request

PATIENT = """
[limits]
drain_seconds = 5
"""
"""No deadline that a busy machine could miss; what a test leaves open ends soon after SIGTERM."""

SHORT = f"""{PATIENT}connect_seconds = 2
idle_seconds = 1.5
header_seconds = 1.0
body_seconds = 1.0
"""
"""Deadlines short enough to wait for, and only for tests that do."""

CANARIES = {"ANTHROPIC_API_KEY": "sk-ant-canary-provider-7f3a", "OPENAI_API_KEY": "sk-canary-provider-9b1c"}
"""The provider keys the gateway is given; they must turn up nowhere but at the provider."""

T = TypeVar("T")

JSON = (b"content-type", b"application/json")


@dataclass(frozen=True)
class Dialect:
    """One wire as its clients use it."""

    name: WireName
    target: bytes
    """Under the gateway."""
    key: tuple[bytes, bytes]
    body: Mapping[str, Any]

    def request_body(self, *, stream: bool, **changes: Any) -> bytes:
        return json.dumps({**self.body, "stream": stream, **changes}).encode()

    def call(self, *, stream: bool = False, headers: Pairs = (), body: bytes | None = None, query: str = "") -> bytes:
        """A request for a turn."""
        body = self.request_body(stream=stream) if body is None else body
        return request(self.target + query.encode(), body, headers=[JSON, self.key, *headers])

    @property
    def upstream_target(self) -> str:
        return "/" + self.target.decode().split("/", 2)[2]


_MESSAGES = [{"role": "user", "content": "What is six times seven?"}]
ANTHROPIC = Dialect(
    "anthropic",
    b"/anthropic/v1/messages",
    (b"x-api-key", b"sk-ant-caller-0001"),
    {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": _MESSAGES},
)
CHAT = Dialect(
    "chat",
    b"/openai/v1/chat/completions",
    (b"authorization", b"Bearer sk-caller-0002"),
    {"model": "gpt-4.1-mini", "max_tokens": 64, "messages": _MESSAGES, "stream_options": {"include_usage": True}},
)
RESPONSES = Dialect(
    "responses",
    b"/openai/v1/responses",
    (b"authorization", b"Bearer sk-caller-0003"),
    {"model": "gpt-4.1-mini", "max_output_tokens": 64, "input": "What is six times seven?"},
)
DIALECTS = (ANTHROPIC, CHAT, RESPONSES)


class _OverSocket(HTTPConnection):
    """HTTP to the control socket of a data directory."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        with sockets.reachable(self._path) as short:
            self.sock.connect(short)


def waited(read: Callable[[], T | None], *, seconds: float = PATIENCE) -> T:
    """What `read` gives once it gives anything."""
    until = time.monotonic() + seconds
    pause = threading.Event()
    while (found := read()) is None:
        assert time.monotonic() < until, "what was waited for did not come"
        pause.wait(0.02)
    return found


def same_day(*, seconds: float = 90.0) -> None:
    """Wait for midnight in UTC where that comes so soon that a test would see two days' budgets."""
    left = 86_400 - time.time() % 86_400
    if left < seconds:
        threading.Event().wait(left)


@dataclass(frozen=True)
class House:
    """A provider, a gateway in front of it, and the owner's way into its record."""

    provider: BackgroundProvider
    gateway: GatewayProcess

    def wire(self, *, patience: float = PATIENCE) -> Wire:
        return Wire(self.gateway.address, patience=patience)

    def ask(self, data: bytes, *, bodiless: bool = False) -> Response:
        """One request on a connection of its own."""
        with self.wire() as wire:
            return wire.send(data).response(bodiless=bodiless)

    def control(self, path: str, *, method: str = "GET", body: Any = None) -> tuple[int, bytes]:
        """Ask the control plane as the owner of the data directory."""
        connection = _OverSocket(self.gateway.folder / "data" / sockets.CONTROL)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"content-type": "application/json"} if content else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def facts(self, exchange_id: str) -> dict[str, Any]:
        """The recorded facts of an exchange and its `steps`, once they are stored."""

        def read() -> dict[str, Any] | None:
            status, body = self.control(f"/api/exchanges/{exchange_id}")
            return json.loads(body) if status == 200 else None

        found = waited(read)
        return {**found["exchange"], "steps": found["steps"]}

    def newest(self, matching: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The newest recorded exchange of a kind, once it is stored."""

        def read() -> dict[str, Any] | None:
            listed = json.loads(self.control("/api/exchanges?limit=200")[1])["exchanges"]
            return next(filter(matching, listed), None)

        return waited(read)

    def kept(self, exchange_id: str, side: str) -> bytes:
        """A body as the record gives it back, once its exchange is stored."""
        self.facts(exchange_id)
        status, body = self.control(f"/api/exchanges/{exchange_id}/{side}")
        assert status == 200, body
        return body

    def lengths(self, exchange_id: str) -> tuple[int, int]:
        """Bytes of the request and the response as recorded; the API does not tell them, so the day file does."""
        query = "SELECT request_length, response_length FROM exchange WHERE exchange_id = ?"
        found: list[tuple[int, int]] = []
        for day in (self.gateway.folder / "data").glob("spans-*.db"):
            with closing(sqlite3.connect(f"file:{day}?mode=ro", uri=True)) as connection:
                found += connection.execute(query, (pack(exchange_id),))
        assert len(found) == 1, exchange_id
        return found[0]

    def forwarded(self) -> SeenRequest:
        """The newest request that reached the provider whole.

        One that broke off on its way is there once its connection has ended: late, and in the middle of another test.
        """
        return next(each for each in reversed(self.provider.requests) if each.complete)

    def reached(self) -> int:
        """A number that is another one as soon as a further request has reached the provider whole.

        How many it holds is none: it keeps a thousand, and a house can serve more in all its tests.
        """
        return max((each.number for each in self.provider.requests if each.complete), default=-1)

    def status(self) -> dict[str, Any]:
        return json.loads(self.control("/api/status")[1])

    def key(self, **wanted: Any) -> dict[str, Any]:
        """A new gateway key: the API's answer with `secret` and `key`."""
        status, body = self.control("/api/keys", method="POST", body={"name": "test", "role": "app", **wanted})
        assert status == 201, body
        return json.loads(body)


@contextmanager
def standing(
    folder: Path,
    *,
    more: str = PATIENT,
    workers: int = 1,
    environment: Mapping[str, str] = CANARIES,
    python: str = sys.executable,
) -> Iterator[House]:
    """A house in this folder, with one fake provider behind every provider name."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with running_provider() as provider:
            providers = {"anthropic": provider.url, "openai": provider.url, "raw": provider.url}
            options = ("--workers", str(workers))
            with running_gateway(folder, providers, more=more, options=options, python=python) as gateway:
                yield House(provider, gateway)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def kept_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, by its name. A gateway that runs there writes drafts and renames them."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield path.name, path.read_bytes()


def fresh(house: House) -> House:
    """The same house with a provider that answers correctly again."""
    house.provider.script = Scenarios()
    house.provider.early = None
    return house
