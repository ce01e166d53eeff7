"""The caller: written down before it is sent, settled whatever became of it, and patient with nobody."""

import asyncio

import msgspec
import pytest

from policies.vocabulary.supervisor_calls import Spent
from supervisors.budget import Limit, Limits
from supervisors.caller import Errand, Unserved
from supervisors.models.interface import Completion, Prompt, Unanswered
from tests.unit.supervisors.house import ERRAND, PLENTY, Court, never, said

PROMPT = Prompt(system="s", question="q", most_tokens=10, revision="r1")
DAY = "day:2026-09-21"


MONITOR = msgspec.structs.replace(ERRAND, seat="monitor")


def ask(court: Court, errand: Errand = ERRAND, *, seconds: float = 20.0) -> str:
    async def asked() -> str:
        return (await court.caller.complete(PROMPT, errand, seconds=seconds)).completion.text

    return asyncio.run(asked())


def failing(why: str, *, sent: bool = True, retry_after: float | None = None) -> Court:
    async def answering(_: Prompt) -> Completion:
        raise Unanswered(why, sent=sent, retry_after_seconds=retry_after)

    return Court(answering)


def refused(court: Court, errand: Errand = ERRAND, *, seconds: float = 20.0) -> Unserved:
    with pytest.raises(Unserved) as caught:
        ask(court, errand, seconds=seconds)
    return caught.value


async def fine(_: Prompt) -> Completion:
    return said("ok")


def spent(court: Court) -> Spent:
    (begun, *_) = court.books.begun
    reserved = court.budget
    assert reserved.unknown(begun.spender) == ()
    return reserved._spent[DAY]


def test_a_call_is_written_down_before_it_is_sent_and_settled_after() -> None:
    court = Court(fine)

    async def answering(prompt: Prompt) -> Completion:
        assert [call.call_id for call in court.books.begun] == ["C1"]
        assert court.books.ends == []
        return await fine(prompt)

    court.model.answering = answering
    assert ask(court) == "ok"
    (call,), (end,) = court.books.begun, court.books.ends
    assert (call.model, call.prompt, call.app, call.session_id) == ("m", "r1", "a", "s")
    assert call.ceiling_tokens > 70 + 5
    assert (end.state, end.answered_by, end.tokens, end.cost_micro_usd) == ("done", "m-1", 75, 75)
    assert spent(court) == Spent(tokens=75, micro_usd=75)


def test_a_call_that_fails_unsent_costs_nothing_and_one_that_may_have_been_read_costs_its_ceiling() -> None:
    unsent, lost = failing("unreachable", sent=False), failing("timed_out")
    assert (refused(unsent).why, refused(lost).why) == ("unreachable", "timed_out")
    assert spent(unsent).tokens == 0
    assert spent(lost).tokens == lost.books.begun[0].ceiling_tokens
    assert (unsent.books.ends[0].tokens, lost.books.ends[0].tokens) == (0, None)


def test_a_model_that_never_answers_is_waited_for_no_longer_than_said() -> None:
    court = Court(never)
    assert refused(court, seconds=0.01).why == "timed_out"
    assert court.whys == ["timed_out"]


def test_while_a_model_cannot_be_sent_anything_no_call_is_begun() -> None:
    court = Court(fine)

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def missing() -> None:
        raise ImportError("no such SDK")

    for loading, why in ((for_ever, "timed_out"), (missing, "raised:ImportError")):
        court.model.loading = loading
        assert refused(court, seconds=0.01).why == why
    assert (court.model.prompts, court.books.begun) == ([], [])


def test_what_does_not_fit_the_budget_is_not_sent() -> None:
    court = Court(fine, limits=Limits(day=Limit(tokens=10)))
    assert refused(court).why == "budget_day"
    assert (court.model.prompts, court.books.begun) == ([], [])


def test_nothing_is_sent_that_could_not_be_written_down() -> None:
    court = Court(fine)
    court.books.failing = True
    assert refused(court).why == "ledger_failed"
    assert court.model.prompts == []
    court.books.failing = False
    assert ask(court) == "ok"
    assert spent(court).tokens == 75


