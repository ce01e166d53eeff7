"""Revisions: what may be changed without a new release, the edits that change it, and the chain of what was in force.

Everything here is content: a revision is named by the digest of what it holds, and is never changed, only followed.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from policies.digests import digest
from policies.guards.registry import GuardSpec
from policies.tools import ToolSelector, ToolTag
from policies.vocabulary.bands import Band
from policies.vocabulary.clauses import Clause, Identifier, Policy

Direction: TypeAlias = Literal["tightens", "neutral", "loosens"]
"""`tightens`: no step can be judged more mildly by it. `neutral`: every step is judged alike. `loosens`: all else, what
nobody can say for certain included."""

LineText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=400)]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an instruction set or of a clause's guidance."""

    id: Identifier
    text: LineText
    expires_ns: int | None = None
    """When it is left out by itself: Unix epoch, nanoseconds; None: never."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """An item that a person wrote down to choose from: in force once a revision brings it."""

    line: Line
    tools: tuple[str, ...] = ()
    """Tools whose calls it is about; empty: whatever an agent does."""


class LineEnds(msgspec.Struct, frozen=True, kw_only=True):
    """How the sessions ended in whose requests one item stood, as far as anybody said. Of causes it says nothing."""

    line: str
    helped: int = 0
    """Sessions in which nothing was a violation."""

    hurt: int = 0
    """Sessions in which something was."""


class Guidance(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge is told of one clause beyond its text."""

    clause: str
    """`policy/clause`."""

    lines: tuple[Line, ...] = ()


class ToolNote(msgspec.Struct, frozen=True, kw_only=True):
    """A description that stands in for the one an app gave a tool."""

    tool: str
    description: Annotated[str, Meta(max_length=2000)]


class ToolTags(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool does, as the guards need to know it."""

    tool: str
    tags: tuple[ToolTag, ...]


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """A learned guard that goes by itself."""

    clause: str
    """`policy/clause`."""

    guard: str
    """Digest of the guard's definition."""

    at_ns: int
    """Unix epoch, nanoseconds."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """All of one app that revisions may change."""

    app: str
    policies: tuple[Policy, ...]
    guidance: tuple[Guidance, ...] = ()
    instructions: tuple[Line, ...] = ()
    """Items added to the app's own instructions, in order."""

    tools: tuple[ToolNote, ...] = ()
    tags: tuple[ToolTags, ...] = ()
    expiries: tuple[Expiry, ...] = ()

    @property
    def digest(self) -> str:
        """Its name: equal content, equal digest."""
        return digest(self)


# ---------------------------------------------------------------------------------------------------------- edits


class _Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="edit"):
    """One bounded change. Clauses are named `policy/clause`, guards by their digest: a place may have moved."""


class AddClause(_Edit, frozen=True, tag="add_clause"):
    """A rule that was not there."""

    policy: str
    clause: Clause


class DeleteClause(_Edit, frozen=True, tag="delete_clause"):
    """A rule goes."""

    clause: str


class AddGuard(_Edit, frozen=True, tag="add_guard"):
    """One more guard watches for the breach of a clause."""

    clause: str
    guard: GuardSpec
    expires_ns: int | None = None
    """When it goes by itself; None: never."""


class ReplaceGuard(_Edit, frozen=True, tag="replace_guard"):
    """A guard is defined otherwise."""

    clause: str
    was: str
    guard: GuardSpec


class DeleteGuard(_Edit, frozen=True, tag="delete_guard"):
    """A guard goes."""

    clause: str
    was: str


class MergeGuards(_Edit, frozen=True, tag="merge_guards"):
    """One guard takes the place of several of the same clause."""

    clause: str
    were: Annotated[tuple[str, ...], Meta(min_length=2, max_length=8)]
    guard: GuardSpec


class SetBands(_Edit, frozen=True, tag="set_bands"):
    """Other thresholds, or another answer to a score."""

    clause: str
    action: Annotated[tuple[Band, ...], Meta(min_length=1)]


