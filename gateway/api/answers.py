"""What the control plane answers: the nouns of the vocabulary in JSON, ids as hex, times as RFC 3339 in UTC.

Field names equal the vocabulary's where the meaning does. Unknown is null, never 0.
"""

import re
from typing import Final

import msgspec

from gateway.api.critique_answers import Critique, Label
from gateway.mcp.definitions import proposed_tags
from gateway.times import rfc3339
from gateway.witnesses import WitnessState
from policies.evaluate import Rule, Settings
from policies.tools import ToolSelector, ToolTag
from policies.vocabulary import erasures, exchanges, holds, judgements, keys, pins, sessions, steps
from policies.vocabulary.bands import Band, outcome
from policies.vocabulary.modes import ModeChange
from policies.vocabulary.usage import Usage
from policies.vocabulary.verdicts import ALLOW
from storage.rows import BranchRow, RecordedRow, SessionRow, StoreStats

_HALVES: Final = re.compile("[\ud800-\udfff]")


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased: the last answer that names it."""

    scope: str
    """As the audit log names it: the kind of scope and a keyed hash."""

    sessions: tuple[str, ...]
    exchanges: int
    basis: str
    erased_at: str

    @classmethod
    def of(cls, done: erasures.Erasure) -> "Erasure":
        """The answer for one erasure."""
        return cls(
            scope=done.scope,
            sessions=done.sessions,
            exchanges=done.exchanges,
            basis=done.basis,
            erased_at=rfc3339(done.at_ns),
        )


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a session is kept beyond its time."""

    session_id: str
    held: bool


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation or agent run, in sum."""

    session_id: str
    app: str
    key_id: str | None
    derived: bool
    """True where the id is the gateway's own, not the client's."""

    agent: str | None
    client: str | None
    models: tuple[str, ...]
    started_at: str
    last_at: str
    exchanges: int
    steps: int
    branches: int
    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    """Millionths of a US dollar; null where nothing is priced, a lower bound where `unpriced` is above 0."""

    unpriced: int
    terminated_at: str | None
    verdict: str | None = None
    """The strongest of its exchanges; null where they are from before that was kept."""

    shadow: str | None = None
    """The strongest that clauses out of force, or an app that does not enforce, would have given."""

    @classmethod
    def of(cls, row: SessionRow) -> "Session":
        """The answer for one stored row."""
        return cls(
            session_id=row.session_id,
            app=row.app,
            key_id=row.key_id,
            derived=row.derived,
            agent=row.agent,
            client=row.client,
            models=row.models,
            started_at=rfc3339(row.started_ns),
            last_at=rfc3339(row.last_ns),
            exchanges=row.exchanges,
            steps=row.steps,
            branches=row.branches,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost_micro_usd=row.cost_micro_usd,
            unpriced=row.unpriced,
            terminated_at=_time(row.terminated_ns),
            verdict=row.verdict,
            shadow=row.shadow,
        )


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a session: the main conversation, a fork, or a sub-agent."""

    branch_id: str
    parent_branch_id: str | None
    agent_name: str | None
    evidence: str
    relation: str
    first_exchange_id: str
    started_at: str
    last_at: str
    exchanges: int

    @classmethod
    def of(cls, row: BranchRow) -> "Branch":
        """The answer for one stored row."""
        return cls(
            branch_id=row.branch_id,
            parent_branch_id=row.parent_branch_id,
            agent_name=row.agent_name,
            evidence=row.evidence,
            relation=row.relation,
            first_exchange_id=row.first_exchange_id,
            started_at=rfc3339(row.started_ns),
            last_at=rfc3339(row.last_ns),
            exchanges=row.exchanges,
        )


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """Where an exchange belongs and why."""

    session_id: str
    branch_id: str
    parent_branch_id: str | None
    evidence: str
    relation: str
    derived: bool
    known: int
    replaces: tuple[int, ...]
    agent_name: str | None
    trace_id: str

    @classmethod
    def of(cls, join: sessions.Join) -> "Join":
        """The answer for one join."""
        return cls(
            session_id=join.session_id,
            branch_id=join.branch_id,
            parent_branch_id=join.parent_branch_id,
            evidence=join.evidence,
            relation=join.relation,
            derived=join.derived,
            known=join.known,
            replaces=join.replaces,
            agent_name=join.agent_name,
            trace_id=join.trace_id.hex(),
        )


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request and its response."""

    exchange_id: str
    join: Join | None
    app: str
    key_id: str | None
    provider: str
    dialect: str
    operation: str
    method: str
    path: str
    stream: bool
    outcome: str
    status: int | None
    upstream_status: int | None
    error_type: str | None
    note: str | None
    started_at: str
    upstream_started_at: str | None
    first_byte_at: str | None
    first_token_at: str | None
    ended_at: str
    model_requested: str | None
    model: str | None
    response_id: str | None
    provider_request_id: str | None
    finish_reasons: tuple[str, ...]
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    usage: Usage
    cost_micro_usd: int | None
    price_version: str | None
    client: str | None
    retry: int
    in_place_of: str | None
    """Of a request of the gateway's own: the caller's exchange in whose place the provider was asked again."""

    tags: tuple[tuple[str, str], ...]
    verdict: str

    @classmethod
    def of(cls, exchange: exchanges.Exchange) -> "Exchange":
        """The answer for one exchange."""
        return cls(
            exchange_id=exchange.exchange_id,
            join=Join.of(exchange.join) if exchange.join else None,
            app=exchange.app,
            key_id=exchange.key_id,
            provider=exchange.provider,
            dialect=exchange.dialect,
            operation=exchange.operation,
            method=exchange.method,
            path=exchange.path,
            stream=exchange.stream,
            outcome=exchange.outcome,
            status=exchange.status,
            upstream_status=exchange.upstream_status,
            error_type=exchange.error_type,
            note=exchange.note,
            started_at=rfc3339(exchange.started_ns),
            upstream_started_at=_time(exchange.upstream_started_ns),
            first_byte_at=_time(exchange.first_byte_ns),
            first_token_at=_time(exchange.first_token_ns),
            ended_at=rfc3339(exchange.ended_ns),
            model_requested=exchange.model_requested,
            model=exchange.model,
            response_id=exchange.response_id,
            provider_request_id=exchange.provider_request_id,
            finish_reasons=exchange.finish_reasons,
            max_tokens=exchange.max_tokens,
            temperature=exchange.temperature,
            top_p=exchange.top_p,
            usage=exchange.usage,
            cost_micro_usd=exchange.cost_micro_usd,
            price_version=exchange.price_version,
            client=exchange.client,
            retry=exchange.retry,
            in_place_of=exchange.in_place_of,
            tags=exchange.tags,
            verdict=exchange.verdict,
        )


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What clauses said of an exchange, and what was done about it. Never content."""

    ruleset: str
    """Digest of the clauses that were in force."""

    verdict: str
    reason: str | None
    clauses: tuple[str, ...]
    shadow: str
    """The strongest verdict that clauses out of force, or an app that does not enforce, would have given."""

    unread: str | None
    asked_again: int
    forwarded_sha256: str | None
    """Of the request body the provider got, where that is not the caller's own."""

    delivered_sha256: str | None
    """Of the response body the caller got, where that is not the provider's own."""

    steps: tuple[judgements.StepJudgement, ...]

    @classmethod
    def of(cls, judged: judgements.Judged) -> "Judgement":
        """The answer for one exchange."""
        return cls(
            ruleset=judged.ruleset,
            verdict=judged.verdict.name,
            reason=judged.verdict.reason,
            clauses=judged.verdict.clauses,
            shadow=judged.verdict.shadow,
            unread=judged.unread,
            asked_again=judged.asked_again,
            forwarded_sha256=_hex(judged.forwarded_sha256),
            delivered_sha256=_hex(judged.delivered_sha256),
            steps=judged.steps,
        )


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One judgeable moment, with the text a judge would read."""

    step_id: str
    exchange_id: str
    session_id: str
    branch_id: str
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

    started_at: str
    ended_at: str
    span_id: str
    text: str | None
    """Null where the content was not kept or cannot be read back."""

    truncated: bool
    """True where `text` is only the beginning."""

    verdict: str = "allow"
    """What was done with it; `allow` also where no clause is about it."""

    reason: str | None = None
    clauses: tuple[str, ...] = ()
    """Clauses that asked for that verdict, as `policy/clause`."""

    shadow: str = "allow"
    """The strongest verdict that clauses out of force, or an app that does not enforce, would have given."""

    @classmethod
    def of(
        cls, step: steps.Step, text: str | None, *, longest: int, said: judgements.StepJudgement | None = None
    ) -> "Step":
        """The answer for one step; `text` is cut to `longest` characters. `said` is what clauses made of it."""
        verdict = ALLOW if said is None else said.verdict
        return cls(
            step_id=step.step_id,
            exchange_id=step.exchange_id,
            session_id=step.session_id,
            branch_id=step.branch_id,
            seq=step.seq,
            kind=step.kind,
            fidelity=step.fidelity,
            side=step.side,
            tool=step.tool,
            call_id=step.call_id,
            unread=step.unread,
            server_side=step.server_side,
            size=step.size,
            started_at=rfc3339(step.started_ns),
            ended_at=rfc3339(step.ended_ns),
            span_id=step.span_id.hex(),
            text=None if text is None else _sound(text[:longest]),
            truncated=text is not None and len(text) > longest,
            verdict=verdict.name,
            reason=verdict.reason,
            clauses=verdict.clauses,
            shadow=verdict.shadow,
        )


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway key, without its secret."""

    key_id: str
    name: str
    role: str
    app: str
    hint: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    budget_micro_usd: int | None
    spent_micro_usd: int

    @classmethod
    def of(cls, key: keys.Key) -> "Key":
        """The answer for one stored key."""
        return cls(
            key_id=key.key_id,
            name=key.name,
            role=key.role,
            app=key.app,
            hint=key.hint,
            created_at=rfc3339(key.created_ns),
            expires_at=_time(key.expires_ns),
            revoked_at=_time(key.revoked_ns),
            budget_micro_usd=key.budget_micro_usd,
            spent_micro_usd=key.spent_micro_usd,
        )


class CreatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key with its secret, which is never shown again."""

    key: Key
    secret: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls."""

    role: str
    app: str
    """`*`: every app's."""

    key_id: str | None
    """Null for who owns the machine, while there are no keys."""

    name: str | None
    csrf: str | None
    """For the header `stepwarden-csrf` of every change a signed-in browser asks for; null for other callers."""

    expires_at: str | None
    """When the sign-in ends; null where there is none."""


class SignedOut(msgspec.Struct, frozen=True, kw_only=True):
    """The cookie means nothing any more."""

    signed_in: bool


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


class BranchList(msgspec.Struct, frozen=True, kw_only=True):
    """A session in sum, with its branches, oldest first."""

    session: Session
    branches: tuple[Branch, ...]


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest sessions can be told apart by."""

    apps: tuple[str, ...]
    agents: tuple[str, ...]
    models: tuple[str, ...]
    clauses: tuple[str, ...]


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """What some exchanges add up to; null is unknown."""

    exchanges: int
    failed: int
    """Without a whole answer, or with an error status."""

    stopped: int
    """Held, rejected, or their session ended."""

    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    unpriced: int
    duration_p50_ms: float | None
    duration_p95_ms: float | None
    first_token_p50_ms: float | None
    first_token_p95_ms: float | None


class ModelUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One model as one app used it."""

    app: str
    model: str
    """Empty where none was named."""

    sum: UsageSum
    slots: tuple[int, ...]
    """Exchanges in each slot."""


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """A span of time in slots of equal length."""

    since: str
    until: str
    slot_seconds: float
    total: UsageSum
    slots: tuple[UsageSum, ...]
    models: tuple[ModelUsage, ...]
    """Most used first."""


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit log."""

    index: int
    entry: str
    """The exact bytes that are hashed into the log, as text."""


class AuditLines(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first."""

    size: int
    """How many entries the log has."""

    entries: tuple[AuditLine, ...]
    next: int | None
    """Pass as `before` for the page after this one; null at the beginning of the log."""


class AuditKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Every vkey that ever signed the log, oldest first: for comparing with the one you hold, not for trusting."""

    vkeys: tuple[str, ...]


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, newest activity first."""

    sessions: tuple[Session, ...]
    next: str | None
    """Pass as `before` for the page after this one; null on the last."""


class SessionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One session with its branches and exchanges in order."""

    session: Session
    branches: tuple[Branch, ...]
    exchanges: tuple[Exchange, ...]


class StepList(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of one session, in order."""

    session_id: str
    steps: tuple[Step, ...]


class ExchangeList(msgspec.Struct, frozen=True, kw_only=True):
    """Exchanges, newest first."""

    exchanges: tuple[Exchange, ...]


class ExchangeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange with its steps."""

    exchange: Exchange
    steps: tuple[Step, ...]
    judged: Judgement | None = None
    """What clauses said of it; null where no policy was in force for its app."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A step that waits, or waited, for a person."""

    hold_id: str
    state: str
    app: str
    session_id: str | None
    exchange_id: str
    kind: str
    tool: str | None
    text: str
    """The call's arguments, or the text, shortened."""

    clauses: tuple[str, ...]
    reason: str
    asked_at: str
    expires_at: str
    decided_by: str | None
    decided_reason: str | None
    decided_at: str | None

    @classmethod
    def of(cls, hold: holds.Hold) -> "Hold":
        """The answer for one hold."""
        ask = hold.ask
        return cls(
            hold_id=hold.hold_id,
            state=hold.state,
            app=ask.app,
            session_id=ask.session_id,
            exchange_id=ask.exchange_id,
            kind=ask.kind,
            tool=ask.tool,
            text=ask.text,
            clauses=ask.clauses,
            reason=ask.reason,
            asked_at=rfc3339(ask.at_ns),
            expires_at=rfc3339(hold.expires_ns),
            decided_by=hold.decided_by,
            decided_reason=hold.decided_reason,
            decided_at=_time(hold.decided_ns),
        )


