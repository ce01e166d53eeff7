"""Listening: the sockets, and the server that answers on them."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from gateway.config import Config
from gateway.server import protocol_class
from gateway.tcp import keep_alive
from policies.errors import StepwardenError

BACKLOG = 2048
"""Connections that wait to be accepted."""


class PortTaken(StepwardenError):
    """The address cannot be listened on."""

    def remedy(self) -> str:
        """What to try."""
        return "Choose another `port` in [gateway], or stop what listens there; `stepwarden doctor` looks for it."


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the gateway ends in an order of its own, and with exit code 0."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the gateway."""
        yield


def server_of(app: Any, config: Config, **where: Any) -> Server:
    """A server for an application, as this gateway has its servers; `where` it listens is uvicorn's to read."""
    return Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            http=protocol_class(config.limits),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(config.limits.keepalive_seconds),
            timeout_graceful_shutdown=int(config.limits.drain_seconds),
            backlog=BACKLOG,
            **where,
        )
    )


def listen(config: Config, count: int) -> list[socket.socket]:
    """One listening socket a worker, on one port, so that the kernel shares connections out evenly."""
    host, port = config.gateway.host, config.gateway.port
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if count > 1:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            keep_alive(listener)
            listener.bind((host, port))
            port = listener.getsockname()[1]
            listeners.append(listener)
    except OSError as error:
        raise PortTaken(f"Cannot listen on {host}:{port} ({error.strerror}).") from error
    return listeners


def cut(server: Server) -> None:
    """End every open request now, as the end of the drain time does."""
    for task in list(server.server_state.tasks):
        task.cancel()
