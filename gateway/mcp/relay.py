"""MCP over streamable HTTP at `/mcp/{server}`: a message on its way to a tool server, and the answer's way back.

    ingress -> admit -> read -> open -> judge -> forward -> judge the answer -> record

Whatever is neither an act nor an answer passes as it came: unknown methods, progress, cancellation, sampling,
elicitation. An answer that cannot be read does not pass, for nobody could say what it holds.
"""

import asyncio
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from gateway.config import Config, Limits, McpServer
from gateway.exchange import Gate
from gateway.http import Upstream
from gateway.keeper import Keeper
from gateway.mcp import heads
from gateway.mcp.pair import Caller
from gateway.mcp.refusals import NoSuchServer
from gateway.mcp.seat import Seat
from gateway.mcp.tokens import Tokens
from gateway.mcp.visit import METHODS, Receive, Send, Visit
from gateway.refusals import (
    Refused,
)
from gateway.stations import ingress
from gateway.stations.ingress import ClientGone, Headers, header
from gateway.strangers import Strangers
from gateway.wire.jsonrpc import Message, id_key
from policies.vocabulary.keys import Principal

log = logging.getLogger("stepwarden.mcp")

IN_FLIGHT: Final = 256
"""Messages at once to one server, a worker: one that hangs takes no room from others."""


class McpPlane:
    """The ASGI application of every MCP server."""

    def __init__(
        self,
        config: Config,
        *,
        clients: Mapping[str, Upstream],
        seats: Mapping[str, Seat],
        keeper: Keeper,
        gate: Gate,
        environ: Mapping[str, str],
    ) -> None:
        """`clients` and `seats` by server; a server over stdio has no client."""
        self._servers = config.mcp
        self._limits = config.limits
        self._strangers = Strangers(config.gateway)
        self.clients = clients
        self.seats = seats
        self.keeper = keeper
        self._gate = gate
        self._judging: dict[tuple[Principal, str, object], Visit] = {}
        """Calls that are being judged, by caller, connection and id, for that caller to cancel."""
        self._gates = {name: Gate(IN_FLIGHT) for name in config.mcp}
        self.environ = environ
        self.tokens = Tokens(keeper)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Carry one HTTP request. Never raises."""
        visit = Visit(self, scope, receive, send)
        try:
            with self._gate:
                await self._carry(visit, scope)
        except Refused as refusal:
            await visit.refuse(refusal)
        except ClientGone:
            visit.left()
        except asyncio.CancelledError:
            await visit.cancelled()
        except Exception:
            log.exception("an exchange with a tool server failed")
            await visit.fail()
        finally:
            visit.close()

    async def _carry(self, visit: Visit, scope: Any) -> None:
        door = ingress.check(scope)
        shown = ingress.presented(scope["headers"])
        self._strangers.refuse(scope["headers"], keyed=shown is not None)
        principal = await self.keeper.admit(shown.secret if shown else None)
        server, over_pipe = self.server(scope["raw_path"], principal.app)
        seat = self.seats[server.name]
        with self._gates[server.name]:
            await (visit.pipe if over_pipe else visit.carry)(
                door,
                server,
                seat,
                Caller(
                    principal=principal,
                    secret=shown.secret if shown else None,
                    headers=scope["headers"],
                    transport=METHODS.get(scope["method"], "POST"),
                    connection=_connection(server, scope["headers"]),
                    revision=heads.revision(scope["headers"]),
                ),
                shown,
            )

    def server(self, raw_path: bytes, app: str) -> tuple[McpServer, bool]:
        """The server a path names, and whether it runs where the agent does. Raises `NoSuchServer`."""
        _, _, rest = raw_path.decode("latin-1").lstrip("/").partition("/")
        name, _, way = unquote(rest.rstrip("/")).partition("/")
        server = self._servers.get(name)
        over_pipe = server is not None and server.url is None
        if server is None or (server.apps and app not in server.apps) or way != ("stdio" if over_pipe else ""):
            raise NoSuchServer("No MCP server of this name is served here in this way.")
        return server, over_pipe

    @contextmanager
    def judging(self, caller: Caller, message: Message, visit: Visit) -> Generator[None]:
        """While a call is judged, its caller can cancel it; later that is the server's to do."""
        key = (caller.principal, caller.connection or "", id_key(message.id_token))
        if caller.connection is None or key in self._judging:
            yield
            return
        self._judging[key] = visit
        try:
            yield
        finally:
            del self._judging[key]

    def withdraw(self, caller: Caller, wanted: object) -> bool:
        """Cancel a call that is being judged; False where there is none of this id."""
        visit = self._judging.get((caller.principal, caller.connection or "", wanted))
        if visit is not None:
            visit.withdraw()
        return visit is not None

    @property
    def draining(self) -> bool:
        """Whether the gateway is about to end."""
        return self._gate.draining

    def limits(self, server: McpServer) -> Limits:
        """The bounds on a message to a server."""
        return msgspec.structs.replace(self._limits, body_bytes=min(self._limits.body_bytes, server.message_bytes))


def _connection(server: McpServer, headers: Headers) -> str | None:
    """What the messages of one protocol session share."""
    session = header(headers, heads.SESSION)
    return None if session is None else f"{server.name} {session.decode('latin-1')[:256]}"
