"""Directions: whether an edit can only be stricter, changes nothing, or may be milder. Careful: unknown is milder.

Whoever wants to get past the guards wants them loosened, so what is not shown to tighten goes to a person.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import singledispatch
from typing import Any, Final

import msgspec

from policies.digests import digest
from policies.guards.pattern import PatternRule, PatternSpec
from policies.guards.registry import is_asked
from policies.guards.schema import SchemaSpec
from policies.guards.sequence import CountRule, RateRule, SequenceSpec
from policies.parameters import apply, clauses
from policies.tools import ToolSelector
from policies.vocabulary.bands import Band, outcome
from policies.vocabulary.clauses import Clause
from policies.vocabulary.revisions import (
    AddClause,
    AddGuard,
    Direction,
    Edit,
    MergeGuards,
    Parameters,
    ReplaceGuard,
    SetBands,
    SetMode,
    SetTools,
)
from policies.vocabulary.verdicts import STRENGTH, VerdictName

_SCORES: Final = range(101)
_FURTHEST: Final[dict[Direction, int]] = {"neutral": 0, "tightens": 1, "loosens": 2}


def direction(parameters: Parameters, edits: Iterable[Edit]) -> Direction:
    """What the edits come to together: they loosen if any of them does. Raises `EditRefused`."""
    found: Direction = "neutral"
    for edit in edits:
        said = _of(edit, parameters)
        found = max(found, said, key=lambda each: _FURTHEST[each])
        parameters = apply(parameters, [edit])
    return found


@singledispatch
def _of(edit: Any, parameters: Parameters) -> Direction:
    """Deletions, instructions, descriptions and tags: nobody can say what they come to."""
    del edit, parameters
    return "loosens"


@_of.register
def _(edit: AddClause, parameters: Parameters) -> Direction:
    """The strongest verdict wins, so one more clause weakens none."""
    del parameters
    return "tightens" if edit.clause.mode == "enforce" else "neutral"


@_of.register
def _(edit: AddGuard, parameters: Parameters) -> Direction:
    """The highest score counts, so one more guard weakens nothing; one that is asked may fail in a milder way."""
    clause = clauses(parameters).get(edit.clause)
    if is_asked(edit.guard) or clause is None or _leaves_to_judge(clause):
        return "loosens"
    return "tightens" if clause.mode == "enforce" else "neutral"


@_of.register
def _(edit: ReplaceGuard, parameters: Parameters) -> Direction:
    return _regrouped(parameters, edit.clause, (edit.was,), edit.guard)


@_of.register
def _(edit: MergeGuards, parameters: Parameters) -> Direction:
    return _regrouped(parameters, edit.clause, edit.were, edit.guard)


@_of.register
def _(edit: SetBands, parameters: Parameters) -> Direction:
    clause = clauses(parameters).get(edit.clause)
    return "loosens" if clause is None else _bands(clause, edit.action)


@_of.register
def _(edit: SetTools, parameters: Parameters) -> Direction:
    clause = clauses(parameters).get(edit.clause)
    if clause is None:
        return "loosens"
    if _selects(edit.tools) == _selects(clause.tools):
        return "neutral"
    return "tightens" if _wider(edit.tools, clause.tools) else "loosens"


@_of.register
def _(edit: SetMode, parameters: Parameters) -> Direction:
    clause = clauses(parameters).get(edit.clause)
    if clause is not None and clause.mode == edit.mode:
        return "neutral"
    return "tightens" if edit.mode == "enforce" else "loosens"


def _leaves_to_judge(clause: Clause) -> bool:
    """Whether a higher score can take a step from a judge, who could have said anything."""
    return any(band.do == "judge" for band in clause.action)


def _regrouped(parameters: Parameters, name: str, were: Collection[str], guard: Any) -> Direction:
    clause = clauses(parameters).get(name)
    if clause is None:
        return "loosens"
    said = _covering(guard, [spec for spec in clause.guards if digest(spec) in were])
    return "loosens" if said == "tightens" and _leaves_to_judge(clause) else said


# ----------------------------------------------------------------------------------------------------------- bands


def _bands(clause: Clause, new: Sequence[Band]) -> Direction:
    pairs = [(_at(clause.action, score), _at(new, score)) for score in _SCORES]
    if any(_milder(was, now, clause) for was, now in pairs):
        return "loosens"
    return "neutral" if all(was == now for was, now in pairs) else "tightens"


def _at(bands: Iterable[Band], score: int) -> Band | None:
    reached = [band for band in bands if score >= band.at]
    band = max(reached, key=lambda band: band.at, default=None)
    return None if band is None else msgspec.structs.replace(band, at=0)


def _milder(was: Band | None, now: Band | None, clause: Clause) -> bool:
    """Whether a score can come to less than before.

    A judge can say anything, up to the end of the session; where there is no range to change, `on_error` holds.
    """
    if was == now:
        return False
    if now is not None and now.do == "judge":
        return True
    before: VerdictName = "allow" if was is None else "terminate" if was.do == "judge" else outcome(was)
    after: list[VerdictName] = ["allow" if now is None else outcome(now)]
    if after[0] in ("redact", "rewrite"):
        after.append(clause.on_error)
    return min(STRENGTH[each] for each in after) < STRENGTH[before]


# ----------------------------------------------------------------------------------------------------------- tools


def _selects(tools: ToolSelector | None) -> tuple[frozenset[str], frozenset[str]] | None:
    return None if tools is None else (frozenset(tools.tags), frozenset(tools.names))


def _wider(now: ToolSelector | None, was: ToolSelector | None) -> bool:
    if now is None:
        return True
    return was is not None and set(now.tags) >= set(was.tags) and set(now.names) >= set(was.names)


# ---------------------------------------------------------------------------------------------------------- guards


def _covering(new: Any, were: Sequence[Any]) -> Direction:
    """Whether one guard finds all that others found, with scores at least as high."""
    if not were:
        return "loosens"
    if all(new == was for was in were):
        return "neutral"
    covers = all(type(new) is type(was) and _covers(new, was) for was in were)
    return "tightens" if covers else "loosens"


@singledispatch
def _covers(new: Any, was: Any) -> bool:
    """Kinds whose settings nobody can compare."""
    return new == was


@_covers.register
def _(new: PatternSpec, was: Any) -> bool:
    if new.flags != was.flags or new.max_match != was.max_match:
        return False
    return all(any(_rule_covers(mine, theirs) for mine in new.rules) for theirs in was.rules)


def _rule_covers(mine: PatternRule, theirs: PatternRule) -> bool:
    same = msgspec.structs.replace(theirs, id=mine.id, score=mine.score, allow=mine.allow)
    return mine == same and mine.score >= theirs.score and set(mine.allow) <= set(theirs.allow)


@_covers.register
def _(new: SchemaSpec, was: Any) -> bool:
    return all(limit in new.limits for limit in was.limits)


@_covers.register
def _(new: SequenceSpec, was: Any) -> bool:
    counted: list[tuple[CountRule | RateRule | None, CountRule | RateRule | None]] = [
        (new.count, was.count),
        (new.rate, was.rate),
    ]
    if not all(_fewer(mine, theirs) for mine, theirs in counted):
        return False
    rest = msgspec.structs.replace(was, count=new.count, rate=new.rate)
    return new == rest


def _fewer(mine: CountRule | RateRule | None, theirs: CountRule | RateRule | None) -> bool:
    """Whether a rule allows at most as many of the same calls."""
    if theirs is None:
        return True
    return mine is not None and mine.max <= theirs.max and msgspec.structs.replace(theirs, max=mine.max) == mine
