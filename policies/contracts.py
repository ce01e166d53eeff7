"""Contracts: the JSON Schema a tool declares, compiled, and what a call's arguments break of it.

Schemas come from strangers too. So no reference leaves the schema, patterns run in an engine without
backtracking, and a schema whose branches would multiply is refused instead of being run.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, cast
from urllib.parse import unquote

import jsonschema_rs
import msgspec

MOST_BREACHES: Final = 16
"""Breaches of one call that are told apart."""

_LONGEST_SCHEMA: Final = 256 << 10
"""Bytes of a schema's JSON text; real ones end below 64 KB."""

_MOST_PATTERNS: Final = 16
"""Patterns of one schema: each may cost `_PATTERN_BYTES` of memory."""

_PATTERN_BYTES: Final = 256 << 10
_MOST_BRANCHES: Final = 2000
"""Subschemas that may look at one and the same value."""

_MOST_WORK: Final = 4_000_000
"""Subschemas times values: about 40 ms."""

_LISTED_WORK: Final = 1000
"""Up to here all breaches are listed, beyond it the first: listing costs a thousand times more than asking."""

_DEEPEST: Final = 40
"""Levels of a value for which branches are counted: what multiplies has gone beyond `_MOST_BRANCHES` by then."""

_OPTIONS_PER_BRANCH: Final = 16
"""That many entries of an `enum` cost as much as a subschema."""

_DRAFTS: Final = ("draft-04", "draft-06", "draft-07", "draft/2019-09", "draft/2020-12")
_MAPS: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
)
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_SINGLES: Final = frozenset(
    {"not", "if", "then", "else", "items", "additionalItems", "contains", "unevaluatedItems", "additionalProperties"}
    | {"unevaluatedProperties", "propertyNames"}
)
_DEFINED: Final = frozenset({"$defs", "definitions"})
_OF_ITEMS: Final = frozenset({"items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"})
_OF_MEMBERS: Final = frozenset({"patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames"})
_ELSEWHERE: Final = frozenset({"$dynamicRef", "$recursiveRef"})
_OPEN: Final = frozenset(
    {"additionalProperties", "unevaluatedProperties", "patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref"}
    | {"dependentSchemas", "dependencies"}
)
"""Keywords that say more of which members an object may have than `properties` does."""

_INDEX: Final = re.compile("[0-9]{1,6}")
_PATTERN_KEYWORDS: Final = frozenset({"pattern", "patternProperties"})
_RESTS: Final = frozenset({"additionalProperties", "unevaluatedProperties"})

Path = tuple[str | int, ...]


class Breach(msgspec.Struct, frozen=True):
    """One way in which arguments break their schema."""

    keyword: str
    """The JSON Schema keyword that is broken; `undeclared` for a member that `properties` does not name."""

    path: Path
    """Keys and indices that lead to the value."""


class Unusable(Exception):
    """A schema cannot be applied; the message is why, as a low-cardinality word."""


class Contract:
    """One tool's schema, compiled. Immutable to its users, so one serves all sessions."""

    def __init__(self, schema: Any) -> None:
        """`schema` is decoded JSON of any type. Raises `Unusable`."""
        self.loose = False
        """True where the schema's patterns were left out because no linear engine reads them."""
        self._weights: dict[tuple[int, int], int] = {}
        try:
            self._root = _without_unknown_draft(schema)
            self._anchors = {name: node for node in _subschemas(self._root) for name in _anchors_of(node)}
            self._validator = self._compiled()
        except (RecursionError, ValueError):
            raise Unusable("too_deep") from None

    def _compiled(self) -> jsonschema_rs.Validator:
        if sum(_patterns_of(node) for node in _subschemas(self._root)) <= _MOST_PATTERNS:
            try:
                return _validator(self._root)
            except jsonschema_rs.ValidationError:
                pass
        bare = _without_patterns(self._root)
        self.loose = True
        try:
            return _validator(bare)
        except jsonschema_rs.ValidationError:
            raise Unusable("not_a_schema") from None

    def breaches(self, value: Any) -> Sequence[Breach]:
        """How `value` (decoded JSON) breaks the schema; beyond small values and schemas only the first breach.

        Raises `Unusable` where finding out would cost too much.
        """
        depth, values = _shape(value)
        try:
            branches = self._weight(self._root, min(depth, _DEEPEST))
            if branches > _MOST_BRANCHES or branches * values > _MOST_WORK:
                raise Unusable("too_costly")
            if self._validator.is_valid(value):
                return ()
            errors = self._errors(value, listed=branches * values <= _LISTED_WORK)
            return tuple(islice((breach for error in errors for breach in _breaches_of(error)), MOST_BREACHES))
        except (RecursionError, ValueError):
            raise Unusable("too_deep") from None

    def _errors(self, value: Any, *, listed: bool) -> list[jsonschema_rs.ValidationError]:
        if listed:
            return list(islice(self._validator.iter_errors(value), MOST_BREACHES))
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [error]
        return []

    def undeclared(self, value: Any) -> Sequence[Breach]:
        """Members that no `properties` names, where the schema says nothing else of further members.

        JSON Schema lets them pass; a tool's interface does not mean them.
        """
        found: list[Breach] = []
        left: list[tuple[Any, Any, Path]] = [(self._root, value, ())]
        while left and len(found) < MOST_BREACHES:
            schema, inner, path = left.pop()
            fields, members = _fields(schema), _fields(inner)
            if members and type(fields.get("properties")) is dict and not _OPEN.intersection(fields):
                known = _fields(fields["properties"])
                found += [Breach("undeclared", (*path, key)) for key in members if key not in known]
                left += [(known[key], member, (*path, key)) for key, member in members.items() if key in known]
            elif type(fields.get("items")) is dict:
                left += [(fields["items"], item, (*path, at)) for at, item in enumerate(_items(inner))]
        return found[:MOST_BREACHES]

    def _weight(self, node: Any, depth: int) -> int:
        """An upper bound of the subschemas that look at one value, or at one value of each level below it."""
        fields = _fields(node)
        if not fields:
            return 1
        place = (id(fields), depth)
        known = self._weights.get(place)
        if known is not None:
            return known
        self._weights[place] = _MOST_BRANCHES + 1  # a reference back to here, without going down, never ends
        weight = 1 + len(_items(fields.get("enum"))) // _OPTIONS_PER_BRANCH
        if "$ref" in fields:
            weight += self._weight(self._resolved(fields["$ref"]), depth)
        if _ELSEWHERE.intersection(fields):
            raise Unusable("reference")
        named, members, items = 0, 0, 0
        for keyword, child in _children(fields):
            if keyword == "properties":
                named = max(named, self._weight(child, depth - 1)) if depth else 0
            elif keyword in _OF_MEMBERS:
                members += self._weight(child, depth - 1) if depth else 0
            elif keyword in _OF_ITEMS:
                items += self._weight(child, depth - 1) if depth else 0
            elif keyword not in _DEFINED:
                weight += self._weight(child, depth)
        weight = min(weight + max(named + members, items), _MOST_BRANCHES + 1)
        self._weights[place] = weight
        return weight

    def _resolved(self, reference: Any) -> Any:
        """The subschema a reference inside this schema means. Raises `Unusable` for every other reference."""
        if type(reference) is not str or not reference.startswith("#"):
            raise Unusable("reference")
        fragment = unquote(reference[1:])
        if fragment and not fragment.startswith("/"):
            if fragment in self._anchors:
                return self._anchors[fragment]
            raise Unusable("reference")
        node = self._root
        for token in fragment.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            items = _items(node)
            at = int(key) if _INDEX.fullmatch(key) else len(items)
            node = items[at] if at < len(items) else _fields(node).get(key)
            if node is None:
                raise Unusable("reference")
        return node


