"""A service of one's own as a guard, over the wire: what it says holds in every dialect, plain and streamed."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.turns import Call, Turn
from tests.fakes.judge import Service, running_judge, saying, sending, stalling
from tests.fakes.provider import TURN, always, in_turn, say
from tests.gateway.house import DIALECTS, JSON, PATIENT, Dialect, House, fresh, kept_in, standing
from tests.gateway.rawhttp import Response, request
from tests.gateway.test_never_off import judged
from tests.gateway.test_policies import read, tools_of

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])

KEY = "sk-judge-canary-81d2"
CODE_NAME = "bluebird"


def clause(name: str, url: str, steps: list[str], action: str, *, deadline_ms: int = 20_000) -> str:
    """A clause that asks the service, about steps of these kinds; its examples are about the first."""
    spec = f'kind = "external", url = "{url}", key_env = "JUDGE_KEY", deadline_ms = {deadline_ms}, failures = 1000'
    bad, good = (
        f'{{ kind = "tool_call", tool = "{tool}" }}' if steps == ["tool_call"] else f'{{ kind = "{steps[0]}", {text} }}'
        for tool, text in (("launch", f'text = "{CODE_NAME}"'), ("look", 'text = "crow"'))
    )
    return f"""
[[clause]]
id = "{name}"
text = "The judge agrees."
severity = "high"
steps = {json.dumps(steps)}
guards = [{{ {spec} }}]
action = [{{ at = 75, do = "{action}" }}]
reason = "action_not_allowed"
on_error = "reject"

[[clause.example]]
expect = "violation"
steps = [{bad}]

