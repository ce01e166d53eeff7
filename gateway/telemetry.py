"""Spans of exchanges, steps and branches, as pure functions: what was recorded in, `Span` values out.

Names and attributes are those of `policies.vocabulary.registry`; docs/SPANS.md shows them. Query strings, header
values and content never become attributes; content does so only where texts are handed in.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.sessions import Join
from policies.vocabulary.spans import Span, Value
from policies.vocabulary.steps import Step

Address = tuple[str, int]
"""Host and port of a provider."""

Texts = Mapping[str, str]
"""Content by step id: what a judge would read of each step."""

_LONGEST = 1_024
"""Characters of an attribute or name taken from the wire; content is exempt."""

_MCP = "mcp"
_METHOD_OF_MCP = re.compile(r"initialize|ping|[a-z]+(/[A-Za-z_]+)+")
_INT64 = range(-(2**63), 2**63)
_NANOSECONDS = 1e9
_CLIENT_ERROR = 400
_SERVER_ERROR = 500

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_GEN_AI_OPERATIONS = frozenset({"chat", "embeddings"})

_Attributes = Iterator[tuple[str, Value | None]]


def spans_of(
    exchange: Exchange,
    steps: Sequence[Step] = (),
    *,
    servers: Mapping[str, Address] | None = None,
    texts: Texts | None = None,
) -> list[Span]:
    """The spans of one exchange: its own, the call to the provider if one was made, and one per step.

    `servers` names the hosts behind provider names. `texts` turns content attributes on.
    """
    trace_id = _trace_id(exchange)
    spans = [_exchange_span(exchange, trace_id)]
    called = exchange.upstream_started_ns is not None
    if called:
        address = (servers or {}).get(exchange.provider)
        spans.append(_call_span(exchange, trace_id, address, steps, texts))
    reply_parent = exchange.client_span_id if called else exchange.server_span_id
    for step in steps:
        parent = exchange.server_span_id if step.side == "request" else reply_parent
        spans.append(_step_span(step, exchange, trace_id, parent, texts))
    return spans


def branch_spans(exchanges: Iterable[Exchange]) -> list[Span]:
    """One `invoke_agent` span for each branch and trace found in these exchanges of one session, in order."""
    branches: dict[tuple[bytes, bytes], list[tuple[Exchange, Join]]] = {}
    for exchange in exchanges:
        if (join := exchange.join) is not None:
            branches.setdefault((join.trace_id, join.branch_span_id), []).append((exchange, join))
    known = {(trace_id, members[0][1].branch_id): span_id for (trace_id, span_id), members in branches.items()}
    return [_branch_span(members, known) for members in branches.values()]


def _exchange_span(exchange: Exchange, trace_id: bytes) -> Span:
    """The SERVER span: what the caller saw."""
    join = exchange.join
    remote = join is not None and exchange.parent_span_id is not None
    branch = join.branch_span_id if join is not None else None
    method = _method(exchange)
    return Span(
        name=_text(f"{method} /{exchange.provider}"),
        kind="server",
        trace_id=trace_id,
        span_id=exchange.server_span_id,
        parent_span_id=exchange.parent_span_id if remote else branch,
        parent_remote=remote,
        started_ns=exchange.started_ns,
        ended_ns=max(exchange.started_ns, exchange.ended_ns),
        attributes=_given(_exchange_attributes(exchange, method)),
        failed=exchange.outcome != "complete" or (exchange.status or 0) >= _SERVER_ERROR,
    )


def _exchange_attributes(exchange: Exchange, method: str) -> _Attributes:
    yield "http.request.method", method
    yield "url.path", exchange.path.partition("?")[0].partition("#")[0]
    yield "http.response.status_code", exchange.status
    yield "error.type", _error_type(exchange, exchange.status, _SERVER_ERROR)
    yield from _belonging(exchange)
    yield "stepwarden.app", exchange.app
    yield "stepwarden.provider", exchange.provider
    yield "stepwarden.dialect", exchange.dialect
    yield "stepwarden.operation", exchange.operation
    yield "stepwarden.outcome", exchange.outcome
    yield "stepwarden.verdict", exchange.verdict
    yield "stepwarden.retry", exchange.retry or None
    if exchange.join is not None:
        yield "stepwarden.join.evidence", exchange.join.evidence
        yield "stepwarden.join.relation", exchange.join.relation


def _call_span(
    exchange: Exchange, trace_id: bytes, address: Address | None, steps: Sequence[Step], texts: Texts | None
) -> Span:
    """The CLIENT span: the call to the provider."""
    if exchange.dialect == _MCP:
        return _message_span(exchange, trace_id, address, steps)
    inference = exchange.operation in _GEN_AI_OPERATIONS
    method = _method(exchange)
    started = exchange.upstream_started_ns or exchange.started_ns
    attributes = _given(_call_attributes(exchange, address))
    if inference:
        attributes |= _given(_inference_attributes(exchange, started))
        attributes |= _content(steps, texts)
    else:
        attributes["http.request.method"] = method
    return Span(
        name=_text(f"{exchange.operation} {exchange.model_requested or ''}".strip()) if inference else method,
        kind="client",
        trace_id=trace_id,
        span_id=exchange.client_span_id,
        parent_span_id=exchange.server_span_id,
        started_ns=started,
        ended_ns=max(started, exchange.ended_ns),
        attributes=attributes,
        failed="error.type" in attributes,
    )


def _message_span(exchange: Exchange, trace_id: bytes, address: Address | None, steps: Sequence[Step]) -> Span:
    """The CLIENT span of a message to an MCP server."""
    started = exchange.upstream_started_ns or exchange.started_ns
    tool = next((step.tool for step in steps if step.side == "request"), None)
    attributes = _given(_call_attributes(exchange, address)) | _given(_message_attributes(exchange, tool))
    method = exchange.operation
    known = _METHOD_OF_MCP.fullmatch(method) is not None
    return Span(
        name=_text(f"{method if known else 'mcp message'} {tool if tool != method and tool else ''}".strip()),
        kind="client",
        trace_id=trace_id,
        span_id=exchange.client_span_id,
        parent_span_id=exchange.server_span_id,
        started_ns=started,
        ended_ns=max(started, exchange.ended_ns),
        attributes=attributes,
        failed="error.type" in attributes,
    )


def _message_attributes(exchange: Exchange, tool: str | None) -> _Attributes:
    yield "mcp.method.name", exchange.operation
    yield "gen_ai.tool.name", tool if exchange.operation == "tools/call" else None
    yield "jsonrpc.request.id", exchange.response_id
    yield "network.transport", "pipe" if exchange.method == "STDIO" else "tcp"


def _call_attributes(exchange: Exchange, address: Address | None) -> _Attributes:
    yield "http.response.status_code", exchange.upstream_status
    yield "error.type", _error_type(exchange, exchange.upstream_status, _CLIENT_ERROR)
    if address is not None:
        yield "server.address", address[0]
        yield "server.port", address[1]
    yield "stepwarden.provider", exchange.provider
    yield from _belonging(exchange)


def _inference_attributes(exchange: Exchange, called_ns: int) -> _Attributes:
    yield "gen_ai.operation.name", exchange.operation
    yield "gen_ai.provider.name", _provider_name(exchange)
    yield "gen_ai.request.model", exchange.model_requested
    yield "gen_ai.request.stream", exchange.stream or None
    yield "gen_ai.request.max_tokens", exchange.max_tokens
    yield "gen_ai.request.temperature", _double(exchange.temperature)
    yield "gen_ai.request.top_p", _double(exchange.top_p)
    yield "gen_ai.response.id", exchange.response_id
    yield "gen_ai.response.model", exchange.model
    yield "gen_ai.response.finish_reasons", exchange.finish_reasons or None
    if exchange.stream:
        yield "gen_ai.response.time_to_first_chunk", _seconds(called_ns, exchange.first_byte_ns)
        yield "stepwarden.time_to_first_token", _seconds(called_ns, exchange.first_token_ns)
    yield from _usage(exchange)
    yield "gen_ai.conversation.id", _conversation_id(exchange.join)


def _usage(exchange: Exchange) -> _Attributes:
    usage = exchange.usage
    yield "gen_ai.usage.input_tokens", usage.input_tokens
    yield "gen_ai.usage.output_tokens", usage.output_tokens
    yield "gen_ai.usage.cache_read.input_tokens", usage.cache_read_tokens
    yield "gen_ai.usage.cache_write.input_tokens", usage.cache_write_tokens
    yield "gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens
    yield "stepwarden.usage.cache_write_1h.input_tokens", usage.cache_write_1h_tokens
    yield "stepwarden.usage.estimated", usage.estimated or None
    yield "stepwarden.cost_micro_usd", exchange.cost_micro_usd
    if exchange.cost_micro_usd is not None:
        yield "stepwarden.price_version", exchange.price_version


def _belonging(exchange: Exchange) -> _Attributes:
    """Where an exchange belongs."""
    yield "stepwarden.exchange.id", exchange.exchange_id
    if exchange.join is not None:
        yield "stepwarden.session.id", exchange.join.session_id
        yield "stepwarden.branch.id", exchange.join.branch_id


def _step_span(step: Step, exchange: Exchange, trace_id: bytes, parent: bytes, texts: Texts | None) -> Span:
    """The one span of a step: `execute_tool` for a result whose call was seen, `step {kind}` for all others."""
    started, tool = step.started_ns, False
    if step.kind == "tool_result" and step.call_span_id is not None and step.call_ended_ns is not None:
        started, tool = min(step.call_ended_ns, step.started_ns), True
        parent = exchange.join.branch_span_id if exchange.join is not None else parent
    attributes = _given(_step_attributes(step))
    if tool:
        attributes |= _given(_tool_attributes(step))
    if texts is not None and step.step_id in texts and step.kind in ("tool_call", "tool_result"):
        name = "gen_ai.tool.call.result" if tool else "gen_ai.tool.call.arguments"
        if tool or step.kind == "tool_call":
            attributes[name] = _utf8(texts[step.step_id])
    return Span(
        name=_text(f"execute_tool {step.tool or ''}".strip()) if tool else f"step {step.kind}",
        kind="internal",
        trace_id=trace_id,
        span_id=step.span_id,
        parent_span_id=parent,
        started_ns=started,
        # A tool had run once its result reached us; how long we took to read it is no part of that.
        ended_ns=max(started, step.started_ns if tool else step.ended_ns),
        attributes=attributes,
    )


def _step_attributes(step: Step) -> _Attributes:
    yield "gen_ai.tool.name", step.tool
    yield "gen_ai.tool.call.id", step.call_id
    yield "stepwarden.step.id", step.step_id
    yield "stepwarden.step.kind", step.kind
    yield "stepwarden.fidelity", step.fidelity
    yield "stepwarden.step.side", step.side
    yield "stepwarden.step.size", step.size
    yield "stepwarden.step.unread", step.unread
    yield "stepwarden.step.server_side", step.server_side or None
    yield "stepwarden.exchange.id", step.exchange_id
    yield "stepwarden.session.id", step.session_id
    yield "stepwarden.branch.id", step.branch_id


def _tool_attributes(step: Step) -> _Attributes:
    yield "gen_ai.operation.name", "execute_tool"
    yield "gen_ai.tool.type", "extension" if step.server_side else "function"
    yield "stepwarden.call.span_id", (step.call_span_id or b"").hex()


def _branch_span(members: Sequence[tuple[Exchange, Join]], known: Mapping[tuple[bytes, str], bytes]) -> Span:
    """The `invoke_agent` span of one branch in one trace; `known` finds the span of its parent branch."""
    first, join = members[0]
    agent = next((j.agent_name for _, j in members if j.agent_name is not None), None)
    parent = known.get((join.trace_id, join.parent_branch_id)) if join.parent_branch_id is not None else None
    started = min(exchange.started_ns for exchange, _ in members)
    return Span(
        name=_text(f"invoke_agent {agent or ''}".strip()),
        kind="internal",
        trace_id=join.trace_id,
        span_id=join.branch_span_id,
        parent_span_id=parent or first.parent_span_id,
        parent_remote=parent is None and first.parent_span_id is not None,
        started_ns=started,
        ended_ns=max(started, *(exchange.ended_ns for exchange, _ in members)),
        attributes=_given(_branch_attributes([exchange for exchange, _ in members], join, agent)),
    )


def _branch_attributes(exchanges: Sequence[Exchange], join: Join, agent: str | None) -> _Attributes:
    yield "gen_ai.operation.name", "invoke_agent"
    yield "gen_ai.agent.name", agent
    yield "gen_ai.conversation.id", _conversation_id(join)
    yield "gen_ai.usage.input_tokens", _sum(exchange.usage.input_tokens for exchange in exchanges)
    yield "gen_ai.usage.output_tokens", _sum(exchange.usage.output_tokens for exchange in exchanges)
    yield "stepwarden.cost_micro_usd", _sum(exchange.cost_micro_usd for exchange in exchanges)
    yield "stepwarden.session.id", join.session_id
    yield "stepwarden.branch.id", join.branch_id
    yield "stepwarden.branch.parent_id", join.parent_branch_id
    yield "stepwarden.branch.exchanges", len(exchanges)
    yield "stepwarden.join.evidence", join.evidence
    yield "stepwarden.join.relation", join.relation


def _content(steps: Sequence[Step], texts: Texts | None) -> dict[str, Value]:
    """The opt-in content attributes, each the JSON text the conventions describe; empty without texts."""
    if texts is None:
        return {}
    instructions = [_part(step, texts) for step in steps if step.kind == "instructions"]
    told = [step for step in steps if step.side == "request" and step.kind not in ("instructions", "tool_definitions")]
    said = [step for step in steps if step.side == "response"]
    values: dict[str, list[Any]] = {
        "gen_ai.system_instructions": instructions,
        "gen_ai.input.messages": [{"role": _role(step), "parts": [_part(step, texts)]} for step in told],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [_part(step, texts) for step in said]}]
        if said
        else [],
    }
    return {name: _utf8(json.dumps(value, ensure_ascii=False)) for name, value in values.items() if value}


def _role(step: Step) -> str:
    """Who speaks in a request step."""
    if step.kind == "tool_result":
        return "tool"
    return "assistant" if step.kind in ("model_text", "reasoning", "tool_call") else "user"


def _part(step: Step, texts: Texts) -> dict[str, Any]:
    """One message part of the conventions."""
    text = texts.get(step.step_id)
    if text is None or step.unread is not None:
        return {"type": step.unread or "unknown"}
    if step.kind == "tool_call":
        return {"type": "tool_call", "id": step.call_id, "name": step.tool, "arguments": _parsed(text)}
    if step.kind == "tool_result":
        return {"type": "tool_call_response", "id": step.call_id, "response": text}
    kinds = {"reasoning": "reasoning", "retrieval": "retrieval", "handoff": "handoff"}
    return {"type": kinds.get(step.kind, "text"), "content": text}


def _parsed(text: str) -> Any:
    """Arguments as the object they are; as text where they are no JSON, or JSON too deep to write again."""
    try:
        value = json.loads(text)
        json.dumps([[[[value]]]])
    except (ValueError, RecursionError):
        return text
    return value


def _trace_id(exchange: Exchange) -> bytes:
    """The exchange's trace; one of its own, 16 bytes from its id, where it belongs to no session."""
    if exchange.join is not None:
        return exchange.join.trace_id
    return hashlib.sha256(exchange.exchange_id.encode()).digest()[:16]