def _validator(schema: Any) -> jsonschema_rs.Validator:
    """A compiled schema. Raises `jsonschema_rs.ValidationError`, and ValueError for one that nests too deeply."""
    options = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
    return jsonschema_rs.validator_for(schema, offline=True, pattern_options=options, validate_formats=False)


def _breaches_of(error: jsonschema_rs.ValidationError) -> list[Breach]:
    path = tuple(error.instance_path)
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        return [Breach(kind.name, (*path, key)) for key in kind.unexpected[:MOST_BREACHES]]
    return [Breach(kind.name, path)]


def _shape(value: Any) -> tuple[int, int]:
    """Levels below the value, and how many values it holds in all."""
    depth, values, level = -1, 0, [value]
    while level:
        depth += 1
        values += len(level)
        level = [
            inner
            for outer in level
            if type(outer) is dict or type(outer) is list
            for inner in (cast("dict[str, Any]", outer).values() if type(outer) is dict else cast("list[Any]", outer))
        ]
    return depth, values


def _fields(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if type(value) is dict else {}


def _items(value: Any) -> list[Any]:
    return cast("list[Any]", value) if type(value) is list else []


def _children(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The subschemas directly below a schema, each with the keyword it stands under."""
    for keyword, value in fields.items():
        if keyword in _MAPS:
            for child in _fields(value).values():
                yield keyword, child
        elif keyword in _LISTS and type(value) is list:
            for child in _items(value):
                yield keyword, child
        elif keyword in _SINGLES:
            yield keyword, value


def _subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    left = [schema]
    while left:
        fields = _fields(left.pop())
        if fields:
            yield fields
            left += [child for _, child in _children(fields)]


def _anchors_of(fields: dict[str, Any]) -> list[str]:
    return [name for key in ("$anchor", "$dynamicAnchor") if type(name := fields.get(key)) is str]


def _patterns_of(fields: dict[str, Any]) -> int:
    return (type(fields.get("pattern")) is str) + len(_fields(fields.get("patternProperties")))


def _without_unknown_draft(schema: Any) -> Any:
    """A schema that names a draft nobody knows is read as the newest, which is what clients do."""
    if type(schema) is bool:
        return schema
    if type(schema) is not dict:
        raise Unusable("not_a_schema")
    fields = _fields(schema)
    try:
        if len(msgspec.json.encode(fields)) > _LONGEST_SCHEMA:
            raise Unusable("too_large")
    except RecursionError:
        raise Unusable("too_deep") from None
    draft = fields.get("$schema")
    if "$schema" in fields and not (type(draft) is str and any(known in draft for known in _DRAFTS)):
        return {key: value for key, value in fields.items() if key != "$schema"}
    return fields


def _without_patterns(schema: Any) -> Any:
    """The schema without what needs a pattern; where patterns say which members there are, any may be."""
    if type(schema) is not dict:
        return schema
    fields = _fields(schema)
    dropped = _PATTERN_KEYWORDS | _RESTS if "patternProperties" in fields else _PATTERN_KEYWORDS
    bare: dict[str, Any] = {}
    for keyword, value in fields.items():
        if keyword in dropped:
            continue
        if keyword in _MAPS and type(value) is dict:
            bare[keyword] = {name: _without_patterns(child) for name, child in _fields(value).items()}
        elif keyword in _LISTS and type(value) is list:
            bare[keyword] = [_without_patterns(child) for child in _items(value)]
        else:
            bare[keyword] = _without_patterns(value) if keyword in _SINGLES else value
    return bare