class HoldList(msgspec.Struct, frozen=True, kw_only=True):
    """Holds, newest first."""

    holds: tuple[Hold, ...]


class OutOfForce(msgspec.Struct, frozen=True, kw_only=True):
    """Whose word took a clause out of force, and until when."""

    clause: str
    app: str
    """`*`: every app's."""

    mode: str
    """`shadow`; in the answer to a change also `enforce`, which ends it."""

    since: str
    until: str | None
    by: str
    reason: str

    @classmethod
    def of(cls, change: ModeChange) -> "OutOfForce":
        """The answer for one change."""
        return cls(
            clause=change.clause,
            app=change.app,
            mode=change.mode,
            since=rfc3339(change.at_ns),
            until=_time(change.until_ns),
            by=_sound(change.by),
            reason=_sound(change.reason),
        )


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of an app, as it stands in force."""

    name: str
    """`policy/clause`."""

    text: str
    severity: str
    mode: str
    """`shadow`: recorded, never acted on."""

    acts: bool
    """Whether it may do more than flag now: its mode, its bands and the app's `enforce` together."""

    steps: tuple[str, ...]
    tools: ToolSelector | None
    guards: tuple[str, ...]
    """Kinds, in order."""

    action: tuple[Band, ...]
    reason: str
    on_error: str
    recover: str
    protected: bool
    taxonomy: tuple[str, ...]
    fired: int | None = None
    """In how many of the newest exchanges it found something; null where nobody counted."""

    stopped: int | None = None
    """In how many of them it asked for what was done: for more than a flag."""

    out_of_force: OutOfForce | None = None
    """Where a person took it out of force for a while."""

    @classmethod
    def of(
        cls,
        rule: Rule,
        settings: Settings,
        *,
        fired: int | None = None,
        stopped: int | None = None,
        change: ModeChange | None = None,
    ) -> "Clause":
        """The answer for one clause of a ruleset."""
        clause = rule.clause
        return cls(
            name=rule.name,
            text=" ".join(clause.text.split()),
            severity=clause.severity,
            mode=clause.mode,
            acts=settings.enforce and clause.mode == "enforce" and any(outcome(band) != "flag" for band in rule.bands),
            steps=clause.steps,
            tools=clause.tools,
            guards=tuple(place for place, _ in rule.places),
            action=rule.bands,
            reason=clause.reason,
            on_error=clause.on_error,
            recover=clause.recover,
            protected=clause.protected,
            taxonomy=clause.taxonomy,
            fired=fired,
            stopped=stopped,
            out_of_force=None if change is None else OutOfForce.of(change),
        )


