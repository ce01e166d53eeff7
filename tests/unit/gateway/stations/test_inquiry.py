"""Asking from the bench: both lanes, what is remembered, and what is asked again."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.stations.bench import INLINE_BYTES, Bench
from gateway.stations.histories import Stored
from gateway.stations.judge import Docket
from gateway.wire.dialects import dialects
from policies.asking import Answer, Asker, Asking, Question
from policies.evaluate import Judgement, Ruleset, Settings
from policies.guards.external import ExternalSpec
from policies.trail import Scene
from policies.vocabulary.clauses import Band, Clause, Policy, PolicyHead
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import Part


class Oracle:
    """Answers as its test says, and keeps what it was asked."""

    def __init__(self, says: Callable[[str], Answer]) -> None:
        self.says = says
        self.asked: list[str] = []

    async def ask(self, question: Question) -> Answer:
        self.asked.append(question.scene.step.text)
        await asyncio.sleep(0)
        return self.says(question.scene.step.text)


def bad(text: str) -> Answer:
    return Answer(hits=(Hit(score=90),)) if text.startswith("bad") else Answer()


def bench(asker: Asker | None) -> Bench:
    spec = msgspec.convert({"kind": "external", "url": "https://judge.example/"}, ExternalSpec)
    clause = Clause(
        id="rule",
        text="No.",
        severity="low",
        steps=("user_input", "model_text", "tool_call"),
        guards=(spec,),
        action=(Band(at=75, do="reject"),),
        reason="action_not_allowed",
        on_error="hold",
    )
    policy = Policy(policy=PolicyHead(id="p", description=""), clause=(clause,))

    def compiled() -> Ruleset:
        return Ruleset.compile([policy], settings=Settings(enforce=True))

    return Bench(compiled(), heavy=compiled, clock=lambda: 0, notice_key=bytes(32), asker=asker)


def judged(one: Bench, *texts: str, kind: Any = "model_text") -> list[Judgement]:
    return asyncio.run(one.judge([Scene(step=Part(kind=kind, text=text)) for text in texts]))


@pytest.mark.parametrize("more", ["", "x" * INLINE_BYTES], ids=["light", "heavy"])
def test_each_step_gets_its_own_answer(more: str) -> None:
    oracle = Oracle(bad)
    said = judged(bench(oracle), f"good{more}", f"bad{more}", f"fine{more}")
    assert [judgement.verdict.name for judgement in said] == ["allow", "reject", "allow"]
    assert [text[:4].strip("x") for text in oracle.asked] == ["good", "bad", "fine"]


def test_a_step_no_clause_is_about_is_not_asked() -> None:
    oracle = Oracle(bad)
    (said,) = judged(bench(oracle), "bad", kind="reasoning")
    assert (said.verdict.name, oracle.asked) == ("allow", [])


def test_the_same_question_gets_the_same_answer() -> None:
    oracle = Oracle(bad)
    one = bench(oracle)
    assert judged(one, "bad thing")[0].verdict.name == "reject"
    oracle.says = lambda _: Answer()
    assert judged(one, "bad thing")[0].verdict.name == "reject"
    assert oracle.asked == ["bad thing"]


def test_what_got_no_answer_is_asked_again() -> None:
    oracle = Oracle(lambda _: Answer(failure="timed_out"))
    one = bench(oracle)
    assert judged(one, "thing")[0].verdict.name == "hold"
    oracle.says = lambda _: Answer()
    assert judged(one, "thing")[0].verdict.name == "allow"


def test_nobody_is_asked_about_half_a_text() -> None:
    oracle = Oracle(bad)
    docket = Docket(bench(oracle), scope=b"", stateful=False, asking=Asking(session_id="s"))
    for more in ("", "x" * INLINE_BYTES):
        part = Part(kind="model_text", text=f"bad{more}")
        assert asyncio.run(docket.reply(part, passing=True)).verdict.name == "allow"
        assert oracle.asked == []
    assert asyncio.run(docket.reply(Part(kind="model_text", text="bad"))).verdict.name == "reject"


def test_where_there_is_nobody_to_ask_on_error_decides() -> None:
    (said,) = judged(bench(None), "thing")
    assert (said.verdict.name, said.coverage[0].skipped) == ("hold", "not_asked")


def test_a_request_that_comes_again_is_asked_about_only_where_nothing_was_answered() -> None:
    oracle = Oracle(lambda text: Answer(failure="unreachable") if text == "new" else Answer())
    one = bench(oracle)
    dialect = dialects().anthropic
    body = msgspec.json.encode(
        {"model": "m", "messages": [{"role": "user", "content": "old"}, {"role": "user", "content": "new"}]}
    )
    view = dialect.read_request(body, "chat")

    def asked() -> str:
        docket = Docket(one, scope=b"", stateful=False, asking=Asking(session_id="s"))
        asyncio.run(docket.request("anthropic", view, lambda cut: dialect.parts(body, view, cut), None))
        return docket.verdict.name

    assert asked() == "hold"
    oracle.says = lambda _: Answer()
    assert [asked(), asked()] == ["allow", "allow"]
    assert oracle.asked == ["old", "new", "new"]


def test_the_rest_of_a_reply_whose_caller_went_is_not_asked_about() -> None:
    oracle = Oracle(bad)
    docket = Docket(bench(oracle), scope=b"", stateful=False, asking=Asking(session_id="s"))
    docket.rest_here([Part(kind="model_text", text="bad")])
    assert oracle.asked == []
    assert [row.skipped for ruled in docket.ruled for row in ruled.judgement.coverage] == ["not_asked"]


def test_nothing_is_kept_of_what_was_read_of_an_erased_session() -> None:
    one = bench(None)
    said = Part(kind="user_input", text="heliotrope")
    for session in ("erased", "other"):
        one.trails.tell(session, (said,), partial=False)
        one.offered.put(session, (said,), 10)
    one.parts.put(("anthropic", b"hash"), (said,), 10)
    one.histories.keep(b"scope", "resp_1", Stored(parts=(said,)))
    beside = one.distrusting()
    one.forget(["erased", "never seen"])
    for each in (one, beside):
        assert [each.trails.of(session) is None for session in ("erased", "other")] == [True, False]
        assert [each.offered.get(session) is None for session in ("erased", "other")] == [True, False]
        assert each.parts.get(("anthropic", b"hash")) is None
        assert each.histories.behind(b"scope", "resp_1") is None
