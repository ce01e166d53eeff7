"""The first rung: what reading an edit says. No learned text is planted, secret, or meant for a judge."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, cast

import msgspec
import re2  # pyright: ignore[reportMissingTypeStubs] - ships no types

from policies.copies import copied
from policies.digests import digest
from policies.gate.case import Case
from policies.guards.interface import Guard
from policies.guards.own import OwnSpec
from policies.guards.pii import PiiGuard, PiiSpec
from policies.guards.registry import is_asked
from policies.guards.secrets import SecretsGuard, SecretsSpec
from policies.guards.smuggling import SmugglingGuard, SmugglingSpec
from policies.parameters import protected
from policies.trail import Scene
from policies.vocabulary.ladder import Decision, Why
from policies.vocabulary.revisions import (
    AddClause,
    AddGuard,
    AddLine,
    DeleteLine,
    DescribeTool,
    Edit,
    MergeGuards,
    ReplaceGuard,
    ReplaceLine,
)
from policies.vocabulary.steps import Part

JUDGE: Final = (
    r"(?i)\b(?:judges?|graders?|reviewers?|evaluators?|critics?|supervisors?|scor(?:e|es|ed|er|ing)|rating|rate this|"
    r"rubrics?|approve this|accept this (?:edit|change)|benchmarks?|hold-?out|the gate|"
    r"passes? (?:the )?(?:test|review))\b"
)
"""Words with which a text speaks to whoever grades it. An agent's instructions and a tool's description need none."""

DESTINATION: Final = (
    r"(?i)(?:\b[a-z][a-z0-9+.-]*://|\bwww\.|[^\s@]+@[^\s@]+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\."
    r"(?:com|net|org|io|dev|app|co|info|biz|xyz|ru|cn|de|fr|uk|eu|me|top|site|online|example|test|invalid|onion)\b)"
)
"""Somewhere to send to. Learned instructions name none: whoever plants one wants something sent there."""

_FINDS: Final = 50
"""From this score on the shipped guards mean it."""


def lint(case: Case) -> Decision:
    """Size, protection, support, and the text that the edits bring."""
    why, note = next(_faults(case), ("fine", ""))
    return Decision(rung="lint", outcome="passed" if why == "fine" else "refused", why=why, note=note)


def _faults(case: Case) -> Iterator[tuple[Why, str]]:
    yield from _size(case)
    yield from _application(case)
    for edit in case.proposal.edits:
        yield from _definition(edit)
        if not written_by_people(edit, case):
            yield from _text(edit, case)
    yield from _support(case)


def _size(case: Case) -> Iterator[tuple[Why, str]]:
    edits, settings = case.proposal.edits, case.settings
    if len(edits) > settings.most_edits:
        yield "too_many_edits", f"{len(edits)} edits where {settings.most_edits} are allowed"
    brought = sum(len(text) for edit in edits if not written_by_people(edit, case) for text in texts(edit))
    if brought > settings.most_characters:
        yield "too_long", f"{brought} characters where {settings.most_characters} are allowed"


_REFUSALS: Final[dict[str, Why]] = {
    "protected": "protected",
    "not_loading": "does_not_load",
    "breaks_examples": "breaks_examples",
    "changes_nothing": "changes_nothing",
}


def _application(case: Case) -> Iterator[tuple[Why, str]]:
    if case.proposal.app != case.parent.app:
        yield "other_app", "what one app taught is not carried to another"
    if case.child is None:
        yield _REFUSALS.get(case.refusal or "", "does_not_apply"), "the edits cannot be applied"
        return
    if case.proposal.aim == "narrows" and case.direction != "tightens":
        yield "narrows_nothing", "it says that it takes room away, and may give some"
    if case.proposal.aim == "tries" and not all(_only_picks(edit, case) for edit in case.proposal.edits):
        yield "not_from_people", "it says that it picks items that people wrote, and brings others"
    after = protected(case.child)
    if any(after.get(name) != content for name, content in protected(case.parent).items()):
        yield "protected", "a protected clause would not stay as it is"


def _definition(edit: Edit) -> Iterator[tuple[Why, str]]:
    if isinstance(edit, AddClause):
        specs: tuple[Any, ...] = edit.clause.guards
        if edit.clause.on_error == "allow":
            yield "passes_failures", "a clause that lets pass what it failed to judge"
    else:
        specs = (edit.guard,) if isinstance(edit, AddGuard | ReplaceGuard | MergeGuards) else ()
    if any(is_asked(spec) or isinstance(spec, OwnSpec) for spec in specs):
        yield "reaches_out", "a guard that runs code of others or asks a service is for people to add"


def written_by_people(edit: Edit, case: Case) -> bool:
    """Whether an edit brings exactly what stands in the library."""
    if isinstance(edit, AddClause):
        return digest(edit.clause) in case.library.values()
    return isinstance(edit, AddLine) and digest(edit.line.text) in case.library.values()


def _only_picks(edit: Edit, case: Case) -> bool:
    """Whether an edit brings an item of the library to the instructions, or leaves one out."""
    if isinstance(edit, DeleteLine):
        return edit.clause is None
    return isinstance(edit, AddLine) and edit.clause is None and written_by_people(edit, case)


def texts(edit: Edit) -> Iterator[str]:
    """Every text an edit brings, wherever it stands."""
    yield from _strings(msgspec.to_builtins(edit))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            if key not in {"edit", "clause", "was", "were"} or isinstance(item, dict):
                yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from _strings(item)


def _text(edit: Edit, case: Case) -> Iterator[tuple[Why, str]]:
    for text in texts(edit):
        if copied(text, case.evidence, case.settings.longest_copy):
            yield "copies_evidence", f"holds {case.settings.longest_copy} words in a row, or a value, of a session"
        for why, guard in _shipped():
            if any(hit.score >= _FINDS for hit in guard.examine(_scene(text))):
                yield why, "the shipped guards find it in the text of the edit"
    for text in _prose(edit):
        if _matches(JUDGE, text):
            yield "addresses_a_judge", "speaks to whoever grades it"
        if _matches(DESTINATION, text):
            yield "names_a_destination", "learned text names an address"


def _prose(edit: Edit) -> Iterator[str]:
    """Text that a model will read."""
    if isinstance(edit, AddLine | ReplaceLine):
        yield edit.line.text
    elif isinstance(edit, DescribeTool):
        yield edit.description
    elif isinstance(edit, AddClause):
        yield edit.clause.text


@cache
def _shipped() -> tuple[tuple[Why, Guard], ...]:
    return (
        ("holds_a_secret", SecretsGuard(SecretsSpec(leaving=False))),
        ("holds_personal_data", PiiGuard(PiiSpec())),
        ("hides_text", SmugglingGuard(SmugglingSpec())),
    )


def _scene(text: str) -> Scene:
    return Scene(step=Part(kind="model_text", text=text))


def _matches(pattern: str, text: str) -> bool:
    return _regex(pattern).search(text) is not None


@cache
def _regex(pattern: str) -> Any:
    return cast("Any", re2).compile(pattern)


def _support(case: Case) -> Iterator[tuple[Why, str]]:
    proposal, settings = case.proposal, case.settings
    if proposal.author.startswith("human:") or all(written_by_people(edit, case) for edit in proposal.edits):
        return
    principals, sessions = len(set(proposal.support.principals)), len(set(proposal.support.sessions))
    if principals < settings.principals or sessions < settings.sessions:
        yield (
            "not_corroborated",
            (
                f"{principals} principals and {sessions} sessions stand behind it, "
                f"where {settings.principals} and {settings.sessions} are asked for"
            ),
        )
