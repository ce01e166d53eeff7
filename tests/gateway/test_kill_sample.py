"""A gateway that is killed loses nothing its record has shown; the long campaign stands in tests/torture."""

from pathlib import Path

import pytest

from gateway.demo.background import BackgroundProvider
from tests.gateway.campaign import campaign


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_under_load_the_record_opens_and_keeps_what_it_showed(
    tmp_path: Path, provider: BackgroundProvider, workers: int
) -> None:
    campaign(tmp_path, provider, kills=3 if workers == 1 else 1, seed=20261123, workers=workers)
