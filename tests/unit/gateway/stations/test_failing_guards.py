"""A guard that raises, runs out of time or is never reached follows its clause's `on_error`, on every path."""

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import msgspec
import pytest

from gateway.stations.bench import BUDGET_NS, INLINE_BYTES, PATIENCE_NS, Bench
from gateway.stations.judge import Docket
from gateway.stations.own_clauses import UNSEEN
from gateway.wire.dialects import dialects
from policies.asking import Asking
from policies.evaluate import Ruleset, Settings
from policies.guards.pattern import PatternSpec
from policies.trail import Scene
from policies.vocabulary.clauses import Band, Clause, OnError, Policy, PolicyHead
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import Part

Failure = Literal["raises", "is late", "waits too long"]
FAILURES: Final[tuple[Failure, ...]] = get_args(Failure)
OUTCOMES: Final[tuple[OnError, ...]] = get_args(OnError)


class Clock:
    """Goes on by so many nanoseconds each time it is read."""

    def __init__(self) -> None:
        self.now = 0
        self.tick_ns = 0

    def __call__(self) -> int:
        self.now += self.tick_ns
        return self.now


class Failing:
    """A guard that raises, until it is well again."""

    window = None

    def __init__(self) -> None:
        self.ill = False
        self.asked = 0

    def examine(self, scene: Scene) -> Sequence[Hit]:
        del scene
        self.asked += 1
        if self.ill:
            raise RuntimeError("a secret of the caller stands here")
        return ()


class Ward:
    """A bench with one clause whose guard fails in one way."""

    def __init__(self, failure: Failure, on_error: OnError) -> None:
        spec = msgspec.convert({"kind": "pattern", "rules": [{"id": "a", "pattern": "a"}]}, PatternSpec)
        clause = Clause(
            id="rule",
            text="No.",
            severity="low",
            steps=("tool_call", "model_text", "user_input", "tool_result"),
            guards=(spec,),
            action=(Band(at=75, do="reject"),),
            reason="action_not_allowed",
            on_error=on_error,
        )
        self.clock = Clock()
        self.guard = Failing()
        self.guard.ill = failure == "raises"
        if failure == "is late":
            self.clock.tick_ns = BUDGET_NS + 1
        if failure == "waits too long":
            self.clock.tick_ns = PATIENCE_NS + 1
        policy = Policy(policy=PolicyHead(id="p", description=""), clause=(clause,))

        def compiled() -> Ruleset:
            return Ruleset.compile([policy], settings=Settings(enforce=True), builder=lambda _: self.guard)

        self.bench = Bench(compiled(), heavy=compiled, clock=self.clock, notice_key=bytes(32))

    def well(self) -> None:
        self.guard.ill, self.clock.tick_ns = False, 0

    def docket(self) -> Docket:
        return Docket(self.bench, scope=b"", stateful=False, asking=Asking(session_id="s"))


def request_of(name: str, text: str) -> bytes:
    said: Any = [{"role": "user", "content": text}]
    return json.dumps({"model": "m", "input" if name == "openai_responses" else "messages": said}).encode()


def asked(ward: Ward, name: str, text: str) -> Docket:
    dialect, docket, body = dialects().by_name()[name], ward.docket(), request_of(name, text)
    view = dialect.read_request(body, "chat")
    asyncio.run(docket.request(name, view, lambda cut: dialect.parts(body, view, cut), None))
    return docket


