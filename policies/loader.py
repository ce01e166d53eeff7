"""Loading: the TOML text of a policy becomes a `Policy`, or a list of every mistake in it with its line."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, cast

import msgspec

from policies.conditions import BadCondition, Condition
from policies.digests import digest
from policies.guards.interface import BadGuard
from policies.guards.judge import AT_THE_GATE, JudgeSpec
from policies.guards.registry import build, kind_of
from policies.mistakes import NOT_TOML, BadPolicy, Mistake, not_toml
from policies.reading import Fault, faults, said
from policies.rules import SUPERVISED
from policies.toml_lines import Path, line_at, lines_of
from policies.vocabulary.bands import outcome
from policies.vocabulary.clauses import Band, Clause, Example, ExampleStep, Policy
from policies.vocabulary.critiques import Seat
from policies.vocabulary.steps import StepKind
from policies.vocabulary.verdicts import STRENGTH

LARGEST: Final = 1 << 20
"""Characters of one policy file."""

TAXONOMY: Final = re.compile(r"OWASP-LLM(?:0[1-9]|10)|OWASP-ASI(?:0[1-9]|10)|AML\.T[0-9]{4}(?:\.[0-9]{3})?")
"""Ids of OWASP Top 10 for LLM Applications 2025, OWASP Top 10 for Agentic Applications 2026, and MITRE ATLAS."""

UNCHANGEABLE: Final[dict[str, dict[StepKind, str]]] = {
    "redact": {"reasoning": "the provider signs it, and refuses it when it comes back changed"},
    "rewrite": {
        "reasoning": "the provider signs it, and refuses it when it comes back changed",
        "tool_call": "a notice is no argument; redact it, or reject the call",
        "tool_definitions": "a notice is no definition; redact it, or reject the request",
    },
}
"""Steps whose text cannot be changed so, and why."""

_PLACE: Final = re.compile(r"\(at (?:line (\d+), column \d+|end of document)\)")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that checks, and where its parts stand."""

    name: str
    """What the text was called: a file's path, say."""

    policy: Policy
    lines: dict[Path, int]

    @property
    def digest(self) -> str:
        """Digest of the policy: equal content, equal digest, whatever the file looks like."""
        return digest(self.policy)

    def mistake(self, path: Path, message: str, remedy: str, *, warning: bool = False) -> Mistake:
        """A mistake at the line of a path."""
        return Mistake(
            place=self.name,
            line=line_at(self.lines, path),
            message=message,
            remedy=remedy,
            severity="warning" if warning else "error",
        )


def load(text: str, name: str) -> Loaded:
    """Read one policy; a byte order mark before it is no part of it. Raises `BadPolicy` with every mistake in it."""
    text = text.removeprefix("\ufeff")
    return _checked(_document(text, name), name, lines_of(text))


def reload(policy: Policy, name: str) -> Loaded:
    """Hold a policy that was put together, not read, to the same checks. Raises `BadPolicy`; mistakes have no line."""
    return _checked(_bare(msgspec.json.decode(msgspec.json.encode(policy))), name, {})


