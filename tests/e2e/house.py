"""A house to test clients in: provider, gateway, and a wire-tap before and behind the gateway.

client -> front tap -> gateway -> back tap -> provider        (through)
client -> provider                                            (direct)
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.demo.background import BackgroundProvider
from tests.e2e.stage import Scripted, Stage
from tests.e2e.talk import Exchange, exchanges
from tests.e2e.tap import Tap
from tests.fakes.gateway import GatewayProcess, running_gateway


@dataclass(frozen=True)
class Place:
    """Where a client finds its providers."""

    anthropic: str
    openai: str

    def environment(self, home: Path) -> dict[str, str]:
        """The environment of a client program: these addresses and an empty home."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ANTHROPIC_BASE_URL": self.anthropic,
            "ANTHROPIC_API_KEY": "sk-ant-e2e-0000",
            "OPENAI_BASE_URL": self.openai,
            "OPENAI_API_KEY": "sk-e2e-0000",
        }


@dataclass
class Recorded:
    """What one client did through the gateway, from both sides; filled when its block ends."""

    front: Sequence[Exchange] = ()
    """As the client saw it."""
    back: Sequence[Exchange] = ()
    """As the provider saw it."""


@dataclass(frozen=True)
class House:
    """Everything that stands while clients come and go."""

    alone: BackgroundProvider
    """The provider without a gateway; its own, so that both ways can be walked at once."""
    provider: BackgroundProvider
    gateway: GatewayProcess | None
    """None where the front tap leads straight to the back tap: to test the tests."""
    front: Tap
    back: Tap

    @contextmanager
    def direct(self, scripts: Mapping[str, Scripted] | None = None) -> Iterator[Place]:
        """A provider itself, with a fresh stage."""
        self.alone.script = Stage(scripts)
        yield Place(self.alone.url, f"{self.alone.url}/v1")

    @contextmanager
    def through(self, scripts: Mapping[str, Scripted] | None = None) -> Iterator[tuple[Place, Recorded]]:
        """The gateway, with a fresh stage behind it and both taps recording."""
        self.provider.script = Stage(scripts)
        began = time.monotonic()
        recorded = Recorded()
        prefixed = ("/anthropic", "/openai") if self.gateway else ("", "")
        yield Place(self.front.url + prefixed[0], f"{self.front.url}{prefixed[1]}/v1"), recorded
        recorded.front = exchanges(self.front.lines, since=began)
        recorded.back = exchanges(self.back.lines, since=began)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


@contextmanager
def open_house(folder: Path, *, gateway: bool = True, more: str = "") -> Iterator[House]:
    """Build a house in this folder and tear it down; `more` is further configuration of its gateway."""
    with (
        BackgroundProvider(Stage(), keep=100_000) as alone,
        BackgroundProvider(Stage(), keep=100_000) as provider,
        Tap(_address(provider.url)) as back,
    ):
        if not gateway:
            with Tap(_address(back.url)) as front:
                yield House(alone, provider, None, front, back)
            return
        with (
            running_gateway(folder, {"anthropic": back.url, "openai": back.url}, more=more) as process,
            Tap(process.address) as front,
        ):
            yield House(alone, provider, process, front, back)
