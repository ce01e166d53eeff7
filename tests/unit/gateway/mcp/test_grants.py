"""Tokens are renewed once however many ask, ahead of their end, and lost to nobody who leaves in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import pytest

from gateway.config import McpServer
from gateway.mcp.authorization import Authorization
from gateway.mcp.grants import AHEAD_NS, Grants, NoLogin
from gateway.mcp.tokens import FRESH_NS, Tokens
from gateway.refusals import AuthorizationFailed, LoginNeeded
from policies.vocabulary.grants import Grant, How, LoginAnswer, ToolToken
from policies.vocabulary.holds import Review

T = TypeVar("T")
ANN = Review(actor="owner", by="Ann")
HOUR_NS = 3600 * 10**9


def grant(value: str, expires_ns: int | None = None, *, renews: bool = True) -> Grant:
    tokens = {"access_token": value} | ({"refresh_token": f"r-{value}"} if renews else {})
    return Grant(tokens=msgspec.json.encode(tokens), client=b"{}", expires_ns=expires_ns)


class Book:
    """Grants in memory."""

    def __init__(self, **kept: Grant) -> None:
        self.kept = dict(kept)
        self.said: list[How] = []

    def of(self, server: str) -> Grant | None:
        return self.kept.get(server)

    def keep(self, server: str, grant: Grant, _at_ns: int, *, how: How, **_: Any) -> None:
        self.kept[server] = grant
        self.said.append(how)

    def forget(self, server: str, _review: Review) -> None:
        del self.kept[server]


async def written(job: Callable[[], Any]) -> Any:
    return job()


def grants(book: Book, *, oauth: Any = "login", now_ns: int = HOUR_NS) -> Grants:
    server = McpServer(name="vault", url="http://127.0.0.1:9/mcp", oauth=oauth)
    return Grants({"vault": server}, book, {}, written=written, now_ns=lambda: now_ns)


@pytest.fixture
def renewals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was renewed; each renewal takes a turn of the loop."""
    seen: list[str] = []

    async def renewed(_self: Authorization, before: Grant) -> Grant:
        seen.append(msgspec.json.decode(before.tokens)["access_token"])
        await asyncio.sleep(0)
        return grant(f"new-{len(seen)}")

    monkeypatch.setattr(Authorization, "renewed", renewed)
    return seen


def run(work: Awaitable[T]) -> T:
    async def whole() -> T:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(whole())


async def waited(read: Callable[[], object]) -> None:
    for _ in range(10_000):
        if read():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come")


def test_a_token_that_serves_is_given_without_asking_anybody(renewals: list[str]) -> None:
    book = Book(vault=grant("old", 2 * HOUR_NS))
    assert run(grants(book).token("vault", None)).value == "old"
    assert renewals == []


def test_a_token_is_renewed_before_it_expires_and_where_its_server_refused_it(renewals: list[str]) -> None:
    book = Book(vault=grant("old", HOUR_NS + AHEAD_NS))
    assert run(grants(book).token("vault", None)).value == "new-1"
    assert run(grants(book).token("vault", "new-1")).value == "new-2"
    assert book.said == ["refresh", "refresh"]


def test_many_whose_token_was_refused_cause_one_renewal(renewals: list[str]) -> None:
    book = Book(vault=grant("old"))

    async def several() -> set[str]:
        mine = grants(book)
        return {each.value for each in await asyncio.gather(*[mine.token("vault", "old") for _ in range(20)])}

    assert run(several()) == {"new-1"}
    assert renewals == ["old"]


def test_what_was_renewed_for_somebody_who_left_is_kept(renewals: list[str]) -> None:
    book = Book(vault=grant("old"))

    async def leaving() -> str:
        mine = grants(book)
        first = asyncio.create_task(mine.token("vault", "old"))
        await waited(lambda: renewals or None)
        first.cancel()
        return (await mine.token("vault", "old")).value

    assert run(leaving()) == "new-1"
    assert renewals == ["old"]


def test_where_only_a_person_helps_that_is_said(renewals: list[str]) -> None:
    for book in (Book(), Book(vault=grant("old", renews=False))):
        with pytest.raises(LoginNeeded, match="stepwarden mcp login vault"):
            run(grants(book).token("vault", "old"))
    assert renewals == []
    with pytest.raises(LoginNeeded):
        run(grants(Book()).token("unheard of", None))


def test_a_login_that_nobody_began_or_that_cannot_be_is_refused() -> None:
    with pytest.raises(NoLogin):
        run(grants(Book()).finish("vault", LoginAnswer(code="c", state="s")))
    with pytest.raises(NoLogin):
        run(grants(Book(), oauth="client_credentials").begin("vault", redirect_uri="http://127.0.0.1:1/", review=ANN))
    with pytest.raises(AuthorizationFailed):  # nobody listens there
        run(grants(Book()).begin("vault", redirect_uri="http://127.0.0.1:1/callback", review=ANN))


class Asked:
    """A keeper that gives a new token each time."""

    def __init__(self, expires_ns: int | None = None) -> None:
        self.calls: list[str | None] = []
        self._expires_ns = expires_ns

    async def tool_token(self, _server: str, refused: str | None) -> ToolToken:
        self.calls.append(refused)
        return ToolToken(value=f"t{len(self.calls)}", expires_ns=self._expires_ns)


def test_a_worker_goes_on_with_a_token_for_a_minute_and_not_beyond_its_end() -> None:
    for expires_ns, fresh_ns in ((None, FRESH_NS), (AHEAD_NS + 7, 7)):
        now = [0]
        keeper: Any = Asked(expires_ns)
        tokens = Tokens(keeper, lambda now=now: now[0])
        assert [run(tokens.of("vault")).value for _ in range(3)] == ["t1"] * 3
        now[0] = fresh_ns
        second = run(tokens.of("vault"))
        assert second.value == "t2"
        assert run(tokens.instead("vault", second)).value == "t3"
        assert keeper.calls == [None, None, "t2"]
