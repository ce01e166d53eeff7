"""Parts that every wire makes the same way."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.wire.interface import Voice
from gateway.wire.values import compact, label, mapping, sequence, word
from policies.vocabulary.steps import Part, StepKind

KIND_OF: Final[dict[Voice, StepKind]] = {
    "system": "instructions",
    "user": "user_input",
    "assistant": "model_text",
    "tool": "tool_result",
}
"""What plain text of each voice is to a judge."""


def unknown(kind: StepKind, block: Any, pointer: str) -> Part:
    """A block this version does not know: kept whole as JSON, and marked as not understood."""
    name = label(mapping(block).get("type"))
    return Part(kind=kind, text=compact(block), pointer=pointer, unread=f"unknown block {name}")


def quoted(citation: Any, pointer: str) -> Part:
    """What a text refers to (a citation, an annotation): it is shown with the text, and may quote anything."""
    return Part(kind="model_text", text=compact(citation), pointer=pointer)


def merged(
    inside: Sequence[Part], pointer: str, *, tool: str | None = None, call_id: str | None, server_side: bool = False
) -> Part:
    """The one part of a tool's result, from the parts of what it holds: one result is one step."""
    return Part(
        kind="tool_result",
        text="\n".join(part.text for part in inside if part.text),
        pointer=pointer,
        tool=tool,
        call_id=call_id,
        unread=next((part.unread for part in inside if part.unread), None),
        server_side=server_side,
    )


def qualified(name: Any, space: Any) -> str | None:
    """A tool's name with the namespace it is called in, where the wire gives one: `space.name`."""
    tool, prefix = word(name), word(space)
    return f"{prefix}.{tool}" if tool and prefix else tool


def tool_definitions(value: Any, pointer: str = "", space: str | None = None) -> list[Part]:
    """One part per tool of an array of definitions, of any wire; tools inside a namespace each by themselves."""
    parts: list[Part] = []
    for at, item in enumerate(sequence(value)):
        tool = mapping(item)
        where = f"{pointer}/{at}"
        nested = tool.get("tools")
        if tool.get("type") == "namespace" and isinstance(nested, list):
            parts += tool_definitions(nested, f"{where}/tools", word(tool.get("name")))
            continue
        inner = mapping(tool.get("function")) or mapping(tool.get("custom"))
        name = tool.get("name") or inner.get("name") or tool.get("server_label") or tool.get("type")
        parts.append(Part(kind="tool_definitions", text=compact(item), pointer=where, tool=qualified(name, space)))
    return parts


def total(read: Callable[[Any], list[Part]], value: bytes, kind: StepKind) -> tuple[Part, ...]:
    """`read` of decoded bytes; bytes that cannot be read become one part that says so."""
    try:
        return tuple(read(msgspec.json.decode(value)))
    except RecursionError:
        unread = "nested too deeply"
    except (msgspec.DecodeError, ValueError):
        unread = "not JSON"
    return (Part(kind=kind, text=value.decode("utf-8", "replace"), unread=unread),)
