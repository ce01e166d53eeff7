"""What is emitted is what is registered, both ways; docs/SPANS.md shows it; names change only on purpose."""

import json
from collections.abc import Iterable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proposal_spans import heard_spans, move_spans
from gateway.telemetry import branch_spans, spans_of
from policies.vocabulary.exchanges import Exchange, Outcome
from policies.vocabulary.registry import ATTRIBUTES, PROFILE, SPANS, AttributeEntry, SpanType, page, span_type
from policies.vocabulary.sessions import Evidence, Join, Relation
from policies.vocabulary.spans import Span, Value
from policies.vocabulary.steps import Fidelity, Side, Step, StepKind
from policies.vocabulary.usage import Usage
from storage.optimizer_steps import Heard
from storage.trials import Move

ROOT = Path(__file__).parents[2]

TYPES: dict[str, type] = {"string": str, "int": int, "double": float, "boolean": bool, "string[]": tuple}

texts = st.text(max_size=20)
names = st.none() | texts
counts = st.none() | st.integers(0, 10**9)
times = st.integers(1, 2**62)
span_ids = st.binary(min_size=8, max_size=8)
literals = {alias: st.sampled_from(alias.__args__) for alias in (Outcome, Evidence, Relation, StepKind, Fidelity, Side)}

joins = st.builds(
    Join,
    session_id=texts,
    branch_id=texts,
    parent_branch_id=names,
    evidence=literals[Evidence],
    relation=literals[Relation],
    derived=st.booleans(),
    agent_name=names,
    trace_id=st.binary(min_size=16, max_size=16),
    branch_span_id=span_ids,
)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_tokens=counts,
    cache_write_tokens=counts,
    cache_write_1h_tokens=counts,
    reasoning_tokens=counts,
    estimated=st.booleans(),
)
exchanges = st.builds(
    Exchange,
    exchange_id=texts,
    join=st.none() | joins,
    app=texts,
    provider=st.text(min_size=1, max_size=10),
    dialect=st.sampled_from(["anthropic", "openai_chat", "openai_responses", "raw", "mcp"]),
    operation=st.sampled_from(["chat", "embeddings", "count_tokens", "batch", "other", "tools/call", "ping"]),
    method=st.sampled_from(["GET", "POST", "BREW"]),
    path=texts,
    stream=st.booleans(),
    outcome=literals[Outcome],
    status=st.none() | st.sampled_from([200, 404, 502]),
    upstream_status=st.none() | st.sampled_from([200, 429, 529]),
    error_type=names,
    started_ns=times,
    upstream_started_ns=st.none() | times,
    first_byte_ns=st.none() | times,
    first_token_ns=st.none() | times,
    ended_ns=times,
    model_requested=names,
    model=names,
    response_id=names,
    finish_reasons=st.lists(texts, max_size=2).map(tuple),
    max_tokens=st.none() | st.integers(-(2**70), 2**70),
    temperature=st.none() | st.floats(),
    top_p=st.none() | st.floats(),
    usage=usages,
    cost_micro_usd=counts,
    price_version=names,
    retry=st.integers(0, 3),
    server_span_id=span_ids,
    client_span_id=span_ids,
    parent_span_id=st.none() | span_ids,
)
steps = st.builds(
    Step,
    step_id=texts,
    exchange_id=texts,
    session_id=texts,
    branch_id=texts,
    seq=st.integers(0, 99),
    kind=literals[StepKind],
    fidelity=literals[Fidelity],
    side=literals[Side],
    tool=names,
    call_id=names,
    unread=st.none() | st.just("image"),
    server_side=st.booleans(),
    size=st.integers(0, 10**6),
    started_ns=times,
    ended_ns=times,
    span_id=span_ids,
    call_span_id=st.none() | span_ids,
    call_ended_ns=st.none() | times,
)

RICH = Exchange(
    exchange_id="01J",
    join=Join(
        session_id="s",
        branch_id="b",
        parent_branch_id="a",
        evidence="agent_header",
        relation="spawns",
        derived=False,
        name="run-7",
        agent_name="scout",
        trace_id=bytes(15) + b"\1",
        branch_span_id=b"branch00",
    ),
    app="default",
    provider="anthropic",
    dialect="anthropic",
    operation="chat",
    method="POST",
    path="/v1/messages",
    stream=True,
    outcome="truncated",
    status=200,
    upstream_status=200,
    error_type="overloaded_error",
    started_ns=1,
    upstream_started_ns=2,
    first_byte_ns=3,
    first_token_ns=4,
    ended_ns=5,
    model_requested="claude-opus-5-5",
    model="claude-opus-5-5",
    response_id="msg_1",
    finish_reasons=("tool_use",),
    max_tokens=10,
    temperature=1,
    top_p=0.5,
    usage=Usage(
        input_tokens=1,
        output_tokens=1,
        cache_read_tokens=0,
        cache_write_tokens=0,
        cache_write_1h_tokens=0,
        reasoning_tokens=0,
        estimated=True,
    ),
    cost_micro_usd=7,
    price_version="2026-11-23+00000000",
    retry=1,
    server_span_id=b"server00",
    client_span_id=b"client00",
    parent_span_id=b"caller00",
)


