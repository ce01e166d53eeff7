"""What `external` sends and what it takes for an answer. The answer is hostile until it has been read here.

Sent: `{"version": 1, "step": {...}, "before": [...]}`, where a step is `kind`, `text`, `size`, `tool` where there is
one, and `arguments` for a call whose arguments are JSON that was sent whole. Taken: `{"findings": [...]}` or
`{"error": "..."}`; members nobody knows are passed over.
"""

from contextlib import suppress
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from policies.trail import Scene
from policies.vocabulary.findings import Evidence, Hit, Score
from policies.vocabulary.steps import Part
from supervisors.adapters.excerpt import Excerpt, excerpt, one_line

VERSION: Final = 1
MOST_BYTES: Final = 256 * 1024
"""Of an answer; a longer one is none."""

_MOST_FINDINGS: Final = 64
_MOST_SPANS: Final = 256
_LONGEST_NOTE: Final = 240
_QUOTED: Final = 12
"""Characters in a row that a note may not share with the text: notes are recorded, contents are not."""


class Unusable(Exception):
    """An answer that is none; the message is why, as a low-cardinality word."""


class Span(msgspec.Struct, frozen=True):
    """A range of bytes in the UTF-8 of `step.text`."""

    start: Annotated[int, Meta(ge=0)]
    end: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One finding as a service writes it."""

    state: Literal["ok", "unsure", "violation"]
    score: Score | None = None
    """Required unless `state` is `ok`."""

    spans: Annotated[tuple[Span, ...], Meta(max_length=_MOST_SPANS)] = ()
    label: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")] = "external"
    note: str = ""


class Reply(msgspec.Struct, frozen=True):
    """A whole answer: one of the two."""

    findings: Annotated[tuple[Found, ...], Meta(max_length=_MOST_FINDINGS)] | None = None
    error: Any = None


def request(scene: Scene, most: int) -> tuple[bytes, Excerpt]:
    """The JSON to send, with at most `most` bytes of each text; and what of the step's text it holds."""
    shown = excerpt(scene.step.text, most)
    before = [_step(part, excerpt(part.text, most)) for part in scene.trail.parts]
    document: dict[str, Any] = {"version": VERSION, "step": _step(scene.step, shown)}
    if before:
        document["before"] = before
    return msgspec.json.encode(document), shown


def _step(part: Part, shown: Excerpt) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": part.kind, "text": shown.text, "size": shown.whole}
    if part.tool is not None:
        told["tool"] = excerpt(part.tool, 1024).text
    if part.kind == "tool_call" and shown.size == shown.whole:
        with suppress(msgspec.DecodeError, ValueError, RecursionError):  # `text` says what it is
            told["arguments"] = msgspec.json.decode(shown.text)
    return told


def hits(body: bytes, shown: Excerpt) -> tuple[Hit, ...]:
    """What an answer says of the text that was shown. Raises `Unusable`."""
    try:
        reply = msgspec.json.decode(body, type=Reply)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unusable("answer_invalid") from None
    if reply.error is not None:
        raise Unusable("answer_error")
    if reply.findings is None:
        raise Unusable("answer_invalid")
    return tuple([_hit(found, shown) for found in reply.findings if found.state != "ok"])


def _hit(found: Found, shown: Excerpt) -> Hit:
    if found.score is None or any(not span.start < span.end <= shown.size for span in found.spans):
        raise Unusable("answer_invalid")
    evidence = tuple([Evidence(start=span.start, end=span.end, label=found.label) for span in found.spans])
    if not evidence:
        evidence = (Evidence(label=found.label),)
    return Hit(score=found.score, state=found.state, evidence=evidence, note=_note(found.note, shown.text))


def _note(note: str, text: str) -> str:
    """A note fit for operators: one printable line that quotes nothing."""
    line = one_line(note, _LONGEST_NOTE)
    quotes = any(line[at : at + _QUOTED] in text for at in range(len(line) - _QUOTED + 1))
    return "the service's note repeated the text and was dropped" if quotes else line
