"""An answer that goes on with a turn, asked for in the caller's place: it stands behind what the turn said already."""

import asyncio
import time

from gateway.stations.bench import Bench
from gateway.stations.judge import Docket
from policies.asking import Asking
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.vocabulary.steps import Part
from tests.gateway.test_policies import RULES
from tests.unit.policies.test_evaluate import Scripted, clause, ruleset


def text(said: str) -> Part:
    return Part(kind="model_text", text=said)


def docket(rules: Ruleset) -> Docket:
    bench = Bench(rules, heavy=lambda: rules, clock=time.monotonic_ns, notice_key=bytes(32))
    return Docket(bench, scope=b"", stateful=False, asking=Asking())


def test_its_text_is_read_behind_that_of_the_answer_before() -> None:
    judges = docket(Ruleset.compile([load(RULES, "house.toml").policy], settings=Settings(enforce=True)))
    judges.go_on([text("It is blueb")])
    assert asyncio.run(judges.reply(text("ird-1234."))).reach == 5


def test_of_the_answer_before_only_words_are_taken_over() -> None:
    guard = Scripted()
    judges = docket(ruleset(clause(), guards=[guard]))
    judges.go_on([Part(kind="tool_call", text="{}", tool="launch"), text("One ")])
    asyncio.run(judges.reply(Part(kind="tool_call", text="{}", tool="look")))
    assert [part.kind for part in guard.scenes[-1].trail.parts] == ["model_text"]


def test_what_the_answer_before_said_stands_before_the_next_only_where_that_is_told() -> None:
    guard = Scripted()
    first = docket(ruleset(clause(), guards=[guard]))
    asyncio.run(first.rest([text("One "), Part(kind="tool_call", text="{}", tool="launch")]))
    second = first.follow_up()
    asyncio.run(second.reply(Part(kind="tool_call", text="{}", tool="look")))
    assert [part.kind for part in guard.scenes[-1].trail.parts] == ["tool_call"]
