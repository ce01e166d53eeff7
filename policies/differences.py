"""Differences: what changes from one set of parameters to another, line by line, for people."""

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any, cast

import msgspec

from policies.vocabulary.clauses import Clause
from policies.vocabulary.revisions import Parameters


def difference(before: Parameters, after: Parameters) -> tuple[str, ...]:
    """The lines of a unified diff, two around each change, without its head; none where both are alike."""
    lines = unified_diff(list(_lines(before)), list(_lines(after)), lineterm="", n=2)
    return tuple(lines)[2:]


def _lines(parameters: Parameters) -> Iterator[str]:
    """One setting a line, guards and bands each on their own, every line naming its clause."""
    for policy in parameters.policies:
        for clause in policy.clause:
            yield from _clause(f"{policy.policy.id}/{clause.id}", clause)
    for name in ("guidance", "instructions", "tools", "tags", "expiries"):
        for each in getattr(parameters, name):
            yield f"{name}: {_written(each)}"


def _clause(name: str, clause: Clause) -> Iterator[str]:
    yield f"[{name}]"
    for field in clause.__struct_fields__:
        value = getattr(clause, field)
        if field in ("guards", "action", "example"):
            for each in value:
                yield f"{name} {field}: {_written(each)}"
        elif value is not None and field != "id":
            yield f"{name} {field} = {_written(value)}"


def _written(value: Any) -> str:
    return msgspec.json.encode(_said(msgspec.to_builtins(value)), order="sorted").decode()


def _said(value: Any) -> Any:
    """The value without the settings that nobody made."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _said(each) for key, each in table.items() if each is not None}
    return [_said(each) for each in cast("list[Any]", value)] if isinstance(value, list | tuple) else value
