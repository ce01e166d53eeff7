"""OpenAI Responses items as parts: the same reading for input and output."""

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from gateway.wire.interface import Voice
from gateway.wire.parts import KIND_OF, merged, qualified, quoted, tool_definitions, unknown
from gateway.wire.values import compact, label, mapping, sequence, text, word
from policies.vocabulary.steps import Part, StepKind

_Item = dict[str, Any]

_VOICES: Final[dict[str, Voice]] = {"system": "system", "developer": "system", "assistant": "assistant", "tool": "tool"}
_UNREAD: Final = {
    "input_image": "image",
    "output_image": "image",
    "computer_screenshot": "image",
    "image": "image",
    "input_file": "file",
    "file": "file",
    "input_audio": "audio",
    "output_audio": "audio",
}
_PLAIN: Final = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
_SAYING: Final = ("text", "refusal", "transcript", "content", "summary", "delta")
"""Where a piece of content says something; one that does in two places is read by clients in different ways."""

_SERVER_TOOLS: Final = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_call",
        "program",
        "program_output",
    }
)
_FRAME: Final = frozenset({"id", "type", "status", "call_id", "created_by", "caller"})
"""Fields of a call that are not what it does."""


_BROUGHT: Final = ("output", "outputs", "results", "result")
"""Where calls of built-in tools hold what they brought."""

_SAID: Final = ("arguments", "input", "code", "text", "content", "summary", "delta")
"""Where items hold what was asked for, or said."""

_READ: Final = {
    "function_call": ("arguments",),
    "custom_tool_call": ("input",),
    "mcp_call": ("arguments",),
    "mcp_approval_request": ("arguments",),
    "code_interpreter_call": ("code",),
    "message": ("content",),
    "": ("content",),
    "reasoning": ("content", "summary"),
    **dict.fromkeys(("mcp_approval_response", "mcp_list_tools", "additional_tools", "tool_search_output"), ()),
    **dict.fromkeys(("compaction", "compaction_summary", "item_reference"), ()),
}
"""By kind, the names of those that are read; of other kinds all are."""

_BRINGS: Final = {
    "mcp_call": "output",
    "code_interpreter_call": "outputs",
    "file_search_call": "results",
    "image_generation_call": "result",
}


def voice_of(item: Any) -> Voice:
    """Who speaks in one element of `input` (or in the bare string)."""
    if isinstance(item, str):
        return "user"
    fields = mapping(item)
    name = text(fields.get("type"))
    if name in ("", "message"):
        return _VOICES.get(text(fields.get("role")), "user")
    if name.endswith("_output") or name == "mcp_approval_response":
        return "tool"
    if name in ("configuration_update", "additional_tools"):
        return "system"
    return "assistant"


def message_parts(item: Any) -> list[Part]:
    """Parts of one element of `input`, or of the bare string."""
    if isinstance(item, str):
        return [Part(kind="user_input", text=item)]
    if _is_unknown(mapping(item)):
        # Nothing says whose it is, so it is read as data from outside: of all kinds that is the one trusted least.
        return [unknown("tool_result", item, "")]
    return item_parts(item, "")


def output_parts(item: Any, pointer: str) -> list[Part]:
    """Parts of one item of `output`: what names nobody else is what the model says."""
    return item_parts(item, pointer, None if mapping(item).get("role") else "assistant")


def item_parts(item: Any, pointer: str, voice: Voice | None = None) -> list[Part]:
    """Parts of one item of `input` or `output`. `voice`: who speaks, where that does not hang on what the item says."""
    fields = mapping(item)
    name = text(fields.get("type"))
    kind = KIND_OF[voice or voice_of(fields)]
    if name == "message" or (not name and "role" in fields):
        return [*_message(fields, kind, pointer), *_beside(fields, kind, pointer)]
    read = _READERS.get(name)
    if read is not None:
        return [*read(fields, pointer), *_beside(fields, kind, pointer)]
    if name.endswith("_output"):
        return _output(fields, pointer)
    if name.endswith("_call"):
        return [_call(fields, pointer), *_beside(fields, kind, pointer)]
    return [unknown(kind, item, pointer)]


def _beside(item: _Item, kind: StepKind, pointer: str) -> list[Part]:
    """What an item says and holds beside what is read of its kind (a web search's `results`)."""
    name = text(item.get("type"))
    return [
        *_also_said(item, _READ.get(name, _SAID), kind, pointer),
        *_also_brought(item, _BRINGS.get(name), pointer),
    ]


