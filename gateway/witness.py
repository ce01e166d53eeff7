"""The witness over HTTP: `POST /add-checkpoint`, and `GET /ORIGIN-HASH/checkpoint` for whoever monitors."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from gateway.config import Limits
from gateway.server import protocol_class
from policies.errors import StepwardenError
from storage.audit.errors import LogDamaged
from storage.audit.witness import LARGEST, Answer, Witness

log = logging.getLogger("stepwarden.witness")

_BODY_SECONDS: Final = 30.0

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class AddressTaken(StepwardenError):
    """The address cannot be listened on."""

    def remedy(self) -> str:
        """What to try."""
        return "Choose another --port or --host, or stop what listens there."


class TooLarge(Exception):
    """A request with a body beyond what the protocol can need."""


def witness_app(witness: Witness) -> Callable[[Any, Receive, Send], Awaitable[None]]:
    """The ASGI application of a witness."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        answer = await _answer(witness, scope, receive)
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    return app


def listen(host: str, port: int) -> socket.socket:
    """The socket a witness answers on. Raises `AddressTaken`."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AddressTaken(f"cannot listen on {host}:{port} ({error.strerror})") from None


class _Server(uvicorn.Server):
    """uvicorn that ends with exit code 0: its own raises the signal that ended it once more."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """End in order on SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def serve(witness: Witness, listener: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        witness_app(witness),
        http=protocol_class(Limits()),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    _Server(config).run(sockets=[listener])


async def _answer(witness: Witness, scope: Any, receive: Receive) -> Answer:
    method, path = scope["method"], scope["path"]
    try:
        if (method, path) == ("POST", "/add-checkpoint"):
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _body(receive)
            return witness.add_checkpoint(body, int(time.time()))
        if method == "GET" and path.endswith("/checkpoint"):
            return witness.newest(path.removesuffix("/checkpoint").removeprefix("/"))
    except TooLarge:
        return Answer(413, b"the request is too large\n")
    except TimeoutError:
        return Answer(408, b"the request did not arrive in time\n")
    except (OSError, LogDamaged) as error:
        log.error("nothing was cosigned: %s", error)  # noqa: TRY400 - the message says it all
        return Answer(503, b"the witness cannot keep its state; nothing was cosigned\n")
    return Answer(404, b"POST /add-checkpoint, or GET /ORIGIN-HASH/checkpoint\n")


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body  # the caller left; what it sent will not parse
        body += message.get("body", b"")
        if len(body) > LARGEST:
            raise TooLarge
        if not message.get("more_body", False):
            return body
