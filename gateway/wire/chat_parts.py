"""Chat Completions messages as parts: the same reading for requests and replies."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from gateway.wire.chat_details import DETAILS, Piece, readings, told
from gateway.wire.interface import Voice
from gateway.wire.parts import KIND_OF, merged, quoted, unknown
from gateway.wire.values import compact, mapping, sequence, text, word
from policies.vocabulary.steps import Part, StepKind

_VOICES: Final[dict[str, Voice]] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_UNREAD: Final = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "file": "file",
    "input_file": "file",
    "video_url": "video",
}
REASONING: Final = ("reasoning_content", "reasoning")
"""Where compatible servers put reasoning; OpenAI's own wire has none."""

QUOTED: Final = ("annotations", "citations", "search_results")
"""What a text refers to, beside it; some servers put it beside the choices."""

QUOTING: Final = frozenset(QUOTED)

_PLAIN: Final = ("text", "input_text", "output_text")
_SAYING: Final = ("text", "refusal", "thinking", "reasoning")
"""Where a piece of content says something; one that does in two places is read by clients in different ways."""


def voice_of(message: dict[str, Any]) -> Voice:
    """Who speaks."""
    role = message.get("role")
    return _VOICES.get(role, "user") if type(role) is str else "user"


def message_parts(message: Any, pointer: str = "", voice: Voice | None = None) -> list[Part]:
    """Parts of one message; a reply's messages may lack a role, so its reader gives the voice."""
    fields = mapping(message)
    parts = _content(fields, voice or voice_of(fields), pointer)
    if "reasoning_content" in fields or "reasoning" in fields or DETAILS in fields:
        parts = [*_reasoning(fields, pointer), *parts]
    if "tool_calls" in fields or "function_call" in fields:
        parts += _calls(fields, pointer)
    return parts


def _reasoning(fields: dict[str, Any], pointer: str) -> list[Part]:
    # Some servers send both names with the same text.
    key = next((key for key in REASONING if fields.get(key)), None)
    parts = [] if key is None else [Part(kind="reasoning", text=compact(fields[key]), pointer=f"{pointer}/{key}")]
    return parts + details_parts(list(told(fields.get(DETAILS))), parts[0].text if parts else None, pointer)


def details_parts(pieces: Sequence[Piece], thought: str | None, pointer: str) -> list[Part]:
    """Reasoning that is told in pieces, as far as it says more than the thought beside them."""
    return [
        Part(kind="reasoning", text=said, pointer=f"{pointer}/{DETAILS}" if at is None else f"{pointer}/{DETAILS}/{at}")
        for at, said in readings(pieces, thought)
    ]


def _content(fields: dict[str, Any], voice: Voice, pointer: str) -> list[Part]:
    if voice == "tool":
        return [_result(fields, pointer)]
    kind = KIND_OF[voice]
    content: Any = fields.get("content")
    parts: list[Part] = []
    if type(content) is str:
        if content or voice != "assistant":
            parts.append(Part(kind=kind, text=content, pointer=f"{pointer}/content"))
    elif content is not None:
        parts += [_piece(item, kind, f"{pointer}/content/{at}") for at, item in enumerate(sequence(content))]
        if type(content) is not list:
            parts.append(unknown(kind, content, f"{pointer}/content"))
    if "refusal" in fields and (refusal := word(fields["refusal"])):
        parts.append(Part(kind=kind, text=refusal, pointer=f"{pointer}/refusal"))
    if voice == "assistant" and not QUOTING.isdisjoint(fields):
        parts += citations(fields, pointer)
    if "audio" in fields and (audio := mapping(fields["audio"])):
        parts.append(Part(kind=kind, text=text(audio.get("transcript")), pointer=f"{pointer}/audio", unread="audio"))
    return parts


def citations(fields: dict[str, Any], pointer: str) -> list[Part]:
    """What stands beside a text, or beside the choices, as what it refers to."""
    return [
        quoted(citation, f"{pointer}/{key}/{at}")
        for key in QUOTED
        if key in fields
        for at, citation in enumerate(sequence(fields[key]))
    ]


def is_plain(piece: Any) -> bool:
    """Whether a piece of content is a text and nothing else."""
    fields = mapping(piece)
    others = any(fields.get(name) for name in _SAYING if name != "text")
    return type(fields.get("text")) is str and fields.get("type", "text") in _PLAIN and not others


def piece_text(piece: Any) -> str:
    """What a reader reads of a piece of content, or of content that is no list."""
    return piece["text"] if is_plain(piece) else odd_text(piece)


def odd_text(piece: Any) -> str:
    """What a judge reads of a piece of a streamed text that is no text: where it thinks, all its texts in a row."""
    inner = mapping(piece).get("thinking") if mapping(piece).get("type") == "thinking" else piece
    if type(inner) is str:
        return inner
    texts = [mapping(one).get("text") for one in sequence(inner)]
    said = [one for one in texts if type(one) is str]
    return "".join(said) if said and len(said) == len(texts) else compact(piece)


def _result(fields: dict[str, Any], pointer: str) -> Part:
    content: Any = fields.get("content")
    tool, call_id = word(fields.get("name")), word(fields.get("tool_call_id"))
    if type(content) is str:
        return Part(kind="tool_result", text=content, pointer=f"{pointer}/content", tool=tool, call_id=call_id)
    inside = [_piece(item, "tool_result", "") for item in sequence(content)]
    if not isinstance(content, list) and content is not None:
        inside = [Part(kind="tool_result", text=compact(content))]
    return merged(inside, f"{pointer}/content", tool=tool, call_id=call_id)


def _piece(item: Any, kind: StepKind, pointer: str) -> Part:
    fields = mapping(item)
    name = text(fields.get("type"))
    said = [key for key in _SAYING if fields.get(key)]
    if len(said) > 1 or any(type(fields[key]) is not str for key in said if key in ("text", "refusal")):
        return unknown(kind, item, pointer)
    if name in _PLAIN and said in ([], ["text"]):
        return Part(kind=kind, text=text(fields.get("text")), pointer=pointer)
    if name == "refusal" and said in ([], ["refusal"]):
        return Part(kind=kind, text=text(fields.get("refusal")), pointer=pointer)
    if name in ("thinking", "reasoning"):
        return Part(kind="reasoning", text=compact(fields.get(name, fields.get("text", ""))), pointer=pointer)
    if name in _UNREAD and not said:
        return Part(kind=kind, pointer=pointer, unread=_UNREAD[name])
    return unknown(kind, item, pointer)


def _calls(fields: dict[str, Any], pointer: str) -> list[Part]:
    parts: list[Part] = []
    legacy = mapping(fields.get("function_call"))
    if legacy:
        parts.append(_call({"function": legacy}, f"{pointer}/function_call"))
    for at, item in enumerate(sequence(fields.get("tool_calls"))):
        parts.append(_call(mapping(item), f"{pointer}/tool_calls/{at}"))
    return parts


def called(call: dict[str, Any]) -> tuple[Literal["function", "custom"], dict[str, Any]]:
    """What a call names and is given, and in which of two forms: some servers leave the other empty beside it."""
    function, custom = mapping(call.get("function")), mapping(call.get("custom"))
    return ("custom", custom) if custom and not function else ("function", function)


def _call(call: dict[str, Any], pointer: str) -> Part:
    kind, known = called(call)
    given = known.get("arguments" if kind == "function" else "input")
    return Part(
        kind="tool_call",
        text=compact(given or "") if known else compact(call),
        pointer=pointer,
        tool=word(known.get("name")) or (None if known else word(call.get("type"))),
        call_id=word(call.get("id")),
    )
