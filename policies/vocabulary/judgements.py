"""Judgements as they are recorded: what was said of each step of an exchange, and what was done about it."""

import msgspec

from policies.edits import Edit
from policies.vocabulary.coverage import Examined
from policies.vocabulary.findings import Finding
from policies.vocabulary.steps import Side, StepKind
from policies.vocabulary.verdicts import ALLOW, Verdict


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Where a judged piece stands in an exchange that belongs to no session and so has no steps: a count of tokens."""

    kind: StepKind
    side: Side
    cut: int | None
    """As in `Step`: index into the request body's cuts."""

    pointer: str
    size: int
    """UTF-8 bytes of the text."""

    tool: str | None = None
    call_id: str | None = None


class StepJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one step."""

    seq: int
    """The step inside its exchange; the place among the pieces judged where it has no steps."""

    where: Where | None = None
    """None where the exchange has steps."""

    verdict: Verdict = ALLOW
    findings: tuple[Finding, ...] = ()
    coverage: tuple[Examined, ...] = ()
    edits: tuple[Edit, ...] = ()
    """What was put in place of which bytes of the step's text; empty where nothing was changed."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of an exchange, and under which rules."""

    ruleset: str
    """Digest of all clauses that were in force for its app."""

    revision: str | None = None
    """The revision by which it was judged; empty: the policy files. None: recorded before this was noted."""

    verdict: Verdict = ALLOW
    """The strongest of its steps."""

    unread: str | None = None
    """Why no step of it could be judged (`batch`, `not understood`, ...), where that is so."""

    partial: bool = False
    """Whether something that came before in its session was not known where it was judged."""

    steps: tuple[StepJudgement, ...] = ()

    forwarded_sha256: bytes | None = None
    """32 bytes over the request body the provider got; None where it is the caller's own."""

    delivered_sha256: bytes | None = None
    """32 bytes over the response body the caller got; None where it is the provider's own."""

    asked_again: int = 0
    """How often the provider was asked again in the caller's place."""

    instructed: str | None = None
    """Digest of the parameters whose instructions or tool descriptions were added to what the app sent; with the
    app's own bytes they give the provider's."""

    uninstructed: str | None = None
    """Why those in force could not be added, where that is so: the app's own bytes went on."""
