"""Applying edits: from parameters and a proposal come new parameters that check, or a refusal with its reason.

A protected clause stays what it is to the byte, whoever asks; what an edit leaves behind has to load, and the examples
that people decided by hand have to turn out as they did.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import singledispatch
from typing import Any, Literal, TypeAlias

import msgspec

from policies.digests import digest
from policies.errors import StepwardenError
from policies.examples import run_examples
from policies.loader import reload
from policies.mistakes import BadPolicy
from policies.vocabulary.clauses import Clause, Policy
from policies.vocabulary.revisions import (
    AddClause,
    AddGuard,
    AddLine,
    DeleteClause,
    DeleteGuard,
    DeleteLine,
    DescribeTool,
    Edit,
    Expiry,
    Guidance,
    Line,
    MergeGuards,
    Parameters,
    ReplaceGuard,
    ReplaceLine,
    SetBands,
    SetMode,
    SetTools,
    TagTool,
    ToolNote,
    ToolTags,
)

Refusal: TypeAlias = Literal["protected", "unknown_target", "not_loading", "breaks_examples", "changes_nothing"]
"""Why edits cannot be applied."""

MOST_LINES = 64
"""Items of one instruction set or of one clause's guidance."""

_REMEDY: dict[Refusal, str] = {
    "protected": "Change the policy file by hand and restart: a protected clause never changes otherwise.",
    "unknown_target": "Make the proposal anew from what is in force now.",
    "not_loading": "Correct the definition; `stepwarden check` says what is wrong with a policy.",
    "breaks_examples": "Mend the edit, or the example if it was decided wrongly.",
    "changes_nothing": "Nothing has to be done.",
}


class EditRefused(StepwardenError):
    """Edits that cannot be applied; the parameters stay as they were."""

    status = 409

    def __init__(self, why: Refusal, message: str) -> None:
        super().__init__(message)
        self.why: Refusal = why

    def remedy(self) -> str:
        """What to do next."""
        return _REMEDY[self.why]


def apply(parameters: Parameters, edits: Iterable[Edit]) -> Parameters:
    """The parameters after the edits, in order. Raises `EditRefused`; nothing is applied in part."""
    changed = parameters
    for edit in edits:
        changed = _apply(edit, changed)
    if changed == parameters:
        raise EditRefused("changes_nothing", "the edits leave everything as it is")
    check(parameters, changed)
    return changed


def check(before: Parameters, after: Parameters) -> None:
    """Hold what an edit left to everything that is asked of it. Raises `EditRefused`."""
    lost = [name for name, content in protected(before).items() if protected(after).get(name) != content]
    if lost:
        raise EditRefused("protected", f"clause `{lost[0]}` is protected")
    known = {policy.policy.id: policy for policy in before.policies}
    for policy in after.policies:
        if known.get(policy.policy.id) != policy:
            _check(policy)


def protected(parameters: Parameters) -> dict[str, bytes]:
    """The bytes of every protected clause, by `policy/clause`."""
    return {
        name: msgspec.json.encode(clause, order="sorted")
        for name, clause in clauses(parameters).items()
        if clause.protected
    }


def clauses(parameters: Parameters) -> dict[str, Clause]:
    """Every clause, by `policy/clause`."""
    return {
        f"{policy.policy.id}/{clause.id}": clause for policy in parameters.policies for clause in policy.clause
    }  # fmt: skip


def tags(parameters: Parameters, configured: dict[str, frozenset[str]] | None = None) -> dict[str, frozenset[str]]:
    """The tags of tools, those of the configuration and over them those of the parameters."""
    return {**(configured or {}), **{each.tool: frozenset[str](each.tags) for each in parameters.tags}}


def guidance(parameters: Parameters) -> dict[str, str]:
    """What judges are told of clauses beside their text, by `policy/clause`."""
    return {each.clause: " ".join([line.text for line in each.lines]) for each in parameters.guidance if each.lines}


