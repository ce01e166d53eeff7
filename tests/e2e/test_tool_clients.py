"""Claude Code and Codex as MCP clients: tools work behind the gateway, and calls join the session that made them."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.demo.answers import Answer, Piece, SeenRequest
from gateway.demo.turns import Call, Turn
from tests.e2e.environments.install import environment
from tests.e2e.headless import CODEX_OFF
from tests.e2e.programs import NOWHERE
from tests.fakes.provider import say
from tests.gateway.house import waited
from tests.gateway.tool_house import OFFICIAL, ROOT, ToolHouse, table, tool_house, tool_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SAID = "It will be sunny."
servers = pytest.mark.parametrize("server", ["web", "pipe"])


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHouse]:
    with tool_server() as web:
        more = table("web", url=web) + table("pipe", command=[*OFFICIAL, "stdio"])
        with tool_house(tmp_path_factory.mktemp("house"), more=more) as house:
            yield house


def calling(tools: ToolHouse, wire: Any, name: str, city: str) -> None:
    """Have the model ask for the weather once its client offers that tool, and then speak."""

    def script(seen: SeenRequest) -> Answer:
        streamed = b'"stream":true' in seen.body.replace(b" ", b"")
        done = b'"tool_result"' in seen.body or b'"function_call_output"' in seen.body
        calls = (
            () if done or b"get_weather" not in seen.body else (Call(f"call_{city}", name, f'{{"city": "{city}"}}'),)
        )
        answer = say(wire, Turn(text=SAID, calls=calls, reply_id=f"{city}{seen.number}"), streamed=streamed)
        # Codex offers the tools of a server in a namespace, and takes calls in it alone.
        space, _, tool = name.rpartition("__")
        spoken = [piece.data if isinstance(piece, Piece) else piece for piece in answer.body]
        named = f'"name":"{tool}","namespace":"{space}"' if wire == "responses" else f'"name":"{name}"'
        assert all(isinstance(piece, bytes) for piece in spoken)
        body = tuple(bytes(piece).replace(f'"name":"{name}"'.encode(), named.encode()) for piece in spoken)
        return msgspec.structs.replace(answer, body=body)

    tools.house.provider.script = script


def joined(tools: ToolHouse, server: str, city: str) -> None:
    """See that the call is in the session of the model, and that its result was told as it was given."""

    def found() -> dict[str, Any] | None:
        for each in tools.exchanges(server):
            steps = tools.house.facts(each["exchange_id"])["steps"] if each["operation"] == "tools/call" else []
            if steps and city in steps[0]["text"]:
                return each
        return None

    pair = waited(found)
    assert pair["join"]["evidence"] in ("pending_call", "agent_header"), pair["join"]
    session = pair["join"]["session_id"]

    def told() -> list[str] | None:
        status, body = tools.house.control(f"/api/sessions/{session}/steps")
        assert status == 200
        seen = [
            step["fidelity"]
            for step in json.loads(body)["steps"]
            if step["kind"] == "tool_result" and step["exchange_id"] != pair["exchange_id"]
        ]
        return seen or None

    assert set(waited(told)) == {"witnessed"}


def ran(command: list[str], home: Path, variables: dict[str, str]) -> str:
    """What an agent prints."""
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **NOWHERE, **variables},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.decode()


def launcher(tools: ToolHouse, home: Path) -> list[str]:
    """`stepwarden mcp` for a client that runs elsewhere than our sources."""
    script = home / "bridge.sh"
    script.write_text(f"#!/bin/sh\ncd {ROOT} && exec {' '.join(tools.command('pipe'))}\n")
    script.chmod(0o700)
    return [str(script)]


@servers
def test_claude_code(tools: ToolHouse, tmp_path: Path, server: str) -> None:
    city = f"Claude{server}"
    calling(tools, "anthropic", f"mcp__{server}__get_weather", city)
    described: Any = {"type": "http", "url": tools.url("web")}
    if server == "pipe":
        described = {"command": launcher(tools, tmp_path)[0], "args": []}
    package = environment("node") / "node_modules" / "@anthropic-ai" / "claude-code"
    asked = ["-p", f"What is the weather in {city}?", "--output-format", "json", "--strict-mcp-config"]
    asked += ["--mcp-config", json.dumps({"mcpServers": {server: described}})]
    asked += ["--allowedTools", f"mcp__{server}__get_weather"]
    variables = {
        "ANTHROPIC_BASE_URL": tools.url("")[: -len("/mcp/")] + "/anthropic",
        "ANTHROPIC_API_KEY": "sk-ant-e2e-0000",
        "CLAUDE_CONFIG_DIR": str(tmp_path / ".claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "MCP_CONNECTION_NONBLOCKING": "0",
        "MCP_CONNECT_TIMEOUT_MS": "60000",
        "MCP_TIMEOUT": "60000",
    }
    assert SAID in ran(["node", str(package / "cli-wrapper.cjs"), *asked], tmp_path, variables)
    joined(tools, server, city)


@servers
def test_codex(tools: ToolHouse, tmp_path: Path, server: str) -> None:
    city = f"Codex{server}"
    calling(tools, "responses", f"mcp__{server}__get_weather", city)
    base = tools.url("")[: -len("/mcp/")] + "/openai/v1"
    described = f'url = "{tools.url("web")}"' if server == "web" else f'command = "{launcher(tools, tmp_path)[0]}"'
    folder = tmp_path / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f'model = "gpt-5.2"\nmodel_provider = "e2e"\n{CODEX_OFF}'
        '[model_providers.e2e]\nname = "e2e"\n'
        f'base_url = "{base}"\nenv_key = "OPENAI_API_KEY"\nwire_api = "responses"\n'
        f"[mcp_servers.{server}]\n{described}\nstartup_timeout_sec = 60\nrequired = true\n"
    )
    package = environment("node") / "node_modules" / "@openai" / "codex"
    asked = ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    command = ["node", str(package / "bin" / "codex.js"), *asked, f"What is the weather in {city}?"]
    variables = {"CODEX_HOME": str(folder), "OPENAI_API_KEY": "sk-e2e-0000", "CODEX_API_KEY": "sk-e2e-0000"}
    assert SAID in ran(command, tmp_path, variables)
    joined(tools, server, city)