class SetTools(_Edit, frozen=True, tag="set_tools"):
    """The clause is about other tools; None: about every tool."""

    clause: str
    tools: ToolSelector | None


class SetMode(_Edit, frozen=True, tag="set_mode"):
    """A clause begins to act, or watches only."""

    clause: str
    mode: Literal["shadow", "enforce"]


class AddLine(_Edit, frozen=True, tag="add_line"):
    """One more item of instructions, or of a clause's guidance."""

    line: Line
    clause: str | None = None
    """Whose guidance; None: the app's instructions."""


class ReplaceLine(_Edit, frozen=True, tag="replace_line"):
    """An item is said otherwise."""

    line: Line
    clause: str | None = None


class DeleteLine(_Edit, frozen=True, tag="delete_line"):
    """An item goes."""

    line: str
    clause: str | None = None


class DescribeTool(_Edit, frozen=True, tag="describe_tool"):
    """A tool is described otherwise to the model; empty: as the app describes it."""

    tool: str
    description: Annotated[str, Meta(max_length=2000)]


class TagTool(_Edit, frozen=True, tag="tag_tool"):
    """A tool's tags, all of them; none: as the configuration has it."""

    tool: str
    tags: tuple[ToolTag, ...]


Edit: TypeAlias = (
    AddClause
    | DeleteClause
    | AddGuard
    | ReplaceGuard
    | DeleteGuard
    | MergeGuards
    | SetBands
    | SetTools
    | SetMode
    | AddLine
    | ReplaceLine
    | DeleteLine
    | DescribeTool
    | TagTool
)
"""Every change there is."""

GUARD_EDITS: tuple[type[_Edit], ...] = (
    AddClause, DeleteClause, AddGuard, ReplaceGuard, DeleteGuard, MergeGuards, SetBands, SetTools, SetMode, TagTool,
)  # fmt: skip
"""Edits of what guards do, which recorded history shows exactly; the others change what comes after."""


# ------------------------------------------------------------------------------------------------------ proposals


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit rests on, without any content."""

    sessions: tuple[str, ...] = ()
    """The sessions behind it."""

    principals: tuple[str, ...] = ()
    """On whose word; each counts once, however much it said."""

    library: str | None = None
    """Where a person wrote it, for what was picked from a library; such an edit needs no further support."""


Aim: TypeAlias = Literal["mends", "narrows", "tries"]
"""`mends`: more is judged rightly, which has to be shown. `narrows`: takes away room that nobody used; it has to
tighten, to disturb nobody, and a person has to agree. `tries`: brings items that people wrote, or leaves items out:
nothing on record shows what comes of that, so a person has to agree and live traffic has to show it."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A change somebody or an optimizer suggests."""

    app: str
    parent: str
    """Digest of the parameters it changes."""

    author: str
    """`optimizer:thresholds`, `human:anna`."""

    edits: Annotated[tuple[Edit, ...], Meta(min_length=1, max_length=32)]
    support: Support = Support()
    why: str = ""
    """One sentence for whoever decides. Never content of a session."""

    aim: Aim = "mends"
    confirm: bool = False
    """True: a named person has to agree whatever the edits do."""

    at_ns: int = 0
    """Wall clock, Unix epoch, nanoseconds, UTC."""

    @property
    def digest(self) -> str:
        """Digest of what it changes, and to what: the same suggestion made twice has one."""
        return digest([self.app, self.edits])

    @property
    def exact(self) -> bool:
        """Whether a replay of recorded history shows all that it does."""
        return all(isinstance(edit, GUARD_EDITS) for edit in self.edits)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One figure a decision rested on."""

    name: str
    value: float


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of what is in force."""

    app: str
    parent: str | None
    """Digest of the revision it follows; None for the first."""

    parameters: str
    """Digest of the parameters."""

    author: str
    proposal: str | None = None
    """Digest of the proposal; None where a person changed the files."""

    support: Support = Support()
    scores: tuple[Score, ...] = ()
    at_ns: int = 0

    @property
    def digest(self) -> str:
        """Its name."""
        return digest(self)
