import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli import reference
from gateway.cli.main import COMMANDS, run, stepwarden

SURFACE = {
    "serve": (),
    "demo": (),
    "init": (),
    "doctor": (),
    "bench": (),
    "check": (),
    "tail": (),
    "sessions": ("list", "show", "terminate", "trust"),
    "exchanges": ("list", "show"),
    "search": (),
    "explain": (),
    "backtest": (),
    "holds": ("list", "approve", "reject"),
    "clauses": ("list", "mode", "wrongs"),
    "critique": (),
    "label": (),
    "optimize": (),
    "proposals": ("list", "show", "approve", "reject"),
    "revisions": ("list", "show", "diff", "activate", "rollback"),
    "audit": ("verify", "head", "prove", "rotate", "export", "erase"),
    "retention": ("hold",),
    "witness": (),
    "keys": ("create", "list", "revoke"),
    "mcp": ("tools", "login", "logout"),
}
"""The command line as it was promised: every command and subcommand."""

DOCS = Path(__file__).parents[2] / "docs"


def command(name: str) -> click.Command:
    found = stepwarden.get_command(click.Context(stepwarden), name)
    assert found is not None
    return found


def leaves(found: click.Command) -> Iterator[click.Command]:
    """What is run in the end."""
    if not isinstance(found, click.Group):
        yield found
        return
    for each in found.commands.values():
        yield from leaves(each)


def test_the_help_names_every_command_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert {*COMMANDS} == set(SURFACE)
    for name in SURFACE:
        assert f"\n  {name} " in shown


def test_usage_lines_are_what_is_typed() -> None:
    text = reference.cli()
    for heading, usage in re.findall(r"^## `(.+)`\n\n```text\nUsage: (.+)$", text, re.MULTILINE):
        assert usage.startswith(f"{heading} ["), usage
    assert "Usage: stepwarden sessions show [OPTIONS] ID" in text


@pytest.mark.parametrize("name", SURFACE)
def test_every_command_and_subcommand_exists_and_explains_itself(name: str) -> None:
    found = command(name)
    assert found.help
    inner = set(found.commands) if isinstance(found, click.Group) else set()
    assert inner == set(SURFACE[name])


@pytest.mark.parametrize(
    "name",
    [
        "tail",
        "sessions",
        "exchanges",
        "explain",
        "backtest",
        "holds",
        "audit",
        "keys",
        "optimize",
        "proposals",
        "revisions",
    ],
)
def test_every_command_that_asks_takes_config_url_and_json(name: str) -> None:
    found = command(name)
    asking = found.commands.values() if isinstance(found, click.Group) else [found]
    for each in asking:
        names = {option for parameter in each.params for option in parameter.opts}
        assert {"--config", "--url", "--json"} <= names


@pytest.mark.parametrize("name", SURFACE)
def test_every_command_takes_a_configuration(name: str) -> None:
    for each in leaves(command(name)):
        assert "--config" in {option for parameter in each.params for option in parameter.opts}


def test_help_comes_at_once_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from gateway.cli.main import run; run(['--help']); "
        "heavy = {'rich', 'litestar', 'httpx', 'aiohttp', 'uvicorn', 'msgspec', 'anthropic', 'sqlite3'}; "
        "sys.exit(1 if heavy & set(sys.modules) else 0)"
    )
    best = min(_spent([sys.executable, "-c", code]) for _ in range(3))
    bare = min(_spent([sys.executable, "-c", "import click"]) for _ in range(3))
    assert best < max(0.3, 3 * bare)  # a slow machine slows both alike


def _spent(arguments: list[str]) -> float:
    """Seconds of CPU that a command takes: how long it waits for one says more of who else uses the machine."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_reference_documents_are_current() -> None:
    assert (DOCS / "CLI.md").read_text(encoding="utf-8") == reference.cli()
    assert (DOCS / "CONFIG.md").read_text(encoding="utf-8") == reference.configuration()


def test_usage_errors_exit_with_two_and_name_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sesions", "list"]) == 2
    assert "`sessions`" in capsys.readouterr().err
    assert run(["sessions", "show"]) == 2
    assert run(["keys", "create", "--role", "root"]) == 2
    assert run(["--nope"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("sesions",),
        ("sessions", "show"),
        ("sessions", "list", "--limit", "0"),
        ("holds", "reject", "an-id"),
        ("audit", "export", "--since", "1h"),
    ],
)
def test_a_usage_error_is_the_one_json_document_too_where_that_was_asked_for(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--json"]) == 2
    told = capsys.readouterr()
    fault = json.loads(told.out)["error"]
    assert fault["message"] in told.err
    assert fault["remedy"].startswith("See `stepwarden")
    assert run(["mcp", "--", "a-program", "--json"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("sessions", "list", "--since"),
        ("search", "word", "--since"),
        ("backtest", "--policy", "agent-baseline", "--since"),
        ("audit", "export", "-o", "x.zip", "--since"),
        ("audit", "export", "-o", "x.zip", "--since", "1h", "--until"),
        ("keys", "create", "--expires"),
        ("clauses", "mode", "a/b", "shadow", "--by", "me", "--reason", "r", "--for"),
    ],
)
def test_a_time_that_is_none_is_a_usage_error_that_says_how_to_write_one(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "yesterday"]) == 2
    said = capsys.readouterr().err
    assert words[-1] in said
    assert "'yesterday'" in said
    assert "2h" in said


@pytest.mark.parametrize("words", [("--port", "65536"), ("--port", "-1"), ("--workers", "0"), ("--workers", "65")])
def test_a_flag_of_serve_out_of_its_range_is_a_usage_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", *words]) == 2
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize("amount", ["nan", "inf", "-1"])
def test_an_amount_that_is_no_number_is_a_usage_error(amount: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "--budget", amount]) == 2
    assert "--budget" in capsys.readouterr().err
