"""What is generated from the policy language is current, and describes what the loader accepts."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from policies.examples import run_examples
from policies.loader import load
from policies.reference import PARTS, page, schema
from policies.shipped import shipped

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "policies/library/policy.schema.json"
PAGE = ROOT / "docs/POLICIES.md"
PLAIN = {"CountRule.max", "RateRule.max", "RateRule.seconds"}
"""Settings whose table says what they are; the list may only shrink."""


def test_the_schema_file_is_current() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "python -m policies.reference schema > " + SCHEMA.name


def test_the_page_is_current_and_holds_every_generated_part() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "python -m policies.reference page < docs/POLICIES.md"
    assert all(f"<!-- generated: {name} -->" in text for name in PARTS)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_policy_fits_the_schema(name: str) -> None:
    validator = jsonschema_rs.validator_for(json.loads(schema()))
    assert [str(error) for error in validator.iter_errors(tomllib.loads(shipped()[name]))] == []


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    validator = jsonschema_rs.validator_for(json.loads(schema()))
    whole: dict[str, Any] = tomllib.loads(shipped()["agent-baseline"])
    for broken in (
        whole | {"clauses": []},
        {"policy": whole["policy"]},
        whole | {"clause": [{**whole["clause"][0], "on_error": "redact"}]},
        whole | {"clause": [{**whole["clause"][0], "guards": [{"kind": "nothing"}]}]},
    ):
        assert not validator.is_valid(broken)


def test_every_setting_is_described() -> None:
    definitions = json.loads(schema())["$defs"]
    bare = {
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, value in definition.get("properties", {}).items()
        if "description" not in value and "const" not in value and key != "kind"
    }
    assert bare == PLAIN


def test_the_example_of_the_page_loads_and_its_examples_run() -> None:
    (text,) = [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```toml\n")[1:]]
    assert run_examples(load(text, "docs/POLICIES.md")) == ()