class AppClauses(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for one app."""

    app: str
    enforce: bool
    unseen: str
    ruleset: str
    """Digest of its clauses, as in a recorded judgement."""

    clauses: tuple[Clause, ...]


class ClauseList(msgspec.Struct, frozen=True, kw_only=True):
    """The clauses in force, app by app; apps nobody configured follow `default`."""

    apps: tuple[AppClauses, ...]
    counted: int
    """How many of the newest exchanges were looked at for `fired`."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The passage of an earlier step that a match goes back to."""

    kind: str
    tool: str | None
    start: int
    end: int
    text: str | None
    """For operators only; null where it cannot be read back."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a guard found in a step."""

    clause: str
    guard: str
    score: int
    state: str
    note: str
    label: str
    pointer: str
    """Of a call: which argument; empty for the whole step."""

    start: int
    """First byte in the step's text; equal to `end` where it is no range."""

    end: int
    text: str | None
    """What stands there, for operators only; secrets are masked."""

    source: Source | None


class ExplainedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step that something was said of."""

    seq: int
    kind: str
    tool: str | None
    side: str
    verdict: str
    reason: str | None
    shadow: str
    clauses: tuple[str, ...]
    edits: tuple[str, ...]
    """What was put in the place of ranges of its text."""

    matches: tuple[Match, ...]


class GuardRun(msgspec.Struct, frozen=True, kw_only=True):
    """One guard over all steps of an exchange."""

    clause: str
    guard: str
    steps: int
    """How many it looked at."""

    scanned: int
    """Bytes it looked at."""

    micros: int
    skipped: tuple[str, ...]
    """Why it did not run on others: `deadline`, `raised`, ..."""

    not_run: int
    """On how many."""

    shadow: bool = False
    """True where the clause was out of force then."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why an exchange was stopped, changed or let through, and what can be done."""

    exchange_id: str
    app: str
    verdict: str
    reason: str | None
    shadow: str
    advice: str | None
    """What an app's developer can do; null where nothing was stopped."""

    full: bool
    """False for a key of the role `app`: everything below is empty then."""

    unread: str | None = None
    asked_again: int = 0
    current: bool = True
    """False where other clauses are in force now than those it was judged by; texts are today's."""

    clauses: tuple[Clause, ...] = ()
    """Those that found something."""

    steps: tuple[ExplainedStep, ...] = ()
    guards: tuple[GuardRun, ...] = ()
    holds: tuple[Hold, ...] = ()
    """Those that this exchange waited for."""

    out_of_force: tuple[OutOfForce, ...] = ()
    """Clauses that a person had taken out of force when it was judged."""

    critiques: tuple[Critique, ...] = ()
    """What supervisors made of its steps; for operators."""

    labels: tuple[Label, ...] = ()
    """What persons said of its steps."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One tool of an MCP server."""

    server: str
    tool: str
    state: pins.PinState
    definition: str
    """JSON, as it was accepted."""

    proposed: str | None
    """JSON, as it is now; null where that is the same."""

    tags: tuple[ToolTag, ...]
    """What its annotations suggest: the server's own word, for a person to confirm in a [tool.NAME] table."""

    seen_at: str
    """When it was first seen, approved or changed, whichever was last."""

    approved_by: str | None

    @classmethod
    def of(cls, pin: pins.ToolPin) -> "Tool":
        """As it is shown."""
        return cls(
            server=pin.server,
            tool=pin.tool,
            state=pin.state,
            definition=pin.definition,
            proposed=pin.proposed,
            tags=proposed_tags(pin.proposed or pin.definition),
            seen_at=rfc3339(pin.seen_ns),
            approved_by=pin.approved_by,
        )


class ToolList(msgspec.Struct, frozen=True, kw_only=True):
    """Tools of MCP servers."""

    tools: tuple[Tool, ...]


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """All gateway keys ever made."""

    keys: tuple[Key, ...]


class ProviderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as configured."""

    name: str
    dialect: str
    base_url: str
    key_present: bool
    """Whether the gateway holds a key of its own for this provider; never the key."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway and its store in sum."""

    version: str
    serving: bool
    """False where no gateway runs and a command reads the data directory itself."""

    started_at: str | None
    listening: str | None
    workers: int
    providers: tuple[ProviderStatus, ...]
    counters: dict[str, int]
    """Since start: exchanges in flight, recorded and dropped, queue depths."""

    store: StoreStats


class VerificationFlaw(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not hold."""

    place: str
    """The file, relative to the log, or `spans`."""

    what: str
    entry: int | None = None
    """The first entry it touches, where that is known."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying the log and its record from their files came to; as `stepwarden audit verify --json` has it."""

    ok: bool
    origin: str | None
    size: int | None
    """Entries under the head that was verified."""

    root: str | None
    entries: int
    """How many were read and hashed."""

    successors: tuple[str, ...]
    """The keys the log was handed over to, oldest first."""

    flaws: tuple[VerificationFlaw, ...]
    remarks: tuple[str, ...]


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A witness that the audit log's heads are shown to."""

    name: str
    url: str
    cosigned: int | None
    """Entries under the newest head it cosigned since the gateway started; null before the first."""

    at: str | None
    """When, as the witness says."""

    failing: str | None
    """Why it cosigned nothing when it was asked last; it is asked again, and the log goes on without it."""

    @classmethod
    def of(cls, state: WitnessState) -> "Witness":
        """The answer for one witness."""
        return cls(
            name=_sound(state.name),
            url=state.url,
            cosigned=state.cosigned,
            at=None if state.at is None else rfc3339(state.at * 1_000_000_000),
            failing=None if state.failing is None else _sound(state.failing),
        )


class WitnessList(msgspec.Struct, frozen=True, kw_only=True):
    """The witnesses of this gateway."""

    witnesses: tuple[Witness, ...]


class KeyRotated(msgspec.Struct, frozen=True, kw_only=True):
    """The audit log was handed over to another signing key."""

    index: int
    """The entry that says so; the new key signs from it on."""

    retired: str
    """The vkey that signed until then."""

    vkey: str
    """The vkey that signs from there on."""


class LoggedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit log with its proof."""

    index: int
    entry: str
    """The exact bytes that are hashed into the log, as text."""

    proof: str
    """C2SP tlog-proof with the newest checkpoint."""


class ExchangeReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log says of an exchange, with proofs."""

    exchange_id: str
    accepted: LoggedEntry
    recorded: LoggedEntry
    """The batch that its record and steps are sealed in; the proof's `extra` leads from each of them to its root."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, and what to do."""

    type: str
    message: str
    remedy: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    error: Fault


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else rfc3339(at_ns)


def _sound(text: str) -> str:
    """Text that UTF-8 can carry: lone surrogates, which JSON from providers may hold, become U+FFFD."""
    # One character for one, of as many bytes: what findings say of places in it stays true.
    return text if text.isascii() else _HALVES.sub("\ufffd", text)


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
