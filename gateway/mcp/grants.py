"""Grants: the gateway's own tokens for tool servers, kept and renewed in one place whichever worker asks.

One server's tokens are renewed by one task at a time: authorization servers that give another renewing token each
time take the use of an old one for theft.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from gateway.config import McpServer
from gateway.refusals import LoginNeeded
from policies.errors import StepwardenError
from policies.vocabulary.grants import Grant, How, LoginAnswer, ToolToken
from policies.vocabulary.holds import Review

if TYPE_CHECKING:
    from gateway.mcp.authorization import Authorization

T = TypeVar("T")

AHEAD_NS: Final = 30 * 10**9
"""How long before it expires a token is renewed."""

LOGIN_SECONDS: Final = 600.0
"""How long a person may take to log in."""


class NoLogin(StepwardenError):
    """There is nothing to log in to, or nobody began to."""

    status = 409

    def remedy(self) -> str:
        """What makes a login possible."""
        return 'Give the server oauth = "login" in its [mcp.NAME] table, and begin with `stepwarden mcp login NAME`.'


class GrantBook(Protocol):
    """Where grants lie, sealed; `storage.tool_grants.ToolGrants` fits."""

    def of(self, server: str) -> Grant | None:
        """What is kept for a server."""
        ...

    def keep(self, server: str, grant: Grant, at_ns: int, *, how: How, review: Review | None = None) -> None:
        """Keep a grant in place of the one before."""
        ...

    def forget(self, server: str, review: Review) -> None:
        """Destroy a grant. Raises where there is none."""
        ...


class _Access(msgspec.Struct):
    access_token: str


class _Login:
    """One person on the way."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answer: asyncio.Future[LoginAnswer] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[Grant] | None = None

    async def show(self, url: str) -> None:
        """The address is known."""
        if not self.url.done():
            self.url.set_result(url)

    def end(self) -> None:
        """Nobody waits for this any more."""
        if self.task is not None:
            self.task.cancel()


class Grants:
    """The tokens of every tool server that has `oauth`."""

    def __init__(
        self,
        servers: Mapping[str, McpServer],
        book: GrantBook,
        environ: Mapping[str, str],
        *,
        written: Callable[[Callable[[], Any]], Awaitable[Any]],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`written` carries out a write to the book where writes are carried out."""
        self._servers = {name: server for name, server in servers.items() if server.oauth is not None}
        self._book = book
        self._environ = environ
        self._written = written
        self._now_ns = now_ns
        self._locks = {name: asyncio.Lock() for name in self._servers}
        self._logins: dict[str, _Login] = {}
        self._running: set[asyncio.Future[ToolToken]] = set()

    async def token(self, server: str, refused: str | None) -> ToolToken:
        """A token that a server may take; `refused`: one that it did not.

        Raises `LoginNeeded`, `AuthorizationFailed`, and what storing raises.
        """
        task = asyncio.ensure_future(self._token(server, refused))
        self._running.add(task)
        task.add_done_callback(self._ended)
        # Who asked may leave; what was renewed by then is lost to nobody.
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Future[ToolToken]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    async def _token(self, server: str, refused: str | None) -> ToolToken:
        async with self._lock(server):
            grant = await asyncio.to_thread(self._book.of, server)
            if grant is not None and self._serves(grant, refused):
                return _token(grant)
            return _token(await self._another(server, grant), made=True)

    def _lock(self, server: str) -> asyncio.Lock:
        found = self._locks.get(server)
        if found is None:
            raise LoginNeeded.at(server)
        return found

    def _serves(self, grant: Grant, refused: str | None) -> bool:
        fresh = grant.expires_ns is None or grant.expires_ns - AHEAD_NS > self._now_ns()
        return fresh and _token(grant).value != refused

    async def _another(self, server: str, grant: Grant | None) -> Grant:
        """Another grant in place of one that serves no more."""
        way = self._way(server)
        how: How
        if self._servers[server].oauth == "client_credentials":
            found, how = await way.as_itself(), "client_credentials"
        elif grant is None or b'"refresh_token"' not in grant.tokens:
            raise LoginNeeded.at(server)
        else:
            found, how = await way.renewed(grant), "refresh"
        await self._written(lambda: self._book.keep(server, found, self._now_ns(), how=how))
        return found

    def _way(self, server: str) -> "Authorization":
        from gateway.mcp.authorization import Authorization  # noqa: PLC0415 - the SDK takes most of a second to load

        found = self._servers[server]
        return Authorization(found, found.client_secret(self._environ))

    # ------------------------------------------------------------------------------------------------------- logins

    async def begin(self, server: str, *, redirect_uri: str, review: Review) -> str:
        """The address at which a person logs in, who then comes to `redirect_uri`; an earlier attempt is given up.

        Raises `NoLogin`, `AuthorizationFailed`.
        """
        known = self._servers.get(server)
        if known is None or known.oauth != "login":
            raise NoLogin(f"MCP server {server[:64]!r} is not one that a person logs in to")
        before = self._logins.pop(server, None)
        if before is not None:
            before.end()
        login = self._logins[server] = _Login(review)
        way = await asyncio.to_thread(self._way, server)
        login.task = asyncio.create_task(self._logged_in(way, redirect_uri, login))
        await asyncio.wait({login.task, login.url}, return_when=asyncio.FIRST_COMPLETED)
        if not login.url.done():
            if self._logins.get(server) is not login:
                raise NoLogin("another login has begun since")
            del self._logins[server]
            await login.task
            raise NoLogin("the server wants no login")
        return login.url.result()

    async def _logged_in(self, way: "Authorization", redirect_uri: str, login: _Login) -> Grant:
        async with asyncio.timeout(LOGIN_SECONDS):
            return await way.login(redirect_uri, login.show, login.answer)

    async def finish(self, server: str, answer: LoginAnswer) -> None:
        """Take what the browser brought back, and keep what it is exchanged for.

        Raises `NoLogin`, `AuthorizationFailed`, and what storing raises.
        """
        login = self._logins.pop(server, None)
        if login is None or login.task is None or login.answer.done():
            raise NoLogin(f"nobody is logging in to MCP server {server[:64]!r}")
        login.answer.set_result(answer)
        try:
            grant = await login.task
        except TimeoutError:
            raise NoLogin("the login took too long") from None
        async with self._lock(server):
            await self._written(
                lambda: self._book.keep(server, grant, self._now_ns(), how="login", review=login.review)
            )

    async def forget(self, server: str, review: Review) -> None:
        """Destroy what is kept for a server, and give up a login that is under way. Raises `GrantNotFound`."""
        login = self._logins.pop(server, None)
        if login is not None:
            login.end()
        # A renewal under way would keep another grant behind this one's back. A server that is named no more has none.
        async with self._locks.get(server) or asyncio.Lock():
            await self._written(lambda: self._book.forget(server, review))

    def close(self) -> None:
        """Give up logins that are under way."""
        for login in self._logins.values():
            login.end()
        self._logins.clear()


def _token(grant: Grant, *, made: bool = False) -> ToolToken:
    value = msgspec.json.decode(grant.tokens, type=_Access).access_token
    return ToolToken(value=value, expires_ns=grant.expires_ns, made=made)
