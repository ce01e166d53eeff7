"""Clauses out of force: whose change counts, when it ends, and that a clause then does nothing but is told of."""

import pytest

from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.shipped import shipped
from policies.trail import Scene
from policies.vocabulary.clauses import Mode
from policies.vocabulary.modes import EVERY, ModeChange, Modes
from policies.vocabulary.steps import Part

CLAUSE = "agent-baseline/declared-tools-only"


def change(mode: Mode = "shadow", *, app: str = EVERY, at_ns: int = 10, until_ns: int = 20) -> ModeChange:
    until = until_ns if mode == "shadow" else None
    return ModeChange(clause=CLAUSE, app=app, mode=mode, at_ns=at_ns, until_ns=until, by="Eve", key_id=None, reason="r")


@pytest.mark.parametrize(("at_ns", "out"), [(9, False), (10, True), (19, True), (20, False), (99, False)])
def test_a_clause_is_out_of_force_from_then_on_and_comes_back_by_itself(at_ns: int, out: bool) -> None:  # noqa: FBT001
    assert (CLAUSE in Modes([change()]).shadowed("default", at_ns)) is out


def test_the_newest_change_counts_for_the_app_it_is_about_and_for_no_other() -> None:
    modes = Modes([change(), change("enforce", app="mail", at_ns=11)])
    assert CLAUSE in modes.shadowed("default", 15)
    assert CLAUSE not in modes.shadowed("mail", 15)
    modes.add(change("enforce", at_ns=12))
    assert modes.shadowed("default", 15) == {}
    late = Modes([change(app="mail"), change("enforce", at_ns=11), change(app="mail", at_ns=12)])
    assert list(late.shadowed("mail", 15)) == [CLAUSE]  # what was said of this app was said last
    modes.add(change(app="mail", at_ns=13))
    assert list(modes.shadowed("mail", 15)) == [CLAUSE]
    assert modes.touches(CLAUSE, EVERY, 15)
    assert not modes.touches(CLAUSE, EVERY, 25)
    assert not modes.touches(CLAUSE, "default", 15)


def test_a_clause_out_of_force_stops_nothing_and_says_what_it_would_have_done_under_another_revision() -> None:
    policy = load(shipped()["agent-baseline"], "agent-baseline").policy
    ruleset = Ruleset.compile([policy], settings=Settings(enforce=True))
    tools = Part(kind="tool_definitions", tool="read", text='{"name":"read","input_schema":{"type":"object"}}')
    from policies.trail import Trail  # noqa: PLC0415 - only here

    scene = Scene(step=Part(kind="tool_call", tool="erase", text="{}"), trail=Trail(parts=(tools,)))
    before = ruleset.judge(scene, clock=lambda: 0)
    other = ruleset.shadowing({CLAUSE})
    after = other.judge(scene, clock=lambda: 0)
    assert (before.verdict.name, after.verdict.name, after.verdict.shadow) == ("reject", "allow", "reject")
    assert {row.clause: row.shadow for row in after.coverage}[CLAUSE]
    assert not any(row.shadow for row in before.coverage)
    assert other.revision != ruleset.revision
    changed = {
        mine.name for mine, theirs in zip(ruleset.rules, other.rules, strict=True) if mine.revision != theirs.revision
    }
    assert changed == {CLAUSE}
