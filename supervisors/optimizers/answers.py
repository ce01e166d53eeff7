"""Answers of optimizer models, decoded strictly: typed edits or a failure, never a guess at what was meant."""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from policies.vocabulary.revisions import AddLine, DeleteLine, Edit, ReplaceLine, SetBands
from supervisors.optimizers.interface import Failure

LARGEST: Final = 64 << 10
"""Characters of one answer."""

ModelEdit: TypeAlias = AddLine | ReplaceLine | DeleteLine | SetBands
"""All that a model may write: items of text and thresholds. Guards, tags and clauses are for people and for search."""


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what went wrong is one component's doing."""

    component: str
    share: Annotated[float, Meta(ge=0, le=1)]


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model answered."""

    edits: Annotated[tuple[ModelEdit, ...], Meta(max_length=32)] = ()
    why: Annotated[str, Meta(max_length=400)] = ""
    blame: Annotated[tuple[Blame, ...], Meta(max_length=32)] = ()


def decode(text: str) -> Answer | Failure:
    """The answer, or why it is none. A fence of Markdown around the object is forgiven, nothing else."""
    bare = text.strip()
    if bare.startswith("```"):
        bare = bare.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if len(bare) > LARGEST:
        return Failure(why="not_typed", note=f"an answer of {len(bare)} characters")
    try:
        return msgspec.json.decode(bare, type=Answer)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Failure(why="not_typed", note=type(error).__name__)


def edits_of(answer: Answer) -> tuple[Edit, ...]:
    """The edits, as the gate knows them; when an item expires is ours to say."""
    return tuple(_plain(edit) for edit in answer.edits)


def _plain(edit: ModelEdit) -> Edit:
    if isinstance(edit, AddLine | ReplaceLine):
        line = msgspec.structs.replace(edit.line, expires_ns=None)
        return msgspec.structs.replace(edit, line=line)
    return edit