def test_an_overloaded_provider_is_left_alone_for_as_long_as_it_says() -> None:
    court = failing("overloaded", sent=False, retry_after=7)
    assert refused(court).why == "overloaded"
    court.now_ns += 6_900_000_000
    assert refused(court).retry_after_seconds == pytest.approx(0.1)
    assert len(court.model.prompts) == 1
    court.now_ns += 200_000_000
    assert refused(court).why == "overloaded"
    assert len(court.model.prompts) == 2


def test_a_provider_cannot_have_itself_left_alone_for_ever() -> None:
    court = failing("overloaded", sent=False, retry_after=1e9)
    refused(court)
    court.now_ns += 61_000_000_000
    refused(court)
    assert len(court.model.prompts) == 2


def test_after_failures_in_a_row_it_is_left_alone_and_then_tried_once() -> None:
    court = failing("status:500", sent=False)
    assert [refused(court).why for _ in range(5)] == ["status:500"] * 3 + ["breaker_open"] * 2
    court.now_ns += 31_000_000_000
    court.model.answering = fine
    assert ask(court) == "ok"
    assert ask(court) == "ok"
    assert len(court.model.prompts) == 5


@pytest.mark.parametrize("why", ["overloaded", "status:500"])
def test_what_the_monitor_runs_into_does_not_keep_the_gate_from_asking(why: str) -> None:
    court = failing(why, sent=False, retry_after=30)
    for _ in range(4):
        refused(court, MONITOR)
    assert refused(court, MONITOR).why in ("overloaded", "breaker_open")
    court.model.answering = fine
    assert ask(court) == "ok"
    assert refused(court, MONITOR).why in ("overloaded", "breaker_open")


def test_the_monitor_heeds_what_the_gate_was_told() -> None:
    court = failing("overloaded", sent=False, retry_after=30)
    assert refused(court).why == "overloaded"
    court.model.answering = fine
    assert refused(court, MONITOR).retry_after_seconds == pytest.approx(30)
    court.now_ns += 31_000_000_000
    assert ask(court, MONITOR) == "ok"


def test_both_seats_spend_of_one_budget() -> None:
    before = Court(fine)
    ask(before)
    court = Court(fine, limits=Limits(day=Limit(tokens=before.books.begun[0].ceiling_tokens + 74)))
    assert ask(court, MONITOR) == "ok"  # it took 75
    assert refused(court).why == "budget_day"


def test_what_is_not_limited_is_not_looked_up() -> None:
    court = Court(fine, limits=Limits(day=Limit(tokens=PLENTY)))
    assert ask(court) == "ok"
    assert court.books.looked_up == [DAY]


@pytest.mark.parametrize("why", ["status:400", "status:413", "status:422"])
def test_a_step_that_a_provider_will_not_read_keeps_it_from_no_other(why: str) -> None:
    court = failing(why, sent=False)
    assert [refused(court).why for _ in range(6)] == [why] * 6
    court.model.answering = fine
    assert ask(court) == "ok"


def test_whoever_leaves_leaves_no_call_without_its_end() -> None:
    court = Court(never)

    async def left() -> None:
        task = asyncio.create_task(court.caller.complete(PROMPT, ERRAND, seconds=20))
        await court.model.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(left())
    assert court.whys == ["cancelled"]
    assert spent(court).tokens == court.books.begun[0].ceiling_tokens


def test_an_adapter_that_breaks_is_a_failure_like_others() -> None:
    async def broken(_: Prompt) -> Completion:
        raise ZeroDivisionError

    court = Court(broken)
    assert refused(court).why == "raised:ZeroDivisionError"
    assert court.whys == ["raised:ZeroDivisionError"]


def test_all_that_is_sent_is_in_the_ceiling() -> None:
    """What a provider bills is never more than what was set aside: the schema is part of a prompt, too."""

    def ceiling(prompt: Prompt) -> int:
        court = Court(fine)
        asyncio.run(court.caller.complete(prompt, ERRAND, seconds=20.0))
        return court.books.begun[0].ceiling_tokens

    plain = ceiling(PROMPT)
    for more in ({"system": "s" * 101}, {"history": ("s" * 100,)}, {"question": "q" * 101}, {"most_tokens": 110}):
        assert ceiling(msgspec.structs.replace(PROMPT, **more)) == plain + 100
    schema = {"type": "object", "description": "d" * 100}
    assert ceiling(msgspec.structs.replace(PROMPT, schema=schema)) == plain + len(msgspec.json.encode(schema))
