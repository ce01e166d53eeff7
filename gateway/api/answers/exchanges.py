"""Answers about exchanges and their steps."""

import msgspec

from gateway import request_changes
from gateway.api.answers.sessions import Branch, Session
from gateway.api.answers.values import hexed, sound, time
from gateway.stations import asks
from gateway.times import rfc3339
from policies.vocabulary import exchanges, judgements, sessions, steps
from policies.vocabulary.usage import Usage
from policies.vocabulary.verdicts import ALLOW


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
            upstream_started_at=time(exchange.upstream_started_ns),
            first_byte_at=time(exchange.first_byte_ns),
            first_token_at=time(exchange.first_token_ns),
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

    instructed: str | None
    """Digest of the parameters whose instructions or tool descriptions were added to the app's request."""

    uninstructed: str | None
    """Why those in force were not added, where that is so."""

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
            forwarded_sha256=hexed(judged.forwarded_sha256),
            delivered_sha256=hexed(judged.delivered_sha256),
            instructed=judged.instructed,
            uninstructed=judged.uninstructed,
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
            text=None if text is None else sound(text[:longest]),
            truncated=text is not None and len(text) > longest,
            verdict=verdict.name,
            reason=verdict.reason,
            clauses=verdict.clauses,
            shadow=verdict.shadow,
        )


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


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that is under way for long enough to be seen."""

    exchange_id: str
    session_id: str
    app: str
    agent: str | None
    model: str | None
    started_at: str

    @classmethod
    def of(cls, glimpse: asks.Glimpse) -> "Begun":
        """The answer for one."""
        return cls(
            exchange_id=glimpse.exchange_id,
            session_id=glimpse.join.session_id,
            app=glimpse.app,
            agent=glimpse.join.agent_name,
            model=glimpse.model,
            started_at=rfc3339(glimpse.started_ns),
        )


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a request asks otherwise."""

    name: str
    """Of a setting or a tool; of a message the kind of its first step."""

    before: str | None
    """Its beginning; null where it was not."""

    after: str | None
    """Its beginning; null where it is no more."""

    place: int | None
    """Of a message: its place, from 0; in the earlier request where it is no more."""

    cut: bool
    """True where either text is only the beginning."""

    withheld: bool
    """True where the texts may name a person, and are not shown here."""


class RequestChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks otherwise than an earlier one of its session."""

    exchange_id: str
    since: str | None
    """The earlier exchange; null where there is none to compare with, and all else is empty."""

    settings: tuple[Change, ...] = ()
    instructions: Change | None = None
    tools: tuple[Change, ...] = ()
    history: tuple[Change, ...] = ()
    """Messages of the earlier request that stand otherwise in this one, or not at all; the first of them."""

    history_changes: int = 0
    """How many there are."""

    kept: int = 0
    """Messages that stand in both."""

    appended: int = 0
    """Messages behind those."""

    @classmethod
    def of(
        cls, exchange_id: str, since: str, found: request_changes.RequestChanges, *, longest: int, most: int
    ) -> "RequestChanges":
        """The answer; texts are cut to `longest` characters, and `most` changes of the history are told."""

        def told(one: request_changes.Changed, *, withheld: bool = False) -> Change:
            texts = [None if each is None or withheld else sound(each[:longest]) for each in (one.before, one.after)]
            cut = any(each is not None and len(each) > longest for each in (one.before, one.after))
            return Change(
                name=sound(one.name), before=texts[0], after=texts[1], place=one.place, cut=cut, withheld=withheld
            )

        return cls(
            exchange_id=exchange_id,
            since=since,
            settings=tuple([told(each, withheld=each.name in request_changes.PERSONAL) for each in found.settings]),
            instructions=None if found.instructions is None else told(found.instructions),
            tools=tuple([told(each) for each in found.tools]),
            history=tuple([told(each) for each in found.history[:most]]),
            history_changes=len(found.history),
            kept=found.kept,
            appended=found.appended,
        )


class SessionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One session with its branches and exchanges in order."""

    session: Session
    branches: tuple[Branch, ...]
    exchanges: tuple[Exchange, ...]