LONG = "word " * (INLINE_BYTES // 4)
by_dialect = pytest.mark.parametrize("name", ["anthropic", "openai_chat", "openai_responses"])
by_outcome = pytest.mark.parametrize("on_error", OUTCOMES)


@by_dialect
@by_outcome
@pytest.mark.parametrize("failure", FAILURES)
def test_a_request_that_could_not_be_judged_follows_on_error(name: str, failure: Failure, on_error: OnError) -> None:
    docket = asked(Ward(failure, on_error), name, LONG if failure == "waits too long" else "hello")
    assert docket.verdict.name == on_error
    assert docket.verdict.reason == ("supervision_unavailable" if on_error not in {"allow", "flag"} else None)
    (ruled,) = docket.ruled
    (row,) = ruled.judgement.coverage
    assert row.skipped == ("raised:RuntimeError" if failure == "raises" else "deadline")
    assert row.scanned == 0
    (finding,) = ruled.judgement.findings
    assert finding.state == "error"
    assert "secret" not in finding.note


@by_outcome
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", ["tool_call", "model_text"])
def test_a_reply_that_could_not_be_judged_follows_on_error(kind: Any, failure: Failure, on_error: OnError) -> None:
    docket = Ward(failure, on_error).docket()
    part = Part(kind=kind, text=LONG if failure == "waits too long" else "{}", tool="t")
    assert asyncio.run(docket.reply(part)).verdict.name == on_error
    assert docket.verdict.name == on_error


@by_dialect
@pytest.mark.parametrize("failure", ["is late", "waits too long"])
def test_what_there_was_no_time_for_is_judged_when_it_comes_again(name: str, failure: Failure) -> None:
    ward = Ward(failure, "flag")
    text = LONG if failure == "waits too long" else "hello"
    assert asked(ward, name, text).verdict.name == "flag"
    assert ward.guard.asked == 0
    ward.well()
    assert asked(ward, name, text).verdict.name == "allow"
    assert ward.guard.asked == 1
    assert asked(ward, name, text).verdict.name == "allow"
    assert ward.guard.asked == 1  # and then remembered


def test_a_long_queue_is_overload_for_those_at_its_end() -> None:
    """One thread judges what is long; who waits there beyond patience is not examined but decided by `on_error`."""
    ward = Ward("raises", "reject")
    ward.well()
    entered, go = threading.Event(), threading.Event()

    def examine(_: Scene) -> Sequence[Hit]:
        entered.set()
        go.wait(10)
        return ()

    async def two() -> tuple[str, str]:
        first = asyncio.ensure_future(ward.docket().reply(Part(kind="model_text", text=LONG)))
        await asyncio.to_thread(entered.wait, 10)
        second = asyncio.ensure_future(ward.docket().reply(Part(kind="model_text", text=LONG + "!")))
        await asyncio.sleep(0)
        ward.clock.now += PATIENCE_NS + 1
        go.set()
        return (await first).verdict.name, (await second).verdict.name

    ward.guard.examine = examine  # type: ignore[method-assign]
    assert asyncio.run(two()) == ("allow", "reject")


def test_what_is_left_of_a_reply_whose_caller_went_is_flagged_where_it_is_too_long_to_judge_at_once() -> None:
    docket = Ward("raises", "allow").docket()
    docket.rest_here([Part(kind="model_text", text=LONG)])
    assert (docket.verdict.name, docket.verdict.clauses) == ("flag", (UNSEEN,))
    assert [row.skipped for ruled in docket.ruled for row in ruled.judgement.coverage] == ["broken_off"]
    other = Ward("raises", "allow").docket()
    other.rest_here([Part(kind="reasoning", text=LONG)])  # no clause is about these
    assert other.verdict.name == "allow"


def test_two_pieces_in_one_place_are_two_pieces() -> None:
    docket = Ward("raises", "flag").docket()
    one = Part(kind="model_text", text="a", pointer="/choices/0/message/content")
    other = msgspec.structs.replace(one, text="b")
    asyncio.run(docket.reply(one))
    assert docket.was_judged(one)
    assert not docket.was_judged(other)


def test_what_stands_at_the_provider_is_part_of_what_a_judgement_is_remembered_for() -> None:
    ward = Ward("raises", "flag")
    ward.well()
    dialect = dialects().responses
    for response_id in ("resp_1", "resp_2", "resp_1"):
        body = json.dumps({"model": "m", "input": "go on", "previous_response_id": response_id}).encode()
        view = dialect.read_request(body, "chat")
        parts = {message.cut: dialect.parts(body, view, message.cut) for message in view.messages}
        docket = Docket(ward.bench, scope=b"", stateful=True, asking=Asking(session_id="s"))
        asyncio.run(docket.request("openai_responses", view, parts.__getitem__, None))
    assert ward.guard.asked == 2
