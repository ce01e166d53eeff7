"""The registry of guard kinds is whole: every kind can be written, built and run, and says what it cannot do."""

import time
from typing import get_args

import msgspec
import pytest

from policies.asking import Asked
from policies.evaluate import Ruleset, Settings
from policies.guards.interface import SCANNED_BYTES, Guard
from policies.guards.registry import KINDS, GuardSpec, Kind, build, is_asked, kind_of
from policies.trail import Scene, Trail
from policies.vocabulary.clauses import Band, Clause, Policy, PolicyHead
from policies.vocabulary.steps import STEP_KINDS, Part

SETTINGS = {
    "pattern": {"rules": [{"id": "any", "pattern": "[a-z]{3}"}]},
    "sequence": {"loop": {"repeats": 2}, "count": {"max": 3}, "rate": {"max": 2, "seconds": 1}},
    "own": {"guard": "tests.fakes.house_guards:NoWord"},
    "judge": {"seat": "gate"},
    "validator": {"validator": "module:Class"},
    "external": {"url": "https://judge.example/steps"},
}
"""What a kind needs to be told at least; most need nothing."""

HOSTILE = ("", "\ud800" * 50, "[" * 5000, '{"a":' * 2000, "\x00" * 100, "%41" * 300, "\u200b" * 300, "x@" * 500)


def spec_of(kind: Kind) -> msgspec.Struct:
    return msgspec.convert({"kind": kind.name, **SETTINGS.get(kind.name, {})}, GuardSpec)


by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
ASKED = frozenset({"judge", "validator", "presidio", "external"})
"""Kinds that are asked elsewhere; tests/unit/supervisors says what they do with hostile steps."""

by_kind_here = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.name not in ASKED], ids=lambda kind: kind.name
)


def here(kind: Kind) -> Guard:
    guard = build(spec_of(kind))
    assert not isinstance(guard, Asked)
    return guard


@by_kind
def test_a_guard_is_asked_elsewhere_exactly_where_its_kind_says_so(kind: Kind) -> None:
    assert is_asked(spec_of(kind)) is isinstance(build(spec_of(kind)), Asked) is (kind.name in ASKED)


def test_the_specs_of_the_language_are_those_of_the_registry_in_its_order() -> None:
    assert [kind.spec for kind in KINDS] == list(get_args(GuardSpec))


@by_kind
def test_a_kind_is_named_by_the_tag_of_its_spec_and_built_from_it(kind: Kind) -> None:
    spec = spec_of(kind)
    assert type(spec) is kind.spec
    assert kind_of(spec) is kind
    assert isinstance(build(spec), kind.guard)  # type: ignore[arg-type]


@by_kind
def test_a_kind_can_judge_something_and_gives_a_reason_for_what_it_cannot(kind: Kind) -> None:
    assert kind.possible
    assert all(reason for reason in kind.impossible.values())
    assert set(kind.impossible) | set(kind.possible) == set(STEP_KINDS)


@by_kind_here
@pytest.mark.parametrize("step", STEP_KINDS)
def test_no_step_of_any_kind_makes_a_guard_raise(kind: Kind, step: str) -> None:
    guard = here(kind)
    before = tuple(Part(kind=each, text="a b c", tool="t", call_id="c") for each in STEP_KINDS)
    for text in HOSTILE:
        part = Part(kind=step, text=text, tool="t", call_id="c")  # type: ignore[arg-type]
        for hit in guard.examine(Scene(step=part, trail=Trail(parts=before, times=tuple(range(len(before)))))):
            assert all(
                0 <= each.start <= each.end <= len(text.encode("utf-8", "surrogatepass")) for each in hit.evidence
            )


@by_kind_here
def test_a_step_a_kind_cannot_judge_gets_no_hit(kind: Kind) -> None:
    guard = here(kind)
    for step in kind.impossible:
        assert list(guard.examine(Scene(step=Part(kind=step, text="abc def")))) == []


@by_kind_here
def test_a_step_longer_than_what_is_scanned_is_judged_in_bounded_time(kind: Kind) -> None:
    guard = here(kind)
    started = time.process_time()
    for step in kind.possible[:2]:
        guard.examine(Scene(step=Part(kind=step, text="ab cd " * (SCANNED_BYTES // 4), tool="t")))
    assert time.process_time() - started < 10


@by_kind
def test_a_kind_runs_in_a_ruleset_on_every_step_it_can_judge(kind: Kind) -> None:
    clause = Clause(
        id="rule",
        text="No.",
        severity="low",
        steps=kind.possible,
        guards=(spec_of(kind),),
        action=(Band(at=75, do="reject"),),
        reason="action_not_allowed",
        on_error="hold",
    )
    policy = Policy(policy=PolicyHead(id="p", description=""), clause=(clause,))
    rules = Ruleset.compile([policy], settings=Settings(enforce=True))
    for step in kind.possible:
        judged = rules.judge(Scene(step=Part(kind=step, text="plain words", tool="t")), clock=time.perf_counter_ns)
        assert [row.skipped for row in judged.coverage] == ["not_asked" if kind.name in ASKED else None]