def _also_said(item: _Item, read: Collection[str], kind: StepKind, pointer: str) -> list[Part]:
    said = [key for key in _SAID if key not in read and item.get(key)]
    return [Part(kind=kind, text=compact(item[key]), pointer=f"{pointer}/{key}") for key in said]


def _also_brought(item: _Item, read: str | None, pointer: str) -> list[Part]:
    name = text(item.get("type"))
    fails = name == "mcp_list_tools" or (name == "mcp_call" and item.get("output") is not None)
    return [
        Part(
            kind="tool_result",
            text=compact(item[key]),
            pointer=f"{pointer}/{key}",
            tool=word(item.get("name")) or label(name.removesuffix("_call")),
            call_id=word(item.get("call_id")) or word(item.get("id")),
            server_side=True,
        )
        for key in (*_BROUGHT, "error")
        if key != read and item.get(key) and (key != "error" or fails)
    ]


def _is_unknown(item: _Item) -> bool:
    name = text(item.get("type"))
    is_message = name == "message" or (not name and "role" in item)
    return not (is_message or name in _READERS or name.endswith(("_output", "_call")))


def _message(item: _Item, kind: StepKind, pointer: str) -> list[Part]:
    content = item.get("content")
    if isinstance(content, str):
        return [Part(kind=kind, text=content, pointer=f"{pointer}/content")]
    if content is not None and not isinstance(content, list):
        return [unknown(kind, content, f"{pointer}/content")]
    parts: list[Part] = []
    for at, piece in enumerate(sequence(content)):
        where = f"{pointer}/content/{at}"
        parts.append(piece_part(piece, kind, where))
        parts += [
            quoted(citation, f"{where}/annotations/{number}") for number, citation in enumerate(annotations_of(piece))
        ]
    return parts


def annotations_of(piece: Any) -> list[Any]:
    """What a text refers to."""
    return sequence(mapping(piece).get("annotations"))


def piece_part(piece: Any, kind: StepKind, pointer: str) -> Part:
    """One piece of a content, as a part."""
    fields = mapping(piece)
    name = text(fields.get("type"))
    said = [key for key in _SAYING if fields.get(key)]
    if len(said) > 1 or any(type(fields[key]) is not str for key in said):
        return unknown(kind, piece, pointer)
    if name in _PLAIN and said in ([], ["text"]):
        return Part(kind=kind, text=text(fields.get("text")), pointer=pointer)
    if name == "refusal" and said in ([], ["refusal"]):
        return Part(kind=kind, text=text(fields.get("refusal")), pointer=pointer)
    if name in _UNREAD and said in ([], ["transcript"]):
        shown = text(fields.get("transcript"))
        return Part(kind=kind, text=shown, pointer=pointer, unread=_UNREAD[name])
    if name == "encrypted_content":
        return Part(kind=kind, pointer=pointer, unread="encrypted")
    return unknown(kind, piece, pointer)


def _reasoning(item: _Item, pointer: str) -> list[Part]:
    """The summary, and the reasoning itself where an open-weight server gives it."""
    odd = [held for held in (item.get("summary"), item.get("content")) if held and not _are_texts(held)]
    if odd:
        return [unknown("reasoning", item, pointer)]
    summary = [text(mapping(piece).get("text")) for piece in sequence(item.get("summary"))]
    whole = [text(mapping(piece).get("text")) for piece in sequence(item.get("content"))]
    said = "\n\n".join(piece for piece in (*summary, *whole) if piece)
    unread = "encrypted" if not said and item.get("encrypted_content") else None
    return [Part(kind="reasoning", text=said, pointer=pointer, unread=unread)]


def _are_texts(held: Any) -> bool:
    return type(held) is list and all(_is_text(mapping(piece)) for piece in sequence(held))


def _is_text(piece: dict[str, Any]) -> bool:
    return type(piece.get("text")) is str and not any(piece.get(key) for key in _SAYING if key != "text")


def _function_call(item: _Item, pointer: str) -> list[Part]:
    given = item.get("input" if item.get("type") == "custom_tool_call" else "arguments")
    tool = qualified(item.get("name"), item.get("namespace"))
    return [Part(kind="tool_call", text=_given(given), pointer=pointer, tool=tool, call_id=word(item.get("call_id")))]


