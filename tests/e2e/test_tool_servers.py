"""Public MCP servers from the package indexes, unchanged, behind the gateway; and the protocol authors' own suite."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.environments.install import environment
from tests.gateway.house import waited
from tests.gateway.tool_house import ToolHouse, free_port, run, table, tool_house, words

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TOKEN = "bluebird-4711"
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


def node(package: str, *arguments: str) -> list[str]:
    """The program of a server from npm."""
    found = environment("node") / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"
    return ["node", str(found), *arguments]


def python(name: str, *arguments: str) -> list[str]:
    """The program of a server from the Python index."""
    folder = environment("sqlite" if name == "mcp-server-sqlite" else "tools")
    return [str(folder / "bin" / name), *arguments]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, which is a repository."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "notes.txt").write_text(f"The code name is {TOKEN}.\n")
    who = {"GIT_AUTHOR_NAME": "Ann", "GIT_COMMITTER_NAME": "Ann"}
    mail = {"GIT_AUTHOR_EMAIL": "ann@example.com", "GIT_COMMITTER_EMAIL": "ann@example.com"}
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", f"Add {TOKEN}"]):
        subprocess.run(["git", *command], cwd=folder, check=True, env={**os.environ, **who, **mail})
    return folder


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory, place: Path) -> Iterator[ToolHouse]:
    more = table("pipe-files", command=node("server-filesystem", str(place)))
    more += table("pipe-git", command=python("mcp-server-git", "--repository", str(place)))
    more += table("pipe-sql", command=python("mcp-server-sqlite", "--db-path", str(place / "notes.db")))
    more += table("pipe-time", command=python("mcp-server-time", "--local-timezone", "UTC"))
    with tool_house(tmp_path_factory.mktemp("house"), more=more) as house:
        yield house


def calls(tools: ToolHouse, server: str, mode: str, *wanted: tuple[str, dict[str, Any]]) -> tuple[set[str], list[Any]]:
    """The tools of a server, and what calls of them give."""

    async def work() -> tuple[set[str], list[Any]]:
        async with tools.client(server, mode) as client:
            listed = {tool.name for tool in (await client.list_tools()).tools}
            return listed, [await client.call_tool(name, arguments) for name, arguments in wanted]

    return run(work, seconds=90)


@MODES
def test_the_file_system(tools: ToolHouse, place: Path, mode: str) -> None:
    path = str(place / "notes.txt")
    listed, (read, folder, written) = calls(
        tools,
        "pipe-files",
        mode,
        ("read_text_file", {"path": path}),
        ("list_directory", {"path": str(place)}),
        ("write_file", {"path": str(place / f"new-{mode}.txt"), "content": "Hello."}),
    )
    assert {"read_text_file", "write_file", "move_file"} <= listed
    assert words(read) == "The code name is [redacted:name].\n"
    assert "notes.txt" in words(folder)
    assert not written.is_error
    assert (place / f"new-{mode}.txt").read_text() == "Hello."


@MODES
def test_git(tools: ToolHouse, place: Path, mode: str) -> None:
    listed, (log, status) = calls(
        tools,
        "pipe-git",
        mode,
        ("git_log", {"repo_path": str(place)}),
        ("git_status", {"repo_path": str(place)}),
    )
    assert {"git_log", "git_commit"} <= listed
    assert "[redacted:name]" in words(log)
    assert TOKEN not in words(log)
    assert not status.is_error


@MODES
def test_sqlite(tools: ToolHouse, mode: str) -> None:
    name = f"notes_{mode}"
    _, (made, put, read) = calls(
        tools,
        "pipe-sql",
        mode,
        ("create_table", {"query": f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, text TEXT)"}),
        ("write_query", {"query": f"INSERT INTO {name} (text) VALUES ('{TOKEN}')"}),
        ("read_query", {"query": f"SELECT text FROM {name}"}),
    )
    assert not made.is_error
    assert not put.is_error
    assert "[redacted:name]" in words(read)


@MODES
def test_time(tools: ToolHouse, mode: str) -> None:
    _, (now, wrong) = calls(
        tools, "pipe-time", mode, ("get_current_time", {"timezone": "Europe/Paris"}), ("get_current_time", {})
    )
    assert "Europe/Paris" in words(now)
    assert wrong.is_error


def passed(url: str) -> set[str]:
    """The scenarios of the conformance suite that a server passes."""
    suite = environment("node") / "node_modules" / ".bin" / "conformance"
    ran = subprocess.run([str(suite), "server", "--url", url], capture_output=True, text=True, check=False, timeout=200)
    return set(re.findall(r"^✓ (\S+): \d+ passed, 0 failed", ran.stdout, re.MULTILINE))


def test_a_server_passes_at_least_the_same_scenarios_of_the_conformance_suite_through_the_gateway(
    tmp_path: Path,
) -> None:
    port = free_port()
    url = f"http://localhost:{port}/mcp"
    server = subprocess.Popen(
        node("server-everything", "streamableHttp"),
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with tool_house(tmp_path, more=table("every", url=url)) as house:

            def ready() -> bool | None:
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
                return True if house.post("every", body).status != 502 else None

            waited(ready)
            direct, through = passed(url), passed(house.url("every"))
    finally:
        server.terminate()
        server.wait(10)
    assert {"tools-list", "tools-call-simple-text", "server-sse-multiple-streams"} <= direct
    # The server answers under any Host; the gateway, in front of it, does not.
    assert through == direct | {"dns-rebinding-protection"}
