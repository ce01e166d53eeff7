"""Content on its way out: which texts of steps go along with spans to a collector, app by app.

What a clause redacted, held or refused stays here, and so does what no guard came to look at. A span tells of it
without its text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, final

from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.steps import Step
from policies.vocabulary.verdicts import STRENGTH

_PASSED: Final = frozenset({"allow", "flag"})
"""Verdicts after which a step went on as it was."""


class Texts(Protocol):
    """Reads texts of steps back; `gateway.api.reading.Reader` fits."""

    def texts(self, exchange: Exchange, steps: Sequence[Step]) -> Sequence[str | None]:
        """The text of each step, in order; None where it was not kept."""
        ...


@final
class ContentOut:
    """Used from the exporter's thread."""

    def __init__(self, reader: Texts, judged: Callable[[str], Judged | None], leaves: Callable[[str], bool]) -> None:
        """`judged` gives what clauses said of an exchange, `leaves` whether an app's content goes out."""
        self._reader = reader
        self._judged = judged
        self._leaves = leaves

    def texts(self, exchange: Exchange, steps: Sequence[Step]) -> Mapping[str, str] | None:
        """The texts that go along, by step id; None where no content of this app does."""
        if not self._leaves(exchange.app):
            return None
        judged = self._judged(exchange.exchange_id)
        if judged is not None and _whole_stays(judged):
            return {}
        stays = {said.seq for said in judged.steps if _stays(said)} if judged is not None else set[int]()
        going = [step for step in steps if step.seq not in stays]
        found = zip(going, self._reader.texts(exchange, going), strict=True)
        return {step.step_id: text for step, text in found if text is not None}


def _whole_stays(judged: Judged) -> bool:
    """Whether an exchange was refused, or could not be judged, as a whole: then no step of it says so by itself."""
    stopped = STRENGTH[judged.verdict.name]
    by_a_step = max([STRENGTH[said.verdict.name] for said in judged.steps], default=0)
    return judged.unread is not None or (judged.verdict.name not in _PASSED and by_a_step < stopped)


def _stays(said: StepJudgement) -> bool:
    return said.verdict.name not in _PASSED or any(row.state == "error" for row in said.coverage)