[[clause.example]]
expect = "ok"
steps = [{good}]
"""


def judge(asked: dict[str, Any]) -> dict[str, Any]:
    """Nothing is launched, and one word is not spoken."""
    step = asked["step"]
    data = step["text"].encode()
    start = data.find(CODE_NAME.encode())
    if step.get("tool") == "launch":
        return {"findings": [{"state": "violation", "score": 90, "label": "launch"}]}
    if step["kind"] != "tool_call" and start >= 0:
        spans = [{"start": start, "end": start + len(CODE_NAME)}]
        return {"findings": [{"state": "violation", "score": 90, "label": "code_name", "spans": spans}]}
    return {"findings": []}


def policy(url: str, deadline_ms: int) -> str:
    words = ["user_input", "model_text", "tool_result"]
    return (
        '[policy]\nid = "house"\ndescription = "What the judge says."\n'
        + clause("calls", url, ["tool_call"], "reject", deadline_ms=deadline_ms)
        + clause("words", url, words, "redact", deadline_ms=deadline_ms)
    )


@contextmanager
def sitting(folder: Path, *, deadline_ms: int = 20_000) -> Iterator[tuple[House, Service]]:
    """A house whose clauses ask a service, which has by far more time than it takes, unless said otherwise."""
    with running_judge(saying(judge)) as service:
        (folder / "house.toml").write_text(policy(service.url, deadline_ms))
        app = f'[app.default]\npolicy = ["{folder / "house.toml"}"]\nenforce = true\n'
        with standing(folder, more=f"{PATIENT}{app}", environment={"JUDGE_KEY": KEY}) as house:
            yield house, service


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Service]]:
    with sitting(tmp_path_factory.mktemp("court")) as found:
        yield found


@pytest.fixture
def one(court: tuple[House, Service]) -> Iterator[tuple[House, Service]]:
    house, service = court
    yield fresh(house), service
    service.behaviour = saying(judge)


def asked(house: House, dialect: Dialect, *, stream: bool, text: str, session: str = "s") -> Response:
    body = dict(json.loads(dialect.request_body(stream=stream, tools=tools_of(dialect, "launch", "look"))))
    body["input" if dialect.name == "responses" else "messages"] = [{"role": "user", "content": text}]
    headers = [JSON, dialect.key, (b"stepwarden-session", f"{session}-{dialect.name}-{stream}".encode())]
    return house.ask(request(dialect.target, json.dumps(body).encode(), headers=headers))


def coverage(house: House, got: Response) -> list[dict[str, Any]]:
    return [row for step in judged(house, got.exchange)["judged"]["steps"] for row in step["coverage"]]


@every_dialect
@stream_or_json
def test_a_call_the_service_objects_to_never_reaches_the_agent(
    one: tuple[House, Service], dialect: Dialect, *, stream: bool
) -> None:
    house, service = one
    turn = Turn(text="Now.", calls=(Call("call_1", "launch", '{"at": "noon"}'),), reply_id="asked01")
    house.provider.script = in_turn(say(dialect.name, turn, streamed=stream), say(dialect.name, TURN, streamed=stream))
    got = asked(house, dialect, stream=stream, text=f"Go {dialect.name} {stream}.")
    reply = read(dialect, got, stream=stream)
    assert (got.status, reply.complete) == (200, True)
    assert [part.tool for part in reply.parts if part.kind == "tool_call"] == []
    assert TURN.text in "".join(part.text for part in reply.parts)
    assert {row["guard"] for row in coverage(house, got)} == {"external.0"}
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in service.seen)
    assert not any(b"call_1" in seen.body or b"sk-" in seen.body for seen in service.seen)


@every_dialect
@stream_or_json
def test_a_call_the_service_allows_goes_on_as_it_came(
    one: tuple[House, Service], dialect: Dialect, *, stream: bool
) -> None:
    house, _ = one
    turn = Turn(text="Now.", calls=(Call("call_1", "look", '{"at": "noon"}'),), reply_id="asked02")
    house.provider.script = always(say(dialect.name, turn, streamed=stream))
    got = asked(house, dialect, stream=stream, text="Look.")
    assert [part.tool for part in read(dialect, got, stream=stream).parts if part.kind == "tool_call"] == ["look"]
    assert judged(house, got.exchange)["judged"]["verdict"] == "allow"


@every_dialect
@stream_or_json
def test_what_the_service_points_at_is_redacted_both_ways(
    one: tuple[House, Service], dialect: Dialect, *, stream: bool
) -> None:
    house, _ = one
    turn = Turn(text=f"Grüße von {CODE_NAME}, wie immer.", reply_id="asked03")
    house.provider.script = always(say(dialect.name, turn, streamed=stream))
    got = asked(house, dialect, stream=stream, text=f"Was tut {CODE_NAME} für uns?")
    text = "".join(part.text for part in read(dialect, got, stream=stream).parts)
    assert text == "Grüße von [redacted:code_name], wie immer."
    assert CODE_NAME not in house.provider.requests[-1].body.decode()
    assert got.one(b"stepwarden-verdict") in (b"redact", b"streaming")


@every_dialect
@stream_or_json
def test_a_service_that_does_not_answer_follows_on_error_and_stands_in_the_coverage(
    one: tuple[House, Service], dialect: Dialect, *, stream: bool
) -> None:
    house, service = one
    house.provider.script = always(say(dialect.name, TURN, streamed=stream))
    text = f"Look in {dialect.name} {stream}."
    known = asked(house, dialect, stream=stream, text=text)  # what was answered is remembered, so the request passes
    assert known.status == 200
    service.behaviour = sending(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")
    call = Turn(text="", calls=(Call("call_2", "look", json.dumps({"new": text})),), reply_id="asked05")
    house.provider.script = always(say(dialect.name, call, streamed=stream))
    got = asked(house, dialect, stream=stream, text=text)
    assert got.status == 200
    assert [part for part in read(dialect, got, stream=stream).parts if part.kind == "tool_call"] == []
    (row, *_) = [row for row in coverage(house, got) if row["skipped"] is not None]
    assert (row["scanned"], row["state"]) == (0, "error")
    assert row["skipped"] == "status:500"
    assert judged(house, got.exchange)["judged"]["verdict"] == "reject"


def test_the_key_stands_nowhere_in_what_is_kept(one: tuple[House, Service]) -> None:
    house, service = one
    house.provider.script = always(say("anthropic"))
    assert asked(house, DIALECTS[0], stream=False, text="Who are you?", session="key").status == 200
    assert any(KEY in value for seen in service.seen for value in seen.headers.values())
    kept = [content for _, content in kept_in(house.gateway.folder)]
    assert kept
    assert not any(KEY.encode() in content for content in kept)


def test_a_service_that_is_late_for_a_request_follows_on_error(tmp_path: Path) -> None:
    with sitting(tmp_path, deadline_ms=500) as (house, service):
        service.behaviour = stalling
        got = asked(house, DIALECTS[0], stream=True, text="Are you there?")
        assert (got.status, b"supervision_unavailable" in got.body) == (400, True)
        assert {row["skipped"] for row in coverage(house, got)} == {"timed_out"}


def test_a_request_the_service_objects_to_never_reaches_the_provider(tmp_path: Path) -> None:
    with running_judge(saying(judge)) as service:
        stops = clause("stops", service.url, ["user_input"], "reject")
        (tmp_path / "house.toml").write_text(f'[policy]\nid = "house"\ndescription = "d"\n{stops}')
        app = f'[app.default]\npolicy = ["{tmp_path / "house.toml"}"]\nenforce = true\n'
        with standing(tmp_path, more=app, environment={"JUDGE_KEY": KEY}, workers=2) as house:
            for dialect in DIALECTS:
                got = asked(house, dialect, stream=True, text=f"Tell {CODE_NAME}.")
                assert (got.status, b"action_not_allowed" in got.body) == (400, True)
                assert asked(house, dialect, stream=False, text="Tell me.").status == 200
            assert not any(CODE_NAME.encode() in each.body for each in house.provider.requests)


def test_a_clause_out_of_force_leaves_the_services_of_the_others_asked(one: tuple[House, Service]) -> None:
    house, _ = one
    word = {"by": "Eve", "reason": "r", "clause": "house/calls"}
    assert house.control("/api/clauses/mode", method="POST", body={**word, "mode": "shadow", "seconds": 60})[0] == 200
    try:
        turn = Turn(text=f"Off goes {CODE_NAME}.", calls=(Call("call_1", "launch", "{}"),), reply_id="asked06")
        house.provider.script = always(say("anthropic", turn))
        got = asked(house, DIALECTS[0], stream=False, text="Launch all the same.")
        reply = read(DIALECTS[0], got, stream=False)
        assert [(part.tool, part.text) for part in reply.parts] == [
            (None, "Off goes [redacted:code_name]."),
            ("launch", "{}"),
        ]
        assert {row["skipped"] for row in coverage(house, got)} == {None}
    finally:
        back = house.control("/api/clauses/mode", method="POST", body={**word, "mode": "enforce"})
        assert back[0] == 200


def test_a_backtest_neither_flips_nor_passes_what_only_the_service_could_say(one: tuple[House, Service]) -> None:
    house, service = one
    turn = Turn(text="Now.", calls=(Call("call_1", "launch", "{}"),), reply_id="asked07")
    house.provider.script = in_turn(say("chat", turn), say("chat", TURN))
    first = asked(house, DIALECTS[1], stream=False, text="Launch it, as of old.", session="tried")
    house.facts(asked(house, DIALECTS[1], stream=False, text="And then?", session="tried").exchange)
    session = house.facts(first.exchange)["join"]["session_id"]
    asked_then = len(service.seen)

    def report(*clauses: str) -> dict[str, Any]:
        file = house.gateway.folder / "candidate.toml"
        file.write_text('[policy]\nid = "house"\ndescription = "What is tried."\n' + "".join(clauses))
        done = house.gateway.command("backtest", "--policy", str(file), "--sessions", session, "--json")
        return {**json.loads(done.stdout), "code": done.returncode}

    calls = clause("calls", service.url, ["tool_call"], "reject")
    same = report(calls, clause("words", service.url, ["user_input", "model_text", "tool_result"], "redact"))
    assert (same["code"], same["flips"], same["then"]["steps"], same["now"]["steps"]) == (0, [], 0, 0)
    assert same["steps"] > 0  # what nobody would be asked about is compared
    (listed,) = same["unreplayed"]
    assert (listed["exchanges"], "a backtest asks nobody" in listed["why"]) == (2, True)
    spec = '{ kind = "pattern", rules = [{ id = "w", pattern = "of old|And then|bluebird" }] }'
    words = re.sub(r"\{ kind = \"external\"[^}]*\}", spec, clause("words", service.url, ["user_input"], "reject"))
    (flips,) = report(calls, words)["flips"]
    found = (flips["clause"], flips["after"], flips["steps"], flips["hypothetical"])
    assert found == ("house/words", "reject", 1, 1)  # the second came after a call that was stopped then
    assert len(service.seen) == asked_then
