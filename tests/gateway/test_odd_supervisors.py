"""A supervisor's endpoint that misbehaves: each way has a recorded word, none is a judgement, nobody waits long."""

import time
from collections.abc import Iterator

import pytest

from tests.fakes.odd_model import CONDUCTS, OddModel, good, running_odd_model
from tests.gateway.house import CHAT, House, standing
from tests.gateway.test_gate import (
    ENVIRONMENT,
    ask,
    calls_of,
    configured,
    ended,
    judged,
    of_the_gate,
    proposing,
    settings,
    tools_in,
)

DEADLINE = 2.0


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def court(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, OddModel]]:
    folder = tmp_path_factory.mktemp("odd")
    with running_odd_model() as model:
        more = configured(folder, settings(model.base_url, request.param, deadline_seconds=DEADLINE))
        with standing(folder, more=more, environment=ENVIRONMENT) as house:
            yield house, model


def answered(house: House, model: OddModel) -> None:
    """A good answer: the gateway is well, and no failure before counts any more."""
    model.talk = good()
    until = time.monotonic() + 60
    while True:
        proposing(house, CHAT, "launch", {"at": "noon", "n": model.calls}, stream=False)
        if tools_in(CHAT, ask(house, CHAT), stream=False) == ["launch"]:
            return
        assert time.monotonic() < until


@pytest.mark.parametrize("conduct", CONDUCTS)
def test_whatever_an_endpoint_does_there_is_a_word_for_it_and_no_pass(
    court: tuple[House, OddModel], conduct: str
) -> None:
    house, model = court
    answered(house, model)
    before = len(ended(house, model.calls))
    model.talk, why = CONDUCTS[conduct]
    proposing(house, CHAT, "launch", {"at": "noon", "conduct": conduct}, stream=False)
    began = time.monotonic()
    got = ask(house, CHAT)
    took = time.monotonic() - began
    assert tools_in(CHAT, got, stream=False) == []
    (row,) = of_the_gate(house, got)
    assert (row["skipped"], row["state"], row["scanned"]) == (why, "error", 0)
    assert judged(house, got.exchange)["judged"]["verdict"] == "reject"
    assert took < DEADLINE + 10  # of which most is a busy machine's
    calls = ended(house, before + 1)
    assert [(call["state"], call["why"]) for call in calls[before:]] == [("failed", why)]
    assert len(calls_of(house)) == model.calls
    answered(house, model)
