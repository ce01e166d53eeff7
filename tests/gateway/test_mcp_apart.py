"""MCP behind keys, several workers and a strict log."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider
from tests.gateway.house import standing, waited
from tests.gateway.test_policies import settings
from tests.gateway.tool_house import OFFICIAL, ToolHouse, run, table, tool_house, tool_server, words

CALL = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look", "arguments": {}}}
).encode()


def done(seen: SeenRequest) -> Answer:
    value = {"jsonrpc": "2.0", "id": json.loads(seen.body)["id"], "result": {"content": []}}
    return Answer(headers=((b"content-type", b"application/json"),), body=(json.dumps(value).encode(),))


@pytest.fixture
def server() -> Iterator[BackgroundProvider]:
    with BackgroundProvider(done) as running:
        yield running


def test_a_servers_token_goes_to_it_alone_and_the_callers_credentials_to_nobody(
    tmp_path: Path, server: BackgroundProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOK_TOKEN", "token-canary-5e1d")
    more = table("look", url=f"{server.url}/mcp", key_env="LOOK_TOKEN")
    more += table("bare", url=f"{server.url}/mcp", key_env="LOOK_TOKEN", key_header="x-look-key")
    more += table("open", url=f"{server.url}/mcp")
    with tool_house(tmp_path, more=more) as tools:
        refused = tools.post("look", CALL)  # the token is there, and yet nobody gets it who shows no key
        assert (refused.status, json.loads(refused.body)["error"]["data"]["stepwarden/reason"]) == (
            500,
            "provider_key_missing",
        )
        assert server.requests == []
        secret = tools.house.key()["secret"]
        own = [
            (b"cookie", b"sid=1"),
            (b"x-api-key", b"sk-caller"),
            (b"authorization", b"Bearer sk-other"),
            (b"x-look-key", b"sk-mine"),
            (b"stepwarden-key", secret.encode()),
        ]
        for name in ("look", "bare", "open"):
            assert tools.post(name, CALL, *own).status == 200
        assert tools.post("open", CALL).status == 401
        look, bare, plain = server.requests
        assert look.header("authorization") == "Bearer token-canary-5e1d"
        assert (bare.header("authorization"), bare.header("x-look-key")) == (None, "token-canary-5e1d")
        for seen in (look, bare, plain):
            sent = b"\n".join(name + b": " + value for name, value in seen.headers)
            kept_back = (b"sid=1", b"sk-caller", b"sk-other", secret.encode(), b"stepwarden")
            assert not any(word in sent for word in kept_back)
        assert [value for name, value in bare.headers if name.lower() == b"x-look-key"] == [b"token-canary-5e1d"]
        assert plain.header("authorization") is None
        assert "token-canary" not in tools.house.gateway.log


def test_a_key_reaches_the_servers_and_tools_of_its_app_and_no_others(
    tmp_path: Path, server: BackgroundProvider
) -> None:
    url = f"{server.url}/mcp"
    more = "\n[app.desk]\n[app.audit]\n" + table("shared", url=url)
    more += table("desk", url=url, apps=["desk"]) + table("reading", url=url, apps=["audit"], tools=["read_*"])
    with tool_house(tmp_path, more=more) as tools:
        keys = {app: (b"stepwarden-key", tools.house.key(app=app)["secret"].encode()) for app in ("desk", "audit")}
        reached = {
            (app, name): tools.post(name, CALL, key).status == 200
            for app, key in keys.items()
            for name in ("shared", "desk", "reading")
        }
        assert reached == {
            ("desk", "shared"): True,
            ("desk", "desk"): True,
            ("desk", "reading"): False,
            ("audit", "shared"): True,
            ("audit", "desk"): False,
            ("audit", "reading"): True,
        }
        seen = len(server.requests)
        refused = json.loads(tools.post("reading", CALL, keys["audit"]).body)["result"]
        assert refused["_meta"]["stepwarden/reason"] == "tool_not_declared"
        assert len(server.requests) == seen


@pytest.mark.timeout(180)
def test_workers_share_sessions_holds_and_pins(tmp_path: Path) -> None:
    with tool_server() as web:
        more = settings(tmp_path) + table("web", url=web) + table("pipe", command=[*OFFICIAL, "stdio"])
        with standing(tmp_path, more=more, workers=2) as house:
            tools = ToolHouse(house, tmp_path / "stepwarden.toml")

            async def work(server: str) -> list[Any]:
                async with tools.client(server, "legacy") as client:
                    await client.list_tools()
                    weather = await client.call_tool("get_weather", {"city": "Rome"})
                    launched = await client.call_tool("launch", {"at": "noon"})
                    changed = await client.call_tool("change", {})
                    listed = await client.list_tools()
                    return [weather, launched, changed, [tool.name for tool in listed.tools]]

            for server in ("web", "pipe"):
                weather, launched, _, names = run(lambda server=server: work(server))
                assert "sunny" in words(weather)
                assert launched.is_error
                assert "called" not in names
                joined = waited(
                    lambda server=server: (
                        {
                            each["join"]["session_id"]
                            for each in tools.exchanges(server)
                            if each["operation"] == "tools/call"
                        }
                        or None
                    )
                )
                assert len(joined) == 1


def test_a_strict_app_is_in_the_log_before_its_server_sees_a_call(tmp_path: Path, server: BackgroundProvider) -> None:
    folder = tmp_path
    more = settings(folder, more='audit = "strict"') + table("look", url=f"{server.url}/mcp")
    with standing(folder, more=more) as house:
        tools = ToolHouse(house, folder / "stepwarden.toml")
        exchange = dict(tools.post("look", CALL).headers)[b"stepwarden-exchange"].decode()
        tools.house.facts(exchange)
        status, _ = house.control("/api/audit/verify", method="POST")
        assert status == 200
