"""One eventful store for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.gateway.evidence.house import Eventful


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Eventful]:
    made = Eventful(tmp_path / "data")
    yield made
    made.store.close()