def _method(exchange: Exchange) -> str:
    """The HTTP method as the conventions want it: registered ones only, so that its values are few."""
    return exchange.method if exchange.method in _METHODS else "_OTHER"


def _provider_name(exchange: Exchange) -> str:
    """`gen_ai.provider.name`: which format the telemetry follows, which need not be who answered."""
    known = (name for name in ("anthropic", "openai") if exchange.dialect.startswith(name))
    return next(known, exchange.provider)


def _conversation_id(join: Join | None) -> str | None:
    """The client's own session id; None where it gave none (the conventions forbid a made-up fallback)."""
    return join.name if join is not None else None


def _error_type(exchange: Exchange, status: int | None, bad: int) -> str | None:
    """What went wrong on this leg, in few words; None where nothing did."""
    if exchange.outcome != "complete":
        return exchange.error_type or exchange.outcome
    if status is not None and status >= bad:
        return exchange.error_type or str(status)
    return exchange.error_type if bad == _CLIENT_ERROR else None


def _seconds(start_ns: int, end_ns: int | None) -> float | None:
    """Seconds between two moments, never negative; None where the second never came."""
    return None if end_ns is None else max(0, end_ns - start_ns) / _NANOSECONDS


def _double(value: float | None) -> float | None:
    """A number as the double the conventions ask for, also where the wire had an integer."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def _sum(values: Iterable[int | None]) -> int | None:
    """A total; None where one part is unknown."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _given(attributes: Iterable[tuple[str, Value | None]]) -> dict[str, Value]:
    """The attributes that have a value, in a form every exporter can encode."""
    clean = ((name, _clean(value)) for name, value in attributes if value is not None)
    return {name: value for name, value in clean if value is not None}


def _clean(value: Value) -> Value | None:
    """Text from the wire cut and made encodable; integers that fit no 64 bits left out."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        return tuple(_text(item) for item in value[:_LONGEST])
    if isinstance(value, int) and value not in _INT64:
        return None
    return value


def _text(text: str) -> str:
    """At most 1,024 characters, encodable."""
    return _utf8(text[:_LONGEST])


def _utf8(text: str) -> str:
    """The text with lone surrogates replaced: they have no UTF-8 and would fail a whole export."""
    return text.encode("utf-8", "replace").decode("utf-8")
