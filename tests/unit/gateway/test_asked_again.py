"""A request of the gateway's own whose caller leaves before the keeper has opened it: what was set aside is settled."""

import asyncio
import json
from typing import Any

import pytest

from gateway.ids import secrets_of
from gateway.keeper import Opening
from gateway.passage import Passage
from gateway.refusals import BudgetExhausted
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.keys import Principal
from tests.unit.gateway.test_relay_order import KNOWN, plane_before


class Slow:
    """A keeper whose log takes its time, once it has set aside what a call may cost."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.opened = asyncio.Event()
        self.ids: list[str] = []
        self.closed: list[Recording] = []
        self._refusal = refusal

    async def open(self, opening: Opening) -> None:
        if self._refusal is not None:
            raise self._refusal
        self.ids.append(opening.accepted.exchange)
        self.opened.set()
        await asyncio.Event().wait()

    def close(self, recording: Recording) -> None:
        self.closed.append(recording)


def asked() -> Passage:
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Go."}]}).encode()
    one = Passage(
        exchange_id="01", started_ns=1, provider="anthropic", dialect=KNOWN.anthropic, operation="chat",
        method="POST", target="/v1/messages", caller_headers=[], blinds=secrets_of(16),
    )  # fmt: skip
    one.body = body
    one.understood(body, KNOWN.anthropic.read_request(body, "chat"))
    one.principal = Principal(role="app", app="default")
    return one


async def left_while_opened(keeper: Slow) -> list[Recording]:
    plane, one = plane_before(keeper), asked()
    asking = asyncio.create_task(plane.ask_again(one, None, [], one.body))
    await keeper.opened.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    one.outcome = "client_aborted"
    one.end_children()
    for child in one.children:
        plane._record(child)  # pyright: ignore[reportPrivateUsage]
    return keeper.closed


def test_it_is_closed_at_no_cost() -> None:
    async def run() -> None:
        keeper = Slow()
        (closed,) = await left_while_opened(keeper)
        assert [closed.exchange.exchange_id] == keeper.ids
        assert (closed.exchange.outcome, closed.exchange.cost_micro_usd) == ("client_aborted", 0)

    asyncio.run(run())


def test_one_that_the_keeper_refuses_is_recorded_nowhere() -> None:
    async def run() -> Any:
        plane, one = plane_before(Slow(BudgetExhausted("Enough."))), asked()
        with pytest.raises(BudgetExhausted):
            await plane.ask_again(one, None, [], one.body)
        return one.children

    assert asyncio.run(run()) == []
