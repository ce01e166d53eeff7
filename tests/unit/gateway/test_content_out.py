"""Which texts go along to a collector: none that a clause stopped, and none that was to be looked at and was not."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.content_out import ContentOut
from policies.vocabulary.coverage import Examined
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.steps import Step
from policies.vocabulary.verdicts import Verdict
from tests.contract.api_store import recorded

RECORDING = recorded()
EXCHANGE, STEPS = RECORDING.exchange, RECORDING.steps
REJECT, FLAG = Verdict(name="reject"), Verdict(name="flag")


class Everything:
    """Reads every step back."""

    def texts(self, exchange: Exchange, steps: Sequence[Step]) -> Sequence[str | None]:
        assert exchange is EXCHANGE
        return [f"text {step.seq}" for step in steps]


def going(**said: Any) -> set[int]:
    """The steps whose text goes along."""
    out = ContentOut(Everything(), lambda _: Judged(ruleset="r", **said) if said else None, lambda _: True)
    texts = out.texts(EXCHANGE, STEPS)
    assert texts is not None
    return {step.seq for step in STEPS if step.step_id in texts}


def test_all_goes_where_nothing_was_judged_or_all_passed() -> None:
    every = {step.seq for step in STEPS}
    assert len(every) > 2
    assert going() == every
    assert going(verdict=FLAG, steps=(StepJudgement(seq=1, verdict=FLAG),)) == every


@pytest.mark.parametrize("name", ["redact", "rewrite", "hold", "reject", "terminate"])
def test_what_a_clause_took_out_or_stopped_stays(name: Any) -> None:
    said = StepJudgement(seq=1, verdict=Verdict(name=name))
    assert 1 not in going(verdict=said.verdict, steps=(said,))
    assert going(verdict=said.verdict, steps=(said,))


def test_what_nobody_came_to_look_at_stays() -> None:
    row = Examined(clause="*", guard="*", seq=2, size=20_000, state="error", skipped="broken_off")
    assert 2 not in going(verdict=FLAG, steps=(StepJudgement(seq=2, verdict=FLAG, coverage=(row,)),))


@pytest.mark.parametrize(
    "said",
    [
        {"verdict": REJECT},
        {"verdict": REJECT, "steps": (StepJudgement(seq=1, verdict=FLAG),)},
        {"verdict": FLAG, "unread": "not understood"},
    ],
    ids=["refused", "refused beside a flag", "not understood"],
)
def test_of_an_exchange_that_was_refused_as_a_whole_nothing_goes(said: dict[str, Any]) -> None:
    assert going(**said) == set()
