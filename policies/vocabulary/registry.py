"""The single source of truth for every span name and attribute Stepwarden emits.

Read by `docs/SPANS.md` (generated: `python -m policies.vocabulary.registry`) and by the contract test that
compares it, both ways, with what is emitted. A rename is a new profile version, not an edit.
"""

import re
import sys
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from policies.vocabulary.spans import SpanKind

PROFILE = "stepwarden-genai/1"
"""Our profile of the GenAI conventions, which have no release of their own yet."""

CONVENTIONS = "github.com/open-telemetry/semantic-conventions-genai, state of 2026-11, stability Development"

SCHEMA_URL = "https://stepwarden.invalid/schemas/stepwarden-genai/1"
"""Names the profile to a collector. Nothing is served there: the host is reserved never to exist (RFC 6761)."""

SpanType: TypeAlias = Literal[
    "exchange", "inference", "upstream", "mcp", "agent", "tool", "step", "proposal", "optimizer"
]

AttributeType: TypeAlias = Literal["string", "int", "double", "boolean", "string[]"]

Requirement: TypeAlias = Literal["required", "conditional", "recommended", "opt-in"]
"""`conditional`: whenever it is known or applies; `opt-in`: only with `export_content` of the app."""

Origin: TypeAlias = Literal["OTel", "OTel GenAI", "Stepwarden"]


class SpanEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One type of span."""

    type: SpanType
    name: str
    """How its name is built; parts in braces vary."""

    pattern: str
    """Regular expression for the whole name."""

    kind: SpanKind
    parent: str
    sentence: str


class AttributeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute."""

    name: str
    type: AttributeType
    on: tuple[SpanType, ...]
    requirement: Requirement
    origin: Origin
    sentence: str


SPANS: tuple[SpanEntry, ...] = (
    SpanEntry(
        type="exchange",
        name="{http.request.method} /{provider}",
        pattern=r"[A-Z_]+ /.+",
        kind="server",
        parent="the caller's span where it sent `traceparent`, else the agent span",
        sentence="One request as it reached the gateway, until the last byte of its answer.",
    ),
    SpanEntry(
        type="inference",
        name="{gen_ai.operation.name} {gen_ai.request.model}",
        pattern=r"(chat|embeddings)( .+)?",
        kind="client",
        parent="the exchange span",
        sentence="The call to the model provider; absent where the gateway answered by itself.",
    ),
    SpanEntry(
        type="upstream",
        name="{http.request.method}",
        pattern=r"[A-Z_]+",
        kind="client",
        parent="the exchange span",
        sentence="Any other call to a provider: models, files, token counts, batches.",
    ),
    SpanEntry(
        type="mcp",
        name="{mcp.method.name} {gen_ai.tool.name}",
        pattern=r"(initialize|ping|mcp message|[a-z]+(/[A-Za-z_]+)+)( .+)?",
        kind="client",
        parent="the exchange span",
        sentence="A message to an MCP server, until its answer; `mcp message` where it has no method that is one.",
    ),
    SpanEntry(
        type="agent",
        name="invoke_agent {gen_ai.agent.name}",
        pattern=r"invoke_agent( .+)?",
        kind="internal",
        parent="the agent span of the branch it left, else the caller's span, else none",
        sentence=(
            "One branch of a session, from its first request to its last byte so far. Exported once the branch has "
            "been idle, and again under the same id, with a later end, if it goes on."
        ),
    ),
    SpanEntry(
        type="tool",
        name="execute_tool {gen_ai.tool.name}",
        pattern=r"execute_tool( .+)?",
        kind="internal",
        parent="the agent span",
        sentence=(
            "The span of a `tool_result` step whose call was seen: from the end of the call on the wire to the "
            "arrival of its result. It bounds the run of the tool; the run itself was not observed."
        ),
    ),
    SpanEntry(
        type="step",
        name="step {stepwarden.step.kind}",
        pattern=r"step [a-z_]+",
        kind="internal",
        parent="the exchange span for request steps, the inference span for reply steps",
        sentence="The span of every other step.",
    ),
    SpanEntry(
        type="proposal",
        name="revise {stepwarden.proposal.rung}",
        pattern=r"revise [a-z_]+",
        kind="internal",
        parent="none; all spans of one proposal share a trace",
        sentence="The time until a move of a proposal: from the one before, to what a rung or a person said.",
    ),
    SpanEntry(
        type="optimizer",
        name="optimize {stepwarden.optimizer.name}",
        pattern=r"optimize [a-z-]+",
        kind="internal",
        parent="none; all spans of one run share a trace",
        sentence="One optimizer that a run heard for one app, and the rungs that its proposals were asked at once.",
    ),
)

