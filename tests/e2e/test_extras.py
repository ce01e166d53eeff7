"""The optional extras as they are installed: validators of guardrails-ai and Presidio in a real gateway, and silent."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.demo.turns import Call, Turn
from tests.e2e.environments.install import NotInstalled, environment
from tests.fakes.provider import TURN, always, in_turn, say
from tests.gateway.house import DIALECTS, Dialect, House, fresh, standing
from tests.gateway.test_external import asked, coverage
from tests.gateway.test_policies import read

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HERE: Final = Path(__file__).parent
VALIDATORS: Final = HERE.parent / "fakes" / "validators"
IBAN: Final = "DE89370400440532013000"
POLICY: Final = f"""
[policy]
id = "house"
description = "What the libraries say."

[[clause]]
id = "calls"
text = "No call holds the word."
severity = "high"
steps = ["tool_call"]
guards = [{{ kind = "validator", validator = "house_validators:NoWord", deadline_ms = 20000 }}]
action = [{{ at = 75, do = "reject" }}]
reason = "action_not_allowed"
on_error = "reject"

[[clause.example]]
expect = "violation"
steps = [{{ kind = "tool_call", tool = "launch", args = {{ at = "probe-7" }} }}]

[[clause.example]]
expect = "ok"
steps = [{{ kind = "tool_call", tool = "launch", args = {{ at = "noon" }} }}]

[[clause]]
id = "words"
text = "No account number passes."
severity = "high"
steps = ["user_input", "model_text"]
guards = [{{ kind = "presidio", entities = ["IBAN_CODE", "EMAIL_ADDRESS"], deadline_ms = 20000 }}]
action = [{{ at = 75, do = "redact" }}]
reason = "sensitive_data"
on_error = "reject"

[[clause.example]]
expect = "violation"
steps = [{{ kind = "model_text", text = "It is {IBAN}, or ann@example.com." }}]

[[clause.example]]
expect = "ok"
steps = [{{ kind = "model_text", text = "It is a number." }}]
"""

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


def python() -> str:
    """The interpreter of the environment with both extras."""
    try:
        return str(environment("extras") / "bin" / "python")
    except NotInstalled as missing:
        pytest.skip(str(missing))


def recorded(folder: Path) -> Mapping[str, str]:
    """Environment of an interpreter that notes whom it tries to reach; it has a home directory of its own."""
    (folder / "home").mkdir(exist_ok=True)
    path = [str(HERE / "recorder"), str(VALIDATORS), str(HERE.parents[1])]
    return {
        "PYTHONPATH": os.pathsep.join(path),
        "RECORD_NETWORK_TO": str(folder / "network"),
        "HOME": str(folder / "home"),
    }


@pytest.fixture(scope="module")
def extras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Path]]:
    """A gateway in the environment of the extras, and where it notes whom it tries to reach."""
    folder = tmp_path_factory.mktemp("extras")
    (folder / "house.toml").write_text(POLICY)
    app = f'[app.default]\npolicy = ["{folder / "house.toml"}"]\nenforce = true\n'
    more = f"[limits]\ndrain_seconds = 5\n{app}"
    with standing(folder, more=more, environment=recorded(folder), python=python()) as house:
        yield house, folder / "network"


@every_dialect
@stream_or_json
def test_a_call_the_validator_fails_never_reaches_the_agent(
    extras: tuple[House, Path], dialect: Dialect, *, stream: bool
) -> None:
    house = fresh(extras[0])
    turn = Turn(text="Now.", calls=(Call("call_1", "launch", '{"at": "probe-7"}'),), reply_id="extra01")
    house.provider.script = in_turn(say(dialect.name, turn, streamed=stream), say(dialect.name, TURN, streamed=stream))
    got = asked(house, dialect, stream=stream, text="Go.")
    reply = read(dialect, got, stream=stream)
    assert (got.status, reply.complete) == (200, True)
    assert [part.tool for part in reply.parts if part.kind == "tool_call"] == []
    assert {(row["guard"], row["skipped"]) for row in coverage(house, got)} == {
        ("validator.0", None),
        ("presidio.0", None),
    }


@every_dialect
@stream_or_json
def test_what_presidio_finds_is_redacted_both_ways(
    extras: tuple[House, Path], dialect: Dialect, *, stream: bool
) -> None:
    house = fresh(extras[0])
    turn = Turn(text=f"Für Ann: {IBAN} oder ann@example.com.", reply_id="extra02")
    house.provider.script = always(say(dialect.name, turn, streamed=stream))
    got = asked(house, dialect, stream=stream, text=f"Whose is {IBAN}?")
    text = "".join(part.text for part in read(dialect, got, stream=stream).parts)
    assert text == "Für Ann: [redacted:iban_code] oder [redacted:email_address]."
    assert IBAN not in house.provider.requests[-1].body.decode()


def test_nothing_was_looked_up_or_reached_at_import_or_at_validation(extras: tuple[House, Path]) -> None:
    house, network = extras
    for guard in ("validator.0", "presidio.0"):  # whatever order the tests run in, both have judged by now
        turn = Turn(text="Mail ann@example.com.", calls=(Call("call_1", "launch", '{"at": "noon"}'),))
        fresh(house).provider.script = always(say("chat", turn))
        got = asked(house, DIALECTS[1], stream=False, text="Go on.")
        assert guard in {row["guard"] for row in coverage(house, got) if row["skipped"] is None}
    assert network.read_text() == ""


def test_the_same_library_left_to_itself_is_not_silent(tmp_path: Path) -> None:
    control: list[Any] = [python(), str(HERE / "clients" / "telemetry_control.py")]
    done = subprocess.run(
        control, env={**os.environ, **recorded(tmp_path)}, capture_output=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    tried = (tmp_path / "network").read_text()
    assert "execute-api" in tried  # the telemetry of guardrails-ai
    assert "publicsuffix" in tried  # the list that Presidio's e-mail recogniser asks for


def test_check_runs_the_examples_where_one_asks(tmp_path: Path) -> None:
    file = tmp_path / "house.toml"
    file.write_text(POLICY)
    line = [python(), "-m", "gateway.cli.main", "check", "--json", "--ask", str(file)]
    done = subprocess.run(line, env={**os.environ, **recorded(tmp_path)}, capture_output=True, timeout=200, check=False)
    said = json.loads(done.stdout)
    assert (said["mistakes"], said["notes"]) == ([], ["policy house: 2 clauses, 4 examples run"])
    assert (tmp_path / "network").read_text() == ""
    here = subprocess.run([sys.executable, *line[1:]], capture_output=True, timeout=200, check=False)
    assert "stepwarden[guardrails]" in here.stdout.decode()
