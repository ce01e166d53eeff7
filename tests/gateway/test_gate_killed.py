"""A gateway killed again and again while calls are judged: the ledger has every call, and no budget is overspent."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from itertools import count
from pathlib import Path

import pytest

from gateway.demo.turns import Call, Turn
from tests.fakes.provider import always, say
from tests.fakes.supervisor_model import Asked, Said, running_model
from tests.gateway.house import CHAT, House, standing
from tests.gateway.rawhttp import BrokenOff
from tests.gateway.test_gate import ENVIRONMENT, ask, calls_of, configured, settings

KILLS = 10
CALLERS = 8
BUDGET = 600_000
PROPOSING = Turn(text="Now.", calls=(Call("call_1", "launch", '{"at":"noon"}'),), reply_id="gate01")


@contextmanager
def calling(house: House, kill: int) -> Iterator[None]:
    """Callers that go on until the gateway is gone, or the block is left."""
    house.provider.script = always(say("chat", PROPOSING))
    over = threading.Event()

    def call(caller: int) -> None:
        with suppress(OSError, HTTPException, AssertionError, BrokenOff):
            for number in count():
                if over.is_set():
                    return
                ask(house, CHAT, text=f"{kill} {caller} {number}", session=f"s{kill}-{caller}-{number % 3}")

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


@pytest.mark.torture
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_call_that_was_sent_is_in_the_ledger_however_often_it_is_killed(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    asked = threading.Semaphore(0)

    def slow(_: Asked) -> Said:
        asked.release()
        threading.Event().wait(chance.random() * 0.15)
        return Said(text="ok")

    with running_model(slow) as model:
        more = configured(tmp_path, settings(model.base_url, budget_tokens_per_day=BUDGET))
        for kill in range(KILLS):
            with standing(tmp_path, more=more, workers=2, environment=ENVIRONMENT) as house, calling(house, kill):
                for _ in range(chance.randrange(1, 40)):
                    if not asked.acquire(timeout=10):  # the budget is gone
                        break
                os.kill(house.gateway.process.pid, signal.SIGKILL)
                house.gateway.process.wait(10)
        with standing(tmp_path, more=more, workers=2, environment=ENVIRONMENT) as house:
            calls = calls_of(house)
        sent = len(model.calls)
        assert sent, "else nothing was under way when it was killed"
        assert sent <= len(calls) <= sent + KILLS * CALLERS  # one that was begun may not have been sent any more
        spent = sum(map(sum, model.tokens))
        assert spent <= BUDGET
        counted = [
            call["ceiling_tokens"] if call["input_tokens"] is None else call["input_tokens"] + call["output_tokens"]
            for call in calls
        ]
        # What ended a moment before a kill may not be known to have ended, and made room for others: it counts in full.
        unknown = sum(call["ceiling_tokens"] for call in calls if call["input_tokens"] is None)
        assert spent <= sum(counted) <= BUDGET + unknown