_EXCHANGES: tuple[SpanType, ...] = ("exchange", "inference", "upstream", "mcp")
_STEPS: tuple[SpanType, ...] = ("step", "tool")
_GEN_AI: tuple[SpanType, ...] = ("inference", "agent", "tool")


def _otel(name: str, kind: AttributeType, on: tuple[SpanType, ...], sentence: str) -> AttributeEntry:
    """An attribute of the general conventions, given whenever it is known."""
    return AttributeEntry(name=name, type=kind, on=on, requirement="conditional", origin="OTel", sentence=sentence)


def _gen_ai(
    name: str, kind: AttributeType, on: tuple[SpanType, ...], requirement: Requirement, sentence: str
) -> AttributeEntry:
    """An attribute of the GenAI conventions."""
    return AttributeEntry(name=name, type=kind, on=on, requirement=requirement, origin="OTel GenAI", sentence=sentence)


def _ours(
    name: str, kind: AttributeType, on: tuple[SpanType, ...], requirement: Requirement, sentence: str
) -> AttributeEntry:
    """An attribute no convention has."""
    return AttributeEntry(
        name=f"stepwarden.{name}", type=kind, on=on, requirement=requirement, origin="Stepwarden", sentence=sentence
    )


ATTRIBUTES: tuple[AttributeEntry, ...] = (
    _otel("http.request.method", "string", ("exchange", "upstream"), "HTTP method; `_OTHER` for one not registered."),
    _otel("url.path", "string", ("exchange",), "Path as sent to the provider, never with its query."),
    _otel(
        "http.response.status_code",
        "int",
        _EXCHANGES,
        "Exchange: what the caller received. Calls to a provider: what the provider sent.",
    ),
    _otel(
        "error.type", "string", _EXCHANGES, "The provider's error type, else how the exchange ended, else the status."
    ),
    _otel("server.address", "string", ("inference", "upstream", "mcp"), "Host of the provider behind the gateway."),
    _otel("server.port", "int", ("inference", "upstream", "mcp"), "Its port."),
    _otel("network.transport", "string", ("mcp",), "`pipe` for a server over stdio, else `tcp`."),
    _otel("jsonrpc.request.id", "string", ("mcp",), "JSON text of the message's id; absent for notifications."),
    _gen_ai(
        "mcp.method.name",
        "string",
        ("mcp",),
        "required",
        "Method of the message; `answer` for a client's answer, `other` where a client listens.",
    ),
    _gen_ai(
        "gen_ai.operation.name", "string", _GEN_AI, "required", "`chat`, `embeddings`, `invoke_agent`, `execute_tool`."
    ),
    _gen_ai(
        "gen_ai.provider.name",
        "string",
        ("inference",),
        "required",
        "The provider by its wire format (`anthropic`, `openai`); for a raw provider its configured name.",
    ),
    _gen_ai("gen_ai.request.model", "string", ("inference",), "conditional", "Model asked for."),
    _gen_ai(
        "gen_ai.request.stream", "boolean", ("inference",), "conditional", "Only ever true: the reply was streamed."
    ),
    _gen_ai("gen_ai.request.max_tokens", "int", ("inference",), "recommended", "Limit on output tokens."),
    _gen_ai("gen_ai.request.temperature", "double", ("inference",), "recommended", "Sampling temperature."),
    _gen_ai("gen_ai.request.top_p", "double", ("inference",), "recommended", "Nucleus sampling."),
    _gen_ai("gen_ai.response.id", "string", ("inference",), "recommended", "The provider's id of the reply."),
    _gen_ai("gen_ai.response.model", "string", ("inference",), "recommended", "Model named in the reply."),
    _gen_ai("gen_ai.response.finish_reasons", "string[]", ("inference",), "recommended", "Why the model stopped."),
    _gen_ai(
        "gen_ai.response.time_to_first_chunk",
        "double",
        ("inference",),
        "recommended",
        "Streams: seconds from the call to the provider to the first byte of its answer.",
    ),
    _gen_ai(
        "gen_ai.usage.input_tokens",
        "int",
        ("inference", "agent"),
        "recommended",
        "All input tokens, cached ones included. Agent: the sum, absent where one part is unknown.",
    ),
    _gen_ai(
        "gen_ai.usage.output_tokens",
        "int",
        ("inference", "agent"),
        "recommended",
        "All output tokens, reasoning included. Agent: the sum, absent where one part is unknown.",
    ),
    _gen_ai("gen_ai.usage.cache_read.input_tokens", "int", ("inference",), "recommended", "Input read from the cache."),
    _gen_ai(
        "gen_ai.usage.cache_write.input_tokens", "int", ("inference",), "recommended", "Input written to the cache."
    ),
    _gen_ai("gen_ai.usage.reasoning.output_tokens", "int", ("inference",), "recommended", "Output spent on reasoning."),
    _gen_ai(
        "gen_ai.conversation.id",
        "string",
        ("inference", "agent"),
        "conditional",
        "The client's own session id. Absent where the session was rebuilt by us: a derived id is never exported so.",
    ),
    _gen_ai("gen_ai.agent.name", "string", ("agent",), "conditional", "Name of the agent, where the client gives one."),
    _gen_ai(
        "gen_ai.tool.name", "string", (*_STEPS, "mcp"), "conditional", "Name of the tool called, answered or defined."
    ),
    _gen_ai("gen_ai.tool.call.id", "string", _STEPS, "recommended", "Joins a call to its result."),
    _gen_ai(
        "gen_ai.tool.type",
        "string",
        ("tool",),
        "recommended",
        "`extension` where the provider ran the tool itself, else `function`.",
    ),
    _gen_ai(
        "gen_ai.system_instructions",
        "string",
        ("inference",),
        "opt-in",
        "Instructions first seen in this exchange, as the JSON of the conventions.",
    ),
    _gen_ai(
        "gen_ai.input.messages",
        "string",
        ("inference",),
        "opt-in",
        "What this request added to the conversation, as the JSON of the conventions; known history is left out.",
    ),
    _gen_ai("gen_ai.output.messages", "string", ("inference",), "opt-in", "The reply, as the JSON of the conventions."),
    _gen_ai("gen_ai.tool.call.arguments", "string", ("step",), "opt-in", "A tool call's arguments, as JSON text."),
    _gen_ai("gen_ai.tool.call.result", "string", ("tool",), "opt-in", "The text of a tool's result."),
    _ours("optimizer.name", "string", ("optimizer",), "required", "The optimizer; docs/OPTIMIZING.md lists them all."),
    _ours("optimizer.proposals", "int", ("optimizer",), "required", "Proposals of it that were filed."),
    _ours("optimizer.known", "int", ("optimizer",), "required", "Proposals that were made before, and not again."),
    _ours("optimizer.failures", "int", ("optimizer",), "required", "What it could not do, or was thrown away."),
    _ours("optimizer.calls", "int", ("optimizer",), "required", "Calls to a model."),
    _ours("optimizer.tokens", "int", ("optimizer",), "required", "Tokens of these, in and out."),
    _ours("proposal.number", "int", ("proposal",), "required", "The proposal: `stepwarden proposals show NUMBER`."),
    _ours("proposal.state", "string", ("proposal",), "required", "Its state from this move on."),
    _ours("proposal.rung", "string", ("proposal",), "required", "The rung that was asked last."),
    _ours("proposal.outcome", "string", ("proposal",), "required", "What that said."),
    _ours("proposal.why", "string", ("proposal",), "required", "And why; docs/OPTIMIZING.md has the ladder."),
    _ours("proposal.by_a_person", "boolean", ("proposal",), "required", "Whether it was on a person's word."),
    _ours("exchange.id", "string", (*_EXCHANGES, *_STEPS), "required", "The exchange: `stepwarden exchanges show ID`."),
    _ours("session.id", "string", (*_EXCHANGES, "agent", *_STEPS), "conditional", "The session."),
    _ours("branch.id", "string", (*_EXCHANGES, "agent", *_STEPS), "conditional", "The branch."),
    _ours("branch.parent_id", "string", ("agent",), "conditional", "The branch this one left or was spawned from."),
    _ours("branch.exchanges", "int", ("agent",), "required", "Exchanges of this branch in this trace so far."),
    _ours("join.evidence", "string", ("exchange", "agent"), "conditional", "Why it was joined to its session."),
    _ours("join.relation", "string", ("exchange", "agent"), "conditional", "How it stands to what the session held."),
    _ours(
        "app",
        "string",
        ("exchange", "proposal", "optimizer"),
        "required",
        "The app of the caller's key, or whose policy it is.",
    ),
    _ours("provider", "string", _EXCHANGES, "required", "The provider's name in the configuration."),
    _ours("dialect", "string", ("exchange",), "required", "The wire format spoken."),
    _ours(
        "operation",
        "string",
        ("exchange",),
        "required",
        "`chat`, `embeddings`, `count_tokens`, `batch`, `other`; a message's method.",
    ),
    _ours("outcome", "string", ("exchange",), "required", "How the exchange ended."),
    _ours("verdict", "string", ("exchange",), "required", "What the gateway did."),
    _ours("retry", "int", ("exchange",), "conditional", "The caller's own count of retries, above 0."),
    _ours(
        "time_to_first_token", "double", ("inference",), "conditional", "Streams: seconds to the first model output."
    ),
    _ours(
        "usage.cache_write_1h.input_tokens",
        "int",
        ("inference",),
        "conditional",
        "The part of the cache writes with a one-hour lifetime.",
    ),
    _ours("usage.estimated", "boolean", ("inference",), "conditional", "Only ever true: the final count never came."),
    _ours(
        "cost_micro_usd",
        "int",
        ("inference", "agent"),
        "conditional",
        "Millionths of a US dollar; absent where unknown. Agent: the sum, absent where one part is unknown.",
    ),
    _ours("price_version", "string", ("inference",), "conditional", "The price list the cost was computed with."),
    _ours("step.id", "string", _STEPS, "required", "The step, and the reference to its stored content."),
    _ours("step.kind", "string", _STEPS, "required", "What it is to a judge."),
    _ours("step.side", "string", _STEPS, "required", "`request` or `response`: the body that holds it."),
    _ours("step.size", "int", _STEPS, "required", "UTF-8 bytes of the text a judge would read."),
    _ours("step.unread", "string", _STEPS, "conditional", "Why no guard can read it."),
    _ours("step.server_side", "boolean", _STEPS, "conditional", "Only ever true: the provider itself ran the tool."),
    _ours(
        "fidelity",
        "string",
        _STEPS,
        "required",
        "`witnessed` on this wire, `projected` from later history, `reported` by the app's own span.",
    ),
    _ours("call.span_id", "string", ("tool",), "required", "Hex span id of the `tool_call` step this result answers."),
)


