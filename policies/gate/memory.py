"""What was refused or taken back before: it is not tried again, and what it touched is left alone for a while."""

from collections.abc import Iterable, Mapping

import msgspec

from policies.vocabulary.revisions import (
    AddClause,
    AddLine,
    DeleteLine,
    DescribeTool,
    Edit,
    Proposal,
    ReplaceLine,
    TagTool,
)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of what was refused for good, and until when components rest."""

    refused: frozenset[str] = frozenset()
    resting: Mapping[str, int] = {}
    """Component to the moment it may be changed again: Unix epoch, nanoseconds."""

    def with_refused(self, proposal: Proposal) -> "Memory":
        """Remember that a proposal was refused."""
        return msgspec.structs.replace(self, refused=self.refused | {proposal.digest})

    def with_rollback(self, proposal: Proposal, until_ns: int) -> "Memory":
        """Remember that a proposal was taken back: it and its components rest."""
        resting = {**self.resting, **dict.fromkeys(components(proposal.edits), until_ns)}
        return msgspec.structs.replace(self.with_refused(proposal), resting=resting)


def components(edits: Iterable[Edit]) -> frozenset[str]:
    """What edits touch: clauses by name, `instructions`, `tool:NAME`."""
    return frozenset(component(edit) for edit in edits)


def component(edit: Edit) -> str:
    """What one edit touches."""
    if isinstance(edit, AddClause):
        return f"{edit.policy}/{edit.clause.id}"
    if isinstance(edit, DescribeTool | TagTool):
        return f"tool:{edit.tool}"
    if isinstance(edit, AddLine | ReplaceLine | DeleteLine):
        return edit.clause or "instructions"
    return edit.clause
