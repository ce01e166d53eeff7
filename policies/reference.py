"""The reference of the policy language, written from the types themselves.

`python -m policies.reference schema` prints the JSON Schema for editors (policies/library/policy.schema.json);
`python -m policies.reference page < docs/POLICIES.md` prints that page with its generated parts renewed.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import msgspec

from policies.conditions import FACTS
from policies.guards.registry import KINDS, Kind
from policies.loader import Loaded, load
from policies.shipped import shipped
from policies.vocabulary.clauses import Band, Clause, Example, ExampleStep, Policy, PolicyHead, ToolSelector
from policies.vocabulary.steps import STEP_KINDS
from policies.vocabulary.verdicts import STRENGTH

SCHEMA_ID: Final = "policy.schema.json"

_PART: Final = re.compile(r"(<!-- generated: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_PLAIN: Final = {"str": "text", "int": "whole number", "bool": "true or false", "float": "number", "Any": "any value"}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> str:
    """The JSON Schema (2020-12) of a policy file, as JSON text."""
    found = msgspec.json.schema(Policy)
    definitions: Mapping[str, dict[str, Any]] = found["$defs"]
    for struct in _structs(Policy):
        properties = cast("dict[str, dict[str, Any]]", definitions[struct.__name__]["properties"])
        for field in msgspec.structs.fields(struct):
            if said := _meaning(struct, field):
                properties[field.encode_name]["description"] = said
    whole = {"$schema": _DIALECT, "$id": SCHEMA_ID, "title": "A Stepwarden policy", **found}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n"


def page(text: str) -> str:
    """A Markdown page with the parts between `<!-- generated: NAME -->` and `<!-- end -->` written anew.

    Raises `KeyError` for a name that no part has.
    """
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", text)


@cache
def described(struct: type[msgspec.Struct]) -> Mapping[str, str]:
    """The sentence under each field of a Struct, on one line."""
    source = ast.parse(inspect.getsource(struct))
    body = cast("ast.ClassDef", source.body[0]).body
    found: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            value = below.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field.target.id] = " ".join(value.value.split())
    return found


def _structs(kind: Any) -> list[type[msgspec.Struct]]:
    """Every Struct a type is made of, outermost first."""
    found: list[type[msgspec.Struct]] = []

    def gather(each: Any) -> None:
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            if each not in found:
                found.append(each)
                for field in msgspec.structs.fields(each):
                    gather(field.type)
            return
        for inner in get_args(each):
            gather(inner)

    gather(kind)
    return found


def _settings(struct: type[msgspec.Struct]) -> str:
    """A table of a Struct's fields."""
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(struct):
        meaning = _meaning(struct, field).replace("|", "\\|")
        rows.append(f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} | {meaning} |")
    return "\n".join(rows)


