"""The gateway gets tokens by the protocol's rules, from servers of the official SDK, and repeats nothing they said."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.config import McpServer
from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider
from gateway.mcp.authorization import Authorization
from gateway.refusals import AuthorizationFailed, LoginNeeded
from policies.vocabulary.grants import Grant, LoginAnswer
from tests.fakes.oauth_server import SERVICE, Pair, guarded_server

T = TypeVar("T")
BACK = "http://127.0.0.1:5555/callback"
JSON = ((b"content-type", b"application/json"),)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with guarded_server() as both:
        yield both


def server(pair: Pair, **more: Any) -> McpServer:
    return McpServer(name="vault", url=pair.url, oauth="login", **more)


def service(pair: Pair, **more: Any) -> McpServer:
    given = {"client_id": SERVICE[0], "issuer": pair.issuer, "scopes": ("tools",), **more}
    return McpServer(name="vault", url=pair.url, oauth="client_credentials", client_secret_env="S", **given)


def browsed(url: str) -> dict[str, str]:
    """What a browser brings back from where a person logs in."""
    location = httpx.get(url, trust_env=False).headers["location"]
    assert location.startswith(BACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def logged_in(way: Authorization, **changes: str) -> Grant:
    answer: asyncio.Future[LoginAnswer] = asyncio.get_running_loop().create_future()

    async def show(url: str) -> None:
        answer.set_result(LoginAnswer(**{**await asyncio.to_thread(browsed, url), **changes}))

    return await way.login(BACK, show, answer)


def run(work: Awaitable[T]) -> T:
    async def whole() -> T:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(whole())


def tokens(grant: Grant) -> dict[str, Any]:
    return json.loads(grant.tokens)


def test_a_login_is_bound_to_the_resource_and_proves_who_began_it(pair: Pair) -> None:
    grant = run(logged_in(Authorization(server(pair, scopes=("tools",)), None)))
    (exchanged,) = pair.authority.asked
    assert exchanged["resource"] == pair.url
    assert len(exchanged["code_verifier"]) >= 43
    assert pair.authority.access[tokens(grant)["access_token"]].resource == pair.url
    assert grant.expires_ns is not None
    assert repr(grant) == "Grant(...)"


def test_a_token_is_renewed_with_the_one_that_renews_and_without_asking_the_tool_server(pair: Pair) -> None:
    way = Authorization(server(pair), None)
    grant = run(logged_in(way))
    seen = len(pair.shown)
    again = run(way.renewed(grant))
    assert tokens(again)["access_token"] != tokens(grant)["access_token"]
    assert pair.authority.asked[-1]["grant_type"] == "refresh_token"
    assert pair.authority.asked[-1]["resource"] == pair.url
    assert len(pair.shown) == seen
    with pytest.raises(LoginNeeded):  # each renewing token serves once
        run(way.renewed(grant))


def test_an_authorization_server_that_is_ill_costs_no_login(pair: Pair) -> None:
    way = Authorization(server(pair), None)
    grant = run(logged_in(way))
    pair.authority.fault = (503, {"error": "temporarily_unavailable"})
    with pytest.raises(AuthorizationFailed, match=r"503 \(temporarily_unavailable\)"):
        run(way.renewed(grant))
    pair.authority.fault = None
    assert tokens(run(way.renewed(grant)))["access_token"] in pair.authority.access


def test_the_gateway_asks_as_itself_with_its_own_credentials(pair: Pair) -> None:
    grant = run(Authorization(service(pair), SERVICE[1]).as_itself())
    assert pair.authority.access[tokens(grant)["access_token"]].scopes == ["tools"]
    with pytest.raises(AuthorizationFailed, match=r"401 \(invalid_client\)"):
        run(Authorization(service(pair), "wrong").as_itself())
    with pytest.raises(AuthorizationFailed, match="not in the gateway's environment"):
        run(Authorization(service(pair), None).as_itself())


def test_a_secret_goes_to_no_issuer_but_the_one_that_is_named(pair: Pair) -> None:
    elsewhere = {"issuer": "http://127.0.0.1:9"}
    with pytest.raises(AuthorizationFailed):
        run(Authorization(service(pair, **elsewhere), SERVICE[1]).as_itself())
    with pytest.raises(AuthorizationFailed, match="another authorization server"):
        run(logged_in(Authorization(server(pair, client_id="x", client_secret_env="S", **elsewhere), "y")))
    assert pair.authority.asked == []


@pytest.mark.parametrize("change", [{"state": "another"}, {"code": "another"}], ids=["state", "code"])
def test_what_another_login_brought_back_is_exchanged_for_nothing(
    pair: Pair, change: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthorizationFailed) as refused:
        run(logged_in(Authorization(server(pair), None), **change))
    told = f"{refused.value}" + "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("http")
    )
    assert "another" not in told
    assert not any(code in told for code in pair.authority.codes)
    assert pair.authority.access == {}


@pytest.mark.parametrize(
    ("published", "said"),
    [
        ({"authorization_servers": ["http://198.51.100.7"]}, "without TLS"),
        ({"authorization_servers": ["ftp://127.0.0.1/"]}, "failed"),
        ({"resource": "https://other.example/mcp"}, "failed"),
    ],
)
def test_what_a_tool_server_publishes_leads_to_no_place_without_tls_and_to_no_other_resource(
    published: dict[str, Any], said: str
) -> None:
    def play(seen: SeenRequest) -> Answer:
        if seen.method == "POST":
            return Answer(status=401, headers=JSON, body=(b"{}",))
        whole = {"resource": f"{provider.url}/mcp", "authorization_servers": [provider.url], **published}
        return Answer(headers=JSON, body=(json.dumps(whole).encode(),))

    with BackgroundProvider(play) as provider:
        target = McpServer(name="vault", url=f"{provider.url}/mcp", oauth="login")
        with pytest.raises(AuthorizationFailed, match=said):
            run(logged_in(Authorization(target, None)))


def test_words_of_an_authorization_server_stand_in_no_error_and_no_log(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair.authority.fault = (400, {"error": "invalid_grant", "error_description": "canary-of-the-server"})
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthorizationFailed) as refused:
        run(logged_in(Authorization(server(pair), None)))
    assert "400 (invalid_grant)" in str(refused.value)
    assert "canary-of-the-server" not in str(refused.value) + caplog.text
    pair.authority.fault = (400, {"error": "invalid canary-of-the-server"})
    with pytest.raises(AuthorizationFailed) as refused:
        run(logged_in(Authorization(server(pair), None)))
    assert "canary" not in str(refused.value)
