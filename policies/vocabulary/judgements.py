"""Judgements as they are recorded: what was said of each step of an exchange, and what was done about it."""

import msgspec

from policies.edits import Edit
from policies.vocabulary.coverage import Examined
from policies.vocabulary.findings import Finding
from policies.vocabulary.verdicts import ALLOW, Verdict


class StepJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one step."""

    seq: int
    """The step inside its exchange."""

    verdict: Verdict = ALLOW
    findings: tuple[Finding, ...] = ()
    coverage: tuple[Examined, ...] = ()
    edits: tuple[Edit, ...] = ()
    """What was put in place of which bytes of the step's text; empty where nothing was changed."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of an exchange, and under which rules."""

    ruleset: str
    """Digest of all clauses that were in force for its app."""

    verdict: Verdict = ALLOW
    """The strongest of its steps."""

    unread: str | None = None
    """Why no step of it could be judged (`batch`, `not understood`, ...), where that is so."""

    steps: tuple[StepJudgement, ...] = ()

    forwarded_sha256: bytes | None = None
    """32 bytes over the request body the provider got; None where it is the caller's own."""

    delivered_sha256: bytes | None = None
    """32 bytes over the response body the caller got; None where it is the provider's own."""

    asked_again: int = 0
    """How often the provider was asked again in the caller's place."""
