"""Which spans an exchange, its steps and its branch have, and what they say."""

import json

import msgspec
import pytest

from gateway.telemetry import branch_spans, spans_of
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.sessions import Join
from policies.vocabulary.spans import Span
from policies.vocabulary.steps import Step, StepKind
from policies.vocabulary.usage import Usage

SECOND = 1_000_000_000

JOIN = Join(
    session_id="sess",
    branch_id="main",
    evidence="content_prefix",
    relation="continues",
    derived=True,
    trace_id=b"t" * 16,
    branch_span_id=b"branch00",
)
CHAT = Exchange(
    exchange_id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
    join=JOIN,
    app="default",
    provider="anthropic",
    dialect="anthropic",
    operation="chat",
    method="POST",
    path="/v1/messages?beta=true&key=sk-secret#frag",
    stream=True,
    outcome="complete",
    status=200,
    upstream_status=200,
    started_ns=10 * SECOND,
    upstream_started_ns=11 * SECOND,
    first_byte_ns=12 * SECOND + SECOND // 2,
    first_token_ns=13 * SECOND,
    ended_ns=20 * SECOND,
    model_requested="claude-opus-5-5",
    model="claude-opus-5-5-20260922",
    response_id="msg_1",
    finish_reasons=("tool_use",),
    max_tokens=1_000,
    temperature=1,
    usage=Usage(input_tokens=100, output_tokens=20, cache_read_tokens=80, cache_write_tokens=0, reasoning_tokens=5),
    cost_micro_usd=1_234,
    price_version="2026-11-23+00000000",
    client="agent/1.0 sk-secret",
    server_span_id=b"server00",
    client_span_id=b"client00",
)


def step(seq: int, kind: StepKind, **more: object) -> Step:
    facts: dict[str, object] = {
        "step_id": f"{CHAT.exchange_id}.{seq:04}",
        "exchange_id": CHAT.exchange_id,
        "session_id": "sess",
        "branch_id": "main",
        "seq": seq,
        "kind": kind,
        "fidelity": "witnessed",
        "side": "request" if kind in ("instructions", "user_input", "tool_result") else "response",
        "started_ns": 14 * SECOND,
        "ended_ns": 15 * SECOND,
        "span_id": b"step%04d" % seq,
        **more,
    }
    return Step(**facts)


def with_(exchange: Exchange, **changes: object) -> Exchange:
    return msgspec.structs.replace(exchange, **changes)


def named(spans: list[Span], name: str) -> Span:
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, [span.name for span in spans]
    return found[0]


def test_an_exchange_is_a_server_span_with_the_providers_call_under_it() -> None:
    server, client = spans_of(CHAT)
    assert (server.name, server.kind) == ("POST /anthropic", "server")
    assert (client.name, client.kind) == ("chat claude-opus-5-5", "client")
    assert {server.trace_id, client.trace_id} == {JOIN.trace_id}
    assert (server.span_id, server.parent_span_id) == (b"server00", JOIN.branch_span_id)
    assert (client.span_id, client.parent_span_id) == (b"client00", b"server00")
    assert (server.started_ns, server.ended_ns) == (10 * SECOND, 20 * SECOND)
    assert (client.started_ns, client.ended_ns) == (11 * SECOND, 20 * SECOND)
    assert not server.failed
    assert not client.failed


def test_the_call_carries_model_usage_cost_and_times_under_the_conventions_names() -> None:
    attributes = spans_of(CHAT, servers={"anthropic": ("api.anthropic.com", 443)})[1].attributes
    assert attributes == {
        "http.response.status_code": 200,
        "server.address": "api.anthropic.com",
        "server.port": 443,
        "stepwarden.provider": "anthropic",
        "stepwarden.exchange.id": CHAT.exchange_id,
        "stepwarden.session.id": "sess",
        "stepwarden.branch.id": "main",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus-5-5",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 1_000,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": "claude-opus-5-5-20260922",
        "gen_ai.response.finish_reasons": ("tool_use",),
        "gen_ai.response.time_to_first_chunk": 1.5,
        "stepwarden.time_to_first_token": 2.0,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 80,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "stepwarden.cost_micro_usd": 1_234,
        "stepwarden.price_version": "2026-11-23+00000000",
    }


def test_no_query_string_and_no_header_value_reaches_any_span() -> None:
    join = msgspec.structs.replace(JOIN, agent_name="scout")
    exchange = with_(CHAT, join=join, tags=(("team", "sk-secret"),), note="sk-secret", key_id="k1")
    spans = spans_of(exchange, [step(0, "user_input")]) + branch_spans([exchange])
    assert named(spans, "POST /anthropic").attributes["url.path"] == "/v1/messages"
    assert "sk-secret" not in repr(spans)


def test_what_is_unknown_is_absent_and_never_zero() -> None:
    exchange = with_(CHAT, usage=Usage(), cost_micro_usd=None, model=None, stream=False)
    attributes = spans_of(exchange)[1].attributes
    for part in ("usage", "cost", "price", "response.model", "time_to_first", "stream"):
        assert not [name for name in attributes if part in name]


