"""Public MCP servers from the package indexes, unchanged, behind the gateway; and the protocol authors' own suite."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.environments.install import environment
from tests.fakes.gateway import free_port
from tests.gateway.house import waited
from tests.gateway.tool_house import ROOT, ToolHouse, run, table, tool_house, words

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


def node22() -> str:
    """Node 22, which the suite of the revision of 2026-07-28 needs: its own on Linux, this machine's elsewhere."""
    packages = environment("conformance") / "node_modules"
    return next((str(each) for each in packages.glob("node-linux-*/bin/node")), "node")


def passed(url: str) -> dict[str, tuple[int, int]]:
    """Checks passed and failed by scenario of the revision of 2025-11-25, by the suite that was current then."""
    return scored([str(environment("node") / "node_modules" / ".bin" / "conformance"), "server", "--url", url])


def passed_stateless(url: str) -> dict[str, tuple[int, int]]:
    """The same of the revision of 2026-07-28."""
    folder = environment("conformance") / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist"
    return scored([node22(), str(folder / "index.js"), "server", "--url", url, "--requirements", "2026-07-28"])


def scored(command: list[str]) -> dict[str, tuple[int, int]]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    found = re.findall(r"^[✓✗] (\S+): (\d+) passed, (\d+) failed", ran.stdout, re.MULTILINE)
    return {name: (int(good), int(bad)) for name, good, bad in found}


@contextmanager
def through(folder: Path, command: list[str], port: int, **environ: str) -> Iterator[tuple[str, str]]:
    """The addresses of a server that this program is: its own, and the gateway's in front of it."""
    url = f"http://localhost:{port}/mcp"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, **quiet)
    try:
        with tool_house(folder, more=table("every", url=url)) as house:

            def ready() -> bool | None:
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
                return True if house.post("every", body).status != 502 else None

            waited(ready, seconds=60)
            yield url, house.url("every").replace("127.0.0.1", "localhost")
    finally:
        server.terminate()
        server.wait(10)


def test_a_server_passes_the_same_checks_of_the_conformance_suite_through_the_gateway(tmp_path: Path) -> None:
    port = free_port()
    with through(tmp_path, node("server-everything", "streamableHttp"), port, PORT=str(port)) as (url, gateway):
        direct, behind = passed(url), passed(gateway)
    assert {"tools-list", "tools-call-simple-text", "server-sse-multiple-streams"} <= {
        name for name, (_, bad) in direct.items() if not bad
    }
    # The server answers under any Host; the gateway, in front of it, does not.
    assert behind == direct | {"dns-rebinding-protection": (2, 0)}


def test_and_those_of_the_stateless_revision(tmp_path: Path) -> None:
    port = free_port()
    program = [sys.executable, "-m", "tests.fakes.conformance_server", str(port)]
    with through(tmp_path, program, port) as (url, gateway):
        direct, behind = passed_stateless(url), passed_stateless(gateway)
    assert len([name for name, (good, bad) in direct.items() if good and not bad]) >= 36
    assert behind == direct
