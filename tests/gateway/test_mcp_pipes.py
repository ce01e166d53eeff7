"""`stepwarden mcp` where a client, a server or the gateway misbehaves: a defined answer each."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.cli.main import run as run_command
from tests.gateway.house import waited
from tests.gateway.tool_house import ROOT, ToolHouse, table, tool_house

ODD = [sys.executable, "-m", "tests.fakes.odd_tools"]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHouse]:
    more = table("pipe", command=ODD, message_bytes=1 << 20) + table("web", url="http://127.0.0.1:9")
    more += table("mute", command=ODD, idle_seconds=3.0)
    with tool_house(tmp_path_factory.mktemp("pipes"), more=more) as house:
        yield house


class Bridge:
    """`stepwarden mcp` as an MCP client starts it, spoken to in lines."""

    def __init__(self, tools: ToolHouse, server: str = "pipe", **environ: str) -> None:
        self.process = subprocess.Popen(
            tools.command(server),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environ},
        )
        self._timer = threading.Timer(90, self.process.kill)
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        self._timer.cancel()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def say(self, value: Any) -> None:
        assert self.process.stdin is not None
        line = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def call(self, name: str, token: Any = 1, **arguments: Any) -> None:
        params = {"name": name, "arguments": arguments}
        self.say({"jsonrpc": "2.0", "id": token, "method": "tools/call", "params": params})

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the bridge has ended"
        return json.loads(line)


def text(answer: dict[str, Any]) -> str:
    return answer["result"]["content"][0]["text"]


def reason(answer: dict[str, Any]) -> str:
    return answer["error"]["data"]["stepwarden/reason"]


def test_garbage_of_a_server_is_left_out(tools: ToolHouse) -> None:
    with Bridge(tools) as bridge:
        bridge.call("garbage")
        assert text(bridge.hear()) == "After garbage."


def test_a_second_answer_and_one_nobody_asked_for_are_left_out(tools: ToolHouse) -> None:
    with Bridge(tools) as bridge:
        bridge.call("twice", 1)
        bridge.call("unasked", 2)
        assert [text(bridge.hear()), text(bridge.hear())] == ["First.", "Asked."]


def test_what_a_server_asks_of_its_client_passes_and_so_does_the_answer(tools: ToolHouse) -> None:
    with Bridge(tools) as bridge:
        bridge.call("asks")
        assert bridge.hear()["method"] == "sampling/createMessage"
        assert text(bridge.hear()) == "Asked you."
        bridge.say({"jsonrpc": "2.0", "id": "s1", "result": {"role": "assistant"}})
        bridge.call("fine", 2)
        assert text(bridge.hear()) == "tools/call done."


def test_unknown_methods_pass(tools: ToolHouse) -> None:
    with Bridge(tools) as bridge:
        bridge.say({"jsonrpc": "2.0", "id": "a", "method": "house/unheard_of", "params": {"x": [1.0]}})
        assert text(bridge.hear()) == "house/unheard_of done."


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"fine","arguments":{}}}',
    ],
)
def test_what_is_no_message_is_answered_with_an_error(tools: ToolHouse, line: bytes) -> None:
    with Bridge(tools) as bridge:
        bridge.say(line)
        assert bridge.hear()["error"]["code"] in (-32700, -32600)
        bridge.call("fine")
        assert text(bridge.hear()) == "tools/call done."


def test_an_id_that_is_in_use_is_refused(tools: ToolHouse) -> None:
    with Bridge(tools) as bridge:
        bridge.call("slow", 1)
        bridge.call("fine", 1.0)
        assert reason(bridge.hear()) == "duplicate_id"
        assert text(bridge.hear()) == "Slow."


def test_a_server_that_hangs_costs_this_call_alone(tools: ToolHouse) -> None:
    with Bridge(tools, "mute") as bridge:
        bridge.call("hangs", 1)
        assert reason(bridge.hear()) == "upstream_timeout"
        bridge.call("fine", 2)
        assert text(bridge.hear()) == "tools/call done."


def test_a_server_that_dies_ends_the_bridge_with_an_error_for_whoever_waits(tools: ToolHouse) -> None:
    with Bridge(tools) as bridge:
        bridge.call("dies", 1)
        assert reason(bridge.hear()) == "upstream_reset"
        assert bridge.process.wait(60) == 1


def test_a_server_that_floods_is_ended(tools: ToolHouse) -> None:
    with Bridge(tools) as bridge:
        bridge.call("flood", 1)
        assert reason(bridge.hear()) == "upstream_reset"
        assert bridge.process.wait(60) == 1


@pytest.mark.parametrize(
    ("server", "name"), [("mute", "hangs"), ("pipe", "flood"), ("pipe", "garbage"), ("pipe", "dies")]
)
def test_a_server_that_misbehaves_harms_no_other(tools: ToolHouse, server: str, name: str) -> None:
    with Bridge(tools, server) as sick, Bridge(tools) as sound:
        sick.call(name, 1)
        sound.call("fine", 1)
        assert text(sound.hear()) == "tools/call done."
        sick.hear()
        sound.call("fine", 2)
        assert text(sound.hear()) == "tools/call done."


def test_a_call_that_waits_for_a_person_lets_others_pass_and_can_be_cancelled(tools: ToolHouse) -> None:
    def given_up() -> bool | None:
        found = [each for each in tools.exchanges("pipe") if each["verdict"] == "hold"]
        return True if found and found[0]["outcome"] == "client_aborted" else None

    with Bridge(tools) as bridge:
        bridge.call("pay", 1, to="nobody in particular")

        def waits() -> bool | None:
            listed = json.loads(tools.house.control("/api/holds?only=waiting")[1])["holds"]
            return True if any("nobody in particular" in each["text"] for each in listed) else None

        waited(waits)
        bridge.call("fine", 2)
        assert text(bridge.hear()) == "tools/call done."
        bridge.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        bridge.call("fine", 3)
        assert bridge.hear()["id"] == 3
        waited(given_up)  # while the bridge still runs: with its end everything is given up


def test_the_server_never_sees_the_key(tools: ToolHouse) -> None:
    with Bridge(tools, STEPWARDEN_GATEWAY__WORKERS="1") as bridge:
        bridge.call("keys")
        assert text(bridge.hear()) == ""


def test_a_key_that_is_none_is_refused_with_the_reason(tools: ToolHouse) -> None:
    with Bridge(tools, STEPWARDEN_KEY="swk_wrong") as bridge:
        assert bridge.process.wait(60) == 3
        assert bridge.process.stderr is not None
        said = bridge.process.stderr.read()
        assert b"The gateway key is unknown" in said
        assert b"STEPWARDEN_KEY" in said  # and not to start a gateway, for one has just answered


def test_without_a_gateway_nothing_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "stepwarden.toml"
    config.write_text('[mcp.files]\ncommand = ["true"]\n')
    assert run_command(["mcp", "--server", "files", "--config", str(config)]) == 3
    assert "No gateway runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--server"),
        (["--server", "web"], "point the client at"),
        (["--server", "none"], "after `--`"),
        (["--server", "pipe", "--", "another", "program"], "another program"),
    ],
)
def test_what_cannot_be_meant_is_said(
    tools: ToolHouse, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    whole = ["mcp", *arguments[:at], "--config", str(tools.config), *arguments[at:]]
    assert run_command(whole) == 2
    assert said in capsys.readouterr().err


def test_the_gateways_end_ends_the_bridge(tmp_path: Path) -> None:
    with tool_house(tmp_path, more=table("pipe", command=ODD)) as mine, Bridge(mine) as bridge:
        bridge.call("fine")
        assert text(bridge.hear()) == "tools/call done."
        mine.house.gateway.process.terminate()
        assert bridge.process.wait(60) == 3