def test_the_clients_own_session_id_is_the_conversation_id_and_no_other_is() -> None:
    assert "gen_ai.conversation.id" not in spans_of(CHAT)[1].attributes
    assert "gen_ai.conversation.id" not in branch_spans([CHAT])[0].attributes
    join = msgspec.structs.replace(JOIN, session_id="cc-1.7ad17263", name="cc-1", derived=False)
    named_by_client = with_(CHAT, join=join)
    assert spans_of(named_by_client)[1].attributes["gen_ai.conversation.id"] == "cc-1"
    assert branch_spans([named_by_client])[0].attributes["gen_ai.conversation.id"] == "cc-1"


def test_the_callers_span_is_the_parent_where_it_sent_one() -> None:
    server = spans_of(with_(CHAT, parent_span_id=b"caller00"))[0]
    assert (server.parent_span_id, server.parent_remote) == (b"caller00", True)


def test_an_exchange_without_a_session_has_a_trace_of_its_own() -> None:
    models = with_(CHAT, join=None, operation="other", method="GET", path="/v1/models", parent_span_id=b"caller00")
    server, client = spans_of(models)
    assert (client.name, client.kind) == ("GET", "client")
    assert server.parent_span_id is None
    assert len(server.trace_id) == 16
    assert server.trace_id != spans_of(with_(models, exchange_id="other"))[0].trace_id
    assert branch_spans([models]) == []


def test_a_refusal_has_no_call_to_a_provider() -> None:
    refused = with_(CHAT, upstream_started_ns=None, outcome="refused", status=400, error_type="limit_reached")
    spans = spans_of(refused, [step(0, "user_input")])
    assert [span.name for span in spans] == ["POST /anthropic", "step user_input"]
    assert spans[0].failed
    assert spans[0].attributes["error.type"] == "limit_reached"


@pytest.mark.parametrize(
    ("changes", "server", "client"),
    [
        ({"status": 529, "upstream_status": 529, "error_type": "overloaded_error"},) + ("overloaded_error",) * 2,
        ({"status": 400, "upstream_status": 400}, None, "400"),
        ({"outcome": "truncated"}, "truncated", "truncated"),
        ({"outcome": "client_aborted", "status": None}, "client_aborted", "client_aborted"),
        ({"error_type": "overloaded_error"}, None, "overloaded_error"),  # an error event inside a 200 stream
    ],
)
def test_each_leg_says_what_went_wrong_on_it(
    changes: dict[str, object], server: str | None, client: str | None
) -> None:
    spans = spans_of(with_(CHAT, **changes))
    assert [span.attributes.get("error.type") for span in spans] == [server, client]
    assert [span.failed for span in spans] == [server is not None, client is not None]


@pytest.mark.parametrize(
    ("dialect", "provider", "name"),
    [
        ("openai_chat", "groq", "openai"),
        ("openai_responses", "openai", "openai"),
        ("anthropic_messages", "eu", "anthropic"),
        ("raw", "acme", "acme"),
    ],
)
def test_the_provider_is_named_by_the_format_it_speaks(dialect: str, provider: str, name: str) -> None:
    attributes = spans_of(with_(CHAT, dialect=dialect, provider=provider))[1].attributes
    assert attributes["gen_ai.provider.name"] == name
    assert attributes["stepwarden.provider"] == provider


def test_request_steps_hang_below_the_exchange_and_reply_steps_below_the_call() -> None:
    spans = spans_of(CHAT, [step(0, "user_input", size=7), step(1, "model_text"), step(2, "tool_call", tool="ls")])
    asked, said = named(spans, "step user_input"), named(spans, "step model_text")
    assert (asked.parent_span_id, said.parent_span_id) == (b"server00", b"client00")
    assert asked.attributes["stepwarden.step.size"] == 7
    assert named(spans, "step tool_call").attributes["gen_ai.tool.name"] == "ls"


def test_every_step_has_exactly_one_span_with_its_id() -> None:
    steps = [
        step(0, "user_input"),
        step(1, "tool_result", call_span_id=b"call0000", call_ended_ns=5 * SECOND),
        step(2, "tool_result"),
        step(3, "tool_call"),
    ]
    spans = [span for span in spans_of(CHAT, steps) if span.kind == "internal"]
    assert [span.span_id for span in spans] == [found.span_id for found in steps]


def test_a_result_whose_call_was_seen_is_the_run_of_its_tool() -> None:
    result = step(
        1,
        "tool_result",
        fidelity="projected",
        tool="read_file",
        call_id="toolu_1",
        call_span_id=b"call0000",
        call_ended_ns=5 * SECOND,
    )
    tool = named(spans_of(CHAT, [result]), "execute_tool read_file")
    assert (tool.started_ns, tool.ended_ns) == (5 * SECOND, 14 * SECOND)
    assert (tool.span_id, tool.parent_span_id, tool.kind) == (result.span_id, JOIN.branch_span_id, "internal")
    assert tool.attributes["stepwarden.fidelity"] == "projected"
    assert tool.attributes["stepwarden.call.span_id"] == b"call0000".hex()
    assert tool.attributes["gen_ai.operation.name"] == "execute_tool"
    assert tool.attributes["gen_ai.tool.type"] == "function"


