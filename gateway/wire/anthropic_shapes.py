"""What Anthropic Messages look like where all of them is read: https://platform.claude.com/docs/en/api/messages."""

from collections.abc import Mapping
from typing import Final

from gateway.wire.shapes import ANY, NUMBER, TEXT, Shape, a_list, an_object, either, nothing_else

TEXTS: Final = ("text", "partial_json", "thinking", "content")
"""Where the text of a delta stands, whatever the delta is called."""

CARRIERS: Final = ("delta", "content_block", "message", "text", "content", "thinking", "partial_json", "completion")
"""Names under which an event can say something."""

_INNER: Final = an_object({"type": TEXT, "text": ANY, "title": ANY, "source": ANY, "content": ANY})
_BLOCK: Final = an_object(
    {
        "type": TEXT,
        "text": ANY,
        "thinking": ANY,
        "signature": TEXT,
        "id": ANY,
        "name": TEXT,
        "input": ANY,
        "tool_use_id": ANY,
        "content": either(TEXT, _INNER, a_list(either(TEXT, _INNER))),
        "citations": ANY,
    }
)
_CONTENT: Final = either(TEXT, a_list(either(TEXT, _BLOCK)))
_MESSAGE: Final = an_object(nothing_else(CARRIERS, {"type": TEXT, "role": TEXT, "content": _CONTENT}))

REPLY: Final = an_object({**_MESSAGE.members, "stop_reason": TEXT, "error": ANY}, needs=("content", "error"))
REQUEST: Final = an_object(
    {
        "model": ANY,
        "messages": a_list(_MESSAGE),
        "system": _CONTENT,
        "tools": a_list(an_object({"name": TEXT})),
        "stream": ANY,
    }
)


def _event(members: Mapping[str, Shape]) -> Shape:
    return an_object(nothing_else(CARRIERS, {"type": TEXT, **members}))


_ELSEWHERE: Final = (*TEXTS, "citation", "citations", "input")
_SAID: Final = an_object(
    nothing_else(_ELSEWHERE, {**dict.fromkeys(TEXTS, TEXT), "type": TEXT, "signature": TEXT, "citation": ANY}),
    alone=TEXTS,
)
EVENTS: Final[Mapping[str, Shape]] = {
    "message_start": _event({"message": _MESSAGE}),
    "content_block_start": _event({"index": NUMBER, "content_block": _BLOCK}),
    "content_block_delta": _event({"index": NUMBER, "delta": _SAID}),
    "content_block_stop": _event({"index": NUMBER}),
    "message_delta": _event({"delta": an_object(nothing_else(_ELSEWHERE, {"stop_reason": TEXT}))}),
    "message_stop": _event({}),
    "ping": _event({}),
    "error": _event({"error": ANY, "message": ANY}),
}
"""By kind; of an event of another kind nothing is known."""