def _bare(value: Any) -> Any:
    """As a TOML file would have it: what is not set is not there."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _bare(item) for key, item in table.items() if item is not None}
    return [_bare(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _checked(document: dict[str, Any], name: str, lines: dict[Path, int]) -> Loaded:
    found = list(_faults(document))
    if found:
        raise BadPolicy(_mistake(fault, document, lines, name) for fault in sorted(found, key=_order(lines)))
    return Loaded(name=name, policy=msgspec.convert(document, Policy), lines=lines)


def _document(text: str, name: str) -> dict[str, Any]:
    if len(text) > LARGEST:
        raise BadPolicy([Mistake(place=name, message="is too large", remedy="Split it: 1 MiB is the most.")])
    try:
        return tomllib.loads(text)
    except NOT_TOML as error:
        place = _PLACE.search(str(error))
        message = _PLACE.sub("", not_toml(error)).strip().rstrip(".")
        line = int(place[1]) if place and place[1] else None
        remedy = "See https://toml.io for the syntax."
        raise BadPolicy([Mistake(place=name, line=line, message=message, remedy=remedy)]) from None


def _mistake(fault: Fault, document: dict[str, Any], lines: dict[Path, int], name: str) -> Mistake:
    clause = _clause_id(document, fault.path)
    where = f"clause `{clause}`: " if clause else ""
    return Mistake(place=name, line=line_at(lines, fault.path), message=where + fault.message, remedy=fault.remedy)


def _order(lines: dict[Path, int]) -> Any:
    def by_line(fault: Fault) -> int:
        return line_at(lines, fault.path) or 0

    return by_line


def _clause_id(document: dict[str, Any], path: Path) -> str | None:
    """The id of the clause a path leads into, as far as it has one."""
    if len(path) < 2 or path[0] != "clause" or not isinstance(path[1], int):  # noqa: PLR2004 - "clause" and its place
        return None
    clause = document["clause"][path[1]]
    found: Any = cast("dict[str, Any]", clause).get("id") if isinstance(clause, dict) else None
    return found[:64] if isinstance(found, str) else f"number {path[1] + 1}"


def _faults(document: dict[str, Any]) -> Iterator[Fault]:
    """What does not fit the types, and, in every clause that does, what makes no sense."""
    found = list(faults(document, Policy))
    yield from found
    broken = {fault.path[1] for fault in found if fault.path[:1] == ("clause",) and len(fault.path) > 1}
    tables: Any = document.get("clause")
    if not isinstance(tables, list):
        return
    ids: dict[str, int] = {}
    for at, table in enumerate(cast("list[Any]", tables)):
        if at in broken or not isinstance(table, dict):
            continue
        clause = msgspec.convert(table, Clause)
        path: Path = ("clause", at)
        if clause.id in ids:
            yield Fault((*path, "id"), "the id is taken", "Findings name clauses by id: choose another.")
        ids[clause.id] = at
        for fault in _senseless(clause):
            yield Fault((*path, *fault.path), fault.message, fault.remedy)


def _senseless(clause: Clause) -> Iterator[Fault]:
    yield from _scope(clause)
    yield from _bands(clause.action)
    yield from _changes(clause)
    yield from _guards(clause)
    yield from _condition(clause)
    yield from _taxonomy(clause)
    yield from _examples(clause)


def _scope(clause: Clause) -> Iterator[Fault]:
    for at, kind in enumerate(clause.steps):
        if kind in clause.steps[:at]:
            yield Fault(("steps", at), f"`{kind}` stands twice in `steps`", "Remove one.")
    tools = clause.tools
    if tools is None:
        return
    if not tools.tags and not tools.names:
        yield Fault(("tools",), "`tools` selects nothing", "Give `tags` or `names`, or leave `tools` out.")
    if not SUPERVISED & set(clause.steps):
        remedy = "Leave `tools` out, or judge tool_call or tool_result."
        yield Fault(("tools",), "`tools` has no meaning for these steps", remedy)


def _bands(bands: Sequence[Band]) -> Iterator[Fault]:
    for at, band in enumerate(bands):
        path: Path = ("action", at)
        if any(band.at == other.at for other in bands[:at]):
            yield Fault(path, f"two bands begin at {band.at}", "Give each band a score of its own.")
        if band.do == "judge" and band.otherwise is None:
            yield Fault(path, "`judge` needs `else`", "Say what holds where no judge can be asked.")
        if band.do != "judge" and band.otherwise is not None:
            yield Fault(path, "`else` belongs to `judge` alone", "Remove it.")
    ordered = sorted(enumerate(bands), key=lambda each: each[1].at)
    for (_, lower), (at, higher) in pairwise(ordered):
        if lower.at < higher.at and STRENGTH[outcome(higher)] < STRENGTH[outcome(lower)]:
            message = f"a score of {higher.at} is treated more mildly than one of {lower.at}"
            yield Fault(("action", at), message, "The higher score needs the stronger action.")


def _changes(clause: Clause) -> Iterator[Fault]:
    for at, band in enumerate(clause.action):
        change = outcome(band)
        if change not in UNCHANGEABLE:
            continue
        for spec in clause.guards:
            if not kind_of(spec).ranges:
                message = f"`{change}` needs ranges of text, and `{kind_of(spec).name}` finds none"
                yield Fault(("action", at), message, "Use flag, hold, reject or terminate.")
        for kind in clause.steps:
            if reason := UNCHANGEABLE[change].get(kind):
                yield Fault(("action", at), f"`{change}` cannot be done to {kind}: {reason}", "Choose another action.")


def _guards(clause: Clause) -> Iterator[Fault]:
    for at, spec in enumerate(clause.guards):
        kind = kind_of(spec)
        reasons = [kind.impossible.get(step) for step in clause.steps]
        if all(reasons) and len(clause.guards) > 1:
            message = f"`{kind.name}` cannot judge {', '.join(clause.steps)}: {reasons[0]}"
            possible = [step for step in kind.possible if step not in clause.steps]
            yield Fault(("guards", at), message, f"It judges: {', '.join(possible)}.")
        try:
            build(spec)
        except BadGuard as error:
            yield Fault(("guards", at), f"`{kind.name}`: {error}", "See docs/POLICIES.md, Guards.")
    yield from _judges(clause)
    for at, step in enumerate(clause.steps):
        why = [kind_of(spec).impossible.get(step) for spec in clause.guards]
        if all(why):
            message = f"no guard of this clause can judge {step}: {why[0]}"
            yield Fault(("steps", at), message, "Remove it from `steps`, or add a guard that can.")


def _judges(clause: Clause) -> Iterator[Fault]:
    """A judge has one seat each, and the gate is not to be shown what it would have to read."""
    seats: set[Seat] = set()
    for at, spec in enumerate(clause.guards):
        if not isinstance(spec, JudgeSpec):
            continue
        if spec.seat in seats:
            yield Fault(("guards", at), f"a second `judge` at the {spec.seat}", "Join their `guidance` in one.")
        seats.add(spec.seat)
        others = [step for step in clause.steps if step not in AT_THE_GATE]
        if spec.seat == "gate" and others:
            message = f"`judge` at the gate cannot judge {', '.join(others)}: it sees proposed calls alone"
            yield Fault(("guards", at), message, 'Judge tool_call alone, or take seat = "monitor".')


def _condition(clause: Clause) -> Iterator[Fault]:
    if clause.when is None:
        return
    try:
        Condition(clause.when)
    except BadCondition as error:
        yield Fault(("when",), f"`when`: {error}", error.remedy())


def _taxonomy(clause: Clause) -> Iterator[Fault]:
    for at, name in enumerate(clause.taxonomy):
        if not TAXONOMY.fullmatch(name):
            remedy = "Use ids like OWASP-LLM01, OWASP-ASI01 or AML.T0051."
            yield Fault(("taxonomy", at), f"`{name[:64]}` is no id of a known taxonomy", remedy)


def _examples(clause: Clause) -> Iterator[Fault]:
    expected = {example.expect for example in clause.example}
    for expect, word in (("violation", "violating"), ("ok", "passing")):
        if clause.mode == "enforce" and expect not in expected:
            remedy = f'Add [[clause.example]] with expect = "{expect}", or set mode = "shadow".'
            yield Fault((), f"a clause without a {word} example cannot be enforced", remedy)
    for at, example in enumerate(clause.example):
        for fault in _example(example, clause):
            yield Fault(("example", at, *fault.path), fault.message, fault.remedy)


def _example(example: Example, clause: Clause) -> Iterator[Fault]:
    last = len(example.steps) - 1
    if example.steps[last].kind not in clause.steps:
        message = f"the last step is a {example.steps[last].kind}, which this clause does not judge"
        yield Fault(("steps", last), message, f"End with one of: {', '.join(clause.steps)}.")
    for at, step in enumerate(example.steps):
        for fault in _example_step(step):
            yield Fault(("steps", at, *fault.path), fault.message, fault.remedy)


def _example_step(step: ExampleStep) -> Iterator[Fault]:
    only: Iterable[tuple[str, Any, tuple[StepKind, ...]]] = (
        ("args", step.args, ("tool_call",)),
        ("schema", step.schema, ("tool_definitions",)),
        ("tool", step.tool, ("tool_call", "tool_result", "tool_definitions", "retrieval", "handoff")),
        ("call_id", step.call_id, ("tool_call", "tool_result")),
        ("tags", step.tags, ("tool_call", "tool_result")),
    )
    for key, value, kinds in only:
        if value is not None and step.kind not in kinds:
            yield Fault((key,), f"a {step.kind} step has no `{said((key,))}`", f"It belongs to: {', '.join(kinds)}.")
    if step.kind == "tool_call" and step.tool is None:
        yield Fault((), "a tool_call step needs `tool`", 'Add tool = "NAME".')
    if step.args is not None and step.text:
        yield Fault(("text",), "a tool_call step has either `args` or `text`", "Remove one.")
