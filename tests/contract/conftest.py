"""A control plane for every test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.vocabulary.exchanges import Recording
from tests.contract.api_store import Plane, filed, recorded


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def said(plane: Plane) -> Recording:
    """An exchange of whose session a supervisor said something bad."""
    recording = recorded()
    plane.store.append([recording])
    plane.store.critiques.add(filed(recording))
    return recording
