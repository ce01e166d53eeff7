"""Fixtures that every test may ask for."""

from collections.abc import Iterator

import pytest

from gateway.demo.background import BackgroundProvider
from tests.fakes.provider import running_provider


@pytest.fixture
def provider() -> Iterator[BackgroundProvider]:
    """A fake provider on loopback; set `provider.script` to say what it answers."""
    with running_provider() as running:
        yield running