def expired(parameters: Parameters, now_ns: int) -> tuple[Edit, ...]:
    """The edits that take out what was given until `now_ns` at the latest."""
    found = clauses(parameters)
    guards: list[Edit] = [
        DeleteGuard(clause=each.clause, was=each.guard)
        for each in parameters.expiries
        if each.at_ns <= now_ns and any(digest(spec) == each.guard for spec in found[each.clause].guards)
    ]
    own = [(None, parameters.instructions), *[(each.clause, each.lines) for each in parameters.guidance]]
    return (
        *guards,
        *[
            DeleteLine(line=line.id, clause=clause)
            for clause, lines in own
            for line in lines
            if line.expires_ns is not None and line.expires_ns <= now_ns
        ],
    )


def _check(policy: Policy) -> None:
    try:
        loaded = reload(policy, policy.policy.id)
    except BadPolicy as bad:
        raise EditRefused("not_loading", str(bad.mistakes[0])) from None
    broken = [mistake for mistake in run_examples(loaded) if mistake.severity == "error"]
    if broken:
        raise EditRefused("breaks_examples", broken[0].message)


# ------------------------------------------------------------------------------------------------ one edit at a time


@singledispatch
def _apply(edit: Any, parameters: Parameters) -> Parameters:
    raise TypeError(f"{type(edit).__name__} is no edit of {parameters.app}")


@_apply.register
def _(edit: AddClause, parameters: Parameters) -> Parameters:
    if f"{edit.policy}/{edit.clause.id}" in clauses(parameters):
        raise EditRefused("unknown_target", f"there is a clause `{edit.policy}/{edit.clause.id}` already")
    if all(policy.policy.id != edit.policy for policy in parameters.policies):
        raise EditRefused("unknown_target", f"no policy `{edit.policy}` is in force")
    return _policies(parameters, edit.policy, lambda rules: (*rules, edit.clause))


@_apply.register
def _(edit: DeleteClause, parameters: Parameters) -> Parameters:
    clause = _clause(parameters, edit.clause)
    left = _policies(parameters, _policy_of(edit.clause), lambda rules: tuple(each for each in rules if each != clause))
    return msgspec.structs.replace(
        left,
        guidance=tuple(each for each in left.guidance if each.clause != edit.clause),
        expiries=tuple(each for each in left.expiries if each.clause != edit.clause),
    )


@_apply.register
def _(edit: AddGuard, parameters: Parameters) -> Parameters:
    clause = _clause(parameters, edit.clause)
    if edit.guard in clause.guards:
        raise EditRefused("changes_nothing", f"clause `{edit.clause}` has this guard")
    changed = _changed(parameters, edit.clause, guards=(*clause.guards, edit.guard))
    if edit.expires_ns is None:
        return changed
    expiry = Expiry(clause=edit.clause, guard=digest(edit.guard), at_ns=edit.expires_ns)
    return msgspec.structs.replace(changed, expiries=(*changed.expiries, expiry))


@_apply.register
def _(edit: ReplaceGuard, parameters: Parameters) -> Parameters:
    return _regrouped(parameters, edit.clause, (edit.was,), edit.guard)


@_apply.register
def _(edit: DeleteGuard, parameters: Parameters) -> Parameters:
    return _regrouped(parameters, edit.clause, (edit.was,), None)


@_apply.register
def _(edit: MergeGuards, parameters: Parameters) -> Parameters:
    return _regrouped(parameters, edit.clause, edit.were, edit.guard)


@_apply.register
def _(edit: SetBands, parameters: Parameters) -> Parameters:
    return _changed(parameters, edit.clause, action=edit.action)


@_apply.register
def _(edit: SetTools, parameters: Parameters) -> Parameters:
    return _changed(parameters, edit.clause, tools=edit.tools)


@_apply.register
def _(edit: SetMode, parameters: Parameters) -> Parameters:
    return _changed(parameters, edit.clause, mode=edit.mode)


@_apply.register
def _(edit: AddLine, parameters: Parameters) -> Parameters:
    lines = _lines(parameters, edit.clause)
    if any(line.id == edit.line.id for line in lines):
        raise EditRefused("unknown_target", f"there is an item `{edit.line.id}` already")
    if len(lines) >= MOST_LINES:
        raise EditRefused("unknown_target", f"{MOST_LINES} items are the most: delete or merge some first")
    return _lined(parameters, edit.clause, (*lines, edit.line))


