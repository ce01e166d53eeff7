"""Requests of the gateway's own, in a caller's place: each is recorded as it ended, and what is billed is counted."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.demo.answers import Cut, Reset, Stall
from gateway.demo.turns import Turn
from tests.fakes.provider import TURN, always, in_turn, say
from tests.gateway.house import DIALECTS, Dialect, House, fresh, standing, waited
from tests.gateway.test_policies import calling, settings, tools_of

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


@pytest.fixture(scope="module")
def insistent_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("insistent")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def house(insistent_house: House) -> House:
    return fresh(insistent_house)


def call(dialect: Dialect, *, stream: bool, session: str = "one") -> bytes:
    body = dialect.request_body(stream=stream, tools=tools_of(dialect, "launch"))
    return dialect.call(body=body, headers=[(b"stepwarden-session", session.encode())])


def priced(dialect: Dialect, turn: Turn, *, stream: bool) -> Any:
    return say(dialect.name, turn, streamed=stream, model=str(dialect.body["model"]))


def ours(house: House, exchange: str, count: int) -> list[dict[str, Any]]:
    """The requests that went out in the place of this one, once so many are recorded."""

    def read() -> list[dict[str, Any]] | None:
        listed = json.loads(house.control("/api/exchanges?limit=20")[1])["exchanges"]
        found = [each for each in listed if each["in_place_of"] == exchange]
        return found if len(found) == count else None

    return waited(read)


@every_dialect
@stream_or_json
def test_each_answer_of_a_model_that_insists_is_recorded_as_whole_and_costs_what_the_first_one_does(
    house: House, dialect: Dialect, *, stream: bool
) -> None:
    house.provider.script = always(priced(dialect, calling("launch"), stream=stream))
    got = house.ask(call(dialect, stream=stream))
    cost = house.facts(got.exchange)["cost_micro_usd"]
    assert cost
    again = ours(house, got.exchange, 2)
    assert [(each["outcome"], each["cost_micro_usd"]) for each in again] == [("complete", cost)] * 2


@every_dialect
@stream_or_json
def test_an_answer_whose_caller_left_meanwhile_is_no_refusal_and_may_have_cost_something(
    house: House, dialect: Dialect, *, stream: bool
) -> None:
    stalled = msgspec.structs.replace(priced(dialect, TURN, stream=stream), fault=Stall(after=100))
    house.provider.script = in_turn(priced(dialect, calling("launch"), stream=stream), stalled)
    before, session = house.reached(), f"left-{dialect.name}-{stream}"
    with house.wire() as wire:
        wire.send(call(dialect, stream=stream, session=session))
        house.provider.wait_for(lambda _: house.reached() >= before + 2)
    own = house.newest(lambda each: each["join"]["session_id"].startswith(session) and each["in_place_of"] is None)
    assert own["outcome"] == "client_aborted"
    (again,) = ours(house, own["exchange_id"], 1)
    assert (again["outcome"], again["cost_micro_usd"]) == ("client_aborted", None)


@every_dialect
@stream_or_json
@pytest.mark.parametrize("fault", [Reset(after=100), Cut(after=100)], ids=["reset", "cut"])
def test_an_answer_that_breaks_is_recorded_as_broken_and_may_have_cost_something(
    house: House, dialect: Dialect, fault: Reset | Cut, *, stream: bool
) -> None:
    broken = msgspec.structs.replace(priced(dialect, TURN, stream=stream), fault=fault)
    house.provider.script = in_turn(priced(dialect, calling("launch"), stream=stream), broken)
    got = house.ask(call(dialect, stream=stream))
    (again,) = ours(house, got.exchange, 1)
    assert (again["outcome"], again["cost_micro_usd"]) == ("upstream_reset", None)


@every_dialect
@stream_or_json
def test_an_answer_of_the_other_form_than_asked_for_is_recorded_as_none_and_may_have_cost_something(
    house: House, dialect: Dialect, *, stream: bool
) -> None:
    other = priced(dialect, TURN, stream=not stream)
    house.provider.script = in_turn(priced(dialect, calling("launch"), stream=stream), other)
    got = house.ask(call(dialect, stream=stream))
    (again,) = ours(house, got.exchange, 1)
    assert (again["outcome"], again["cost_micro_usd"]) == ("not_an_answer", None)
