import io
import json
import os
import stat
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from gateway.cli import screen
from gateway.cli.events import EventPrinter
from gateway.cli.main import FAILED, run
from gateway.cli.tables import exchange_table
from gateway.config import Config
from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider
from storage.store import Store
from tests.contract.api_store import HOSTILE, recorded
from tests.fakes.provider import always

HARMFUL = ("\x1b", "\x07", "\x9b", "\r", "\u202e", "\u200b")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A directory with a recorded session in its data; the session's id."""
    monkeypatch.chdir(tmp_path)
    for name in tuple(os.environ):
        if name.startswith("STEPWARDEN_"):
            monkeypatch.delenv(name)
    store = Store.open(tmp_path / "stepwarden-data")
    recording = recorded()
    store.append([recording])
    store.close()
    assert recording.exchange.join is not None
    return recording.exchange.join.session_id


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run([*arguments]) == code
    return capsys.readouterr().out


def test_a_session_is_listed_and_shown_as_a_tree(house: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert house in printed(capsys, "sessions", "list")
    tree = printed(capsys, "sessions", "show", house[:20])
    for word in ("instructions", "user_input", "tool_call~", "read_file", "tool_result~", "model_text", "cost unknown"):
        assert word in tree
    assert "$0" not in tree


def test_a_request_of_our_own_names_the_exchange_in_whose_place_it_was_sent(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = recorded().exchange
    ours = msgspec.structs.replace(recorded().exchange, in_place_of=first.exchange_id, join=first.join, app="default")
    store = Store.open(tmp_path / "stepwarden-data")
    store.append([msgspec.structs.replace(recorded(), exchange=each, steps=()) for each in (first, ours)])
    store.close()
    assert first.join is not None
    assert f"asked again for {first.exchange_id}" in printed(capsys, "sessions", "show", first.join.session_id)
    shown = printed(capsys, "exchanges", "show", ours.exchange_id)
    assert f"the gateway, in the place of {first.exchange_id}" in " ".join(shown.split())
    assert "in the place of" not in printed(capsys, "exchanges", "show", first.exchange_id)
    assert house not in shown


@pytest.mark.parametrize(
    "arguments",
    [("sessions", "show", "ID"), ("sessions", "show", "ID", "--full"), ("exchanges", "list"), ("sessions", "list")],
)
def test_hostile_text_is_shown_and_does_nothing(
    house: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    shown = printed(capsys, *(house if each == "ID" else each for each in arguments))
    assert not any(each in shown for each in HARMFUL)
    if "show" in arguments:
        assert "[bold]markup[/bold] :smile:" in shown


def test_no_terminal_ever_sees_an_escape_it_was_not_meant_to() -> None:
    file = io.StringIO()
    Console(file=file, force_terminal=True, markup=False, color_system="truecolor").print(screen.styled(HOSTILE, "red"))
    assert file.getvalue().replace("\x1b[31m", "").replace("\x1b[0m", "").count("\x1b") == 0
    assert screen.clean("a\x00b\x1b[2Jc\u2066d\U000e0041") == "a\ufffdb\ufffd[2Jc\ufffdd\ufffd"


def test_an_amount_too_small_to_show_is_not_shown_as_nothing() -> None:
    amounts = [screen.money(micro_usd) for micro_usd in (None, 0, 33, 99, 100, 1_234_567)]
    assert amounts == ["unknown", "$0.0000", "<$0.0001", "<$0.0001", "$0.0001", "$1.2346"]
    assert [screen.money(micro_usd, unpriced=1) for micro_usd in (33, 100)] == ["> $0", "≥ $0.0001"]


def test_no_time_on_screen_runs_backwards() -> None:
    assert screen.between("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z") == "0.00 ms"


def test_a_message_to_a_tool_server_shows_its_method_and_tool_and_no_tokens(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    made = recorded()
    called = {"dialect": "mcp", "operation": "tools/call", "provider": "mcp/files", "path": "/mcp/files", "model": None}
    exchange = msgspec.structs.replace(made.exchange, **called)
    store = Store.open(tmp_path / "stepwarden-data")
    store.append([msgspec.structs.replace(made, exchange=exchange)])
    store.close()
    assert exchange.join is not None
    tree = printed(capsys, "sessions", "show", exchange.join.session_id)
    assert "mcp/files tools/call read_file" in tree
    assert " tok " not in tree
    assert "mcp/files tools/call" in printed(capsys, "exchanges", "list")


def test_a_list_of_exchanges_shows_what_was_called_and_not_only_the_model() -> None:
    call = {
        "exchange_id": "01", "started_at": "2026-01-01T00:00:00Z", "provider": "openai", "model": "m",
        "model_requested": None, "method": "GET", "path": "/v1/models/m", "status": 200, "outcome": "complete",
        "operation": "other", "cost_micro_usd": 0, "dialect": "openai_chat", "error_type": None,
    }  # fmt: skip
    tool = {"provider": "mcp/files", "dialect": "mcp", "operation": "tools/call", "model": None, "path": "/mcp/files"}
    file = io.StringIO()
    rows = [call, {**call, "method": "POST", "path": "/v1/responses"}, {**call, **tool, "method": "POST"}]
    Console(file=file, width=120).print(exchange_table(rows))
    assert "openai m GET /v1/models/m" in file.getvalue()
    assert "openai m /v1/responses" in file.getvalue()
    assert "mcp/files tools/call" in file.getvalue()


def test_a_list_in_a_narrow_terminal_keeps_ids_and_costs_whole_and_says_which_error_it_was() -> None:
    call = {
        "exchange_id": "01M8NYXP16BWP5A9ACDFT9MBNZ", "started_at": "2026-01-01T00:00:00Z", "provider": "openai",
        "model": "text-embedding-3-small", "model_requested": None, "method": "POST", "path": "/v1/embeddings",
        "operation": "embeddings", "cost_micro_usd": None, "dialect": "openai_chat", "status": 200,
    }  # fmt: skip
    endings = [("complete", None), ("complete", "api_error"), ("not_an_answer", "upstream_not_an_answer")]
    rows = [{**call, "outcome": outcome, "error_type": error} for outcome, error in endings]
    file = io.StringIO()
    Console(file=file, width=80).print(exchange_table(rows))
    lines = file.getvalue().splitlines()[-3:]
    assert all(call["exchange_id"] in line and line.rstrip().endswith("unknown") for line in lines)
    for line, told in zip(lines, ["complete", "api_error", "not_an"], strict=True):
        assert told in line


def test_json_is_one_document_whatever_is_in_it(house: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(printed(capsys, "sessions", "show", house, "--json"))
    assert set(shown) == {"session", "branches", "exchanges", "steps", "critiques", "labels", "reported"}
    assert shown["steps"][2]["text"] == HOSTILE
    listed = json.loads(printed(capsys, "exchanges", "list", "--json"))
    exchange = listed["exchanges"][0]["exchange_id"]
    assert json.loads(printed(capsys, "exchanges", "show", exchange, "--json"))["exchange"]["exchange_id"] == exchange
    assert "timings" in printed(capsys, "exchanges", "show", exchange)
    failed = json.loads(printed(capsys, "sessions", "show", "nope", "--json", code=FAILED))
    assert failed["error"]["remedy"]


def test_a_list_that_was_narrowed_to_nothing_does_not_say_that_nothing_was_recorded(
    house: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    assert run(["sessions", "list", "--app", "another"]) == 0
    assert "--app" in capsys.readouterr().err


def test_terminating_a_session_shows_in_it(house: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "sessions", "terminate", house)
    assert "terminated" in printed(capsys, "sessions", "show", house)


def test_the_secret_of_a_key_is_the_only_line_on_stdout_and_is_never_shown_again(
    house: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    secret = printed(capsys, "keys", "create", "--name", "me", "--expires", "30d", "--budget", "2").strip()
    assert secret.startswith("swk_")
    assert len(secret.split()) == 1
    shown = printed(capsys, "keys", "list") + printed(capsys, "keys", "list", "--json")
    assert secret not in shown
    key = json.loads(printed(capsys, "keys", "list", "--json"))["keys"][0]["key_id"]
    printed(capsys, "keys", "revoke", key)
    assert "revoked" in printed(capsys, "keys", "list")
    assert run(["keys", "revoke", "nope"]) == FAILED


def test_where_nothing_is_recorded_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["sessions", "list"]) == FAILED
    assert "demo" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_that_does_not_answer_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sessions", "list", "--url", "http://127.0.0.1:1"]) == FAILED
    assert "no answer" in capsys.readouterr().err
    assert run(["sessions", "list", "--url", "file:///etc/passwd"]) == FAILED


def test_tail_needs_a_running_gateway(house: str, capsys: pytest.CaptureFixture[str]) -> None:
    del house
    assert run(["tail"]) == FAILED
    assert "no gateway is running" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "code"), [(1, 0), (2, FAILED), (None, FAILED)])
def test_tail_says_where_the_feed_ended_before_it_was_to(
    provider: BackgroundProvider, capsys: pytest.CaptureFixture[str], count: int | None, code: int
) -> None:
    def told(request: SeenRequest) -> Answer:
        if request.target == "/api/status":
            return Answer(headers=((b"content-type", b"application/json"),), body=(b'{"serving": true}',))
        return Answer(headers=((b"content-type", b"text/event-stream"),), body=(b"event: x\ndata: {}\n\n",))

    provider.script = told
    said = () if count is None else ("--count", str(count))
    assert run(["tail", "--url", provider.url, "--json", *said]) == code
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"event": "x", "data": {}}
    assert [line["error"]["type"] for line in lines[1:]] == ([] if code == 0 else ["FeedEnded"])


def test_init_writes_what_check_accepts_and_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": ["stepwarden.toml", "example-policy.toml"], "left": []}
    assert run(["check"]) == 0
    path = tmp_path / "stepwarden.toml"
    assert Config.load(path, environ={}).gateway.port == 8787
    path.write_text("[gateway]\nprot = 1\n")
    assert run(["init"]) == FAILED
    assert path.read_text() == "[gateway]\nprot = 1\n"
    capsys.readouterr()
    assert run(["check"]) == 1
    assert f"{path.name}:2: unknown setting `prot`" in capsys.readouterr().out
    assert run(["check", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out)["mistakes"][0]["line"] == 2
    assert run(["init", "--force"]) == 0
    assert run(["check", str(path)]) == 0


def test_doctor_finds_what_is_wrong_and_how_to_mend_it(
    house: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    monkeypatch.setenv("STEPWARDEN_GATEWAY__PORT", "0")
    healthy = json.loads(printed(capsys, "doctor", "--json"))
    assert healthy["ok"]
    assert {each["name"] for each in healthy["findings"]} >= {"python", "sqlite", "config", "data", "disk", "port"}
    key = tmp_path / "stepwarden-data" / "seal.key"
    key.chmod(key.stat().st_mode | stat.S_IRGRP)
    assert "chmod" in printed(capsys, "doctor", code=1)
    key.chmod(stat.S_IRUSR | stat.S_IWUSR)
    (tmp_path / "stepwarden-data" / "meta.db").write_bytes(b"no database")
    assert "meta.db is damaged" in " ".join(printed(capsys, "doctor", code=1).split())
    monkeypatch.setenv("STEPWARDEN_GATEWAY__PROT", "1")
    assert "`port`" in printed(capsys, "doctor", code=1)


def test_doctor_says_that_strangers_could_reach_a_gateway_without_keys(
    house: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del house
    monkeypatch.setenv("STEPWARDEN_GATEWAY__PORT", "0")
    monkeypatch.setenv("STEPWARDEN_GATEWAY__HOST", "0.0.0.0")
    assert "keys create" in printed(capsys, "doctor", code=1)
    printed(capsys, "keys", "create")
    printed(capsys, "doctor")


@pytest.mark.parametrize("body", [b'{"data": []}', b"[]", b"<html>", b'"x"'])
@pytest.mark.parametrize("command", [("sessions", "list"), ("exchanges", "list"), ("keys", "list"), ("tail",)])
def test_what_is_no_stepwarden_is_said_to_be_none(
    provider: BackgroundProvider, capsys: pytest.CaptureFixture[str], body: bytes, command: tuple[str, ...]
) -> None:
    headers = ((b"content-type", b"application/json"),)
    provider.script = always(Answer(headers=headers, body=(body,)))
    assert run([*command, "--url", provider.url]) == FAILED
    told = capsys.readouterr().err
    assert "not from a Stepwarden control plane" in told
    assert "--url" in told


def test_an_app_that_cannot_be_is_refused_with_what_can(house: str, capsys: pytest.CaptureFixture[str]) -> None:
    del house
    assert run(["keys", "create", "--app", "Bad App"]) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert "--app" in told
    assert "lower-case letters, digits" in told


def test_a_hold_in_the_live_feed_is_a_line_that_harms_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hold = {
        "hold_id": "hold_1", "state": "waiting", "session_id": "01SESSION", "tool": HOSTILE, "kind": "tool_call",
        "text": HOSTILE, "asked_at": "2026-01-01T00:00:00Z", "decided_at": None,
    }  # fmt: skip
    EventPrinter(as_json=False).show("hold", hold)
    EventPrinter(as_json=False).show("of a later version", {})
    told = capsys.readouterr().out
    assert "hold_1 waiting" in told
    assert not [each for each in HARMFUL if each in told]


def test_words_are_found_in_contents_where_the_app_allows_it(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["search", "careful"]) == 3
    assert "search = true" in capsys.readouterr().err
    (tmp_path / "stepwarden.toml").write_text("[app.default]\nsearch = true\n")
    said = printed(capsys, "search", "CAREFUL")
    for word in ("instructions", house, "You are", "careful", "1 found in 1 exchanges read", "which is all there is"):
        assert word in said
    assert not any(each in printed(capsys, "search", "script") for each in HARMFUL)
    monkeypatch.setattr("sys.stdin", io.StringIO("you are\n"))
    found = json.loads(printed(capsys, "search", "--json"))
    assert [(each["kind"], each["words"]) for each in found["found"]] == [("instructions", "You are")]
    assert found["report"]["whole"]
    assert "0 found" in printed(capsys, "search", "nobody said this", code=1)
    entries = json.loads(printed(capsys, "sessions", "list", "--json"))
    assert entries["sessions"][0]["session_id"] == house


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_what_ends_a_line_elsewhere_ends_no_event(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    del house
    store = Store.open(tmp_path / "stepwarden-data")
    store.append([recorded(messages=[{"role": "user", "content": f"a needle{end}and hay"}])])
    store.close()
    (tmp_path / "stepwarden.toml").write_text("[app.default]\nsearch = true\n")
    found = json.loads(printed(capsys, "search", "needle", "--json"))
    assert [each["after"] for each in found["found"]] == [f"{end}and hay"]


def test_events_of_a_stranger_are_said_to_be_none_of_ours(
    provider: BackgroundProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = ((b"content-type", b"text/event-stream"),)
    provider.script = always(Answer(headers=headers, body=(b"event: step\ndata: hello\n\n",)))
    assert run(["backtest", "--policy", "agent-baseline", "--url", provider.url]) == FAILED
    assert "not from a Stepwarden control plane" in capsys.readouterr().err


def test_every_exchange_that_a_search_shows_is_in_the_audit_log_and_the_words_are_not(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stepwarden.toml").write_text("[app.default]\nsearch = true\n")
    printed(capsys, "search", "You are careful")
    store = Store.open(tmp_path / "stepwarden-data")
    lines = [entry.decode() for _, entry in store.audit.entries(store.audit.size, 100)]
    store.close()
    assert [json.loads(line)["what"] for line in lines if '"content.read"' in line] == ["search"]
    assert [line for line in lines if '"content.searched"' in line and "careful" not in line]
    assert house not in "".join(lines)
