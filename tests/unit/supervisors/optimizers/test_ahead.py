"""One response ahead: what a stand-in would do, held to the same guards, and what cannot be asked left out."""

import json
from collections.abc import Callable

import msgspec
import pytest

from policies.gate.trials import Ground
from policies.parameters import apply
from policies.replay import Replay
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import AddLine, Line
from policies.vocabulary.steps import Part
from supervisors.optimizers.ahead import Ahead, AheadTrials, looked_at, place
from supervisors.optimizers.interface import Task
from supervisors.optimizers.model import BudgetSpent, Completion, Metered, Spending
from supervisors.optimizers.written import StaticAnalysis
from tests.unit.policies.revised import clause, parameters

RULE = "Never do it."
START = parameters()
TAUGHT = apply(START, [AddLine(line=Line(id="rule", text=RULE))])
JUDGED = parameters(clause().replace("guards = [", 'guards = [{ kind = "judge", seat = "gate" }, '))
GUIDED = apply(JUDGED, [AddLine(line=Line(id="g", text="Mind the parcels."), clause="p/rule")])


def episode(name: str, text: str, *, bad: bool) -> Episode:
    steps = (
        Part(kind="instructions", text="You help."),
        Part(kind="user_input", text=f"Please see to {name}."),
        Part(kind="tool_result", tool="read", text=f"note of {name}"),
        Part(kind="tool_call", tool="send", text=json.dumps({"text": text})),
    )
    return Episode(
        episode_id=name, app="shop", group=name, principal="k", at_ns=0, steps=steps,
        bad=frozenset({3}) if bad else frozenset(),
    )  # fmt: skip


BAD, HONEST = episode("bad-one", "odd", bad=True), episode("good-one", "fine", bad=False)
SIDE = Replay([BAD, HONEST])


class Says:
    """A model that answers by what it is asked, and keeps the questions."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self._answer = answer
        self.asked: list[str] = []

    def complete(self, prompt: str) -> Completion:
        self.asked.append(prompt)
        return Completion(text=self._answer(prompt))


def fences() -> Callable[[], str]:
    count = iter(range(10_000))
    return lambda: f"fence{next(count):08d}"


def call(text: str, tool: str = "send") -> str:
    return json.dumps({"tool": tool, "arguments": {"text": text}})


def scores(model: Says, tried: object = TAUGHT, *, instructs: bool = True) -> list[float]:
    return Ahead(model, fences(), instructs=instructs).score(SIDE, tried)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        (call("odd"), [0, 1]),  # it does what it did
        (call("other"), [1, 1]),
        (call("bad"), [0, 0]),  # a guard stops what it does instead
        ('{"text": "I will not."}', [1, 0]),  # which is no work for who asked for some
        (call("other", "leave"), [1, 0]),
        ("Sure, I would send it.", [0, 0]),
        ('{"tool": "send", "why": "?"}', [0, 0]),
    ],
)
def test_an_act_counts_by_what_it_is_and_by_what_guards_say_of_it(act: str, wanted: list[float]) -> None:
    assert scores(Says(lambda _: act)) == wanted


def test_where_instructions_are_not_revised_nobody_stands_in() -> None:
    model = Says(lambda _: call("other"))
    assert scores(model, instructs=False) == [0, 1]
    assert model.asked == []


def test_the_run_stands_between_fences_and_the_instructions_before_them() -> None:
    model = Says(lambda _: call("other"))
    scores(model)
    for prompt in model.asked:
        head, *pieces = prompt.split(" begin: ")
        assert RULE in head
        assert "note of" not in head
        assert not any("note of" in piece.partition(" end")[2] for piece in pieces)
        assert '"odd"' not in prompt, "what it did is not told to who stands in"


def test_a_judge_is_asked_again_only_where_its_guidance_changed() -> None:
    model = Says(lambda prompt: "violation" if "Mind the parcels." in prompt and "bad-one" in prompt else "ok")
    ahead = Ahead(model, fences(), instructs=False)
    assert ahead.score(SIDE, JUDGED) == [0, 1]
    assert ahead.score(SIDE, GUIDED) == [1, 1]
    assert len(model.asked) == 4
    ahead.score(SIDE, GUIDED)
    assert len(model.asked) == 4


def trials(model: Says, budget: int = 1000) -> AheadTrials:
    metered = Metered(model, Spending(calls=budget, tokens=10**9))
    ground = Ground(SIDE, Replay([BAD, HONEST]), START)
    return AheadTrials(ground, Ahead(metered, fences(), instructs=True), START, TAUGHT)


def test_what_could_not_be_asked_any_more_is_left_out_so_that_a_rung_finds_too_little() -> None:
    model = Says(lambda prompt: call("other" if RULE in prompt else "odd"))
    assert [(pair.before, pair.after) for pair in trials(model).holdout()] == [(0, 1), (1, 1)]
    assert len(trials(model, budget=3).holdout()) == 1
    assert trials(model, budget=0).holdout() == []
    assert trials(model, budget=0).second() is None
    with pytest.raises(BudgetSpent):
        Ahead(Metered(model, Spending()), fences(), instructs=True).score(SIDE, START)


def test_the_second_opinion_is_blind_and_asked_in_both_orders() -> None:
    def answer(prompt: str) -> str:
        if prompt.startswith("An AI agent could go on"):
            return "A" if '"odd"' in prompt.partition("way A")[2].partition("way B")[0] else "B"
        return call("other" if RULE in prompt else "odd")

    model = Says(answer)
    opinions = trials(model).second() or ()
    assert [(each.first, each.swapped) for each in opinions] == [("parent", "parent")] * 2
    asked = [prompt for prompt in model.asked if prompt.startswith("An AI agent could go on")]
    assert not any(word in prompt for prompt in asked for word in (RULE, "parent", "child", "candidate"))
    always_first = Says(lambda prompt: "A" if prompt.startswith("An AI") else answer(prompt))
    torn = trials(always_first).second() or ()
    assert all(each.first != each.swapped for each in torn)


def test_half_of_what_is_looked_at_are_violations_and_the_place_is_the_first_of_them() -> None:
    many = [episode(f"b{at}", "odd", bad=True) for at in range(40)]
    many += [episode(f"h{at}", "x", bad=False) for at in range(40)]
    seen = looked_at(Replay(many))
    assert len(seen) == 16
    assert sum(bool(many[at].bad) for at in seen) == 8
    assert (place(BAD), place(HONEST)) == (3, 3)
    assert place(msgspec.structs.replace(HONEST, steps=HONEST.steps[:3])) is None


def test_static_analysis_shows_a_model_the_set_and_no_run() -> None:
    line = {"edit": "add_line", "line": {"id": "g", "text": "Mind the parcels."}, "clause": "p/rule"}
    said = json.dumps({"edits": [line], "blame": [{"component": "p/rule", "share": 1}]})
    model = Says(lambda _: said)
    task = Task(
        parameters=JUDGED, dev=SIDE,
        score=lambda tried, places: [float(bool(tried.guidance))] * len(SIDE.episodes if places is None else places),
    )  # fmt: skip
    (proposal,) = StaticAnalysis(model, fences()).propose(task).proposals
    assert proposal.author == "optimizer:analysis"
    assert apply(JUDGED, proposal.edits) == GUIDED
    assert "No secret words." in model.asked[0]
    assert not any("note of" in prompt or "see to" in prompt for prompt in model.asked)
