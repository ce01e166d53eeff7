"""What the dashboard has words for is what the code can say: no reason, state or kind is left raw, none is made up."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from gateway.api.access import SUFFICES, Needs
from gateway.shown import clean_lines
from policies.gate.trial import Stage
from policies.vocabulary import audit, revisions
from policies.vocabulary.ladder import Outcome, RungName, Why
from policies.vocabulary.revisions import Direction
from policies.vocabulary.steps import Fidelity, StepKind
from policies.vocabulary.verdicts import VerdictName
from storage.revisions import ProposalState

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "gateway" / "dashboard"


def literal(file: str, name: str) -> str:
    """The object or array that a page names, as it is written."""
    found = re.search(
        rf"^(?:export )?const {name} = (?:new Set\()?([\[{{].*?[\]}}])\)?;$",
        (PAGES / file).read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"{file} has no {name}"
    return found[1]


def keys(file: str, name: str) -> set[str]:
    """The names of an object's members; words inside strings are none."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|`[^`]*`', "''", literal(file, name))
    found = re.findall(r"(?:[{,]|^)\s*(\w+):", bare, re.MULTILINE)
    assert len(found) == len(set(found)), "of two words for one thing the first is never seen"
    return set(found)


def firsts(file: str, name: str) -> list[str]:
    """The first word of each member of an array of arrays."""
    return re.findall(r'\[\s*"(\w+)"', literal(file, name).removeprefix("["))


@pytest.mark.parametrize(
    ("file", "name", "words"),
    [
        ("ladder.js", "WHY", get_args(Why)),
        ("ladder.js", "MARKS", get_args(Outcome)),
        ("trial.js", "STAGES", get_args(Stage)),
        ("proposals.js", "STATES", get_args(ProposalState)),
        ("proposals.js", "DIRECTIONS", get_args(Direction)),
        ("changes.js", "WORDS", [each.__struct_config__.tag for each in get_args(revisions.Edit)]),
        ("format.js", "KINDS", get_args(StepKind)),
        ("format.js", "FIDELITIES", get_args(Fidelity)),
        ("format.js", "VERDICTS", get_args(VerdictName)),
    ],
)
def test_a_page_has_a_word_for_everything_and_for_nothing_else(file: str, name: str, words: list[str]) -> None:
    assert keys(file, name) == set(words)


def test_every_rung_is_shown() -> None:
    assert sorted(firsts("ladder.js", "RUNGS")) == sorted(get_args(RungName))


def test_verdicts_stand_in_order_of_their_strength() -> None:
    assert tuple(re.findall(r'"(\w+)"', literal("format.js", "STRENGTH"))) == get_args(VerdictName)


def figures() -> Iterator[str]:
    """The name of every figure that a rung or a trial gives."""
    for file in (*(ROOT / "policies" / "gate").glob("*.py"), ROOT / "gateway" / "optimizing" / "live.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_said":
                yield from (each.arg for each in node.keywords if each.arg is not None)
            elif isinstance(node, ast.Assign | ast.AugAssign) and isinstance(node.value, ast.Dict):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and target.id in ("scores", "figures"):
                    yield from (each.value for each in node.value.keys if isinstance(each, ast.Constant))  # type: ignore[misc]


def test_every_figure_of_a_rung_has_a_name() -> None:
    assert keys("ladder.js", "FIGURES") == set(figures())


def test_entries_of_every_kind_can_be_chosen() -> None:
    tags = {
        str(each.__struct_config__.tag)
        for each in vars(audit).values()
        if getattr(each, "__struct_config__", None) and each.__struct_config__.tag
    }
    shown = re.findall(r'"([\w.]+)"', literal("audit.js", "KINDS"))
    assert [tag for tag in sorted(tags) if not any(tag.startswith(each) for each in shown)] == []
    assert [each for each in shown if not any(tag.startswith(each) for tag in tags)] == []


def test_pages_show_a_role_what_the_gateway_lets_it_do() -> None:
    asks: dict[str, Needs] = {
        "decide": "operator",
        "holds": "overseer",
        "search": "overseer",
        "audit": "auditor",
        "wire": "auditor",
        "tools": "auditor",
        "administer": "admin",
    }
    members = dict(re.findall(r"(\w+): \[([^\]]*)\]", literal("api.js", "MAY")))
    assert {name: set(re.findall(r'"(\w+)"', roles)) for name, roles in members.items()} == {
        name: set(SUFFICES[needs]) for name, needs in asks.items()
    }


def test_what_no_eye_can_see_is_made_seen_on_the_page_as_on_the_command_line() -> None:
    found = re.search(r"^const UNSEEN = /(\[.*\])/gu;$", (PAGES / "dom.js").read_text(), re.MULTILINE)
    assert found
    unseen = re.compile(re.sub(r"\\u\{(\w+)\}", lambda wide: f"\\U{wide[1]:0>8}", found[1]))
    lines = {*"\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"}
    for character in set(map(chr, range(0x110000))) - lines:
        assert bool(unseen.fullmatch(character)) == (clean_lines(character) != character), hex(ord(character))
