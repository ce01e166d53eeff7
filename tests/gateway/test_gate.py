"""The gate over the wire: a model that judges proposed calls, its budget, its ledger, and each way it can go wrong."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.turns import Call, Turn
from tests.fakes.provider import TURN, always, in_turn, say
from tests.fakes.supervisor_model import Asked, Endpoint, Mind, Said, opining, running_model, sound
from tests.fakes.supervisor_model import always as answering
from tests.gateway.house import (
    CHAT,
    DIALECTS,
    JSON,
    PATIENT,
    Dialect,
    House,
    fresh,
    kept_in,
    same_day,
    standing,
    waited,
)
from tests.gateway.rawhttp import Response, request
from tests.gateway.test_never_off import judged
from tests.gateway.test_policies import read, tools_of

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])

KEY = "sk-supervisor-canary-55ac"
ENVIRONMENT = {"SUPERVISOR_KEY": KEY}

POLICY = """
[policy]
id = "house"
description = "What the gate is asked."

[[clause]]
id = "judged"
text = 'Nothing is launched at "midnight".'
severity = "high"
steps = ["tool_call"]
tools = { names = ["launch"] }
guards = [{ kind = "judge", seat = "gate", guidance = "Only the hour counts." }]
action = [{ at = 75, do = "reject" }, { at = 40, do = "flag" }]
reason = "action_not_allowed"
on_error = "reject"
example = [
    { expect = "violation", steps = [{ kind = "tool_call", tool = "launch", args = { at = "midnight" } }] },
    { expect = "ok", steps = [{ kind = "tool_call", tool = "launch", args = { at = "noon" } }] },
]

