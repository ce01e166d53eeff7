"""TCP of both legs: whoever is gone without a word is noticed, and no router forgets a call that is silent for long.

A model may think for minutes before its first byte. The vendors' SDKs have the kernel probe such connections, since
routers drop what has said nothing (some after 350 s); behind a gateway those probes end at the gateway.
"""

import socket
import sys
from typing import Final, Protocol

_IDLE_SECONDS: Final = 60
_PROBES: Final = 5
"""Unanswered probes, `_IDLE_SECONDS` apart, after which a connection counts as broken; all as the SDKs have it."""

_IDLE_OPTION: Final[int] = socket.TCP_KEEPALIVE if sys.platform == "darwin" else socket.TCP_KEEPIDLE


class Settable(Protocol):
    """A socket, or what an event loop shows of one."""

    @property
    def family(self) -> int:
        """Its address family."""
        ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """As `socket.socket` has it."""
        ...


def keep_alive(connection: Settable | None) -> None:
    """Let the kernel probe this connection while it is silent; of a listening socket, all it accepts.

    Nothing is to be done for what does not go over TCP: a Unix socket, or a transport without a socket.
    """
    if connection is None or connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, _IDLE_OPTION, _IDLE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _IDLE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