def _given(arguments: Any) -> str:
    return "" if arguments is None else compact(arguments)


def _call(item: _Item, pointer: str) -> Part:
    """A call of a built-in tool: what it does is all but its frame."""
    name = text(item.get("type"))
    act = {key: value for key, value in item.items() if key not in _FRAME and key not in _BROUGHT}
    only = next(iter(act.values())) if len(act) == 1 else act
    server_side = name in _SERVER_TOOLS or item.get("execution") == "server"
    return Part(
        kind="tool_call",
        text=compact(only),
        pointer=pointer,
        tool=label(name.removesuffix("_call")),
        call_id=word(item.get("call_id")) or word(item.get("id")),
        server_side=server_side,
    )


def _output(item: _Item, pointer: str) -> list[Part]:
    field = next((key for key in ("output", "result") if item.get(key) is not None), None)
    if field is None:
        return [_result(item, {key: value for key, value in item.items() if key not in _FRAME}, pointer)]
    others = [*_also_said(item, (), "tool_result", pointer), *_also_brought(item, field, pointer)]
    return [_result(item, item[field], pointer), *others]


def _result(item: _Item, output: Any, pointer: str) -> Part:
    name = text(item.get("type"))
    call_id = word(item.get("call_id")) or word(item.get("id"))
    server_side = name in _SERVER_TOOLS or item.get("execution") == "server"
    return merged(_inside(output), pointer, call_id=call_id, server_side=server_side)


def _inside(output: Any) -> list[Part]:
    """What a tool's output holds."""
    if text(mapping(output).get("type")) in _UNREAD:
        return [piece_part(output, "tool_result", "")]
    pieces = sequence(output)
    if pieces and all(mapping(piece).get("type") for piece in pieces):
        return [piece_part(piece, "tool_result", "") for piece in pieces]
    # Shell output too: entries with stdout, stderr and an outcome.
    return [Part(kind="tool_result", text=compact(output))]


def _mcp_call(item: _Item, pointer: str) -> list[Part]:
    """The provider called an MCP server: the call and its result are one item."""
    call_id = word(item.get("id"))
    tool = qualified(item.get("name"), item.get("server_label"))
    call = Part(
        kind="tool_call",
        text=_given(item.get("arguments")),
        pointer=pointer,
        tool=tool,
        call_id=call_id,
        server_side=True,
    )
    answer = item.get("output") if item.get("output") is not None else item.get("error")
    if answer is None:
        return [call]
    result = Part(
        kind="tool_result",
        text=compact(answer),
        pointer=f"{pointer}/output",
        tool=tool,
        call_id=call_id,
        server_side=True,
    )
    return [call, result]


def _code_interpreter(item: _Item, pointer: str) -> list[Part]:
    call = _call({"type": item.get("type"), "id": item.get("id"), "code": item.get("code") or ""}, pointer)
    outputs = sequence(item.get("outputs"))
    if not item.get("outputs"):
        return [call]
    odd = [found for found in outputs if type(mapping(found).get("logs", "")) is not str]
    if odd or not outputs:
        held = unknown("tool_result", item["outputs"], f"{pointer}/outputs")
        return [call, msgspec.structs.replace(held, tool=call.tool, call_id=call.call_id, server_side=True)]
    logs = [text(mapping(found).get("logs")) for found in outputs]
    pictures = any(mapping(found).get("type") == "image" for found in outputs)
    result = Part(
        kind="tool_result",
        text="\n".join(log for log in logs if log),
        pointer=f"{pointer}/outputs",
        tool=call.tool,
        call_id=call.call_id,
        server_side=True,
        unread="image" if pictures else None,
    )
    return [call, result]


def _file_search(item: _Item, pointer: str) -> list[Part]:
    call = _call(item, pointer)
    results = item.get("results")
    if results and not (isinstance(results, list) and all(_is_found(result) for result in sequence(results))):
        odd = unknown("retrieval", results, f"{pointer}/results")
        return [call, msgspec.structs.replace(odd, call_id=call.call_id, server_side=True)]
    found = [mapping(result) for result in sequence(results)]
    return [
        call,
        *(
            Part(
                kind="retrieval",
                text="\n".join(piece for piece in (text(result.get("filename")), text(result.get("text"))) if piece),
                pointer=f"{pointer}/results/{at}",
                call_id=call.call_id,
                server_side=True,
            )
            for at, result in enumerate(found)
        ),
    ]