[[clause]]
id = "unsure"
text = 'Nothing is paid to "evil" people.'
severity = "high"
steps = ["tool_call"]
tools = { names = ["pay"] }
guards = [{ kind = "pattern", rules = [
    { id = "payee", pattern = "evil|odd", score = 60 },
    { id = "never", pattern = "nobody", score = 90 },
] }]
action = [{ at = 80, do = "reject" }, { at = 50, do = "judge", else = "flag" }]
reason = "action_not_allowed"
on_error = "reject"
example = [
    { expect = "violation", steps = [{ kind = "tool_call", tool = "pay", args = { to = "evil" } }] },
    { expect = "ok", steps = [{ kind = "tool_call", tool = "pay", args = { to = "anna" } }] },
]
"""


LATER = """
[[clause]]
id = "read-later"
text = "Reports are true."
severity = "low"
steps = ["tool_call", "model_text"]
guards = [{ kind = "judge", seat = "monitor", sample = 0.0 }]
action = [{ at = 75, do = "reject" }]
reason = "action_not_allowed"
on_error = "reject"
example = [
    { expect = "violation", steps = [{ kind = "model_text", text = "Twelve." }] },
    { expect = "ok", steps = [{ kind = "model_text", text = "Ten." }] },
]
"""
"""A clause that the monitor alone reads for; apart from the others, whose calls are counted."""


def settings(url: str, provider: str = "openai", **more: Any) -> str:
    given = {
        "model": "judge-1",
        "provider": provider,
        "base_url": url,
        "key_env": "SUPERVISOR_KEY",
        "budget_tokens_per_day": 100_000_000,
        "canary_every": 0,
        **more,
    }
    return "\n".join(["[supervisor]", *[f"{name} = {json.dumps(value)}" for name, value in given.items()], ""])


def configured(folder: Path, supervisor: str, policy: str = POLICY) -> str:
    (folder / "house.toml").write_text(policy)
    app = f'[app.default]\npolicy = ["{folder / "house.toml"}"]\nenforce = true\n'
    return f"{PATIENT}{supervisor}{app}"


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def court(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Endpoint]]:
    folder = tmp_path_factory.mktemp("gate")
    with running_model() as endpoint:
        more = configured(folder, settings(endpoint.base_url, request.param, deadline_seconds=30.0))
        with standing(folder, more=more, environment=ENVIRONMENT) as house:
            yield house, endpoint


@pytest.fixture
def one(court: tuple[House, Endpoint]) -> Iterator[tuple[House, Endpoint]]:
    house, endpoint = court
    endpoint.mind = sound
    yield fresh(house), endpoint
    endpoint.mind = sound


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def proposing(house: House, dialect: Dialect, tool: str, args: dict[str, Any], *, stream: bool) -> None:
    turn = Turn(text="Now.", calls=(Call("call_1", tool, compact(args)),), reply_id="gate01")
    house.provider.script = in_turn(say(dialect.name, turn, streamed=stream), say(dialect.name, TURN, streamed=stream))


def ask(house: House, dialect: Dialect, *, stream: bool = False, text: str = "Go on.", session: str = "s") -> Response:
    body = dict(json.loads(dialect.request_body(stream=stream, tools=tools_of(dialect, "launch", "pay", "look"))))
    body["input" if dialect.name == "responses" else "messages"] = [{"role": "user", "content": text}]
    headers = [JSON, dialect.key, (b"stepwarden-session", f"{session}-{dialect.name}".encode())]
    return house.ask(request(dialect.target, json.dumps(body).encode(), headers=headers))


def tools_in(dialect: Dialect, got: Response, *, stream: bool) -> list[str | None]:
    assert got.status == 200
    return [part.tool for part in read(dialect, got, stream=stream).parts if part.kind == "tool_call"]


def coverage(house: House, got: Response) -> list[dict[str, Any]]:
    return [row for step in judged(house, got.exchange)["judged"]["steps"] for row in step["coverage"]]


def of_the_gate(house: House, got: Response) -> list[dict[str, Any]]:
    """What became of the question that the clause `judged` puts."""
    return [row for row in coverage(house, got) if row["clause"] == "house/judged"]


def calls_of(house: House) -> list[dict[str, Any]]:
    """The ledger of calls, as it stands on disk."""
    path = house.gateway.folder / "data" / "ledger.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM supervisor_call ORDER BY at_ns, call_id")]


def ended(house: House, count: int) -> list[dict[str, Any]]:
    """The same once so many calls have ended."""

    def read_ledger() -> list[dict[str, Any]] | None:
        found = calls_of(house)
        return found if len(found) >= count and all(call["state"] != "begun" for call in found) else None

    return waited(read_ledger)


@every_dialect
@stream_or_json
def test_a_call_the_gate_objects_to_never_reaches_the_agent(
    one: tuple[House, Endpoint], dialect: Dialect, *, stream: bool
) -> None:
    house, _ = one
    args = {"at": "midnight", "n": f"{dialect.name} {stream}"}
    proposing(house, dialect, "launch", args, stream=stream)
    got = ask(house, dialect, stream=stream)
    assert tools_in(dialect, got, stream=stream) == []
    (finding,) = [
        each
        for step in judged(house, got.exchange)["judged"]["steps"]
        for each in step["findings"]
        if each["score"] > 40
    ]
    assert (finding["clause"], finding["guard"], finding["state"]) == ("house/judged", "judge.0", "violation")
    quoted = compact(args).encode()[finding["evidence"][0]["start"] : finding["evidence"][0]["end"]]
    assert quoted == b"midnight"


@every_dialect
@stream_or_json
def test_a_call_the_gate_allows_goes_on_as_it_came(
    one: tuple[House, Endpoint], dialect: Dialect, *, stream: bool
) -> None:
    house, _ = one
    proposing(house, dialect, "launch", {"at": "noon", "n": f"{dialect.name} {stream}"}, stream=stream)
    got = ask(house, dialect, stream=stream)
    assert tools_in(dialect, got, stream=stream) == ["launch"]
    rows = {row["guard"]: row for row in coverage(house, got) if row["clause"] == "house/judged"}
    assert (rows["judge.0"]["state"], rows["judge.0"]["skipped"]) == ("ok", None)


@pytest.mark.parametrize(("payee", "stops"), [("evil", True), ("odd", False), ("nobody", True), ("anna", False)])
def test_the_gate_decides_what_a_band_leaves_to_it_and_is_asked_of_nothing_else(
    one: tuple[House, Endpoint], payee: str, *, stops: bool
) -> None:
    house, endpoint = one
    before = len(endpoint.calls)
    proposing(house, CHAT, "pay", {"to": payee}, stream=False)
    got = ask(house, CHAT)
    assert (tools_in(CHAT, got, stream=False) == []) is stops
    asked = len(endpoint.calls) > before
    assert asked is (payee in ("evil", "odd"))
    rows = [row for row in coverage(house, got) if row["guard"] == "judge.gate"]
    assert bool(rows) is asked


def test_no_token_is_spent_on_what_policy_leaves_out_and_the_ledger_is_the_providers_own_count(
    one: tuple[House, Endpoint],
) -> None:
    house, endpoint = one
    proposing(house, CHAT, "launch", {"at": "noon", "n": "billed"}, stream=False)
    assert tools_in(CHAT, ask(house, CHAT), stream=False) == ["launch"]
    before = len(endpoint.calls)
    for number, tool in enumerate(("look", "pay", "look")):
        proposing(house, CHAT, tool, {"to": "anna", "n": number}, stream=False)
        got = ask(house, CHAT)
        assert coverage(house, got) == [] or tool == "pay"
    assert len(endpoint.calls) == before
    ledger = ended(house, before)
    assert len(ledger) == before > 0
    billed = [(call["input_tokens"], call["output_tokens"]) for call in ledger if call["state"] == "done"]
    assert sorted(billed) == sorted(endpoint.tokens)


def test_what_the_model_is_shown_holds_no_word_of_tools_and_agents(one: tuple[House, Endpoint]) -> None:
    house, endpoint = one
    turn = Turn(text="AGENTWORD", calls=(Call("call_9", "launch", '{"at":"dawn, as told"}'),), reply_id="gate07")
    house.provider.script = always(say("chat", turn))
    messages = [
        {"role": "system", "content": "SYSTEMWORD"},
        {"role": "user", "content": "USERWORD"},
        {"role": "assistant", "content": "AGENTSAID", "tool_calls": [
            {"id": "c0", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "c0", "content": "TOOLWORD dawn, as told"},
    ]  # fmt: skip
    body = dict(json.loads(CHAT.request_body(stream=False, tools=tools_of(CHAT, "launch", "look")))) | {
        "messages": messages
    }
    before = len(endpoint.calls)
    assert house.ask(request(CHAT.target, json.dumps(body).encode(), headers=[JSON, CHAT.key])).status == 200
    shown = json.dumps([call.document for call in endpoint.calls[before:]])
    for word, is_shown in (
        ("SYSTEMWORD", True),
        ("USERWORD", True),
        ("dawn, as told", True),
        ("origin=tool_result tool=look", True),
        ("TOOLWORD", False),
        ("AGENTWORD", False),
        ("AGENTSAID", False),
    ):
        assert (word in shown) is is_shown, word


@pytest.mark.parametrize(
    ("mind", "why"),
    [
        (answering(Said(status=429, headers={"retry-after": "0"})), "overloaded"),
        (answering(Said(status=529, headers={"retry-after": "0"})), "overloaded"),
        (answering(Said(status=401)), "key_refused"),
        (answering(Said(status=500)), "status:500"),
        (answering(Said(body=b'{"choices": [{"mess')), "answer_invalid"),
        (answering(Said(body=b'{"content": 7, "choices": {}}')), "answer_invalid"),
        (answering(Said(text="")), "answer_empty"),
        (answering(Said(text="Thought process: fine")), "answer_malformed"),
        (answering(Said(text="ok", stop="length")), "answer_cut_off"),
        (answering(Said(text="ok", stop="refused")), "answer_refused"),
        (answering(Said(text="violation")), "answer_malformed"),
        (lambda asked: opining(asked, label="ok", score=99), None),
    ],
)
def test_each_way_a_model_can_fail_has_a_word_and_is_no_pass(
    one: tuple[House, Endpoint], mind: Mind, why: str | None
) -> None:
    house, endpoint = one
    breaker_closed(house, endpoint)
    endpoint.mind = mind
    proposing(house, CHAT, "launch", {"at": "noon", "why": f"{why} {len(endpoint.calls)}"}, stream=False)
    got = ask(house, CHAT)
    if why is None:  # the quick word was ok; what a critique would say is not asked for
        assert tools_in(CHAT, got, stream=False) == ["launch"]
        return
    assert tools_in(CHAT, got, stream=False) == []
    (row,) = of_the_gate(house, got)
    assert (row["skipped"], row["state"], row["scanned"]) == (why, "error", 0)
    assert judged(house, got.exchange)["judged"]["verdict"] == "reject"


def breaker_closed(house: House, endpoint: Endpoint) -> None:
    """A good answer, so that failures of the test before do not count."""
    endpoint.mind = sound
    proposing(house, CHAT, "launch", {"at": "noon", "n": len(endpoint.calls)}, stream=False)
    assert tools_in(CHAT, ask(house, CHAT), stream=False) == ["launch"]


def test_whoever_asks_why_is_told_what_the_gate_was_asked_and_the_agent_is_not(one: tuple[House, Endpoint]) -> None:
    house, _ = one
    proposing(house, CHAT, "pay", {"to": "evil", "n": "explained"}, stream=False)
    got = ask(house, CHAT)
    judged(house, got.exchange)
    told = house.gateway.command("explain", got.exchange)
    assert told.returncode == 0, told.stderr
    assert "house/unsure" in told.stdout
    assert "judge" in told.stdout
    assert b"judge" not in got.body
    shown = house.gateway.command("exchanges", "show", got.exchange)
    assert shown.returncode == 0, shown.stderr
    assert "judge.gate" in shown.stdout


def test_the_key_stands_nowhere_in_what_is_kept_or_logged(court: tuple[House, Endpoint]) -> None:
    house, endpoint = court
    endpoint.mind = sound
    proposing(house, CHAT, "launch", {"at": "noon", "n": "with a key"}, stream=False)
    assert tools_in(CHAT, ask(house, CHAT), stream=False) == ["launch"]
    assert any(KEY in value for call in endpoint.calls for value in call.headers.values())
    kept = [content for _, content in kept_in(house.gateway.folder)]
    assert kept
    assert not any(KEY.encode() in content for content in kept)


def test_a_storm_does_not_hammer_and_a_model_that_stalls_is_not_waited_for(tmp_path: Path) -> None:
    with running_model() as endpoint:
        more = configured(tmp_path, settings(endpoint.base_url, deadline_seconds=3.0))
        with standing(tmp_path, more=more, environment=ENVIRONMENT) as house:
            endpoint.mind = endpoint.stall
            proposing(house, CHAT, "launch", {"at": "noon"}, stream=False)
            got = ask(house, CHAT)
            assert {row["skipped"] for row in of_the_gate(house, got)} == {"timed_out"}
            endpoint.mind = answering(Said(status=429, headers={"retry-after": "60"}))
            for number in range(4):
                proposing(house, CHAT, "launch", {"at": "noon", "n": number}, stream=False)
                got = ask(house, CHAT)
                assert {row["skipped"] for row in of_the_gate(house, got)} == {"overloaded"}
            assert len(endpoint.calls) == 2
            assert [call["why"] for call in ended(house, 2)] == ["timed_out", "overloaded"]


def test_when_the_budget_is_gone_on_error_decides_and_nothing_is_sent(tmp_path: Path) -> None:
    with running_model() as endpoint:
        more = configured(tmp_path, settings(endpoint.base_url, budget_tokens_per_session=12_000))
        with standing(tmp_path, more=more, environment=ENVIRONMENT, workers=2) as house:
            skipped: list[Any] = []
            for number in range(12):
                proposing(house, CHAT, "launch", {"at": "noon", "n": number}, stream=False)
                got = ask(house, CHAT)
                skipped += [row["skipped"] for row in of_the_gate(house, got)]
            sent = skipped.index("budget_session")
            assert 0 < sent < 12
            assert skipped == [None] * sent + ["budget_session"] * (12 - sent)
            assert len(endpoint.calls) == sent == len(ended(house, sent))
            assert sum(map(sum, endpoint.tokens)) <= 12_000
            proposing(house, CHAT, "launch", {"at": "noon", "n": "other"}, stream=False)
            assert tools_in(CHAT, ask(house, CHAT, session="other"), stream=False) == ["launch"]


def test_money_that_is_spent_is_spent_after_a_restart_too(tmp_path: Path) -> None:
    same_day()
    with running_model() as endpoint:
        dollars = {"budget_usd_per_day": 0.012, "input_usd_per_million": 1.0, "output_usd_per_million": 1.0}
        given = settings(endpoint.base_url, **dollars).replace("budget_tokens_per_day = 100000000\n", "")
        more = configured(tmp_path, given)
        skipped: list[Any] = []
        for start in range(2):
            with standing(tmp_path, more=more, environment=ENVIRONMENT) as house:
                before = len(skipped)
                while len(skipped) == before or skipped[-1] is None:
                    proposing(house, CHAT, "launch", {"at": "noon", "n": len(skipped)}, stream=False)
                    skipped += [row["skipped"] for row in of_the_gate(house, ask(house, CHAT, session=f"s{start}"))]
        sent = len(endpoint.calls)
        assert sent > 1
        assert skipped == [None] * sent + ["budget_day"] * 2, "either start asks until it hears that money is gone"
        assert sum(map(sum, endpoint.tokens)) <= 12_000


def test_each_band_does_with_the_gates_score_what_it_says(tmp_path: Path) -> None:
    bands = ", ".join(
        f'{{ at = {at}, do = "{do}" }}' for at, do in ((90, "terminate"), (75, "reject"), (60, "hold"), (40, "flag"))
    )
    policy = POLICY.replace('[{ at = 75, do = "reject" }, { at = 40, do = "flag" }]', f"[{bands}]", 1)
    with running_model() as endpoint:
        more = configured(tmp_path, settings(endpoint.base_url, deadline_seconds=30.0), policy)
        more = more.replace("[limits]\n", "[limits]\nhold_seconds = 1\n")
        with standing(tmp_path, more=more, environment=ENVIRONMENT) as house:
            for label, score, verdict in (
                ("ok", 0, "allow"),
                ("unsure", 45, "flag"),
                ("violation", 65, "hold"),
                ("violation", 80, "reject"),
                ("violation", 95, "terminate"),
            ):
                endpoint.mind = saying(label, score)
                proposing(house, CHAT, "launch", {"at": "noon", "n": score}, stream=False)
                got = ask(house, CHAT, session=verdict)
                assert judged(house, got.exchange)["judged"]["verdict"] == verdict
                passes = verdict in {"allow", "flag"}
                assert tools_in(CHAT, got, stream=False) == ["launch"] * passes
            again = ask(house, CHAT, session="terminate")
            assert (again.status, b"session_terminated" in again.body) == (400, True)


def saying(label: str, score: int) -> Mind:
    """The same opinion of everything."""
    return lambda asked: opining(asked, label=label, score=score)


def test_a_model_without_a_price_is_not_asked_on_money_alone(tmp_path: Path) -> None:
    with running_model() as endpoint:
        more = configured(tmp_path, settings(endpoint.base_url)).replace("budget_tokens_per_day = 100000000\n", "")
        with standing(tmp_path, more=more, environment=ENVIRONMENT) as house:
            proposing(house, CHAT, "launch", {"at": "noon"}, stream=False)
            got = ask(house, CHAT)
            assert {row["skipped"] for row in of_the_gate(house, got)} == {"price_unknown"}
            assert endpoint.calls == []
            assert "no known price" in house.gateway.log


def test_without_a_supervisor_else_holds_and_the_coverage_says_nobody_was_asked(tmp_path: Path) -> None:
    with standing(tmp_path, more=configured(tmp_path, ""), environment={}) as house:
        for tool, args, left in (("pay", {"to": "evil"}, ["pay"]), ("launch", {"at": "noon"}, [])):
            proposing(house, CHAT, tool, args, stream=False)
            got = ask(house, CHAT)
            assert tools_in(CHAT, got, stream=False) == left
            rows = coverage(house, got)
            assert {row["skipped"] for row in rows if row["guard"].startswith("judge")} == {"not_asked"}


def test_what_is_left_to_the_monitor_waits_for_nobody(tmp_path: Path) -> None:
    supervisor = '[supervisor]\nprovider = "scripted"\nmodel = "scripted"\n'
    more = configured(tmp_path, supervisor, POLICY.partition("[[clause]]")[0] + LATER)
    with standing(tmp_path, more=more, environment={}) as house:
        proposing(house, CHAT, "launch", {"at": "midnight"}, stream=False)
        got = ask(house, CHAT)
        assert tools_in(CHAT, got, stream=False) == ["launch"]
        rows = coverage(house, got)
        assert {(row["clause"], row["skipped"], row["state"]) for row in rows} == {
            ("house/read-later", "monitor", "ok")
        }
        assert judged(house, got.exchange)["judged"]["verdict"] == "allow"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gateway_killed_the_moment_its_model_is_asked_has_every_call_in_its_ledger(
    tmp_path: Path, workers: int
) -> None:
    same_day()
    kills = 3 - workers  # each takes a start
    with running_model() as endpoint:
        more = configured(tmp_path, settings(endpoint.base_url, deadline_seconds=30.0))
        for number in range(kills):
            with standing(tmp_path, more=more, workers=workers, environment=ENVIRONMENT) as house:
                endpoint.mind = killing(house, endpoint)
                proposing(house, CHAT, "launch", {"at": f"{number} o'clock"}, stream=False)
                with house.wire() as wire:
                    wire.send(CHAT.call(body=CHAT.request_body(stream=False, tools=tools_of(CHAT, "launch"))))
                    house.gateway.process.wait(30)
        with standing(tmp_path, more=more, workers=workers, environment=ENVIRONMENT) as house:
            assert len(endpoint.calls) == kills
            calls = calls_of(house)
            assert [(call["state"], call["input_tokens"]) for call in calls] == [("begun", None)] * kills
            ceilings = sum(call["ceiling_tokens"] for call in calls)
            spent = json.loads(house.control("/api/supervision")[1])["budgets"]
            assert {row["spent_tokens"] for row in spent} == {ceilings}


def killing(house: House, endpoint: Endpoint) -> Mind:
    """Kill the gateway before a word is said."""

    def mind(asked: Asked) -> Said:
        os.kill(house.gateway.process.pid, signal.SIGKILL)
        return endpoint.stall(asked)

    return mind
