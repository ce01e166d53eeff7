"""The shipped policies hold what they promise: they load, their examples run green, and they are documented."""

import time
from collections.abc import Iterator

import pytest

from policies.analysis import analyse
from policies.evaluate import Ruleset, Settings
from policies.examples import outcomes, run_examples
from policies.loader import TAXONOMY, Loaded, load
from policies.shipped import shipped
from policies.trail import Scene
from policies.vocabulary.clauses import Clause
from policies.vocabulary.steps import Part

NAMES = ("agent-baseline", "coding-agent", "customer-data", "mail-agent", "payments")
TAGGED = {
    "send": ("outbound",),
    "pay": ("money", "irreversible"),
    "run": ("code_exec",),
    "login": ("auth",),
    "save": ("write",),
    "look": ("read",),
}


def loaded(name: str) -> Loaded:
    return load(shipped()[name], f"{name}.toml")


def clauses() -> Iterator[tuple[str, Clause]]:
    for name in shipped():
        for clause in loaded(name).policy.clause:
            yield name, clause


def test_these_policies_are_shipped_each_under_the_name_of_its_file() -> None:
    assert tuple(shipped()) == NAMES
    assert all(loaded(name).policy.policy.id == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_turns_out_as_decided(name: str) -> None:
    file = loaded(name)
    ran = [outcome for clause in file.policy.clause for outcome in outcomes(file.policy, clause)]
    assert len(ran) >= 2 * len(file.policy.clause)
    assert run_examples(file) == ()


@pytest.mark.parametrize("name", NAMES)
def test_analysis_finds_nothing_in_a_policy_beside_the_baseline(name: str) -> None:
    files = [loaded(each) for each in dict.fromkeys(("agent-baseline", name))]
    found = [str(mistake) for mistake in analyse(files, TAGGED) if mistake.place != "configuration"]
    assert found == []


def test_all_shipped_policies_together_watch_every_sink() -> None:
    assert [str(mistake) for mistake in analyse([loaded(name) for name in NAMES], TAGGED)] == []


@pytest.mark.parametrize(("name", "clause"), [pytest.param(*each, id=f"{each[0]}/{each[1].id}") for each in clauses()])
def test_every_clause_is_in_force_named_by_taxonomy_and_decided_both_ways(name: str, clause: Clause) -> None:
    assert clause.mode == "enforce"
    assert clause.taxonomy
    assert all(TAXONOMY.fullmatch(each) for each in clause.taxonomy)
    assert {each.split("-")[1][:3] if each.startswith("OWASP") else "AML" for each in clause.taxonomy} >= {"LLM", "ASI"}
    assert {example.expect for example in clause.example} == {"violation", "ok"}
    assert clause.severity != "critical" or (clause.protected and clause.on_error in ("hold", "reject", "terminate"))


def test_the_baseline_never_interferes_where_it_only_doubts() -> None:
    for clause in loaded("agent-baseline").policy.clause:
        doubting = [band for band in clause.action if band.at < 75]
        assert all(band.do == "flag" or (band.do == "judge" and band.otherwise == "flag") for band in doubting)


def test_all_shipped_policies_together_judge_a_long_step_without_a_failure() -> None:
    rules = Ruleset.compile([loaded(name).policy for name in NAMES], settings=Settings(enforce=True))
    text = "The quarterly report is ready; see the shared folder for details. " * 1000
    step = Part(kind="tool_result", tool="look", text=text)
    judged = rules.judge(Scene(step=step), clock=time.perf_counter_ns)
    assert judged.verdict.name == "allow"
    assert judged.coverage
    assert all(row.skipped is None for row in judged.coverage)
