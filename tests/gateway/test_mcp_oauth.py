"""A tool server that wants tokens gets the gateway's own, which nobody else ever sees."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from gateway.cli.main import run as run_command
from tests.fakes.oauth_server import SERVICE, Pair, guarded_server
from tests.gateway.house import kept_in
from tests.gateway.rawhttp import Response
from tests.gateway.tool_house import ROOT, ToolHouse, run, table, tool_house, words

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look", "arguments": {"at": "it"}}}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with guarded_server() as both:
        yield both


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[ToolHouse]:
    before = os.environ.get("SERVICE_SECRET")
    os.environ["SERVICE_SECRET"] = SERVICE[1]
    as_itself = {"oauth": "client_credentials", "client_id": SERVICE[0], "client_secret_env": "SERVICE_SECRET"}
    more = table("vault", url=pair.url, oauth="login")
    more += table("shut", url=pair.url, oauth="login")
    more += table("service", url=pair.url, issuer=pair.issuer, scopes=["tools"], **as_itself)
    try:
        with tool_house(tmp_path_factory.mktemp("oauth"), more=more) as house:
            yield house
    finally:
        if before is None:
            del os.environ["SERVICE_SECRET"]
        else:
            os.environ["SERVICE_SECRET"] = before


@pytest.fixture(scope="module")
def secret(tools: ToolHouse) -> bytes:
    """A gateway key."""
    return tools.house.key()["secret"].encode()


def log_in(tools: ToolHouse, server: str = "vault") -> tuple[int, str]:
    """Run the command, and go where it says as a browser would; its exit code and what it said."""
    command = [sys.executable, "-m", "gateway.cli.main", "mcp", "login", server, "--no-browser", "--by", "Ann"]
    with subprocess.Popen(
        [*command, "--config", str(tools.config)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"http://\S+/authorize\S+", line):
                answer = httpx.get(found[0], follow_redirects=True, trust_env=False)
                assert "close this window" in answer.text
        return process.wait(30), said


def post(tools: ToolHouse, server: str, secret: bytes, *more: tuple[bytes, bytes]) -> Response:
    return tools.post(server, json.dumps(CALL).encode(), (b"stepwarden-key", secret), *more)


def reason(answer: Response) -> str:
    return json.loads(answer.body)["error"]["data"]["stepwarden/reason"]


def saw(answer: Response) -> str:
    return json.loads(answer.body)["result"]["content"][0]["text"]


def test_after_a_login_callers_are_served_with_the_gateways_token_and_never_their_own(
    tools: ToolHouse, pair: Pair, secret: bytes
) -> None:
    assert log_in(tools)[0] == 0
    pair.shown.clear()
    own = ((b"authorization", b"Bearer callers-own-canary"), (b"cookie", b"sid=callers-own-canary"))
    answer = post(tools, "vault", secret, *own)
    assert saw(answer) == "Saw it."
    shown = [(each or "").removeprefix("Bearer ") for each in pair.shown]
    # A token from before this login may come first: it is gone on with for a minute, and was taken back since.
    assert pair.authority.given.issuperset(shown)
    assert shown[-1] in pair.authority.access
    assert "callers-own-canary" not in json.dumps(pair.headers)
    assert secret.decode() not in json.dumps(pair.headers)


def test_the_official_client_works_with_a_gateway_key_alone(tools: ToolHouse, pair: Pair, secret: bytes) -> None:
    assert log_in(tools)[0] == 0

    headers = {"authorization": f"Bearer {secret.decode()}"}

    async def work() -> Any:
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as http,
            mcp.Client(streamable_http_client(tools.url("vault"), http_client=http)) as client,
        ):
            return await client.call_tool("look", {"at": "everything"})

    assert words(run(work)) == "Saw everything."


def test_a_token_that_is_refused_is_renewed_once_and_the_call_made_again(
    tools: ToolHouse, pair: Pair, secret: bytes
) -> None:
    assert log_in(tools)[0] == 0
    assert saw(post(tools, "vault", secret)) == "Saw it."
    pair.authority.access.clear()
    pair.authority.asked.clear()
    assert saw(post(tools, "vault", secret)) == "Saw it."
    assert [form["grant_type"] for form in pair.authority.asked] == ["refresh_token"]


def test_where_nothing_renews_the_agent_reads_what_has_to_be_done(tools: ToolHouse, pair: Pair, secret: bytes) -> None:
    assert log_in(tools)[0] == 0
    pair.authority.access.clear()
    pair.authority.renewing.clear()
    answer = post(tools, "vault", secret)
    assert (answer.status, reason(answer)) == (502, "login_needed")
    assert "stepwarden mcp login vault" in json.loads(answer.body)["error"]["message"]
    assert b"www-authenticate" not in {name.lower() for name, _ in answer.headers}
    assert log_in(tools)[0] == 0
    assert saw(post(tools, "vault", secret)) == "Saw it."


def test_a_server_that_takes_no_token_at_all_costs_one_renewal(
    tools: ToolHouse, pair: Pair, secret: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(tools)[0] == 0

    async def nobody(_token: str) -> None:
        return None

    pair.authority.asked.clear()
    monkeypatch.setattr(pair.authority, "verify_token", nobody)
    answer = post(tools, "vault", secret)
    assert (answer.status, reason(answer)) == (502, "login_needed")
    assert [form["grant_type"] for form in pair.authority.asked] == ["refresh_token"]


def test_without_a_login_and_without_a_key_nothing_is_asked(tools: ToolHouse, pair: Pair, secret: bytes) -> None:
    pair.shown.clear()
    assert reason(post(tools, "shut", secret)) == "login_needed"
    keyless = tools.post("service", json.dumps(CALL).encode())
    assert keyless.status == 401
    assert pair.shown == []


def test_the_gateway_can_ask_as_itself(tools: ToolHouse, pair: Pair, secret: bytes) -> None:
    assert saw(post(tools, "service", secret)) == "Saw it."
    pair.authority.access.clear()
    assert saw(post(tools, "service", secret)) == "Saw it."
    pair.authority.access.clear()
    pair.authority.fault = (503, {"error": "temporarily_unavailable"})
    try:
        answer = post(tools, "service", secret)
    finally:
        pair.authority.fault = None
    assert (answer.status, reason(answer)) == (502, "authorization_failed")
    assert SERVICE[1].encode() not in answer.body


def test_a_logout_destroys_what_was_kept(tools: ToolHouse, capsys: pytest.CaptureFixture[str]) -> None:
    assert log_in(tools)[0] == 0
    config = ["--config", str(tools.config)]
    assert run_command(["mcp", "logout", "vault", *config]) == 0
    assert run_command(["mcp", "logout", "vault", *config]) == 3
    assert "no tokens for MCP server 'vault'" in capsys.readouterr().err


@pytest.mark.parametrize(("server", "said"), [("service", "not one that a person logs in to"), ("nobody", "not one")])
def test_a_login_where_there_is_none_is_refused(
    tools: ToolHouse, server: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["mcp", "login", server, "--no-browser", "--config", str(tools.config)]) == 3
    assert said in capsys.readouterr().err


def test_no_token_code_or_secret_stands_anywhere(tools: ToolHouse, pair: Pair, secret: bytes) -> None:
    code, said = log_in(tools)
    assert code == 0
    assert saw(post(tools, "vault", secret)) == "Saw it."
    assert saw(post(tools, "service", secret)) == "Saw it."
    exchange = dict(post(tools, "vault", secret).headers)[b"stepwarden-exchange"].decode()
    tools.house.facts(exchange)
    pair.authority.access.clear()
    assert saw(post(tools, "vault", secret)) == "Saw it."
    secrets = [SERVICE[1], *[client.client_secret or "" for client in pair.authority.clients.values()]]
    told = [tools.house.gateway.log, said, *[tools.house.control(path)[1].decode() for path in everything(exchange)]]
    kept = b"".join(content for _, content in kept_in(tools.house.gateway.folder / "data"))
    for each in filter(None, secrets):
        assert not any(each in text for text in told)
        assert each.encode() not in kept
    for word in ("access-canary", "renewing-canary", "code-canary"):
        assert not any(word in text for text in told)
        assert word.encode() not in kept


def everything(exchange: str) -> list[str]:
    whole = f"/api/exchanges/{exchange}"
    return [whole, f"{whole}/request", f"{whole}/response", "/api/status", "/metrics", "/api/audit/entries"]
