"""Static analysis: what is wrong with a set of policies as a whole, found without any traffic.

Careful by design: a clause is only said to be dead, shadowed or contradicted where that follows from what is written.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import msgspec

from policies.conditions import Condition, Untold
from policies.guards.registry import kind_of
from policies.loader import Loaded
from policies.mistakes import Mistake
from policies.rules import SUPERVISED, Selector
from policies.toml_lines import Path
from policies.tools import ToolTag
from policies.vocabulary.bands import Band, outcome
from policies.vocabulary.clauses import Clause
from policies.vocabulary.findings import Score
from policies.vocabulary.verdicts import STRENGTH, VerdictName

SINKS: Final[tuple[ToolTag, ...]] = ("outbound", "money", "irreversible", "code_exec", "auth")
"""Tags of tools whose calls can do harm."""

SINK_GUARDS: Final = frozenset({"provenance", "egress"})
"""Guard kinds that say where a call is aimed, and on whose word."""

_SCORES: Final = range(101)
_CHANGES: Final = frozenset({"redact", "rewrite"})
_STOPS: Final = frozenset({"hold", "reject", "terminate"})


class _Placed(msgspec.Struct, frozen=True):
    """A clause and where it stands."""

    file: Loaded
    at: int
    clause: Clause

    @property
    def name(self) -> str:
        return f"{self.file.policy.policy.id}/{self.clause.id}"

    def says(self, message: str, remedy: str, path: Path = (), *, warning: bool = True) -> Mistake:
        text = f"clause `{self.clause.id}`: {message}"
        return self.file.mistake(("clause", self.at, *path), text, remedy, warning=warning)


def analyse(
    files: Sequence[Loaded], tools: Mapping[str, Collection[str]], *, place: str = "configuration"
) -> tuple[Mistake, ...]:
    """Everything found in these policies, for tools with these tags.

    `place` names where the tools were declared.
    """
    clauses = [_Placed(file, at, clause) for file in files for at, clause in enumerate(file.policy.clause)]
    return (
        *_same_ids(files),
        *(mistake for clause in clauses for mistake in _alone(clause, tools)),
        *_together(clauses),
        *_tools(clauses, tools, place),
    )


def _same_ids(files: Iterable[Loaded]) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for file in files:
        name = file.policy.policy.id
        if name in seen:
            message = f"policy `{name}` is already defined in {seen[name]}"
            yield file.mistake(("policy", "id"), message, "Give each policy an id of its own.")
        seen.setdefault(name, file.name)


def _alone(placed: _Placed, tools: Mapping[str, Collection[str]]) -> Iterator[Mistake]:
    """What is to be said of a clause by itself."""
    clause = placed.clause
    if clause.severity == "critical" and not clause.protected:
        yield placed.says("is critical and not protected", "Set protected = true.", ("severity",))
    if clause.severity == "critical" and clause.on_error == "allow":
        remedy = "Choose flag at least; reject where harm cannot be undone."
        yield placed.says("is critical, and lets pass what it failed to judge", remedy, ("on_error",), warning=False)
    if clause.recover != "answered" and "tool_call" not in clause.steps:
        yield placed.says("`recover` has no meaning without tool_call steps", "Remove it.", ("recover",))
    yield from _condition(placed)
    yield from _bands(placed)
    yield from _selector(placed, tools)


def _condition(placed: _Placed) -> Iterator[Mistake]:
    """Conditions that come out the same for every step."""
    clause = placed.clause
    if clause.when is None:
        return
    condition = Condition(clause.when)
    answers = _answers(condition, clause)
    if answers == {False}:
        message = "never applies: its condition is false for every step"
        yield placed.says(message, "Mend `when`, or remove the clause.", ("when",), warning=False)
    elif answers == {True}:
        yield placed.says("its condition is true for every step", "Remove `when`.", ("when",))


def _answers(condition: Condition, clause: Clause) -> set[bool]:
    """All a condition can say, where its facts can be enumerated; otherwise both."""
    if not condition.facts <= {"step.kind", "step.server_side"}:
        return {True, False}
    found: set[bool] = set()
    for kind, server_side in product(clause.steps, (False, True)):
        try:
            found.add(condition.of({"step": {"kind": kind, "server_side": server_side}}))
        except Untold:
            return {True, False}
    return found


def _bands(placed: _Placed) -> Iterator[Mistake]:
    """Bands into which no score of the clause's guards can fall."""
    scores = _scores(placed.clause)
    if scores is None:
        return
    bands = sorted(placed.clause.action, key=lambda band: band.at)
    if max(scores) < bands[0].at:
        message = f"never acts: its guards score at most {max(scores)}, below its lowest band at {bands[0].at}"
        yield placed.says(message, "Lower the band, or raise the scores.", ("action",), warning=False)
        return
    for band, ceiling in zip(bands, [*[band.at for band in bands[1:]], 101], strict=True):
        if not any(band.at <= score < ceiling for score in scores):
            at = placed.clause.action.index(band)
            message = f"no score of its guards falls into the band at {band.at}"
            yield placed.says(message, "Remove the band, or let a rule score so.", ("action", at))


