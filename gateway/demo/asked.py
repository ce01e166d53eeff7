"""What a request asks of a model, in a form that knows no wire: enough for a provider that plays parts."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec

from gateway.demo.answers import SeenRequest
from gateway.demo.turns import Setting, WireName

Json = dict[str, Any]

_PATHS: dict[str, WireName] = {"messages": "anthropic", "chat/completions": "chat", "responses": "responses"}


class ToolOffer(msgspec.Struct, frozen=True):
    """A function tool the model may call."""

    name: str
    schema: Json
    """JSON Schema of its arguments."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One call for a turn."""

    wire: WireName
    model: str
    streamed: bool = False
    include_usage: bool = False
    tools: tuple[ToolOffer, ...] = ()
    must_call: str | None = None
    """A tool's name, or `*` for any; None where the model is free."""
    schema: Json | None = None
    """The JSON Schema the text must fit; `{}` for any JSON object."""
    thinking: bool = False
    last_text: str = ""
    """What the user said last."""
    answered: bool = False
    """The last message brings tool results."""
    previous_response_id: str | None = None

    def setting(self) -> Setting:
        """How the turn is to be sent."""
        return Setting(
            model=self.model, include_usage=self.include_usage, previous_response_id=self.previous_response_id
        )


def resource(path: str) -> str:
    """The path without slashes at its ends and without the version in front: `/v1/messages` is `messages`."""
    return path.strip("/").removeprefix("v1/")


def wire_of(path: str) -> WireName | None:
    """The wire of a path that answers with a turn."""
    return _PATHS.get(resource(path))


def _dict(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [_dict(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def content_text(content: Any) -> str:
    """The text of a message's content: a string, or the text parts of a list joined by newlines."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in _dicts(content) if isinstance(part.get("text"), str))


def _tools(body: Json) -> Iterator[ToolOffer]:
    for tool in _dicts(body.get("tools")):
        function = _dict(tool.get("function")) or tool
        schema = function.get("parameters") or function.get("input_schema")
        if isinstance(function.get("name"), str) and isinstance(schema, dict):
            yield ToolOffer(function["name"], cast("Json", schema))


def _must_call(body: Json) -> str | None:
    choice = body.get("tool_choice")
    if isinstance(choice, str):
        return "*" if choice in ("required", "any") else None
    choice = _dict(choice)
    if choice.get("type") in ("any", "required", "allowed_tools"):
        return "*"
    named = choice.get("name") or _dict(choice.get("function")).get("name")
    return named if isinstance(named, str) else None


def _schema(body: Json) -> Json | None:
    places: Iterable[Json] = (
        _dict(body.get("response_format")),
        _dict(_dict(body.get("text")).get("format")),
        _dict(_dict(body.get("output_config")).get("format")),
        _dict(body.get("output_format")),
    )
    for place in places:
        if place.get("type") == "json_object":
            return {}
        if place.get("type") == "json_schema":
            return _dict(place.get("schema")) or _dict(_dict(place.get("json_schema")).get("schema"))
    return None


def _results(message: Json) -> bool:
    if message.get("role") == "tool" or str(message.get("type")).endswith("_output"):
        return True
    return any(block.get("type") == "tool_result" for block in _dicts(message.get("content")))


def _said(message: Json) -> str:
    return content_text(message.get("content")) if message.get("role") == "user" else ""


def read(request: SeenRequest) -> Asked | None:
    """What a request asks, or None where it asks for no turn or cannot be read."""
    wire = wire_of(request.path)
    if wire is None or request.method != "POST":
        return None
    try:
        body = _dict(msgspec.json.decode(request.body))
    except (msgspec.DecodeError, RecursionError):
        return None
    talk = body.get("input") if wire == "responses" else body.get("messages")
    messages = [{"role": "user", "content": talk}] if isinstance(talk, str) else _dicts(talk)
    said = [text for text in map(_said, messages) if text]
    return Asked(
        wire=wire,
        model=str(body.get("model", "demo-model")),
        streamed=body.get("stream") is True,
        include_usage=_dict(body.get("stream_options")).get("include_usage") is True,
        tools=tuple(_tools(body)),
        must_call=_must_call(body),
        schema=_schema(body),
        thinking=_dict(body.get("thinking")).get("type") in ("enabled", "adaptive")
        or "reasoning.encrypted_content" in (body.get("include") or ()),
        last_text=said[-1] if said else "",
        answered=bool(messages) and _results(messages[-1]),
        previous_response_id=cast("str | None", body.get("previous_response_id")),
    )
