"""A gateway killed while its supervisor reads: every step gets one critique, and every call is in the ledger."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from gateway.demo.background import BackgroundProvider
from tests.fakes.gateway import GatewayProcess, running_gateway
from tests.fakes.provider import running_provider
from tests.fakes.supervisor_model import Asked, Endpoint, Said, running_model, sound
from tests.gateway.campaign import end_brutally
from tests.gateway.house import House, waited
from tests.gateway.test_monitor import settings, spoken

SESSIONS = 12
STEPS = 2 * SESSIONS


class Murder:
    """A model that has the gateway killed at its n-th call, before it answers."""

    def __init__(self, at: set[int]) -> None:
        self._at = at
        self.gateway: GatewayProcess | None = None
        self.calls = 0

    def __call__(self, asked: Asked) -> Said:
        self.calls += 1
        if self.calls in self._at and self.gateway is not None:
            end_brutally(self.gateway)
        return sound(asked)


def critiqued(folder: Path) -> Counter[str]:
    """How many critiques each step has, as the file says."""
    with closing(sqlite3.connect(f"file:{folder / 'data' / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        return Counter([step for (step,) in ledger.execute("SELECT step_id FROM critiqued_step")])


def is_read(folder: Path) -> bool:
    return len(critiqued(folder)) >= STEPS


def ended(folder: Path) -> Counter[str]:
    """How many calls ended how."""
    with closing(sqlite3.connect(folder / "data" / "ledger.db")) as ledger:
        return Counter([state for (state,) in ledger.execute("SELECT state FROM supervisor_call")])


@pytest.mark.parametrize("at", [{1, 6}, {4, 5, 11}], ids=["at once", "in between"])
def test_each_step_is_critiqued_once_and_every_call_is_in_the_ledger(tmp_path: Path, at: set[int]) -> None:
    murder = Murder(at)
    with running_model(murder) as model, running_provider() as provider:
        run(tmp_path, model, provider, murder)
        calls = len(model.calls)
    assert set(critiqued(tmp_path).values()) == {1}
    states = ended(tmp_path)
    assert states["begun"] >= len(at)
    assert states["done"] + len(at) <= calls <= states.total()  # one that was begun may not have been sent any more


def run(folder: Path, model: Endpoint, provider: BackgroundProvider, murder: Murder) -> None:
    """Say something in every session once, and start again as often as the gateway is killed."""
    more = settings(folder, model.base_url)
    providers = dict.fromkeys(("anthropic", "openai", "raw"), provider.url)
    said = 0
    while True:
        with running_gateway(folder, providers, more=more) as gateway:
            murder.gateway = gateway
            house = House(provider, gateway)
            try:
                while said < SESSIONS:
                    spoken(house, "burn it" if said % 4 == 0 else "keep it", session=f"s{said}")
                    said += 1
                waited(lambda: gateway.process.poll() is not None or is_read(folder) or None, seconds=60)
            except OSError:
                pass  # it was killed in the middle of a request, which is asked again
            if gateway.process.poll() is None and is_read(folder):
                murder.gateway = None
                return