def _scores(clause: Clause) -> frozenset[Score] | None:
    """Every score the clause's guards can give; None where one of them does not say."""
    found: set[Score] = set()
    for spec in clause.guards:
        known = kind_of(spec).scores
        if known is None:
            return None
        found |= known(spec)
    return frozenset(found)


def _selector(placed: _Placed, tools: Mapping[str, Collection[str]]) -> Iterator[Mistake]:
    """Tool selectors by tag alone that no configured tool carries: only the configuration gives tags."""
    selector = placed.clause.tools
    if selector is None or selector.names or not set(placed.clause.steps) <= SUPERVISED:
        return
    carried = {tag for tags in tools.values() for tag in tags} | {"write"}
    if not carried & set(selector.tags):
        message = f"applies to no tool: none carries {' or '.join(selector.tags)}"
        yield placed.says(message, "Give tags in [tool.NAME] tables.", ("tools",))


def _together(clauses: Sequence[_Placed]) -> Iterator[Mistake]:
    """Clauses that take the effect from each other."""
    for at, later in enumerate(clauses):
        for earlier in clauses[:at]:
            outdone, outdoes = _covers(earlier.clause, later.clause), _covers(later.clause, earlier.clause)
            # One policy may harden what another says; said twice in the same way, it is a mistake there too.
            layered = later.file is not earlier.file and outdone != outdoes
            if outdone and not layered:
                yield _shadowed(later, earlier)
            elif outdoes and not layered:
                yield _shadowed(earlier, later)
            elif not outdone and not outdoes:
                yield from _contradiction(later, earlier)


def _shadowed(placed: _Placed, by: _Placed) -> Mistake:
    message = f"never decides: `{by.name}` asks for at least as much wherever it does"
    return placed.says(message, "Remove one, or give this one a scope or guard of its own.")


def _covers(wide: Clause, narrow: Clause) -> bool:
    """Whether whatever `narrow` does, `wide` does at least as much to the same step."""
    if wide.mode != narrow.mode or not set(narrow.steps) <= set(wide.steps):
        return False
    if wide.tools not in (None, narrow.tools) or wide.when not in (None, narrow.when):
        return False
    if not _guards(narrow) <= _guards(wide) or STRENGTH[wide.on_error] < STRENGTH[narrow.on_error]:
        return False
    return all(STRENGTH[_at(wide.action, score)] >= STRENGTH[_at(narrow.action, score)] for score in _SCORES)


def _contradiction(later: _Placed, earlier: _Placed) -> Iterator[Mistake]:
    """Two clauses that answer one finding on one step in ways that exclude each other."""
    one, other = later.clause, earlier.clause
    same_scope = one.tools == other.tools and one.when == other.when and set(one.steps) & set(other.steps)
    if not same_scope or {one.mode, other.mode} != {"enforce"} or not _guards(one) & _guards(other):
        return
    pairs = [(_at(one.action, score), _at(other.action, score)) for score in _SCORES]
    for mine, theirs in dict.fromkeys(pairs):
        changed, stopped = _CHANGES & {mine, theirs}, _STOPS & {mine, theirs}
        if (changed and stopped) or len(changed) > 1:
            message = f"contradicts `{earlier.name}`: for the same finding one says {mine}, the other {theirs}"
            yield later.says(message, "Decide on one; the stronger wins.", ("action",))
            return
    if one.recover != other.recover and ("reject", "reject") in pairs:
        message = f"contradicts `{earlier.name}`: a rejected call is {one.recover} here and {other.recover} there"
        yield later.says(message, "Decide on one; the first of equals wins.", ("recover",))


def _at(bands: Iterable[Band], score: Score) -> VerdictName:
    """What a score comes to."""
    reached = [band for band in bands if score >= band.at]
    return outcome(max(reached, key=lambda band: band.at)) if reached else "allow"


def _guards(clause: Clause) -> set[bytes]:
    return {msgspec.json.encode(spec, order="sorted") for spec in clause.guards}


def _tools(clauses: Sequence[_Placed], tools: Mapping[str, Collection[str]], place: str) -> Iterator[Mistake]:
    """Tools without tags, and tools that can do harm and that nothing watches."""
    for name, tags in tools.items():
        if not tags:
            yield _of_tool(place, f"tool `{name}` has no tags, so it counts as write", "Give it tags.")
            continue
        sinks = [tag for tag in SINKS if tag in tags]
        if clauses and sinks and not any(_watches(placed.clause, name, frozenset(tags)) for placed in clauses):
            message = f"tool `{name}` is {' and '.join(sinks)}, and no clause in force says where its calls may go"
            remedy = "Add a clause on its tool_call steps with a provenance or egress guard, or one that holds."
            yield _of_tool(place, message, remedy)


def _of_tool(place: str, message: str, remedy: str) -> Mistake:
    return Mistake(place=place, message=message, remedy=remedy, severity="warning")


def _watches(clause: Clause, tool: str, tags: frozenset[str]) -> bool:
    """Whether a clause in force looks at where calls of a tool are aimed, or holds them."""
    if clause.mode != "enforce" or "tool_call" not in clause.steps or not Selector(clause).selects(tool, tags):
        return False
    kinds: set[Any] = {kind_of(spec).name for spec in clause.guards}
    return bool(kinds & SINK_GUARDS) or any(outcome(band) == "hold" for band in clause.action)
