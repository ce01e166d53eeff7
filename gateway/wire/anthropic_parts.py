"""Anthropic content blocks as parts: the same reading for requests and replies."""

from collections.abc import Callable
from typing import Any, Final

from gateway.wire.interface import Voice
from gateway.wire.parts import KIND_OF, merged, quoted, unknown
from gateway.wire.values import compact, mapping, sequence, text, word
from policies.vocabulary.steps import Part, StepKind

_SERVER_CALLS: Final = frozenset({"server_tool_use", "mcp_tool_use"})
_Blocks = dict[str, Any]


def message_parts(message: Any, voice: Voice | None = None) -> list[Part]:
    """Parts of one element of `messages`, or of a whole reply."""
    fields = mapping(message)
    voice = voice or voice_of(fields)
    content = fields.get("content")
    if type(content) is str:
        return [Part(kind=KIND_OF[voice], text=content, pointer="/content")]
    return content_parts(content, voice, "/content")


def voice_of(message: dict[str, Any]) -> Voice:
    """Who speaks: a `user` message that holds tool results is the tool's."""
    role = message.get("role")
    if role == "assistant":
        return "assistant"
    if role in ("system", "developer"):
        return "system"
    content: Any = message.get("content")
    if type(content) is list:
        for block in sequence(content):
            if type(block) is dict and block.get("type") == "tool_result":  # pyright: ignore[reportUnknownMemberType] - JSON keys are strings
                return "tool"
    return "user"


def content_parts(content: Any, voice: Voice, pointer: str) -> list[Part]:
    """Parts of a list of content blocks."""
    # Text that stands beside tool results is the user's own.
    kind = KIND_OF["user" if voice == "tool" else voice]
    parts: list[Part] = []
    for at, block in enumerate(sequence(content)):
        parts += block_parts(block, kind, f"{pointer}/{at}")
    return parts


def block_parts(block: Any, kind: StepKind, pointer: str) -> list[Part]:
    """Parts of one block; `kind` is what plain text would be here."""
    fields = mapping(block)
    name = text(fields.get("type"))
    read = _READERS.get(name)
    if read is not None:
        return [*read(fields, kind, pointer), *_misplaced(fields, name, kind, pointer)]
    if name.endswith("tool_use"):
        return [_call(fields, pointer), *_misplaced(fields, name, kind, pointer)]
    if name.endswith("tool_result"):
        parts = _result(fields, pointer, server_side=name != "tool_result")
        return [*parts, *_misplaced(fields, name, kind, pointer)]
    return [unknown(kind, block, pointer)]


def _misplaced(block: _Blocks, name: str, kind: StepKind, pointer: str) -> list[Part]:
    """Texts of a block whose kind has no place for them; some clients go by the name alone."""
    keys = ["text", "thinking", "partial_json"]
    if name in ("text", "thinking") or name.endswith("tool_use"):
        keys.append("content")
    if name not in ("text", "document"):
        keys.append("citations")
    if not name.endswith("tool_use"):
        keys.append("input")
    return [
        Part(kind=kind, text=compact(block[key]), pointer=f"{pointer}/{key}")
        for key in keys
        if key != name and block.get(key)
    ]


def _text(block: _Blocks, kind: StepKind, pointer: str) -> list[Part]:
    said = block.get("text")
    citations = sequence(block.get("citations"))
    if (type(said) is not str and said is not None) or (block.get("citations") and not citations):
        return [unknown(kind, block, pointer)]
    return [
        Part(kind=kind, text=said or "", pointer=pointer),
        *(cited(citation, pointer, at) for at, citation in enumerate(citations)),
    ]


def cited(citation: Any, pointer: str, number: int) -> Part:
    """A citation of a text, which quotes what somebody else said: judged as what the reply says."""
    return quoted(citation, f"{pointer}/citations/{number}")


def _thinking(block: _Blocks, _: StepKind, pointer: str) -> list[Part]:
    if type(block.get("thinking")) is not str and block.get("thinking") is not None:
        return [unknown("reasoning", block, pointer)]
    thought = text(block.get("thinking"))
    # Providers may leave the text out and keep only the signature.
    unread = "encrypted" if not thought and block.get("signature") else None
    return [Part(kind="reasoning", text=thought, pointer=pointer, unread=unread)]


def _redacted_thinking(_: _Blocks, __: StepKind, pointer: str) -> list[Part]:
    return [Part(kind="reasoning", pointer=pointer, unread="encrypted")]