def _meaning(struct: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> str:
    """The sentence under a field, or else what the table it holds is said to be."""
    tables = [inner for inner in _structs(field.type) if inner not in _LINKS]
    return described(struct).get(field.name) or (" ".join((inspect.getdoc(tables[0]) or "").split()) if tables else "")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
    if value is None:
        return "none"
    if isinstance(value, msgspec.Struct):
        return "as below"
    if not isinstance(value, bool | int | float | str | tuple):
        return "empty"
    return f"`{msgspec.json.encode(value).decode()}`"


def _type(kind: Any) -> str:
    """A type as a writer of TOML would name it, with its range."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(arguments[0]) + "".join(_bounds(each) for each in arguments[1:] if isinstance(each, msgspec.Meta))
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(each) for each in arguments if each is not NoneType))
    if origin in (tuple, dict, Mapping):
        return f"list of {_type(arguments[0])}" if origin is tuple else f"table of {_type(arguments[1])}"
    name = str(getattr(kind, "__name__", kind))
    return _LINKS.get(kind) or _PLAIN.get(name, f"table {name}")


def _bounds(meta: msgspec.Meta) -> str:
    marks = (("≥", meta.ge), (">", meta.gt), ("≤", meta.le), ("<", meta.lt))
    said = [f"{sign} {bound}" for sign, bound in marks if bound is not None]
    return f" {', '.join(said)}" if said else ""


_LINKED: Final[tuple[type[msgspec.Struct], ...]] = (Clause, Band, ToolSelector, Example, ExampleStep, PolicyHead)


_LINKS: Final[Mapping[Any, str]] = {
    **{struct: f"[{struct.__name__}](#{struct.__name__.lower()})" for struct in _LINKED},
    **{kind.spec: "[guards](#guards)" for kind in KINDS},
}


def _clauses() -> str:
    parts = [f"### {struct.__name__}\n\n{inspect.getdoc(struct)}\n\n{_settings(struct)}" for struct in _LINKED]
    return "\n\n".join(parts)


def _guards() -> str:
    return "\n\n".join(_guard(kind) for kind in KINDS)


def _guard(kind: Kind) -> str:
    """The section of one guard kind."""
    ranges = "yes" if kind.ranges else "no"
    lines = [
        f"### `{kind.name}`",
        inspect.getdoc(kind.spec) or "",
        f"Judges: {', '.join(kind.possible)}. Can be redacted or rewritten: {ranges}.",
    ]
    inner = [struct for struct in _structs(kind.spec) if struct is not kind.spec]
    if msgspec.structs.fields(kind.spec):
        lines.append(_settings(kind.spec))
    lines += [f"`{struct.__name__}`: {inspect.getdoc(struct)}\n\n{_settings(struct)}" for struct in inner]
    return "\n\n".join(line for line in lines if line)


def _matrix() -> str:
    """Which kind can judge which step, and why not."""
    names = [kind.name for kind in KINDS]
    rows = [f"| step | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    reasons: dict[str, int] = {}
    for step in STEP_KINDS:
        cells = [_cell(kind, step, reasons) for kind in KINDS]
        rows.append(f"| `{step}` | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join([*rows, "", *notes])


def _cell(kind: Kind, step: Any, reasons: dict[str, int]) -> str:
    reason = kind.impossible.get(step)
    return "yes" if reason is None else f"no ({reasons.setdefault(reason, len(reasons) + 1)})"


def _facts() -> str:
    rows = ["| fact | is |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{name}` | {fact.says} |" for name, fact in FACTS.items())])


def _verdicts() -> str:
    return ", ".join(f"`{name}`" for name in sorted(STRENGTH, key=STRENGTH.__getitem__))


def _library() -> str:
    rows: list[str] = []
    for name, text in shipped().items():
        rows += _shipped(load(text, name))
    return "\n".join(rows)


def _shipped(loaded: Loaded) -> Iterator[str]:
    yield f"### {loaded.policy.policy.id}\n"
    yield f"{loaded.policy.policy.description}\n"
    yield "| clause | says | severity | steps | guards | actions | if a guard fails |"
    yield "|---|---|---|---|---|---|---|"
    for clause in loaded.policy.clause:
        guards = ", ".join(dict.fromkeys(str(type(spec).__struct_config__.tag) for spec in clause.guards))
        actions = ", ".join(f"{band.at}: {_band(band)}" for band in clause.action)
        text = " ".join(clause.text.split())
        cells = (f"`{clause.id}`", text, clause.severity, ", ".join(clause.steps), guards, actions, clause.on_error)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _band(band: Band) -> str:
    return band.do if band.otherwise is None else f"{band.do}, else {band.otherwise}"


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": _clauses,
    "guards": _guards,
    "matrix": _matrix,
    "facts": _facts,
    "verdicts": _verdicts,
    "library": _library,
}
"""What can be generated into a page."""


if __name__ == "__main__":
    sys.stdout.write(schema() if sys.argv[1:] == ["schema"] else page(sys.stdin.read()))
