"""Fixtures that every test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway.demo.background import BackgroundProvider
from gateway.struct_types import work_out
from tests.fakes.provider import running_provider

# How long one example takes, or takes to be made up, says more of who else uses the machine than of the code.
settings.register_profile("stepwarden", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stepwarden")


@pytest.fixture
def provider() -> Iterator[BackgroundProvider]:
    """A fake provider on loopback; set `provider.script` to say what it answers."""
    with running_provider() as running:
        yield running


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two processes more than there are cores: tests wait, for deadlines and for gateways to start and to end."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the files that start gateways run first: one begun last would run on while all other processes are done."""
    long = Path(__file__).with_name("gateway")
    items.sort(key=lambda item: item.path.parent != long)


def pytest_collection_finish() -> None:
    """Complete the types of everything that was imported, as a gateway does: tests start threads, too."""
    work_out()
