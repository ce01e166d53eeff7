"""Policies in force, over the wire: judged before they take effect, in all three dialects, plain and streamed."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from gateway.demo.turns import Call, Turn
from gateway.wire.dialects import dialects
from gateway.wire.interface import Reply
from tests.fakes.provider import TURN, always, in_turn, say
from tests.gateway.house import ANTHROPIC, CHAT, DIALECTS, RESPONSES, Dialect, House, fresh, standing, waited
from tests.gateway.rawhttp import Response, request

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])

TOKEN = "ghp_Zk3vT9qLw2XbN7yRm4HsJ8cDf6GpA1eU5tKi"

RULES = """
[policy]
id = "house"
description = "What holds in these tests."

[[clause]]
id = "no-launch"
text = "Nothing is launched."
severity = "high"
steps = ["tool_call"]
tools = { names = ["launch*"] }
guards = [{ kind = "pattern", rules = [{ id = "any", pattern = "." }] }]
action = [{ at = 75, do = "reject" }]
recover = "answered"
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "noon" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "get_weather", args = { city = "Rome" } }]

[[clause]]
id = "no-retreat"
text = "Nothing is retreated from."
severity = "high"
steps = ["tool_call"]
tools = { names = ["retreat"] }
guards = [{ kind = "pattern", rules = [{ id = "any", pattern = "." }] }]
action = [{ at = 75, do = "reject" }]
recover = "refused"
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "retreat", args = { at = "noon" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "get_weather", args = { city = "Rome" } }]

[[clause]]
id = "no-landing"
text = "Nothing is landed."
severity = "high"
steps = ["tool_call"]
tools = { names = ["land"] }
guards = [{ kind = "pattern", rules = [{ id = "any", pattern = "." }] }]
action = [{ at = 75, do = "reject" }]
recover = "resampled"
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "land", args = { at = "noon" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "get_weather", args = { city = "Rome" } }]

[[clause]]
id = "ask-first"
text = "Payments wait for a person."
severity = "high"
steps = ["tool_call"]
tools = { names = ["pay"] }
guards = [{ kind = "pattern", rules = [{ id = "any", pattern = "." }] }]
action = [{ at = 75, do = "hold" }]
reason = "needs_approval"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "pay", args = { to = "Ann" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "get_weather", args = { city = "Rome" } }]

[[clause]]
id = "no-code-name"
text = "The code name is not spoken."
severity = "high"
steps = ["model_text", "user_input", "tool_result"]
guards = [{ kind = "pattern", rules = [{ id = "name", pattern = "bluebird-[0-9]{4}" }], max_match = 16 }]
action = [{ at = 75, do = "redact" }]
reason = "sensitive_data"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "model_text", text = "It is bluebird-1234." }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "model_text", text = "It is a blue bird." }]
"""


def settings(folder: Path, *, enforce: bool = True, hold_seconds: int = 8, more: str = "") -> str:
    """A policy file in this folder, and the configuration that names it."""
    folder.mkdir(exist_ok=True)
    (folder / "house.toml").write_text(RULES)
    names = json.dumps([str(folder / "house.toml"), "agent-baseline"])
    return f"""
[limits]
hold_seconds = {hold_seconds}
drain_seconds = 5

