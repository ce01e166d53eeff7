"""A hundred kills under load: the store opens every time, and nothing it has shown is lost."""

import os
import random
from pathlib import Path

import pytest

from gateway.demo.background import BackgroundProvider
from tests.gateway.campaign import campaign


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_kills_lose_nothing_that_was_shown(
    tmp_path: Path, provider: BackgroundProvider, workers: int
) -> None:
    seed = int(os.environ.get("STEPWARDEN_SEED") or random.SystemRandom().randrange(2**32))
    print(f"STEPWARDEN_SEED={seed}")
    campaign(tmp_path, provider, kills=100, seed=seed, workers=workers)