@_apply.register
def _(edit: ReplaceLine, parameters: Parameters) -> Parameters:
    lines = _lines(parameters, edit.clause)
    _known_line(lines, edit.line.id)
    return _lined(parameters, edit.clause, tuple(edit.line if each.id == edit.line.id else each for each in lines))


@_apply.register
def _(edit: DeleteLine, parameters: Parameters) -> Parameters:
    lines = _lines(parameters, edit.clause)
    _known_line(lines, edit.line)
    return _lined(parameters, edit.clause, tuple(each for each in lines if each.id != edit.line))


@_apply.register
def _(edit: DescribeTool, parameters: Parameters) -> Parameters:
    others = tuple(each for each in parameters.tools if each.tool != edit.tool)
    note = (ToolNote(tool=edit.tool, description=edit.description),) if edit.description else ()
    return msgspec.structs.replace(parameters, tools=(*others, *note))


@_apply.register
def _(edit: TagTool, parameters: Parameters) -> Parameters:
    others = tuple(each for each in parameters.tags if each.tool != edit.tool)
    tagged = (ToolTags(tool=edit.tool, tags=edit.tags),) if edit.tags else ()
    return msgspec.structs.replace(parameters, tags=(*others, *tagged))


def _policy_of(name: str) -> str:
    return name.partition("/")[0]


def _clause(parameters: Parameters, name: str) -> Clause:
    """A clause that may be changed."""
    clause = clauses(parameters).get(name)
    if clause is None:
        raise EditRefused("unknown_target", f"no clause `{name}` is in force")
    if clause.protected:
        raise EditRefused("protected", f"clause `{name}` is protected")
    return clause


def _policies(
    parameters: Parameters, policy: str, change: Callable[[tuple[Clause, ...]], tuple[Clause, ...]]
) -> Parameters:
    changed = tuple(
        msgspec.structs.replace(each, clause=change(each.clause)) if each.policy.id == policy else each
        for each in parameters.policies
    )
    return msgspec.structs.replace(parameters, policies=changed)


def _changed(parameters: Parameters, name: str, **fields: Any) -> Parameters:
    clause = _clause(parameters, name)
    new = msgspec.structs.replace(clause, **fields)
    return _policies(
        parameters, _policy_of(name), lambda rules: tuple(new if each == clause else each for each in rules)
    )


def _regrouped(parameters: Parameters, name: str, were: Sequence[str], guard: Any) -> Parameters:
    """A clause with some guards out, and one in the place of the first."""
    clause = _clause(parameters, name)
    digests = [digest(spec) for spec in clause.guards]
    missing = [each for each in were if each not in digests]
    if missing:
        raise EditRefused("unknown_target", f"clause `{name}` has no guard {missing[0]}")
    first = min(digests.index(each) for each in were)
    guards = [spec for at, spec in enumerate(clause.guards) if digests[at] not in were or at == first]
    if guard is None:
        guards = [spec for spec in guards if digest(spec) not in were]
    else:
        guards = [guard if digest(spec) == digests[first] else spec for spec in guards]
    if not guards:
        raise EditRefused("not_loading", f"clause `{name}` would have no guard left: delete the clause instead")
    changed = _changed(parameters, name, guards=tuple(guards))
    expiries = tuple(each for each in changed.expiries if each.clause != name or each.guard not in were)
    return msgspec.structs.replace(changed, expiries=expiries)


def _lines(parameters: Parameters, clause: str | None) -> tuple[Line, ...]:
    if clause is None:
        return parameters.instructions
    _clause(parameters, clause)
    return next((each.lines for each in parameters.guidance if each.clause == clause), ())


def _known_line(lines: Iterable[Line], name: str) -> None:
    if all(line.id != name for line in lines):
        raise EditRefused("unknown_target", f"there is no item `{name}`")


def _lined(parameters: Parameters, clause: str | None, lines: tuple[Line, ...]) -> Parameters:
    if clause is None:
        return msgspec.structs.replace(parameters, instructions=lines)
    others = tuple(each for each in parameters.guidance if each.clause != clause)
    own = (Guidance(clause=clause, lines=lines),) if lines else ()
    return msgspec.structs.replace(parameters, guidance=(*others, *own))