def _call(block: _Blocks, pointer: str) -> Part:
    name = text(block.get("type"))
    toolset = word(block.get("toolset_name")) or word(block.get("server_name"))
    tool = word(block.get("name")) or (name.removesuffix("_tool_use") if name != "tool_use" else None)
    given = block.get("input")
    return Part(
        kind="tool_call",
        text=compact({} if given is None else given),
        pointer=pointer,
        tool=f"{toolset}.{tool}" if toolset and tool else tool,
        call_id=word(block.get("id")),
        server_side=name in _SERVER_CALLS,
    )


def _result(block: _Blocks, pointer: str, *, server_side: bool) -> list[Part]:
    """One part, whatever the result holds: all its text, and why that is not all of it."""
    content: Any = block.get("content")
    call_id = word(block.get("tool_use_id"))
    if type(content) is str:
        return [Part(kind="tool_result", text=content, pointer=pointer, call_id=call_id, server_side=server_side)]
    if text(mapping(content).get("type")) in _READERS:
        inside = block_parts(content, "tool_result", pointer)
    elif isinstance(content, dict):
        inside = [Part(kind="tool_result", text=compact(mapping(content)))]
    else:
        inside = [part for item in sequence(content) for part in block_parts(item, "tool_result", pointer)]
    return [merged(inside, pointer, call_id=call_id, server_side=server_side)]


def _image(_: _Blocks, kind: StepKind, pointer: str) -> list[Part]:
    return [Part(kind=kind, pointer=pointer, unread="image")]


def _file(block: _Blocks, kind: StepKind, pointer: str) -> list[Part]:
    return [Part(kind=kind, text=text(block.get("file_id")), pointer=pointer, unread="file")]


def _document(block: _Blocks, _: StepKind, pointer: str) -> list[Part]:
    source = mapping(block.get("source"))
    heads = [text(block.get("title")), text(block.get("context"))]
    content = source.get("content")
    readable = source.get("type") == "text" or isinstance(content, str)
    body = [text(source.get("data"))] if source.get("type") == "text" else [text(content)]
    others: list[Part] = []
    if isinstance(content, list):
        readable = True
        body = [text(mapping(item).get("text")) for item in sequence(content)]
        others = [
            part
            for at, item in enumerate(sequence(content))
            if mapping(item).get("type") != "text"
            for part in block_parts(item, "retrieval", f"{pointer}/source/content/{at}")
        ]
    found = Part(
        kind="retrieval",
        text="\n".join(piece for piece in (*heads, *body) if piece),
        pointer=pointer,
        unread=None if readable else "document",
    )
    return [found, *others]


def _search_result(block: _Blocks, _: StepKind, pointer: str) -> list[Part]:
    body = [text(mapping(item).get("text")) for item in sequence(block.get("content"))]
    heads = [text(block.get("title")), text(block.get("source"))]
    return [Part(kind="retrieval", text="\n".join(piece for piece in (*heads, *body) if piece), pointer=pointer)]


def _web_search_result(block: _Blocks, _: StepKind, pointer: str) -> list[Part]:
    """Title and address are readable, the page itself is not."""
    shown = {key: value for key, value in block.items() if key != "encrypted_content"}
    unread = "encrypted" if block.get("encrypted_content") else None
    return [Part(kind="tool_result", text=compact(shown), pointer=pointer, unread=unread)]


def _web_fetch_result(block: _Blocks, kind: StepKind, pointer: str) -> list[Part]:
    return block_parts(block.get("content"), kind, f"{pointer}/content")


def _tool_reference(block: _Blocks, kind: StepKind, pointer: str) -> list[Part]:
    return [Part(kind=kind, text=text(block.get("tool_name")), pointer=pointer)]


def _tool_change(block: _Blocks, _: StepKind, pointer: str) -> list[Part]:
    tool = mapping(block.get("tool"))
    name = word(tool.get("name")) or word(tool.get("tool_name"))
    return [Part(kind="tool_definitions", text=compact(block), pointer=pointer, tool=name)]


def _tool_listing(block: _Blocks, _: StepKind, pointer: str) -> list[Part]:
    return [Part(kind="tool_definitions", text=compact(block), pointer=pointer)]


def _compaction(block: _Blocks, kind: StepKind, pointer: str) -> list[Part]:
    summary = text(block.get("content"))
    unread = "encrypted" if not summary and block.get("encrypted_content") else None
    return [Part(kind=kind, text=summary, pointer=pointer, unread=unread)]


_READERS: Final[dict[str, Callable[[_Blocks, StepKind, str], list[Part]]]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "image": _image,
    "document": _document,
    "container_upload": _file,
    "search_result": _search_result,
    "web_search_result": _web_search_result,
    "web_fetch_result": _web_fetch_result,
    "tool_reference": _tool_reference,
    "tool_addition": _tool_change,
    "tool_removal": _tool_change,
    "mcp_tool_listing": _tool_listing,
    "compaction": _compaction,
}
