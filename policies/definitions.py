"""Tool definitions: what a session's model was offered, read from any of the wires.

| wire | shape |
|---|---|
| Anthropic Messages | `{name, description, input_schema}`; tools it defines itself carry only `type` and `name` |
| Chat Completions | `{type: function, function: {name, description, parameters}}`, `{type: custom, custom: {...}}` |
| Responses | `{type: function, name, parameters}`, `{type: custom, name}`, `{type: mcp, server_label}`, built-ins |
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec

from policies.trail import Trail
from policies.vocabulary.steps import Part

Form: TypeAlias = Literal["function", "freeform", "provider"]

_DELIVERY: Final = frozenset({"cache_control", "defer_loading", "eager_input_streaming"})
"""How a definition is sent, not what it defines: clients move these from tool to tool between requests."""

_REMEMBERED: Final = 64 << 10
"""Definitions up to so many characters are read once and remembered."""

_SORTED: Final = msgspec.json.Encoder(order="sorted")


class Definition(msgspec.Struct, frozen=True):
    """One tool as its definition describes it."""

    form: Form
    """`function`: JSON arguments. `freeform`: any text. `provider`: a built-in, its arguments are the provider's."""

    schema: Any = None
    """JSON Schema of the arguments as it was given (of any type: strangers write it); None where there is none."""

    interface: bytes = b""
    """Canonical JSON of all but the description: equal bytes mean an equal tool."""

    description: str = ""


class Offer(msgspec.Struct, frozen=True):
    """The tools a model can call at one point of a session."""

    tools: Mapping[str, tuple[int, str]] = {}
    """Name to place in the trail and JSON text of the newest definition."""

    withdrawn: frozenset[str] = frozenset()
    """Names that were offered earlier and are not any more."""


def read(text: str) -> Definition | None:
    """A definition from its JSON text; None where it is none."""
    return _remembered(text) if len(text) <= _REMEMBERED else _read(text)


def offered(trail: Trail) -> Offer:
    """What the trail's newest list of tools offers, with what was added to it since.

    A request states its list of tools whole, so a list replaces the one before; what messages add later (a search
    for tools, an MCP server's list) is added, and taken away where they say so.
    """
    listed: dict[str, tuple[int, str]] = {}
    ever: set[str] = set()
    in_list = False
    for at, part in enumerate(trail.parts):
        if part.kind == "tool_definitions":
            if _of_request(part):
                listed = listed if in_list else {}
                in_list = True
            if part.tool is not None and '"tool_removal"' in part.text and _type_of(part.text) == "tool_removal":
                listed.pop(part.tool, None)
                continue
            for name, text in entries(part):
                listed[name] = (at, text)
                ever.add(name)
        elif part.kind != "instructions":
            in_list = False
    return Offer(listed, frozenset(ever.difference(listed)))


def entries(part: Part) -> Sequence[tuple[str, str]]:
    """Name and JSON text of each tool a part of kind `tool_definitions` defines: one, or a server's whole list."""
    if part.tool is not None:
        return ((part.tool, part.text),)
    return _listing(part.text) if len(part.text) <= _REMEMBERED else _list(part.text)


def _of_request(part: Part) -> bool:
    """Whether the part stands in a request's own list: its pointer begins with an index, or nobody gave it one."""
    return part.pointer[1:].split("/", 1)[0].isdecimal() or not part.pointer


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _fields(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}  # pyright: ignore[reportUnknownVariableType] - JSON keys are strings


def _type_of(text: str) -> Any:
    return _fields(_decoded(text)).get("type")


def _read(text: str) -> Definition | None:
    fields = _fields(_decoded(text))
    if fields.get("type") == "tool_addition":
        fields = _fields(fields.get("tool"))
    if not fields:
        return None
    inner = _fields(fields.get("function")) or _fields(fields.get("custom")) or fields
    schema = next((inner[key] for key in ("input_schema", "parameters", "inputSchema") if key in inner), None)
    description = inner.get("description")
    return Definition(
        form=_form(fields, inner, schema),
        schema=schema,
        interface=_interface(fields),
        description=description if type(description) is str else "",
    )


def _form(fields: dict[str, Any], inner: dict[str, Any], schema: Any) -> Form:
    kind = fields.get("type")
    if schema is not None or kind == "function" or inner is fields.get("function"):
        return "function"
    # Anthropic's own custom tools hold a schema, OpenAI's hold text.
    return "freeform" if kind == "custom" else "function" if kind is None else "provider"


def _interface(fields: dict[str, Any]) -> bytes:
    kept = {key: value for key, value in fields.items() if key not in _DELIVERY and key != "description"}
    function = _fields(kept.get("function"))
    if "description" in function:
        kept["function"] = {key: value for key, value in function.items() if key != "description"}
    try:
        return _SORTED.encode(kept)
    except RecursionError:
        return repr(sorted(kept)).encode()


def _list(text: str) -> tuple[tuple[str, str], ...]:
    fields = _fields(_decoded(text))
    server = fields.get("server_name") or fields.get("mcp_server_name")
    tools: Any = fields.get("tools")
    found: list[tuple[str, str]] = []
    for tool in tools if type(tools) is list else ():  # pyright: ignore[reportUnknownVariableType] - any JSON
        name = _fields(tool).get("name")
        if type(name) is str:
            found.append((f"{server}.{name}" if server else name, _SORTED.encode(tool).decode()))
    return tuple(found)


_remembered = lru_cache(maxsize=512)(_read)
_listing = lru_cache(maxsize=32)(_list)