def rich_step(seq: int, kind: StepKind, side: Side, **more: object) -> Step:
    facts: dict[str, object] = {
        "step_id": f"01J.{seq:04}",
        "exchange_id": "01J",
        "session_id": "s",
        "branch_id": "b",
        "seq": seq,
        "kind": kind,
        "fidelity": "projected" if side == "request" else "witnessed",
        "side": side,
        "started_ns": 3,
        "ended_ns": 4,
        "span_id": b"step%04d" % seq,
        "tool": "read_file",
        "call_id": "toolu_1",
        "server_side": True,
        **more,
    }
    return Step(**facts)


RICH_STEPS = (
    rich_step(0, "instructions", "request"),
    rich_step(1, "user_input", "request", unread="image"),
    rich_step(2, "tool_result", "request", unread="image", call_span_id=b"call0000", call_ended_ns=1),
    rich_step(3, "model_text", "response"),
    rich_step(4, "tool_call", "response"),
)


MOVE = Move(
    number=2, proposal=1, app="default", state="canary", rung="canary", outcome="waiting", why="comparing", person=True,
    at_ns=5, since_ns=3, filed_ns=1,
)  # fmt: skip


HEARD = Heard(
    run=b"r" * 16, app="default", optimizer="trace-propagation", proposals=1, known=2, failures=3, calls=4, tokens=5,
    began_ns=1, ended_ns=2, number=6,
)  # fmt: skip


def rich_spans() -> list[Span]:
    """Spans that between them have everything we can say."""
    content = {step.step_id: json.dumps({"path": "a"}) for step in RICH_STEPS}
    servers = {"anthropic": ("api.anthropic.com", 443)}
    other = Exchange(
        exchange_id="01K",
        join=RICH.join,
        app="default",
        provider="openai",
        dialect="openai_chat",
        operation="other",
        method="GET",
        path="/models",
        outcome="complete",
        status=429,
        upstream_status=429,
        started_ns=1,
        upstream_started_ns=1,
        ended_ns=2,
        server_span_id=b"server01",
        client_span_id=b"client01",
    )
    message = Exchange(
        exchange_id="01L",
        join=RICH.join,
        app="default",
        provider="mcp/files",
        dialect="mcp",
        operation="tools/call",
        method="POST",
        path="/mcp/files",
        outcome="complete",
        status=200,
        upstream_status=200,
        error_type="tool_error",
        response_id="1",
        started_ns=1,
        upstream_started_ns=1,
        ended_ns=2,
        server_span_id=b"server02",
        client_span_id=b"client02",
    )
    return [
        *spans_of(message, [rich_step(0, "tool_call", "request")], servers={"mcp/files": ("tools.example.com", 443)}),
        *spans_of(RICH, RICH_STEPS, servers=servers, texts=content),
        *spans_of(other, servers={"openai": ("api.openai.com", 443)}),
        *branch_spans([RICH]),
        *move_spans([MOVE]),
        *heard_spans([HEARD]),
    ]


def emitted(spans: Iterable[Span]) -> set[tuple[str, SpanType]]:
    pairs: set[tuple[str, SpanType]] = set()
    for span in spans:
        of = span_type(span.name, span.kind)
        assert of is not None, span
        pairs |= {(name, of) for name in span.attributes}
    return pairs


def registered() -> set[tuple[str, SpanType]]:
    return {(entry.name, of) for entry in ATTRIBUTES for of in entry.on}


def of_type(value: Value, entry: AttributeEntry) -> bool:
    return type(value) is TYPES[entry.type]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(exchanges, min_size=1, max_size=3),
    st.lists(steps, max_size=4),
    st.none() | st.dictionaries(texts, texts, max_size=2),
)
def test_whatever_is_recorded_only_registered_names_and_types_are_emitted(
    recorded: list[Exchange], found: list[Step], content: dict[str, str] | None
) -> None:
    by_name = {entry.name: entry for entry in ATTRIBUTES}
    spans = branch_spans(recorded)
    for exchange in recorded:
        spans += spans_of(exchange, found, servers={exchange.provider: ("h", 1)}, texts=content)
    assert emitted(spans) <= registered()
    for span in spans:
        assert span.ended_ns >= span.started_ns
        assert all(of_type(value, by_name[name]) for name, value in span.attributes.items())


