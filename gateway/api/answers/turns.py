"""Answers that draw a session: its turns with their steps, never content."""

import msgspec

from gateway.times import rfc3339
from policies.vocabulary import judgements, steps
from policies.vocabulary.verdicts import ALLOW
from storage.rows import RecordedRow


class TurnStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a turn, without its text."""

    seq: int
    kind: str
    fidelity: str
    side: str
    tool: str | None
    call_id: str | None
    unread: str | None
    server_side: bool
    size: int
    """UTF-8 bytes of the whole text."""

    at_ms: float
    """From the start of its turn to its own, milliseconds."""

    took_ms: float
    verdict: str = "allow"
    reason: str | None = None
    shadow: str = "allow"
    findings: int = 0

    @classmethod
    def of(cls, step: steps.Step, started_ns: int, said: judgements.StepJudgement | None) -> "TurnStep":
        """The answer for one step."""
        verdict = ALLOW if said is None else said.verdict
        return cls(
            seq=step.seq,
            kind=step.kind,
            fidelity=step.fidelity,
            side=step.side,
            tool=step.tool,
            call_id=step.call_id,
            unread=step.unread,
            server_side=step.server_side,
            size=step.size,
            at_ms=(step.started_ns - started_ns) / 1e6,
            took_ms=(step.ended_ns - step.started_ns) / 1e6,
            verdict=verdict.name,
            reason=verdict.reason,
            shadow=verdict.shadow,
            findings=0 if said is None else len(said.findings),
        )


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange of a session, with its steps: what is new in it, for history that is sent again makes no steps."""

    number: int
    """Its place in the order of recording; pass the last as `after`."""

    exchange_id: str
    branch_id: str | None
    started_at: str
    first_token_ms: float | None
    """From its start, milliseconds."""

    took_ms: float
    model: str | None
    dialect: str
    operation: str
    """`mcp`: the method."""

    outcome: str
    status: int | None
    error_type: str | None
    retry: int
    in_place_of: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    verdict: str
    shadow: str
    unread: str | None
    steps: tuple[TurnStep, ...]

    @classmethod
    def of(cls, row: RecordedRow) -> "Turn":
        """The answer for one recorded exchange."""
        x, judged = row.exchange, row.judged
        said = {} if judged is None else {each.seq: each for each in judged.steps}
        return cls(
            number=row.number,
            exchange_id=x.exchange_id,
            branch_id=None if x.join is None else x.join.branch_id,
            started_at=rfc3339(x.started_ns),
            first_token_ms=None if x.first_token_ns is None else (x.first_token_ns - x.started_ns) / 1e6,
            took_ms=(x.ended_ns - x.started_ns) / 1e6,
            model=x.model or x.model_requested,
            dialect=x.dialect,
            operation=x.operation,
            outcome=x.outcome,
            status=x.status,
            error_type=x.error_type,
            retry=x.retry,
            in_place_of=x.in_place_of,
            input_tokens=x.usage.input_tokens,
            output_tokens=x.usage.output_tokens,
            cost_micro_usd=x.cost_micro_usd,
            verdict=x.verdict,
            shadow="allow" if judged is None else judged.verdict.shadow,
            unread=None if judged is None else judged.unread,
            steps=tuple(TurnStep.of(step, x.started_ns, said.get(step.seq)) for step in row.steps),
        )


class TurnList(msgspec.Struct, frozen=True, kw_only=True):
    """Turns of one session, in order."""

    session_id: str
    turns: tuple[Turn, ...]
    next: int | None
    """Pass as `after` for the page after this one; null on the last."""
