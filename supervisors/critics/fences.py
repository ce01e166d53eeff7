"""Fences: step text is data, and stands between marks that its author cannot have known.

A fence is 128 random bits, drawn when a step is first shown to a model and kept with it, so that a session's history
reads the same from call to call. Whatever stands outside of fences is the gateway's own.
"""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, TypeAlias

import msgspec

from policies.trail import utf8
from policies.vocabulary.steps import Part, StepKind
from supervisors.adapters.excerpt import excerpt

Draw: TypeAlias = Callable[[], str]
"""Gives 32 hexadecimal digits, random and never the same twice."""

FENCE_BYTES: Final = 160
"""What a step takes in a prompt beside its text, about: of short steps it is the most."""

_FENCE: Final = re.compile(r"[0-9a-f]{32}\Z")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/@-]{1,64}\Z")

_SPEAKERS: Final[dict[StepKind, str]] = {
    "instructions": "system",
    "tool_definitions": "system",
    "user_input": "user",
    "model_text": "agent",
    "reasoning": "agent",
    "tool_call": "agent",
    "retrieval": "retrieval",
    "handoff": "agent",
}


class BadFence(Exception):
    """What was drawn is no fence."""


class Exhibit(msgspec.Struct, frozen=True, kw_only=True):
    """One step as a model is shown it."""

    name: str
    """What it is called in the prompt: `s1`, `s2`, ..."""

    step_id: str
    """The recorded step; empty for one that is judged before it is recorded."""

    kind: StepKind
    tool: str | None
    text: str
    """What stands inside the fence: the beginning of the step's text, bytes where they were."""

    size: int
    """Bytes of `text` in UTF-8."""

    whole: int
    """Bytes of the step's whole text; more than `size` is a tail that nobody was shown."""

    fenced: str
    """The text within its fence, as it stands in the prompt."""


def exhibit(name: str, part: Part, *, most: int, draw: Draw, step_id: str = "") -> Exhibit:
    """A step within a fresh fence, with at most `most` bytes of its text.

    Raises `BadFence` where what is drawn is not 32 hexadecimal digits.
    """
    shown = excerpt(part.text, most)
    fence = _drawn(draw, shown.text)
    head = f"<<data {fence} step={name} kind={part.kind} origin={_origin(part)}"
    if part.kind == "tool_call":
        head += f" tool={word(part.tool)}"
    if shown.size != shown.whole:
        head += f" shown={shown.size} of={shown.whole}"
    return Exhibit(
        name=name,
        step_id=step_id,
        kind=part.kind,
        tool=part.tool,
        text=shown.text,
        size=shown.size,
        whole=shown.whole,
        fenced=f"{head}>>\n{shown.text}\n<<end {fence}>>",
    )


def word(name: str | None) -> str:
    """A name from the wire, fit to stand outside of a fence: as it is where it is plain and short, else its hash."""
    if not name:
        return "unnamed"
    if _PLAIN.match(name):
        return name
    return f"unreadable-{blake2b(utf8(name), digest_size=4).hexdigest()}"


def _origin(part: Part) -> str:
    return f"tool:{word(part.tool)}" if part.kind == "tool_result" else _SPEAKERS[part.kind]


def _drawn(draw: Draw, text: str) -> str:
    """A fence that does not stand in the text it encloses."""
    fence = draw()
    while _FENCE.match(fence) and fence in text:
        fence = draw()
    if not _FENCE.match(fence):
        raise BadFence("a fence is 32 hexadecimal digits")
    return fence