[app.default]
policy = {names}
enforce = {str(enforce).lower()}
{more}
"""


@pytest.fixture(scope="module")
def strict_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("strict")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def strict(strict_house: House) -> House:
    return fresh(strict_house)


def read(dialect: Dialect, got: Response, *, stream: bool) -> Reply:
    """What a client reads in a reply."""
    reader = dialects().by_name()[
        {"chat": "openai_chat", "responses": "openai_responses"}.get(dialect.name, dialect.name)
    ]
    reply = reader.reply_reader("chat", stream=stream)
    reply.feed(got.body, 0)
    return reply.close(0)


def calling(tool: str, arguments: str = '{"at": "noon"}') -> Turn:
    return Turn(text="Right away.", calls=(Call("call_1", tool, arguments),), reply_id="judged01")


def tools_of(dialect: Dialect, *names: str) -> list[dict[str, Any]]:
    schema: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": True}
    if dialect is ANTHROPIC:
        return [{"name": name, "description": name, "input_schema": schema} for name in names]
    if dialect is CHAT:
        return [
            {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}
            for name in names
        ]
    return [{"type": "function", "name": name, "description": name, "parameters": schema} for name in names]


def asked(house: House, dialect: Dialect, *, stream: bool, text: str = "Do what is needed.", **more: Any) -> Response:
    body = dict(json.loads(dialect.request_body(stream=stream, tools=tools_of(dialect, "launch", "pay", "retreat"))))
    if dialect is RESPONSES:
        body["input"] = text
    else:
        body["messages"] = [{"role": "user", "content": text}]
    return house.ask(dialect.call(body=json.dumps({**body, **more}).encode()))


def without_pings(body: bytes) -> list[bytes]:
    return [event for event in body.split(b"\n\n") if b"event: ping" not in event]


def verdict(got: Response) -> bytes:
    return got.one(b"stepwarden-verdict")


@every_dialect
@stream_or_json
def test_a_rejected_call_never_reaches_the_agent_and_the_model_is_asked_again(
    strict: House, dialect: Dialect, *, stream: bool
) -> None:
    strict.provider.script = in_turn(
        say(dialect.name, calling("launch_rocket"), streamed=stream), say(dialect.name, TURN, streamed=stream)
    )
    got = asked(strict, dialect, stream=stream, tools=tools_of(dialect, "launch_rocket"))
    reply = read(dialect, got, stream=stream)
    assert got.status == 200
    assert b"launch_rocket" not in got.body
    assert [part for part in reply.parts if part.kind == "tool_call"] == []
    assert TURN.text in "".join(part.text for part in reply.parts)
    assert reply.complete
    facts = strict.facts(got.exchange)
    assert facts["verdict"] == "reject"
    assert "launch_rocket" in [step["tool"] for step in facts["steps"]]  # recorded as it was proposed
    again = strict.newest(lambda each: each["in_place_of"] == got.exchange)
    assert again["join"]["session_id"] == facts["join"]["session_id"]


@stream_or_json
def test_a_chain_goes_on_from_the_response_that_holds_the_history(strict: House, *, stream: bool) -> None:
    """The caller of a continued answer knows it by the first response's id; the provider keeps it under the last's."""
    more = msgspec.structs.replace(TURN, reply_id=f"last{stream}")
    first = msgspec.structs.replace(calling("launch"), reply_id=f"first{stream}")
    strict.provider.script = in_turn(say("responses", first, streamed=stream), say("responses", more, streamed=stream))
    shown = read(RESPONSES, asked(strict, RESPONSES, stream=stream), stream=stream).response_id
    assert shown
    assert shown.endswith(f"first{stream}")
    held = shown.replace("first", "last")
    following = asked(strict, RESPONSES, stream=stream, text="And now?", previous_response_id=shown)
    sent = json.loads(strict.provider.requests[-1].body)
    assert (sent["previous_response_id"], sent["input"]) == (held, "And now?")
    judged = json.loads(strict.control(f"/api/exchanges/{strict.facts(following.exchange)['exchange_id']}")[1])
    assert judged["judged"]["unread"] is None  # what came before is known, though it stands at the provider
    asked(strict, RESPONSES, stream=stream, text="And now?", previous_response_id=held)
    assert strict.provider.requests[-1].body == json.dumps({**sent}).encode()


@every_dialect
@stream_or_json
@pytest.mark.parametrize(("tool", "told"), [("launch", True), ("land", False)], ids=["answered", "resampled"])
def test_the_model_learns_why_it_is_asked_again_where_the_clause_answers_it_alone(
    strict: House, dialect: Dialect, tool: str, *, stream: bool, told: bool
) -> None:
    text = f"{tool} once, {dialect.name} {stream}."
    strict.provider.script = in_turn(
        say(dialect.name, calling(tool), streamed=stream), say(dialect.name, TURN, streamed=stream)
    )
    got = asked(strict, dialect, stream=stream, text=text, tools=tools_of(dialect, tool))
    reply = read(dialect, got, stream=stream)
    assert [part for part in reply.parts if part.kind == "tool_call"] == []
    assert reply.usage.output_tokens == calling(tool).spent.output_tokens + TURN.spent.output_tokens
    first, second = [seen.body for seen in strict.provider.requests if text.encode() in seen.body]
    assert (b"[Stepwarden: " in second) == told
    assert (second == first) != told


@every_dialect
@stream_or_json
@pytest.mark.parametrize("tool", ["launch", "land"], ids=["answered", "resampled"])
def test_a_model_that_insists_is_ended_with_a_notice(
    strict: House, dialect: Dialect, tool: str, *, stream: bool
) -> None:
    turn = calling(tool)
    strict.provider.script = always(say(dialect.name, turn, streamed=stream))
    got = asked(strict, dialect, stream=stream)
    reply = read(dialect, got, stream=stream)
    assert reply.usage.output_tokens == 3 * turn.spent.output_tokens  # asked again twice, and all of it is billed
    assert [part for part in reply.parts if part.kind == "tool_call"] == []
    assert "[Stepwarden: " in "".join(part.text for part in reply.parts)
    assert reply.complete
    assert reply.error_type is None


@every_dialect
@stream_or_json
def test_a_refused_call_ends_as_the_dialect_refuses(strict: House, dialect: Dialect, *, stream: bool) -> None:
    strict.provider.script = always(say(dialect.name, calling("retreat"), streamed=stream))
    text = f"Retreat once, {dialect.name} {stream}."
    got = asked(strict, dialect, stream=stream, text=text)
    assert len([seen for seen in strict.provider.requests if text.encode() in seen.body]) == 1, "asked again"
    reply = read(dialect, got, stream=stream)
    assert [part for part in reply.parts if part.kind == "tool_call"] == []
    assert b'"retreat"' not in got.body.replace(b'"name":"retreat","description"', b"") or dialect is RESPONSES
    if dialect is ANTHROPIC:
        assert reply.finish_reasons == ("refusal",)
    elif dialect is CHAT:
        assert reply.finish_reasons == ("content_filter",)
    else:
        assert b"invalid_prompt" in got.body


@every_dialect
@stream_or_json
def test_what_may_pass_passes_byte_for_byte(strict: House, dialect: Dialect, *, stream: bool) -> None:
    answer = say(dialect.name, TURN, streamed=stream)
    strict.provider.script = always(answer)
    got = asked(strict, dialect, stream=stream)
    kept = strict.kept(got.exchange, "response")
    assert without_pings(got.body) == without_pings(kept)
    assert sorted(got.body.split(b"\n\n")) == sorted(kept.split(b"\n\n"))  # a ping may overtake what is held
    assert verdict(got) in {b"allow", b"streaming", b"flag"}


@every_dialect
@stream_or_json
def test_a_secret_word_of_the_model_is_cut_out_wherever_the_stream_is_cut(
    strict: House, dialect: Dialect, *, stream: bool
) -> None:
    turn = Turn(text="The name is bluebird-1234, do not tell.", reply_id="secret01")
    strict.provider.script = always(say(dialect.name, turn, streamed=stream))
    got = asked(strict, dialect, stream=stream)
    text = "".join(part.text for part in read(dialect, got, stream=stream).parts)
    assert b"bluebird" not in got.body
    assert "[redacted:name]" in text
    assert text.endswith("do not tell.")
    assert b"bluebird-1234" in strict.kept(got.exchange, "response") or stream  # the record keeps what was said


@every_dialect
def test_a_secret_of_the_caller_never_reaches_the_provider_and_is_cut_alike_on_every_turn(
    strict: House, dialect: Dialect
) -> None:
    strict.provider.script = always(say(dialect.name, TURN))
    told = [{"role": "user", "content": f"Why? TOKEN={TOKEN} fails"}]
    answered = [*told, {"role": "assistant", "content": TURN.text}, {"role": "user", "content": "Go on."}]
    key = "input" if dialect is RESPONSES else "messages"
    first = asked(strict, dialect, stream=False, **{key: told})
    second = asked(strict, dialect, stream=False, **{key: answered})
    assert second.one(b"stepwarden-session") == first.one(b"stepwarden-session")  # so that its first message is old
    assert verdict(first) == verdict(second) == b"redact"
    sent = [seen.body for seen in strict.provider.requests if b"Why? TOKEN" in seen.body][-2:]
    bodies = [json.loads(body)[key] for body in sent]
    assert TOKEN not in json.dumps(bodies)
    assert bodies[0][0] == bodies[1][0]
    for got in (first, second):  # the record is of what the caller sent
        assert strict.kept(got.exchange, "request").count(TOKEN.encode()) == 1


def test_every_guard_that_ran_is_in_the_coverage(strict: House) -> None:
    strict.provider.script = always(say("chat", TURN))
    got = asked(strict, CHAT, stream=False, text=f"TOKEN={TOKEN}")
    strict.facts(got.exchange)
    judged = json.loads(strict.control(f"/api/exchanges/{got.exchange}")[1])["judged"]
    rows = [row for step in judged["steps"] for row in step["coverage"]]
    assert {row["clause"] for row in rows} >= {"house/no-code-name", "agent-baseline/no-secrets-in-data"}
    assert all(row["skipped"] is None and row["scanned"] == row["size"] for row in rows)
    assert judged["forwarded_sha256"]


@stream_or_json
def test_a_call_that_needs_a_person_waits_and_passes_once_when_approved(strict: House, *, stream: bool) -> None:
    strict.provider.script = always(say("anthropic", calling("pay", '{"to": "Ann"}'), streamed=stream))
    answers: list[Response] = []
    caller = threading.Thread(
        target=lambda: answers.append(asked(strict, ANTHROPIC, stream=stream, text=f"Pay {stream}"))
    )
    caller.start()
    held = waited(lambda: json.loads(strict.control("/api/holds?only=waiting")[1])["holds"] or None)[0]
    assert (held["tool"], json.loads(held["text"])) == ("pay", {"to": "Ann"})
    status, body = strict.control(f"/api/holds/{held['hold_id']}/approve", method="POST", body={"by": "Eve"})
    assert status == 200, body
    caller.join(60)
    calls = [part.tool for part in read(ANTHROPIC, answers[0], stream=stream).parts if part.kind == "tool_call"]
    assert calls == ["pay"]
    assert strict.control(f"/api/holds/{held['hold_id']}/approve", method="POST", body={"by": "Eve"})[0] == 409


def test_a_call_that_a_person_rejects_is_rejected_again_when_it_is_tried_again(strict: House) -> None:
    strict.provider.script = always(say("chat", calling("pay", '{"to": "Mallory"}')))
    answers: list[Response] = []
    session = [(b"stepwarden-session", b"mallory")]
    body = json.dumps({**CHAT.body, "tools": tools_of(CHAT, "pay")}).encode()

    def ask() -> None:
        answers.append(strict.ask(CHAT.call(body=body, headers=session)))

    caller = threading.Thread(target=ask)
    caller.start()
    held = waited(lambda: json.loads(strict.control("/api/holds?only=waiting")[1])["holds"] or None)[0]
    assert strict.control(f"/api/holds/{held['hold_id']}/reject", method="POST", body={"reason": "no"})[0] == 200
    caller.join(60)
    ask()
    assert len(answers) == 2
    assert all(b'"pay"' not in got.body for got in answers)


def test_without_enforcement_nothing_changes_and_all_is_flagged(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path, enforce=False)) as house:
        for dialect in DIALECTS:
            for stream in (False, True):
                house.provider.script = always(say(dialect.name, calling("launch"), streamed=stream))
                got = asked(house, dialect, stream=stream, text="bluebird-1234")
                assert got.body == house.kept(got.exchange, "response")
                assert house.kept(got.exchange, "request") == house.provider.requests[-1].body
                facts = house.facts(got.exchange)
                assert facts["verdict"] == "flag"
                judged = json.loads(house.control(f"/api/exchanges/{got.exchange}")[1])["judged"]
                assert judged["shadow"] == "reject"


def test_json_that_parsers_read_differently_is_refused_where_a_clause_acts(strict: House) -> None:
    for doubt in ('{"a":1,"a":2}', "NaN", '"\\ud800"'):
        text = CHAT.request_body(stream=False)[:-1] + b', "extra": ' + doubt.encode() + b"}"
        got = strict.ask(CHAT.call(body=text))
        assert got.status == 400
        assert json.loads(got.body)["error"]["code"] == "ambiguous_json"


def test_what_no_guard_can_read_follows_unseen(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path, more='unseen = "reject"')) as house:
        batch = house.ask(request(b"/anthropic/v1/messages/batches", b'{"requests": []}', headers=[ANTHROPIC.key]))
        assert batch.status == 400
        assert json.loads(batch.body)["error"]["type"] == "supervision_unavailable"
        legacy = house.ask(request(b"/openai/v1/completions", b'{"prompt": "x"}', headers=[CHAT.key]))
        assert legacy.status == 400
        chained = asked(house, RESPONSES, stream=False, previous_response_id="resp_nobody_knows")
        assert chained.status == 400


TOLD: Any = [{"role": "user", "content": "Go."}]


@stream_or_json
def test_anthropics_sdk_never_sees_a_rejected_call(strict: House, *, stream: bool) -> None:
    strict.provider.script = in_turn(
        say("anthropic", calling("launch"), streamed=stream), say("anthropic", TURN, streamed=stream)
    )
    tools: Any = tools_of(ANTHROPIC, "launch")
    address = f"{strict.gateway.url}/anthropic"
    with anthropic.Anthropic(base_url=address, api_key="sk-ant-x", max_retries=0) as client:
        if stream:
            with client.messages.stream(model="m", max_tokens=9, messages=TOLD, tools=tools) as streamed:
                message: Any = streamed.get_final_message()
        else:
            message = client.messages.create(model="m", max_tokens=9, messages=TOLD, tools=tools)
    assert [block.type for block in message.content if block.type == "tool_use"] == []
    assert message.stop_reason == "end_turn"


@stream_or_json
def test_openais_sdk_never_sees_a_rejected_call(strict: House, *, stream: bool) -> None:
    strict.provider.script = in_turn(
        say("chat", calling("launch"), streamed=stream), say("chat", TURN, streamed=stream)
    )
    tools: Any = tools_of(CHAT, "launch")
    with openai.OpenAI(base_url=f"{strict.gateway.url}/openai/v1", api_key="sk-x", max_retries=0) as client:
        if stream:
            with client.chat.completions.create(model="m", messages=TOLD, tools=tools, stream=True) as chunks:
                choices: list[Any] = [choice for chunk in chunks for choice in chunk.choices]
            assert not any(choice.delta.tool_calls for choice in choices)
        else:
            choices = list(client.chat.completions.create(model="m", messages=TOLD, tools=tools).choices)
            assert choices[0].message.tool_calls is None
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]


def test_a_policy_that_does_not_check_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    broken = tmp_path / "broken.toml"
    broken.write_text(RULES.replace('on_error = "reject"', "", 1))
    more = f"[app.default]\npolicy = [{json.dumps(str(broken))}]\n"
    with pytest.raises(AssertionError, match="on_error"), standing(tmp_path / "house", more=more):
        pass


@pytest.mark.parametrize("workers", [1, 2])
def test_policies_change_on_a_hangup_if_they_check_and_stay_if_they_do_not(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, more=settings(tmp_path), workers=workers) as house:
        house.provider.script = always(say("chat", TURN))
        said = "It is heron-1234."

        def redacted() -> bool | None:
            got = [asked(house, CHAT, stream=False, text=said) for _ in range(4)]
            return True if all(verdict(each) == b"redact" for each in got) else None

        assert redacted() is None
        (tmp_path / "house.toml").write_text("nothing")
        house.gateway.process.send_signal(signal.SIGHUP)
        waited(lambda: "policies not changed" in house.gateway.log or None)
        assert asked(house, CHAT, stream=False, text="bluebird-1234").one(b"stepwarden-verdict") == b"redact"
        (tmp_path / "house.toml").write_text(RULES.replace("bluebird", "heron"))
        house.gateway.process.send_signal(signal.SIGHUP)
        assert waited(redacted)


def test_a_hangup_says_where_the_configuration_was_changed_for_it_is_read_at_a_start_alone(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path)) as house:
        configuration = tmp_path / "stepwarden.toml"
        written = configuration.read_text()

        def hung_up(said: str, text: str) -> None:
            configuration.write_text(text)
            house.gateway.process.send_signal(signal.SIGHUP)
            waited(lambda: said in house.gateway.log or None)

        hung_up("policies read anew", written + "# nothing else\n")
        assert "configuration" not in house.gateway.log.partition("listening")[2]
        hung_up("the configuration was changed", written + "[capture]\nretention_days = 7\n")
        assert '"capture"' in house.gateway.log
        hung_up("the configuration would not be read any more", "[captur]\n")
        assert "unknown section" in house.gateway.log
