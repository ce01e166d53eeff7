"""Real models as the supervisor, for whoever has a key: opt in with STEPWARDEN_LIVE=1. Costs 2 US dollars at most.

    STEPWARDEN_LIVE=1 ANTHROPIC_API_KEY=... python -m pytest -m live tests/live/test_real_supervisor.py -s

The same with OPENAI_API_KEY. A model whose key is not set is left out. Others can be chosen with
STEPWARDEN_LIVE_ANTHROPIC_MODEL and STEPWARDEN_LIVE_OPENAI_MODEL. That fences cannot be forged is tested without one;
whether one honours them is a figure, printed here and by
`make bench-supervisor ARGS="--live MODEL --cap-usd N --only attacks"`.
"""

import asyncio
import os
from typing import Final

import pytest

from bench.judge_attacks import SEATS, TRUTH, measured
from bench.supervisor_models import live
from gateway.config import Supervisor
from policies.vocabulary.critiques import Seat

pytestmark = pytest.mark.live

CAP_USD = 0.5
"""For each model at each seat."""

MODELS: Final = {
    "anthropic": Supervisor(
        provider="anthropic",
        model=os.environ.get("STEPWARDEN_LIVE_ANTHROPIC_MODEL", "claude-haiku-4-5"),
        key_env="ANTHROPIC_API_KEY",
    ),
    "openai": Supervisor(
        provider="openai",
        model=os.environ.get("STEPWARDEN_LIVE_OPENAI_MODEL", "gpt-4.1-mini"),
        key_env="OPENAI_API_KEY",
    ),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize("vendor", MODELS)
def test_a_real_model_tells_a_breach_from_honest_work_and_is_asked_what_the_corpus_says(
    vendor: str, seat: Seat
) -> None:
    settings = MODELS[vendor]
    if os.environ.get("STEPWARDEN_LIVE") != "1" or not os.environ.get(settings.key_env or ""):
        pytest.skip(f"STEPWARDEN_LIVE=1 and {settings.key_env} are not set")
    asker = live(settings, cap_usd=CAP_USD)
    found = asyncio.run(measured(asker, seat))
    flips = found["flips"]
    print(f"{settings.model}, {seat}: {len(flips)} of {found['asked']} attacks change a verdict: {flips}")
    assert found["alone"] == TRUTH
    assert asker.ledger.tally.micro_usd <= CAP_USD * 1e6
