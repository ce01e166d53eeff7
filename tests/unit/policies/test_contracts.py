"""Contracts agree with JSON Schema, and no schema or value makes them slow or fail."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.contracts import MOST_BREACHES, Contract, Unusable

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "required",
        "$ref",
        "allOf",
        "anyOf",
        "not",
        "enum",
        "pattern",
        "maximum",
        "additionalProperties",
        "if",
        "then",
        "patternProperties",
        "$defs",
        "$schema",
        "$id",
        "multipleOf",
        "dependencies",
    ]
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.sampled_from(["object", "string", "#", "#/$defs/a", "(?=x)", "(a+)+$", "http://127.0.0.1/s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
)

TABLE: list[tuple[Any, Any, list[str]]] = [
    ({"type": "integer"}, 1.0, []),
    ({"type": "integer"}, 1.5, ["type"]),
    ({"type": "integer"}, "1", ["type"]),
    ({"type": "number"}, True, ["type"]),
    ({"type": ["string", "null"]}, None, []),
    ({"enum": ["a", None]}, "b", ["enum"]),
    ({"enum": [1]}, True, ["enum"]),
    ({"const": {"a": 1}}, {"a": 1.0}, []),
    ({"maximum": 3}, 3, []),
    ({"exclusiveMaximum": 3}, 3, ["exclusiveMaximum"]),
    ({"maximum": 3}, "4", []),
    ({"multipleOf": 0.1}, 0.3, []),
    ({"minLength": 2}, "é", ["minLength"]),
    ({"maxLength": 1}, "😀", []),
    ({"pattern": "b+"}, "abbc", []),
    ({"pattern": "^b+$"}, "abbc", ["pattern"]),
    ({"format": "email"}, "nobody", []),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"}, "never", []),
    ({"required": ["a"]}, {}, ["required"]),
    ({"required": ["a"]}, [], []),
    ({"properties": {"a": {"type": "string"}}}, {"a": 1}, ["type"]),
    ({"properties": {"a": False}}, {"a": 1}, ["falseSchema"]),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"b": 1}, ["additionalProperties"]),
    ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"xy": 1}, []),
    ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, ["propertyNames"]),
    ({"items": {"type": "integer"}}, [1, "2", 3, "4"], ["type", "type"]),
    ({"prefixItems": [{"type": "integer"}], "items": False}, [1, 2], ["falseSchema"]),
    ({"uniqueItems": True}, [1, 1.0], ["uniqueItems"]),
    ({"uniqueItems": True}, [1, True], []),
    ({"minItems": 2}, [1], ["minItems"]),
    ({"contains": {"const": 2}}, [1], ["contains"]),
    ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, 2, ["anyOf"]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 3}]}, 4, ["oneOf"]),
    ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 2, ["minimum"]),
    ({"not": {"type": "string"}}, "a", ["not"]),
    ({"if": {"const": 1}, "then": False, "else": {}}, 1, ["falseSchema"]),
    ({"$defs": {"a/b": {"type": "string"}}, "$ref": "#/$defs/a~1b"}, 1, ["type"]),
    ({"$defs": {"a": {"$anchor": "here", "type": "string"}}, "$ref": "#here"}, 1, ["type"]),
    ({"properties": {"a": {"$ref": "#"}}, "required": ["b"]}, {"b": 1, "a": {"b": 1, "a": {}}}, ["required"]),
    (
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3, "exclusiveMinimum": True},
        3,
        ["exclusiveMinimum"],
    ),
    ({"$schema": "https://nobody.example/mine", "type": "string"}, 1, ["type"]),
    (True, {"a": 1}, []),
    (False, {}, ["falseSchema"]),
    ({}, None, []),
]


@pytest.mark.parametrize(("schema", "value", "broken"), TABLE, ids=lambda each: json.dumps(each)[:60])
def test_it_means_what_json_schema_means(schema: Any, value: Any, broken: list[str]) -> None:
    assert [breach.keyword for breach in Contract(schema).breaches(value)] == broken


def test_a_breach_names_the_value() -> None:
    schema = {"properties": {"to": {"items": {"type": "string"}}}, "additionalProperties": False}
    breaches = Contract(schema).breaches({"to": ["a", 2], "bcc": "b"})
    assert {breach.path for breach in breaches} == {("to", 1), ("bcc",)}


def test_members_nobody_declared_are_told_apart_from_forbidden_ones() -> None:
    nested = {"type": "object", "properties": {"b": {"items": {"properties": {}}}}}
    contract = Contract({"properties": {"a": nested}})
    value = {"a": {"b": [{"x": 1}], "y": 2}, "z": 3}
    assert contract.breaches(value) == ()
    assert {breach.path for breach in contract.undeclared(value)} == {("z",), ("a", "y"), ("a", "b", 0, "x")}


@pytest.mark.parametrize("opener", [{"additionalProperties": True}, {"patternProperties": {}}, {"anyOf": [{}]}])
def test_where_the_schema_opens_itself_further_members_are_declared(opener: dict[str, Any]) -> None:
    assert not Contract({"properties": {}, **opener}).undeclared({"a": 1})


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("object", "not_a_schema"),
        ([], "not_a_schema"),
        (None, "not_a_schema"),
        ({"type": "objekt"}, "not_a_schema"),
        ({"multipleOf": 0}, "not_a_schema"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "not_a_schema"),
        ({"$ref": "file:///etc/passwd"}, "not_a_schema"),
        ({"enum": ["x" * 300_000]}, "too_large"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_is_no_usable_schema_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        Contract(schema)


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"properties": {"a": deep}}
    with pytest.raises(Unusable, match="too_deep"):
        Contract(deep)


def branching(levels: int) -> dict[str, Any]:
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, levels):
        defs[f"d{level}"] = {"anyOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 10}
    return {"$defs": defs, "$ref": f"#/$defs/d{levels - 1}"}


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (branching(9), 1),
        ({"items": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, nested(60)),
        ({"items": {"enum": [f"a{at}" for at in range(20_000)]}}, [f"b{at}" for at in range(20_000)]),
        ({"$ref": "#"}, 1),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, 1),
    ],
    ids=["references", "recursion", "options", "itself", "cycle"],
)
def test_what_multiplies_is_refused_before_it_runs(schema: Any, value: Any) -> None:
    contract = Contract(schema)
    began = time.process_time()
    with pytest.raises(Unusable, match="too_costly"):
        contract.breaches(value)
    assert time.process_time() - began < 1


def test_an_honest_recursive_schema_is_applied() -> None:
    node = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "required": ["name"]}
    tree: dict[str, Any] = {"name": "leaf"}
    for _ in range(20):
        tree = {"name": "node", "left": tree, "right": {"name": "leaf"}}
    assert Contract(node).breaches(tree) == ()
    assert [breach.keyword for breach in Contract(node).breaches({"name": "a", "left": {}})] == ["required"]


def test_a_backtracking_pattern_takes_linear_time() -> None:
    contract = Contract({"pattern": "(a+)+$"})
    began = time.process_time()
    assert contract.breaches("a" * 100_000 + "b")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(?=a)b", "type": "string"},
        {"pattern": "(a{1000}){1000}", "type": "string"},
        {"patternProperties": {"(?!x)": {}}, "additionalProperties": False, "type": "string"},
        {"allOf": [{"pattern": f"a{at}"} for at in range(40)], "type": "string"},
    ],
)
def test_patterns_no_linear_engine_reads_are_left_out_and_said_so(schema: dict[str, Any]) -> None:
    contract = Contract(schema)
    assert contract.loose
    assert [breach.keyword for breach in contract.breaches({"x": 1})] == ["type"]


def test_a_property_called_pattern_is_no_pattern() -> None:
    schema = {"properties": {"pattern": {"type": "string", "pattern": "(?=a)"}}, "additionalProperties": False}
    assert [breach.keyword for breach in Contract(schema).breaches({"pattern": 1})] == ["type"]


def test_breaches_are_bounded() -> None:
    assert len(Contract({"items": {"type": "string"}}).breaches(list(range(300)))) == MOST_BREACHES
    assert len(Contract({"items": {"type": "string"}}).breaches(list(range(3000)))) == 1


@given(SCHEMAS, VALUES)
def test_any_schema_and_value_end_in_breaches_or_in_unusable(schema: Any, value: Any) -> None:
    with contextlib.suppress(Unusable):
        contract = Contract(schema)
        assert len(contract.breaches(value)) <= MOST_BREACHES
        assert len(contract.undeclared(value)) <= MOST_BREACHES
