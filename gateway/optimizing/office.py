"""The office: what a run of optimizers has done in the process that keeps the data directory, and nothing beyond that.

A run may keep proposals, and ask a model; it can put nothing in force.
"""

import time
from collections.abc import Callable, Sequence
from typing import final

from gateway.optimizing.errands import Past
from policies.gate.memory import Memory
from policies.vocabulary.ladder import Climb, GateSettings
from policies.vocabulary.revisions import LineEnds, Proposal
from storage.optimizer_runs import Run, RunBook
from storage.optimizer_steps import Heard, StepBook
from storage.revisions import RevisionBook
from supervisors.optimizers.model import Completion, Model, ModelFailed


@final
class LedgerOffice:
    """The office of one run. Blocks; for one thread."""

    def __init__(
        self,
        book: RevisionBook,
        runs: RunBook,
        steps: StepBook,
        gate: GateSettings,
        model: Callable[[str], Model] | None,
    ) -> None:
        """`model`: the one that may be asked, on the account of an app; None where nobody is."""
        self._book = book
        self._runs = runs
        self._steps = steps
        self._gate = gate
        self._model = model

    def past(self, app: str) -> Past:
        """See `Office.past`."""
        filed = self._book.list(app=app, limit=-1)
        return Past(
            memory=self._book.memory(app, cooldown_ns=self._gate.cooldown_ns),
            waiting=frozenset([each.proposal.digest for each in filed if each.state in ("waiting", "canary")]),
            attempts=sum(each.climb.asked_holdout for each in filed),
            first=not self._book.ever(app),
            newest=max([each.number for each in filed], default=0),
        )

    def memory(self, app: str, *, until: int) -> Memory:
        """See `Office.memory`."""
        return self._book.memory(app, cooldown_ns=self._gate.cooldown_ns, until=until)

    def keep(self, proposal: Proposal, climbed: Climb) -> int:
        """See `Office.keep`."""
        return self._book.file(proposal, climbed, now_ns=time.time_ns()).number

    def heard(self, step: Heard) -> None:
        """See `Office.heard`."""
        self._steps.keep(step)

    def count(self, app: str, ends: Sequence[LineEnds]) -> None:
        """See `Office.count`."""
        self._book.count(app, ends, now_ns=time.time_ns())

    def begin(self, app: str, subject: str, *, since: int) -> Run:
        """See `Office.begin`."""
        return self._runs.begin(app, subject, since=since)

    def complete(self, app: str, prompt: str) -> Completion:
        """See `Office.complete`."""
        if self._model is None:
            raise ModelFailed("no model is named")
        return self._model(app).complete(prompt)

    def end(self, app: str) -> None:
        """See `Office.end`."""
        self._runs.end(app)
