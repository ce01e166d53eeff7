"""What clauses leave to the monitor, and what they make of what it says."""

from typing import Any

import msgspec
import pytest

from policies.afterwards import charges_of, judged_clauses, ruling, sampled
from policies.distrust import distrusting
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.risk import risk_of
from policies.trail import Scene
from policies.vocabulary.critiques import Label, Opinion
from policies.vocabulary.monitoring import DISTRUSTED, LATER
from policies.vocabulary.steps import Part

POLICY = """
[policy]
id = "house"
description = "Clauses that a supervisor reads for, and one that none does."

[[clause]]
id = "later"
text = "Nothing is burnt."
severity = "high"
steps = ["model_text", "tool_call"]
guards = [{ kind = "judge", seat = "monitor", sample = 0.5, guidance = "Ashes count." }]
action = [{ at = 90, do = "terminate" }, { at = 75, do = "reject" }, { at = 50, do = "redact" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"
%s

[[clause.example]]
expect = "violation"
steps = [{ kind = "model_text", text = "It burns." }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "model_text", text = "It stands." }]

[[clause]]
id = "here"
text = "Nobody says no."
severity = "low"
steps = ["model_text", "tool_call"]
guards = [{ kind = "pattern", rules = [{ id = "no", pattern = "no" }] }]
action = [{ at = 75, do = "hold" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "shadow"

[[clause.example]]
expect = "violation"
steps = [{ kind = "model_text", text = "no" }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "model_text", text = "yes" }]
"""


GATED = """
[[clause]]
id = "gated"
text = "Nothing is burnt."
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "judge", seat = "gate" }]
action = [{ at = 75, do = "reject" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "shadow"
"""


def rules(*, enforce: bool = True, supervised: bool = True, more: str = "") -> Ruleset:
    settings = Settings(enforce=enforce, supervised=supervised)
    return Ruleset.compile([load(POLICY % more, "house.toml").policy], settings=settings)


def opinion(clause: str, score: int, label: Label = "violation") -> Opinion:
    return Opinion(clause=f"house/{clause}", label=label, score=score)


def looked(ruleset: Ruleset, part: Part) -> Any:
    return ruleset.judge(Scene(step=part), clock=lambda: 0)


def test_a_clause_is_put_in_its_own_words() -> None:
    [charge] = charges_of(rules(), ["house/later"])
    assert (charge.text, charge.guidance, charge.severity) == ("Nothing is burnt.", "Ashes count.", "high")
    assert charges_of(rules(), ["house/gone"]) == ()


def test_a_person_asks_about_clauses_with_a_judge_and_about_all_where_there_is_none() -> None:
    assert judged_clauses(rules()) == ("house/later",)
    local = load(POLICY % "", "house.toml").policy
    alone = msgspec.structs.replace(local, clause=local.clause[1:])
    assert judged_clauses(Ruleset.compile([alone])) == ("house/here",)


def test_a_sample_is_a_share_of_what_a_hash_gives() -> None:
    ruleset = rules()
    assert [sampled(ruleset, "house/later", share) for share in (0.0, 0.49, 0.5, 0.99)] == [True, True, False, False]
    assert not sampled(ruleset, "house/here", 0.0)
    assert not sampled(ruleset, "house/gone", 0.0)


@pytest.mark.parametrize(("score", "verdict"), [(95, "terminate"), (80, "reject"), (60, "flag"), (40, "allow")])
def test_bands_rule_on_opinions_and_change_nothing_that_is_recorded(score: int, verdict: str) -> None:
    assert ruling(rules(), [opinion("later", score)]).name == verdict
    assert ruling(rules(), [opinion("later", score, "ok")]).name == "allow"


def test_a_clause_or_an_app_that_is_not_in_force_flags_at_most() -> None:
    loose = ruling(rules(enforce=False), [opinion("later", 95)])
    assert (loose.name, loose.shadow) == ("flag", "terminate")
    shadow = ruling(rules(), [opinion("here", 95)])
    assert (shadow.name, shadow.shadow) == ("allow", "hold")
    assert ruling(rules(), [opinion("gone", 95)]).name == "allow"


def test_what_is_left_to_the_monitor_stands_in_the_coverage_and_holds_nobody_up() -> None:
    said = looked(rules(), Part(kind="model_text", text="It burns."))
    assert [(row.clause, row.skipped) for row in said.coverage if row.skipped] == [("house/later", LATER)]
    assert (said.verdict.name, said.findings) == ("allow", ())
    without = looked(rules(supervised=False), Part(kind="model_text", text="It burns."))
    assert [row.skipped for row in without.coverage if row.skipped] == ["not_asked"]
    assert without.verdict.name == "allow"


def test_what_its_condition_excludes_is_not_left_to_it() -> None:
    ruleset = rules(more="when = \"step.kind == 'tool_call'\"")
    read = looked(ruleset, Part(kind="tool_call", tool="go", text="{}"))
    unread = looked(ruleset, Part(kind="model_text", text="It burns."))
    assert [LATER in [row.skipped for row in said.coverage] for said in (read, unread)] == [True, False]


def test_what_nobody_can_read_is_not_left_to_it() -> None:
    said = looked(rules(), Part(kind="model_text", unread="image"))
    assert LATER not in [row.skipped for row in said.coverage]


@pytest.mark.parametrize("supervised", [True, False])
def test_a_distrusted_session_has_every_call_wait_and_nothing_else(supervised: bool) -> None:  # noqa: FBT001 - a parameter
    ruleset = distrusting(rules(supervised=supervised))
    call = looked(ruleset, Part(kind="tool_call", tool="go", text="{}")).verdict
    assert (call.name, call.reason, call.clauses) == ("hold", "needs_approval", (DISTRUSTED,))
    assert looked(ruleset, Part(kind="model_text", text="yes")).verdict.name == "allow"
    assert (ruleset.needs("tool_call", "response").hold, ruleset.acts) == ("whole", True)


def test_distrust_takes_nothing_from_the_gate() -> None:
    ruleset = Ruleset.compile(
        [load(POLICY % "" + GATED, "house.toml").policy], settings=Settings(enforce=True, supervised=True)
    )
    step = Part(kind="tool_call", tool="go", text="{}")
    for each in (ruleset, distrusting(ruleset)):
        sitting = each.sit(Scene(step=step), clock=lambda: 0)
        assert sitting is not None
        assert [getattr(question.spec, "clause", None) for question in sitting.questions()] == ["house/gated"]


def test_severity_comes_before_kind_and_kind_before_a_local_score() -> None:
    risks = [
        risk_of("model_text", (), ["low"], 0),
        risk_of("model_text", (), ["low"], 90),
        risk_of("tool_call", ("money",), ["low"], 90),
        risk_of("model_text", (), ["info", "critical"], 0),
    ]
    assert risks == sorted(risks)
    assert len(set(risks)) == len(risks)