def test_a_clock_that_ran_backwards_makes_no_span_end_before_it_starts() -> None:
    early = with_(CHAT, ended_ns=1, first_byte_ns=1)
    late_call = step(1, "tool_result", call_span_id=b"call0000", call_ended_ns=99 * SECOND)
    for span in spans_of(early, [late_call, step(2, "model_text", ended_ns=1)]) + branch_spans([early]):
        assert span.ended_ns >= span.started_ns
    assert spans_of(early)[1].attributes["gen_ai.response.time_to_first_chunk"] == 0.0


def test_a_branch_is_one_agent_from_its_first_request_to_its_last_byte() -> None:
    later = with_(
        CHAT, started_ns=30 * SECOND, ended_ns=40 * SECOND, join=msgspec.structs.replace(JOIN, agent_name="x")
    )
    (agent,) = branch_spans([CHAT, later])
    assert (agent.name, agent.kind) == ("invoke_agent x", "internal")
    assert (agent.span_id, agent.parent_span_id) == (JOIN.branch_span_id, None)
    assert (agent.started_ns, agent.ended_ns) == (10 * SECOND, 40 * SECOND)
    assert agent.attributes["stepwarden.branch.exchanges"] == 2
    assert agent.attributes["gen_ai.usage.input_tokens"] == 200
    assert agent.attributes["stepwarden.cost_micro_usd"] == 2_468


def test_a_branch_with_one_unknown_cost_has_no_cost() -> None:
    (agent,) = branch_spans([CHAT, with_(CHAT, cost_micro_usd=None, usage=Usage())])
    assert "stepwarden.cost_micro_usd" not in agent.attributes
    assert "gen_ai.usage.input_tokens" not in agent.attributes


def test_a_sub_agent_hangs_below_the_branch_it_was_spawned_from() -> None:
    join = msgspec.structs.replace(JOIN, branch_id="sub", parent_branch_id="main", branch_span_id=b"branch01")
    main, sub = branch_spans([CHAT, with_(CHAT, join=join)])
    assert (main.parent_span_id, sub.parent_span_id) == (None, main.span_id)
    assert sub.attributes["stepwarden.branch.parent_id"] == "main"


def test_a_branch_has_a_span_in_each_trace_its_callers_used() -> None:
    other = with_(CHAT, join=msgspec.structs.replace(JOIN, trace_id=b"u" * 16), parent_span_id=b"caller00")
    ours, theirs = branch_spans([CHAT, other])
    assert (ours.trace_id, theirs.trace_id) == (b"t" * 16, b"u" * 16)
    assert (theirs.parent_span_id, theirs.parent_remote) == (b"caller00", True)


def test_content_is_shown_only_where_texts_are_handed_in_and_then_as_the_conventions_say() -> None:
    steps = [
        step(0, "instructions"),
        step(1, "user_input"),
        step(2, "tool_result", call_id="c0", call_span_id=b"call0000", call_ended_ns=1),
        step(3, "reasoning", unread="encrypted"),
        step(4, "model_text"),
        step(5, "tool_call", tool="ls", call_id="c1"),
    ]
    words = ["be brief", "list \ud800", "ok", "", "here", '{"path": "/"}']
    texts = {found.step_id: text for found, text in zip(steps, words, strict=True)}
    assert "be brief" not in repr(spans_of(CHAT, steps))
    spans = spans_of(CHAT, steps, texts=texts)
    chat = named(spans, "chat claude-opus-5-5").attributes
    assert json.loads(str(chat["gen_ai.system_instructions"])) == [{"type": "text", "content": "be brief"}]
    assert json.loads(str(chat["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "list ?"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c0", "response": "ok"}]},
    ]
    assert json.loads(str(chat["gen_ai.output.messages"])) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "encrypted"},
                {"type": "text", "content": "here"},
                {"type": "tool_call", "id": "c1", "name": "ls", "arguments": {"path": "/"}},
            ],
        }
    ]
    assert named(spans, "execute_tool").attributes["gen_ai.tool.call.result"] == "ok"
    assert named(spans, "step tool_call").attributes["gen_ai.tool.call.arguments"] == '{"path": "/"}'


def test_arguments_that_are_no_json_or_too_deep_are_shown_as_text() -> None:
    call = step(0, "tool_call")
    for text in ('{"path": ', "[" * 100_000, "[" * 900 + "]" * 900):
        chat = spans_of(CHAT, [call], texts={call.step_id: text})[1].attributes
        shown = json.loads(str(chat["gen_ai.output.messages"]))[0]["parts"][0]["arguments"]
        assert shown == text or json.dumps(shown) == text


def test_values_no_exporter_could_encode_are_made_harmless() -> None:
    nasty = with_(CHAT, model="\ud800" + "x" * 5_000, max_tokens=10**30, temperature=10**400, method="BREW")
    server, client = spans_of(nasty, [])
    assert server.name == "_OTHER /anthropic"
    assert client.attributes["gen_ai.response.model"] == "?" + "x" * 1_023
    assert "gen_ai.request.max_tokens" not in client.attributes
    assert "gen_ai.request.temperature" not in client.attributes
