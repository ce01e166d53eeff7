"""The demo's story: recorded runs, a provider that plays them, and an agent that lives them through a gateway.

`stepwarden demo` puts a gateway between the two:

    with story.provider(runs) as upstream:            # point the gateway's `anthropic` provider at upstream.url
        for event in story.tell(gateway_url, runs, api_key=key):
            print(...)
"""

from collections.abc import Iterator, Sequence

from gateway.demo.agent import Agent, Event, client
from gateway.demo.background import BackgroundProvider
from gateway.demo.guarded import Beyond
from gateway.demo.playback import Playback, Run, load_runs
from gateway.demo.scenarios import Scenarios

SPEED = 2.5
"""How much faster than life the demo is told; all four runs take about nine seconds."""

KEY = "demo-key-that-opens-nothing"


def runs() -> tuple[Run, ...]:
    """The recorded runs that ship with the package."""
    return load_runs()


def provider(told: Sequence[Run], *, speed: float = SPEED) -> BackgroundProvider:
    """A provider that plays these runs; start it, or use it as a context manager."""
    return BackgroundProvider(Scenarios(Playback(told, speed=speed, beyond=Beyond(told))))


def tell(base_url: str, told: Sequence[Run], *, api_key: str = KEY) -> Iterator[Event]:
    """Live the runs, one after the other, through whatever listens at `base_url` (no `/v1`).

    Raises `NotAnswered` where that cannot be reached or refuses.
    """
    with client(base_url, api_key=api_key) as anthropic:
        for run in told:
            yield from Agent(run, anthropic).play()
