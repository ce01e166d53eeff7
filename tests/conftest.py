"""Fixtures that every test may ask for."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from gateway.demo.background import BackgroundProvider
from tests.fakes.provider import running_provider

# How long one example takes says more of who else uses the machine than of the code.
settings.register_profile("stepwarden", deadline=None)
settings.load_profile("stepwarden")


@pytest.fixture
def provider() -> Iterator[BackgroundProvider]:
    """A fake provider on loopback; set `provider.script` to say what it answers."""
    with running_provider() as running:
        yield running
