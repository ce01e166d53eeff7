"""Recordings as a gateway would hand them over, made from a seed."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from policies.vocabulary.exchanges import Body, Cut, Exchange, Recording
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Step
from policies.vocabulary.usage import Usage

START_NS = 1_763_900_000_000_000_000
"""2025-11-23, 12:13 UTC."""

_STEMS = (  # noqa: SIM905 - 170 strings one below the other would be read by nobody
    "account agent airport amount answer archive balance branch budget cabin cancel carrier change channel city claim "
    "client code commit compare config confirm contract country credit customer date deliver deny deploy detail "
    "device document economy email error event export fare field file filter flight folder form function gate group "
    "guest history hotel index invoice item journey key label language ledger limit line list log luggage manager "
    "market member merge message method model module month name network note number object office offer option order "
    "origin owner package page passenger path payment period person phone place plan policy price process product "
    "profile project promise quantity query queue question rate reason receipt record refund region release reply "
    "report request reserve result review route rule sample schedule seat section segment server service session "
    "setting ship signal size source stage state station status stock store street subject summary support switch "
    "system table target task tax team test ticket time title token tool topic total trace track train transfer "
    "travel type unit update user value version visit voucher warning weather week window word work year zone"
).split()
_ENDINGS = ("", "s", "ed", "ing", "er", "able", "ment", "al", "ly")
_SMALL = ("the", "of", "to", "and", "a", "in", "is", "for", "that", "with", "on", "as", "by", "not", "it", "be", "from")


_STEM_WEIGHTS = [1 / (rank + 2) for rank in range(len(_STEMS))]
_ENDING_WEIGHTS = [1 / (rank + 1) ** 1.3 for rank in range(len(_ENDINGS))]


def prose(rng: random.Random, size: int) -> str:
    """So many characters of words by natural frequency, without a repeated phrase.

    zstd makes 1 KB of it 1.9 times smaller and 10 KB 2.7 times; recorded agents' texts shrink 2.3 and 2.8 times.
    """
    out: list[str] = []
    length = 0
    while length < size:
        word = rng.choice(_SMALL) if rng.random() < 0.42 else _word(rng)
        if rng.random() < 0.04:
            word = str(rng.randint(1, 99999))
        if rng.random() < 0.07:
            word += rng.choice([".", ",", ".\n", ";"])
        out.append(word)
        length += len(word) + 1
    return " ".join(out)[:size]


def _word(rng: random.Random) -> str:
    return rng.choices(_STEMS, _STEM_WEIGHTS)[0] + rng.choices(_ENDINGS, _ENDING_WEIGHTS)[0]


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def request_body(lead: Sequence[tuple[str, Any]], messages: Sequence[bytes], tail: str = "") -> Body:
    """An Anthropic-like body: each lead member and each message is a cut."""
    raw, cuts = b'{"model":"m-large","max_tokens":4096,', list[Cut]()
    for name, value in lead:
        piece = compact(value)
        raw += compact(name) + b":"
        cuts.append((len(raw), len(raw) + len(piece), False))
        raw += piece + b","
    raw += b'"messages":['
    for place, piece in enumerate(messages):
        raw += b"," if place else b""
        cuts.append((len(raw), len(raw) + len(piece), True))
        raw += piece
    raw += b'],"stream":true' + tail.encode() + b"}"
    return Body(raw=raw, length=len(raw), cuts=tuple(cuts), media_type="application/json")


def recording(
    number: int,
    *,
    session: str | None = "S1",
    at_ns: int | None = None,
    request: Body | None = None,
    reply: bytes | None = None,
    state: bytes | None = None,
    **facts: Any,
) -> Recording:
    """One exchange with an instruction, an input, a call."""
    at_ns = START_NS + number * 1_000_000 if at_ns is None else at_ns
    exchange_id = f"01JX{number:022d}"
    body = request or request_body([("system", f"Be kind, {session}.")], [compact({"role": "user", "content": "Hi"})])
    raw_reply = compact({"id": f"msg_{number}", "content": "Hello."}) if reply is None else reply
    join = Join(
        session_id=session or "",
        branch_id=f"{session}-main",
        evidence="content_prefix",
        relation="continues",
        derived=True,
        known=2,
        trace_id=number.to_bytes(16, "big"),
        branch_span_id=number.to_bytes(8, "big"),
    )
    values: dict[str, Any] = {
        "exchange_id": exchange_id,
        "join": join if session else None,
        "app": "shop",
        "provider": "anthropic",
        "dialect": "anthropic",
        "operation": "chat",
        "method": "POST",
        "path": "/v1/messages",
        "outcome": "complete",
        "status": 200,
        "upstream_status": 200,
        "started_ns": at_ns,
        "ended_ns": at_ns + 900_000,
        "model": "m-large",
        "response_id": f"msg_{number}",
        "finish_reasons": ("tool_use",),
        "usage": Usage(input_tokens=100, output_tokens=10, cache_read_tokens=80),
        "cost_micro_usd": 1200,
        "client": "sdk/1.0",
        "server_span_id": number.to_bytes(8, "big"),
        "client_span_id": (number + 1).to_bytes(8, "big"),
        "parent_span_id": b"\x00\xff" * 4,
        "tags": (("team", "a"),),
    }
    exchange = Exchange(**{**values, **facts})
    return Recording(
        exchange=exchange,
        request=body,
        response=Body(raw=raw_reply, length=len(raw_reply), media_type="application/json"),
        steps=tuple(_steps(exchange, body)) if session else (),
        state=state,
        reply_fingerprint=None if state is None else bytes(16),
    )


def _steps(exchange: Exchange, body: Body) -> Iterator[Step]:
    join = exchange.join
    assert join is not None
    request = [("request", "user_input", index) for index in range(len(body.cuts))][-2:]
    for seq, (side, kind, cut) in enumerate([*request, ("response", "tool_call", None)]):
        yield Step(
            step_id=f"{exchange.exchange_id}.{seq:04d}",
            exchange_id=exchange.exchange_id,
            session_id=join.session_id,
            branch_id=join.branch_id,
            seq=seq,
            kind=kind,
            fidelity="witnessed",
            side=side,
            cut=cut,
            pointer="/content/0",
            tool="search" if kind == "tool_call" else None,
            call_id=f"call_{exchange.exchange_id}" if kind == "tool_call" else None,
            size=17,
            started_ns=exchange.started_ns,
            ended_ns=exchange.ended_ns,
            span_id=(int.from_bytes(exchange.server_span_id, "big") * 8 + seq).to_bytes(8, "big"),
        )


def agent_session(seed: int, turns: int, *, session: str = "S1", first: int = 0) -> list[Recording]:
    """An agent at work: 6 KB of instructions, 25 tools, results of 0.3 to 6 KB, the history resent each time."""
    rng = random.Random(seed)
    tools = [
        {
            "name": f"{rng.choice(_STEMS)}_{rng.choice(_STEMS)}",
            "description": prose(rng, rng.randint(120, 420)),
            "input_schema": {
                "type": "object",
                "properties": {
                    rng.choice(_STEMS): {"type": "string", "description": prose(rng, rng.randint(40, 160))}
                    for _ in range(rng.randint(2, 5))
                },
            },
        }
        for _ in range(25)
    ]
    lead = [("system", prose(rng, 6000)), ("tools", tools)]
    messages = [compact({"role": "user", "content": prose(rng, 400)})]
    made: list[Recording] = []
    for turn in range(turns):
        call = f"toolu_{rng.randbytes(12).hex()}"
        said = [
            {"type": "text", "text": prose(rng, rng.randint(60, 400))},
            {
                "type": "tool_use",
                "id": call,
                "name": rng.choice(tools)["name"],
                "input": {rng.choice(_STEMS): prose(rng, 60)},
            },
        ]
        reply = compact({"id": f"msg_{turn}", "role": "assistant", "content": said, "stop_reason": "tool_use"})
        body = request_body(lead, messages)
        made.append(recording(first + turn, session=session, request=body, reply=reply, state=rng.randbytes(16)))
        result = prose(rng, rng.randint(300, 6000))
        messages = [
            *messages,
            compact({"role": "assistant", "content": said}),
            compact({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": result}]}),
        ]
    return made


def renumbered(one: Recording, number: int) -> Recording:
    """The same bytes under another exchange id."""
    exchange = msgspec.structs.replace(one.exchange, exchange_id=f"01JX{number:022d}")
    steps = tuple(msgspec.structs.replace(s, exchange_id=exchange.exchange_id) for s in one.steps)
    return msgspec.structs.replace(one, exchange=exchange, steps=steps)
