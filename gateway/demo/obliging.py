"""The obliging model: says hello, calls the tools it must call, and fills the schemas it is given. No wits at all.

It stands in where a client only needs a correct reply. What it says is written here, never recorded from a model.
"""

import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from blake3 import blake3

from gateway.demo import render
from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.asked import Asked, Json, ToolOffer
from gateway.demo.turns import Call, Spent, Turn

TEXT = "Hello from the demo provider: this text was written for a demonstration, no model was asked."
THOUGHT = "The request wants a reply, so one should be given; this thought was written for a demonstration."
SIGNATURE = "ZGVtby1zaWduYXR1cmUtbm90LWZyb20tYS1tb2RlbC1idXQtb3BhcXVlLWxpa2Utb25l"

_DEPTH = 6


def _named(schema: Json, root: Json) -> Json:
    reference = schema.get("$ref")
    while isinstance(reference, str):
        found: Any = root
        for step in reference.removeprefix("#/").split("/"):
            found = cast("Json", found)[step]
        schema, reference = cast("Json", found), cast("Json", found).get("$ref")
    return schema


class _Filler:
    """Makes values that fit a JSON Schema; numbers and words come from the user's text where they can."""

    def __init__(self, root: Json, text: str) -> None:
        self._root = root
        self._numbers: Iterator[str] = iter(re.findall(r"-?\d+", text))

    def value(self, schema: Json, depth: int = 0) -> Any:
        """One value."""
        schema = _named(schema, self._root)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for choice in ("anyOf", "oneOf", "allOf"):
            if schema.get(choice):
                return self.value(schema[choice][0], depth)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        return self._of_kind(str(cast("list[Any]", kind)[0] if isinstance(kind, list) else kind), schema, depth)

    def _of_kind(self, kind: str, schema: Json, depth: int) -> Any:
        if kind == "object":
            properties = cast("Json", schema.get("properties") or {})
            wanted = properties if depth < _DEPTH else schema.get("required", ())
            return {name: self.value(properties.get(name, {}), depth + 1) for name in wanted}
        if kind == "array":
            count = max(int(schema.get("minItems", 0)), int(depth < _DEPTH))
            return [self.value(cast("Json", schema.get("items") or {}), depth + 1) for _ in range(count)]
        if kind in ("integer", "number"):
            found = int(next(self._numbers, "1"))
            return min(max(found, schema.get("minimum", found)), schema.get("maximum", found))
        return {"boolean": True, "null": None}.get(kind, self._string(schema)) if kind != "null" else None

    def _string(self, schema: Json) -> str:
        text = {"date": "2026-01-02", "date-time": "2026-01-02T03:04:05Z"}.get(schema.get("format", ""), "demo")
        return text.ljust(int(schema.get("minLength", 0)), "o")[: int(schema.get("maxLength", len(text) + 64))]


def fill(schema: Json, text: str = "") -> Any:
    """A value that fits the schema."""
    return _Filler(schema, text).value(schema)


def _chosen(asked: Asked) -> ToolOffer | None:
    """The tool to call: the one demanded, or where the model is free one that the user named."""
    if asked.must_call is not None:
        return next((tool for tool in asked.tools if asked.must_call in ("*", tool.name)), None)
    if asked.answered:
        return None
    return next((tool for tool in asked.tools if tool.name in asked.last_text), None)


def tokens(text: str | bytes) -> int:
    """About as many tokens as a model would count: four characters each, one at least."""
    return max(1, len(text) // 4)


def call_for(asked: Asked, tool: ToolOffer, seed: bytes) -> Call:
    """A call of this tool with arguments that fit."""
    prefix = "toolu_01" if asked.wire == "anthropic" else "call_"
    arguments = msgspec.json.encode(fill(tool.schema, asked.last_text)).decode()
    return Call(prefix + blake3(seed + tool.name.encode()).hexdigest()[:22], tool.name, arguments)


def turn_for(asked: Asked, body: bytes, *, text: str = TEXT, call: ToolOffer | None = None) -> Turn:
    """What the obliging model says; the same request gets the same turn."""
    tool = call or _chosen(asked)
    if tool is None and asked.schema is not None:
        text = msgspec.json.encode(fill(asked.schema, asked.last_text) if asked.schema else {"demo": True}).decode()
    calls = (call_for(asked, tool, body),) if tool else ()
    spoken = "" if tool else text
    thought = THOUGHT if asked.thinking else ""
    reasoning = tokens(thought) if thought else 0
    spoken_tokens = tokens(spoken + "".join(call.arguments for call in calls))
    spent = Spent(input_tokens=tokens(body), output_tokens=spoken_tokens + reasoning, reasoning_tokens=reasoning)
    return Turn(
        text=spoken,
        reasoning=thought,
        signature=SIGNATURE if thought else "",
        calls=calls,
        spent=spent,
        reply_id=blake3(body).hexdigest()[:24],
    )


def reply(asked: Asked, request: SeenRequest) -> Answer:
    """The obliging answer to a call for a turn."""
    return render.answer(asked.wire, turn_for(asked, request.body), asked.setting(), streamed=asked.streamed)
