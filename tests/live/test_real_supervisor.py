"""A real model as the supervisor, for whoever has a key: opt in with STEPWARDEN_LIVE=1. Costs 1 US dollar at most.

    STEPWARDEN_LIVE=1 ANTHROPIC_API_KEY=... python -m pytest -m live tests/live/test_real_supervisor.py -s

The model can be chosen with STEPWARDEN_LIVE_ANTHROPIC_MODEL. That fences cannot be forged is tested without a model;
whether one honours them is a figure, printed here and by `make bench-supervisor ARGS="--live MODEL --cap-usd N"`.
"""

import asyncio
import os

import pytest

from bench.judge_attacks import SEATS, TRUTH, measured
from bench.supervisor_models import live
from policies.vocabulary.critiques import Seat

pytestmark = pytest.mark.live

CAP_USD = 0.5
"""For each seat."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seat", SEATS)
def test_a_real_model_tells_a_breach_from_honest_work_and_is_asked_what_the_corpus_says(seat: Seat) -> None:
    if os.environ.get("STEPWARDEN_LIVE") != "1" or not os.environ.get("ANTHROPIC_API_KEY"):
        pytest.skip("STEPWARDEN_LIVE=1 and ANTHROPIC_API_KEY are not set")
    model = os.environ.get("STEPWARDEN_LIVE_ANTHROPIC_MODEL", "claude-haiku-4-5")
    asker = live(model, key_env="ANTHROPIC_API_KEY", cap_usd=CAP_USD)
    found = asyncio.run(measured(asker, seat))
    print(f"{model}, {seat}: {len(found['flips'])} of {found['asked']} attacks change a verdict: {found['flips']}")
    assert found["alone"] == TRUTH
    assert asker.ledger.tally.micro_usd <= CAP_USD * 1e6
