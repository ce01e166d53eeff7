"""Errands: what a run of optimizers is told, what it asks of the gateway meanwhile, and what it comes to.

A run has a process of its own, which reads the record and writes nothing: whatever has to be kept, and every question
to a model, goes to the office, in the process that keeps the data directory.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from gateway.contents import Reach
from policies.gate.memory import Memory
from policies.vocabulary.ladder import Climb, GateSettings
from policies.vocabulary.revisions import Choice, LineEnds, Parameters, Proposal
from storage.optimizer_runs import Run
from storage.optimizer_steps import Heard
from supervisors.optimizers.model import Completion, Spending


class AppErrand(msgspec.Struct, frozen=True, kw_only=True):
    """One app to propose for."""

    app: str
    parameters: Parameters
    """What is in force."""

    salt: str
    """By what its episodes are split."""

    instructs: bool
    """Whether its instructions are revised at all."""

    choices: tuple[Choice, ...] = ()
    """Items of instructions that people wrote, to pick from."""

    lines: Mapping[str, tuple[str, ...]] = {}
    """Ids of the items that stood in requests, by the digest of the parameters the record says they are of."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    run: bytes
    """16 random bytes: its name."""

    directory: str
    """The data directory."""

    last: Mapping[str, int]
    """How far each day of the record goes."""

    reach: Reach
    apps: tuple[AppErrand, ...]
    dry: bool
    """True: nothing is kept, no look is taken at the hold-out, and no model is asked."""

    ask: tuple[str, ...]
    """Optimizers that ask a model, in order."""

    gate: GateSettings
    share: float
    """Of the episodes, how many are kept back."""

    spending: Spending
    """What may be spent on a model, for each app."""

    seconds: float
    """How long a model may be asked, for each app."""

    words: int
    """How many labels and decided holds of one person or key count in a day."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an app's proposals, as far as a run has to know."""

    memory: Memory
    waiting: frozenset[str]
    """Digests of those that wait or are in a canary."""

    attempts: int
    """How often the hold-out was asked."""

    first: bool
    """Whether nothing was ever put in force."""

    newest: int
    """Number of the last one; 0 where there is none."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal of a run."""

    number: int | None
    """Under which it is kept; None after a dry run."""

    proposal: Proposal
    climb: Climb


class AppRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to for one app."""

    app: str
    episodes: int
    """Sessions of which enough was said."""

    violating: int
    kept_back: int
    """Of the episodes, those that no optimizer saw."""

    tried: tuple[Tried, ...] = ()
    known: int = 0
    """Proposals that were made before and wait, or were refused: they are not made again."""

    spent: Spending = Spending()
    """Calls to a model and tokens that the run took, those of before it was cut short included."""

    resumed: bool = False
    """Whether it went on from one that was cut short."""

    failures: tuple[tuple[str, str], ...] = ()
    """What optimizers that ask a model could not do: which, and why."""


class Office(Protocol):
    """Where a run has done what takes the pen."""

    def past(self, app: str) -> Past:
        """What became of an app's proposals so far."""
        ...

    def memory(self, app: str, *, until: int) -> Memory:
        """What is not to be tried again, by the proposals up to a number."""
        ...

    def keep(self, proposal: Proposal, climbed: Climb) -> int:
        """Keep a proposal with how far it came; its number."""
        ...

    def heard(self, step: Heard) -> None:
        """Keep that an optimizer was heard."""
        ...

    def count(self, app: str, ends: Sequence[LineEnds]) -> None:
        """Keep how sessions ended with each item of instructions, in the place of what was counted before."""
        ...

    def begin(self, app: str, subject: str, *, since: int) -> Run:
        """Begin to ask a model about a subject, or go on. See `RunBook.begin`."""
        ...

    def complete(self, app: str, prompt: str) -> Completion:
        """A model's answer. Raises `ModelFailed`."""
        ...

    def end(self, app: str) -> None:
        """Nothing more is asked of a model."""
        ...


# --------------------------------------------------------------------------------------------- between two processes


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask"):
    """One thing that a run says to the office."""


class Far(_Message, frozen=True, tag="far"):
    """How far it is; nobody answers."""

    done: int
    of: int


class AskPast(_Message, frozen=True, tag="past"):
    """See `Office.past`; answered with a `Past`."""

    app: str


class AskMemory(_Message, frozen=True, tag="memory"):
    """See `Office.memory`; answered with a `Memory`."""

    app: str
    until: int


class Keep(_Message, frozen=True, tag="keep"):
    """See `Office.keep`; answered with a number."""

    proposal: Proposal
    climbed: Climb


class Step(_Message, frozen=True, tag="step"):
    """See `Office.heard`; answered with nil."""

    heard: Heard


class Count(_Message, frozen=True, tag="count"):
    """See `Office.count`; answered with nil."""

    app: str
    ends: tuple[LineEnds, ...]


class Begin(_Message, frozen=True, tag="begin"):
    """See `Office.begin`; answered with a `Run`."""

    app: str
    subject: str
    since: int


class Complete(_Message, frozen=True, tag="complete"):
    """See `Office.complete`; answered with a `Completed`."""

    app: str
    prompt: str


class End(_Message, frozen=True, tag="end"):
    """See `Office.end`; answered with nil."""

    app: str


class Report(_Message, frozen=True, tag="report"):
    """The last word of a run: what it came to."""

    runs: tuple[AppRun, ...]


class Broken(_Message, frozen=True, tag="broken"):
    """The last word of a run that cannot go on."""

    kind: str
    """Type of the error. Its message may hold content."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answer, or why there is none."""

    completion: Completion | None = None
    why: str = ""


Message: TypeAlias = Far | AskPast | AskMemory | Keep | Step | Count | Begin | Complete | End | Report | Broken