_HEAD = f"""\
# Spans

Generated by `make docs` from `policies/vocabulary/registry.py`; a test fails where the two differ.

Profile `{PROFILE}`, following {CONVENTIONS}.
Schema URL `{SCHEMA_URL}`: a name; nothing is served there.

```text
invoke_agent {{agent}}            one branch of a session
├─ POST /{{provider}}             one exchange; under the caller's own span where it sent traceparent
│  ├─ step user_input           what the request added to the conversation
│  └─ chat {{model}}              the call to the provider
│     ├─ step model_text        what the model said
│     └─ step tool_call         what it asked for
└─ execute_tool {{tool}}          from that call to its result, which came with the next exchange
```

A name in braces is left out where it is not known. A result takes the name of its tool from its call where its own wire
has none, as OpenAI's have not.

Every step has exactly one span, and the step's `span_id` is its id. A `tool_result` whose call was seen has the
`execute_tool` span, a child of the agent span that names its call in `stepwarden.call.span_id` (the call may lie in
another trace, where the caller brings its own); all other steps have `step {{kind}}`. A gateway never sees a tool run:
`stepwarden.fidelity` says how directly each step was seen, and the last result of a session never comes by.

Never in an attribute: query strings, header values, keys. Content only of apps
with `export_content = true` under `[app.NAME]`, and never what a clause redacted, held or refused.
Text is cut at 1,024 characters (content excepted); a number that fits no 64-bit integer is left out.

## Span types
"""


class EventEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute of an event."""

    name: str
    type: AttributeType
    requirement: Requirement
    origin: Origin
    sentence: str


EVALUATION = "gen_ai.evaluation.result"
"""The one event: what a critique says of one clause."""

EVENT_ATTRIBUTES: tuple[EventEntry, ...] = (
    EventEntry(
        name="gen_ai.evaluation.name",
        type="string",
        requirement="required",
        origin="OTel GenAI",
        sentence="The clause, as `policy/clause`.",
    ),
    EventEntry(
        name="gen_ai.evaluation.score.label",
        type="string",
        requirement="conditional",
        origin="OTel GenAI",
        sentence="`ok`, `unsure` or `violation`; absent where nothing was judged.",
    ),
    EventEntry(
        name="gen_ai.evaluation.score.value",
        type="double",
        requirement="conditional",
        origin="OTel GenAI",
        sentence="0 routine to 100; absent where nothing was judged.",
    ),
    EventEntry(
        name="gen_ai.response.id",
        type="string",
        requirement="conditional",
        origin="OTel GenAI",
        sentence="Of the exchange that holds the step.",
    ),
    EventEntry(
        name="error.type",
        type="string",
        requirement="conditional",
        origin="OTel",
        sentence="Why nothing was judged (`shed`, `budget_day`, `answer_malformed`, ...).",
    ),
    EventEntry(
        name="stepwarden.critique.id",
        type="string",
        requirement="required",
        origin="Stepwarden",
        sentence="The critique; `stepwarden critique SESSION --list` shows its words, which no event holds.",
    ),
    EventEntry(
        name="stepwarden.critique.seat",
        type="string",
        requirement="required",
        origin="Stepwarden",
        sentence="`gate` or `monitor`.",
    ),
    EventEntry(
        name="stepwarden.critique.steps",
        type="int",
        requirement="required",
        origin="Stepwarden",
        sentence="How many steps it was asked about; the span is that of the first bad one, else of the last. None at "
        "the gate, which is asked before there is a step: the span is that of the model's answer.",
    ),
    EventEntry(
        name="stepwarden.critique.view",
        type="string",
        requirement="conditional",
        origin="Stepwarden",
        sentence="What it was looked at from: `policy`, `provenance` or `intent`; absent where nothing was judged.",
    ),
    EventEntry(
        name="stepwarden.critique.verdict",
        type="string",
        requirement="required",
        origin="Stepwarden",
        sentence="The strongest that the bands of its clauses in force came to.",
    ),
    EventEntry(
        name="stepwarden.app",
        type="string",
        requirement="required",
        origin="Stepwarden",
        sentence="The app.",
    ),
)


def span_type(name: str, kind: SpanKind) -> SpanType | None:
    """The type of a span with this name and kind; None where it is not registered."""
    for entry in SPANS:
        if entry.kind == kind and re.fullmatch(entry.pattern, name, re.DOTALL):
            return entry.type
    return None


def page() -> str:
    """docs/SPANS.md."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    """Its parts, each some whole lines."""
    yield _HEAD
    yield "| type | name | kind | parent | what it is |"
    yield "|---|---|---|---|---|"
    for span in SPANS:
        yield f"| {span.type} | `{span.name}` | {span.kind.upper()} | {span.parent} | {span.sentence} |"
    yield "\n## Attributes\n"
    yield "| attribute | type | on | requirement | origin | meaning |"
    yield "|---|---|---|---|---|---|"
    for entry in ATTRIBUTES:
        on = ", ".join(entry.on)
        yield f"| `{entry.name}` | {entry.type} | {on} | {entry.requirement} | {entry.origin} | {entry.sentence} |"
    yield "\n## Event\n"
    yield f"`{EVALUATION}`, a log record with that event name, sent to `/v1/logs` with trace and span of the step: one"
    yield "for each clause a critique is about, and one where nothing could be judged. Sent at least once, when the"
    yield "critique is durable. `gen_ai.evaluation.explanation` is never sent: it would hold content.\n"
    yield "| attribute | type | requirement | origin | meaning |"
    yield "|---|---|---|---|---|"
    for entry in EVENT_ATTRIBUTES:
        yield f"| `{entry.name}` | {entry.type} | {entry.requirement} | {entry.origin} | {entry.sentence} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
