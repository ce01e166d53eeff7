"""What Chat Completions look like where all of them is read: https://platform.openai.com/docs/api-reference/chat."""

from collections.abc import Mapping
from typing import Final

from gateway.wire.chat_details import DETAILS
from gateway.wire.chat_parts import REASONING
from gateway.wire.shapes import ANY, NUMBER, TEXT, Shape, a_list, an_object, either, nothing_else

CARRIERS: Final = ("content", "text", "message", "delta", "output", "output_text", "completion", "response")
"""Names under which a chunk that has no choices can say something."""

_SAYING: Final = ("content", "text", "thinking", "refusal", "arguments", "input", "transcript")
"""Names that say something, each in its place; elsewhere some clients read them too."""


def _function(arguments: Shape) -> Shape:
    members = nothing_else(_SAYING, {"name": TEXT, "arguments": arguments, "input": arguments})
    return an_object(members, alone=("arguments", "input"))


def _call(function: Shape) -> Shape:
    members = {"index": NUMBER, "id": TEXT, "type": TEXT, "function": function, "custom": function}
    return an_object(nothing_else((*_SAYING, "name"), members), alone=("function", "custom"))


_PIECES: Final = either(TEXT, ANY, a_list(either(TEXT, an_object({"type": TEXT, "text": ANY, "refusal": ANY}))))
_SECTION: Final = nothing_else(
    (*_SAYING, *REASONING),
    {"type": TEXT, "text": TEXT, "summary": TEXT, "data": TEXT, "signature": TEXT, "id": TEXT, "index": NUMBER},
)
_DETAILS: Final = a_list(an_object(_SECTION, alone=("text", "summary")))
_CITATIONS: Final = dict.fromkeys(("annotations", "citations", "search_results"), a_list(ANY))


def _message(arguments: Shape, *, same: tuple[str, ...] = ()) -> Shape:
    """A message, or what a chunk adds to one; arguments of calls are such values."""
    function = _function(arguments)
    members = {
        "role": TEXT,
        "content": _PIECES,
        "refusal": TEXT,
        "reasoning_content": ANY,
        "reasoning": ANY,
        DETAILS: _DETAILS,
        "tool_calls": a_list(_call(function)),
        "function_call": function,
        "audio": an_object(nothing_else(_SAYING, {"transcript": TEXT})),
        **_CITATIONS,
    }
    return an_object(nothing_else(_SAYING, members), same=same)


def _choices(message: Shape, delta: Shape) -> Shape:
    """Choices that hold a message under both names, or one of them."""
    elsewhere = [name for name in message.members if name != "role"]
    members = {"index": NUMBER, "finish_reason": TEXT, "message": message, "delta": delta}
    return a_list(an_object(nothing_else(tuple(elsewhere), members)))


def _beside(message: Shape, said: Mapping[str, Shape]) -> Shape:
    """A message that says nothing else; some servers (Perplexity) give one beside the one that counts."""
    return an_object(nothing_else(tuple(message.members), {"role": TEXT, **said}))


_WHOLE: Final = _message(ANY, same=REASONING)
_PIECE: Final = _message(TEXT)
REPLY: Final = an_object(
    nothing_else(CARRIERS, {"choices": _choices(_WHOLE, _beside(_WHOLE, {})), "error": ANY, **_CITATIONS}),
    needs=("choices", "error"),
)
CHUNK: Final = an_object({"choices": _choices(_beside(_PIECE, {"content": TEXT}), _PIECE), "error": ANY, **_CITATIONS})
SPEAKING: Final = an_object(nothing_else(CARRIERS, CHUNK.members))
"""A chunk with choices, or an error: nothing but those says something."""

_DEFINITION: Final = {"name": TEXT, "description": TEXT}
REQUEST: Final = an_object(
    {
        "model": ANY,
        "messages": a_list(an_object({**_WHOLE.members, "name": TEXT, "tool_call_id": TEXT})),
        "tools": a_list(an_object({"type": TEXT, "name": TEXT, "function": an_object(_DEFINITION)})),
        "functions": a_list(an_object(_DEFINITION)),
        "stream": ANY,
        "n": ANY,
    }
)
