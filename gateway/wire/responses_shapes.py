"""What Responses look like where all of them is read: https://platform.openai.com/docs/api-reference/responses."""

from collections.abc import Mapping
from typing import Final

from gateway.wire.shapes import ANY, NOTHING, NUMBER, TEXT, Shape, a_list, an_object, either, nothing_else

CARRIERS: Final = (
    "delta",
    "text",
    "item",
    "part",
    "response",
    "arguments",
    "input",
    "code",
    "refusal",
    "transcript",
    "content",
    "summary",
    "command",
    "diff",
    "output",
    "annotation",
)
"""Names under which an event can say something."""

_ONE: Final = ("text", "refusal", "transcript")
_PIECE: Final = an_object({**dict.fromkeys(_ONE, ANY), "type": TEXT, "annotations": ANY}, alone=_ONE)
_PIECES: Final = either(ANY, a_list(either(TEXT, _PIECE)))
_READ_PIECE: Final = an_object(
    nothing_else(
        ("content", "summary", "delta"), {**dict.fromkeys(_ONE, TEXT), "type": TEXT, "annotations": a_list(ANY)}
    ),
    alone=_ONE,
)
_READ_PIECES: Final = a_list(_READ_PIECE)
_ITEM: Final = {
    "type": TEXT,
    "role": TEXT,
    "name": TEXT,
    "namespace": TEXT,
    "server_label": TEXT,
    "call_id": TEXT,
    "arguments": ANY,
    "input": ANY,
    "code": ANY,
    "output": ANY,
    "summary": _PIECES,
    "content": _PIECES,
}
_ALONE: Final = ("arguments", "input", "code")
ITEM: Final = an_object(_ITEM, alone=_ALONE)
_ELSEWHERE: Final = ("arguments", "input", "code", "output", "outputs", "results", "result", "text", "delta")
SPOKEN_ITEM: Final = an_object(
    nothing_else(
        _ELSEWHERE, {"type": TEXT, "role": TEXT, "name": TEXT, "summary": _READ_PIECES, "content": _READ_PIECES}
    )
)
"""A message or reasoning of a stream: its texts are told apart by their places."""

_RESPONSE: Final = {"output": a_list(ITEM), "output_text": NOTHING, "status": TEXT, "error": ANY}
REPLY: Final = an_object({**_RESPONSE, "choices": NOTHING}, needs=("output", "error"))
REQUEST: Final = an_object(
    {
        "model": ANY,
        "input": either(TEXT, a_list(either(TEXT, an_object({**_ITEM, "tools": ANY})))),
        "instructions": ANY,
        "prompt": ANY,
        "tools": a_list(an_object({"type": TEXT, "name": TEXT, "description": TEXT})),
        "stream": ANY,
        "conversation": ANY,
        "previous_response_id": ANY,
    }
)

_PLACE: Final = dict.fromkeys(("output_index", "content_index", "summary_index", "annotation_index"), NUMBER)


def _event(name: str, value: Shape) -> Shape:
    """An event that says something under one name."""
    return an_object(nothing_else(CARRIERS, {"type": TEXT, **_PLACE, name: value}))


_ENDED: Final = _event("response", an_object(_RESPONSE))
_BEGUN: Final = _event("response", an_object({**_RESPONSE, "output": NOTHING}))
_WITH_ITEM: Final = _event("item", ITEM)
_WITH_PART: Final = _event("part", _READ_PIECE)


def _growing(stems: Mapping[str, str]) -> dict[str, Shape]:
    """Events that bring a piece of a text, and those that give all of it under this name."""
    whole = {f"{stem}.done": _event(field, TEXT) for stem, field in stems.items()}
    return {**dict.fromkeys([f"{stem}.delta" for stem in stems], _event("delta", TEXT)), **whole}


EVENTS: Final[Mapping[str, Shape]] = {
    "response.created": _BEGUN,
    "response.in_progress": _BEGUN,
    "response.queued": _BEGUN,
    "response.completed": _ENDED,
    "response.failed": _ENDED,
    "response.incomplete": _ENDED,
    "response.cancelled": _ENDED,
    "response.output_item.added": _WITH_ITEM,
    "response.output_item.done": _WITH_ITEM,
    "response.content_part.added": _WITH_PART,
    "response.content_part.done": _WITH_PART,
    "response.reasoning_summary_part.added": _WITH_PART,
    "response.reasoning_summary_part.done": _WITH_PART,
    "response.reasoning_part.added": _WITH_PART,
    "response.reasoning_part.done": _WITH_PART,
    "response.output_text.annotation.added": _event("annotation", ANY),
    "error": an_object(nothing_else(CARRIERS, {"type": TEXT, "code": TEXT, "error": ANY})),
    **_growing(
        {
            "response.output_text": "text",
            "response.refusal": "refusal",
            "response.reasoning_text": "text",
            "response.reasoning_summary_text": "text",
            "response.audio.transcript": "transcript",
            "response.output_audio_transcript": "transcript",
            "response.function_call_arguments": "arguments",
            "response.custom_tool_call_input": "input",
            "response.mcp_call_arguments": "arguments",
            "response.code_interpreter_call_code": "code",
        }
    ),
}
"""By kind; of an event of another kind nothing is known."""