def test_everything_registered_is_emitted() -> None:
    assert registered() - emitted(rich_spans()) == set()


def test_every_registered_type_of_span_is_emitted() -> None:
    assert {span_type(span.name, span.kind) for span in rich_spans()} == {entry.type for entry in SPANS}


def test_required_attributes_are_always_there() -> None:
    for span in rich_spans():
        of = span_type(span.name, span.kind)
        required = {entry.name for entry in ATTRIBUTES if entry.requirement == "required" and of in entry.on}
        assert required <= set(span.attributes)


def test_opt_in_attributes_need_content_to_be_handed_in() -> None:
    opt_in = {entry.name for entry in ATTRIBUTES if entry.requirement == "opt-in"}
    quiet = {name for span in spans_of(RICH, RICH_STEPS) for name in span.attributes}
    assert not quiet & opt_in


def test_no_name_is_registered_twice() -> None:
    assert len({entry.name for entry in ATTRIBUTES}) == len(ATTRIBUTES)


def test_our_own_names_stand_apart_from_the_conventions() -> None:
    for entry in ATTRIBUTES:
        assert entry.name.startswith("stepwarden.") == (entry.origin == "Stepwarden")
        assert entry.name.startswith(("gen_ai.", "mcp.")) == (entry.origin == "OTel GenAI")


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "SPANS.md").read_text() == page(), "run `make docs`"


def test_names_change_only_with_the_profile() -> None:
    assert PROFILE == "stepwarden-genai/1"
    assert [entry.name for entry in SPANS] == [
        "{http.request.method} /{provider}",
        "{gen_ai.operation.name} {gen_ai.request.model}",
        "{http.request.method}",
        "{mcp.method.name} {gen_ai.tool.name}",
        "invoke_agent {gen_ai.agent.name}",
        "execute_tool {gen_ai.tool.name}",
        "step {stepwarden.step.kind}",
        "revise {stepwarden.proposal.rung}",
        "optimize {stepwarden.optimizer.name}",
    ]
    assert sorted(entry.name for entry in ATTRIBUTES) == [
        "error.type",
        "gen_ai.agent.name",
        "gen_ai.conversation.id",
        "gen_ai.input.messages",
        "gen_ai.operation.name",
        "gen_ai.output.messages",
        "gen_ai.provider.name",
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
        "gen_ai.request.stream",
        "gen_ai.request.temperature",
        "gen_ai.request.top_p",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.id",
        "gen_ai.tool.call.result",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        "http.request.method",
        "http.response.status_code",
        "jsonrpc.request.id",
        "mcp.method.name",
        "network.transport",
        "server.address",
        "server.port",
        "stepwarden.app",
        "stepwarden.branch.exchanges",
        "stepwarden.branch.id",
        "stepwarden.branch.parent_id",
        "stepwarden.call.span_id",
        "stepwarden.cost_micro_usd",
        "stepwarden.dialect",
        "stepwarden.exchange.id",
        "stepwarden.fidelity",
        "stepwarden.join.evidence",
        "stepwarden.join.relation",
        "stepwarden.operation",
        "stepwarden.optimizer.calls",
        "stepwarden.optimizer.failures",
        "stepwarden.optimizer.known",
        "stepwarden.optimizer.name",
        "stepwarden.optimizer.proposals",
        "stepwarden.optimizer.tokens",
        "stepwarden.outcome",
        "stepwarden.price_version",
        "stepwarden.proposal.by_a_person",
        "stepwarden.proposal.number",
        "stepwarden.proposal.outcome",
        "stepwarden.proposal.rung",
        "stepwarden.proposal.state",
        "stepwarden.proposal.why",
        "stepwarden.provider",
        "stepwarden.retry",
        "stepwarden.session.id",
        "stepwarden.step.id",
        "stepwarden.step.kind",
        "stepwarden.step.server_side",
        "stepwarden.step.side",
        "stepwarden.step.size",
        "stepwarden.step.unread",
        "stepwarden.time_to_first_token",
        "stepwarden.usage.cache_write_1h.input_tokens",
        "stepwarden.usage.estimated",
        "stepwarden.verdict",
        "url.path",
    ]
