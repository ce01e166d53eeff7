"""A call of another tier, speed or region than the price list is for: known as such, whoever says it."""

import json
from typing import Any

import pytest

from gateway.demo.turns import WireName
from gateway.wire.dialects import dialects
from gateway.wire.interface import Dialect
from tests.fakes.provider import events, say

KNOWN = dialects()
WIRES: dict[WireName, Dialect] = {
    "anthropic": KNOWN.anthropic,
    "chat": KNOWN.chat,
    "responses": KNOWN.responses,
}
every_wire = pytest.mark.parametrize("wire", WIRES)

ASKED = [
    ("anthropic", {"service_tier": "standard_only"}, True),
    ("anthropic", {"speed": "standard", "inference_geo": "global"}, True),
    ("anthropic", {"speed": "fast"}, False),
    ("anthropic", {"inference_geo": "us"}, False),
    ("anthropic", {"service_tier": "tomorrow"}, False),
    *[(wire, {"service_tier": tier}, True) for wire in ("chat", "responses") for tier in (None, "auto", "default")],
    *[(wire, {"service_tier": tier}, False) for wire in ("chat", "responses") for tier in ("priority", "flex", ["x"])],
]


@pytest.mark.parametrize(("wire", "more", "listed"), ASKED)
def test_a_request_says_whether_it_asks_for_what_the_list_is_for(
    wire: WireName, more: dict[str, Any], *, listed: bool
) -> None:
    body = json.dumps({"model": "m", "messages": [], "input": "hi", **more}).encode()
    assert WIRES[wire].read_request(body, "chat").off_list != listed


def tiered(wire: WireName, value: dict[str, Any], tier: str) -> dict[str, Any]:
    """A document or an event of a provider that says how it bills."""
    if wire == "chat":
        return {**value, "service_tier": tier}
    if wire == "responses":
        inner = value.get("response")
        return (
            {**value, "service_tier": tier} if inner is None else {**value, "response": {**inner, "service_tier": tier}}
        )
    if value["type"] == "message_start":
        return {**value, "message": tiered(wire, value["message"], tier)}
    return {**value, "usage": {**value["usage"], "service_tier": tier}} if "usage" in value else value


def retold(wire: WireName, event: bytes, tier: str) -> bytes:
    name, mark, data = event.partition(b"data: {")
    return (
        event
        if not mark
        else name + b"data: " + json.dumps(tiered(wire, json.loads(b"{" + data), tier)).encode() + b"\n\n"
    )


@every_wire
@pytest.mark.parametrize(("tier", "listed"), [("standard", True), ("default", True), ("priority", False)])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_reply_says_whether_it_is_billed_by_the_list(
    wire: WireName, tier: str, *, listed: bool, stream: bool
) -> None:
    reader = WIRES[wire].reply_reader("chat", stream=stream)
    if stream:
        for event in events(wire):
            reader.feed(retold(wire, event, tier), 0)
    else:
        document = b"".join(each for each in say(wire).body if isinstance(each, bytes))
        reader.feed(json.dumps(tiered(wire, json.loads(document), tier)).encode(), 0)
    reply = reader.close(0)
    assert reply.complete
    assert reply.usage.output_tokens
    assert reply.off_list != listed