def _is_found(result: Any) -> bool:
    fields = mapping(result)
    return bool(fields) and all(type(fields.get(key, "")) is str for key in ("filename", "text"))


def brought(item: _Item, part: Part) -> list[tuple[tuple[str | int, ...], str]]:
    """The strings that the text of what a provider's tool brought is joined from, with where in the item each stands.

    Empty where it was not joined from strings.
    """
    place = part.pointer.rpartition("/")[2]
    found: list[tuple[tuple[str | int, ...], Any]]
    if part.pointer.endswith("/outputs"):
        logs = [mapping(made).get("logs") for made in sequence(item.get("outputs"))]
        found = [(("outputs", at, "logs"), log) for at, log in enumerate(logs) if log]
    elif part.kind == "retrieval" and place.isdecimal():
        result = mapping(sequence(item.get("results"))[int(place)])
        found = [(("results", int(place), key), result[key]) for key in ("filename", "text") if result.get(key)]
    else:
        field = "error" if item.get("type") == "mcp_call" and item.get("output") is None else place
        found = [((field,), item.get(field))]
    joined = all(type(said) is str for _, said in found) and "\n".join(said for _, said in found) == part.text
    return found if joined else []


def _image_generation(item: _Item, pointer: str) -> list[Part]:
    call = _call(item, pointer)
    if not item.get("result"):
        return [call]
    made = Part(
        kind="tool_result",
        pointer=f"{pointer}/result",
        tool=call.tool,
        call_id=call.call_id,
        server_side=True,
        unread="image",
    )
    return [call, made]


def _approval_request(item: _Item, pointer: str) -> list[Part]:
    tool = qualified(item.get("name"), item.get("server_label"))
    return [
        Part(
            kind="tool_call",
            text=_given(item.get("arguments")),
            pointer=pointer,
            tool=tool,
            call_id=word(item.get("id")),
        )
    ]


def _approval_response(item: _Item, pointer: str) -> list[Part]:
    shown = {key: item[key] for key in ("approve", "reason") if key in item}
    return [
        Part(kind="tool_result", text=compact(shown), pointer=pointer, call_id=word(item.get("approval_request_id")))
    ]


def _tools(item: _Item, pointer: str) -> list[Part]:
    """Tools made known in mid-conversation: an MCP server's list, a search's finds, additional tools."""
    space = word(item.get("server_label"))
    return tool_definitions(item.get("tools"), f"{pointer}/tools", space)


def _tool_search_output(item: _Item, pointer: str) -> list[Part]:
    result = Part(
        kind="tool_result",
        text=compact([mapping(tool).get("name") for tool in sequence(item.get("tools"))]),
        pointer=pointer,
        call_id=word(item.get("call_id")) or word(item.get("id")),
        server_side=item.get("execution") == "server",
    )
    return [result, *_tools(item, pointer)]


def _compaction(item: _Item, pointer: str) -> list[Part]:
    return [
        Part(kind="reasoning", pointer=pointer, unread="encrypted" if item.get("encrypted_content") else "compaction")
    ]


def _reference(item: _Item, pointer: str) -> list[Part]:
    """An item the provider holds: only its id is on this wire."""
    return [Part(kind="model_text", text=text(item.get("id")), pointer=pointer, unread="item reference")]


def _configuration(item: _Item, pointer: str) -> list[Part]:
    return [Part(kind="instructions", text=compact(item), pointer=pointer)]


_READERS: Final[dict[str, Callable[[_Item, str], list[Part]]]] = {
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _function_call,
    "mcp_call": _mcp_call,
    "code_interpreter_call": _code_interpreter,
    "file_search_call": _file_search,
    "image_generation_call": _image_generation,
    "program": lambda item, pointer: [_call(item, pointer)],
    "mcp_approval_request": _approval_request,
    "mcp_approval_response": _approval_response,
    "mcp_list_tools": _tools,
    "additional_tools": _tools,
    "tool_search_output": _tool_search_output,
    "compaction": _compaction,
    "compaction_summary": _compaction,
    "item_reference": _reference,
    "configuration_update": _configuration,
}
