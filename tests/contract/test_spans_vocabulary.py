"""docs/VOCABULARY.md explains every value a recorded field can have."""

from pathlib import Path
from typing import Any, get_args

import pytest

from policies.vocabulary.exchanges import Outcome
from policies.vocabulary.findings import FindingState
from policies.vocabulary.holds import HoldState
from policies.vocabulary.keys import Role
from policies.vocabulary.sessions import Evidence, Relation
from policies.vocabulary.steps import Fidelity, StepKind
from policies.vocabulary.verdicts import Recover, VerdictName

PAGE = (Path(__file__).parents[2] / "docs" / "VOCABULARY.md").read_text()


@pytest.mark.parametrize(
    ("heading", "values"),
    [
        ("## Kinds of steps", StepKind),
        ("## Fidelity", Fidelity),
        ("strongest first:", Evidence),
        ("**Relation**", Relation),
        ("## Outcome", Outcome),
        ("## Verdicts", VerdictName),
        ("**State of a finding**", FindingState),
        ("**Recovery**", Recover),
        ("**State of a hold:**", HoldState),
    ],
)
def test_every_value_has_its_row_in_order_and_no_row_is_left_over(heading: str, values: Any) -> None:
    section = PAGE.partition(heading)[2].partition("\n##")[0]
    table = section[section.index("|---") :].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[1:]]
    assert [name.strip().strip("`") for name, _ in rows] == list(get_args(values))
    assert all(meaning.strip().endswith(".") for _, meaning in rows)


def test_every_role_is_named() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| **role** |"))
    assert all(f"`{role}`" in row for role in get_args(Role))


@pytest.mark.parametrize(
    "noun", ["session", "branch", "exchange", "step", "part", "cut", "span", "verdict", "finding", "notice", "shadow"]
)
def test_every_noun_a_newcomer_meets_has_one_sentence(noun: str) -> None:
    assert PAGE.count(f"| **{noun}** |") == 1
