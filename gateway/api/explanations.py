"""Why an exchange was stopped, changed or let through: coarse for an app, in full for those who watch over it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from gateway.advice import ADVICE
from gateway.api import answers
from gateway.api.access import SUFFICES, requires, scope_of, sees
from gateway.api.answers.critiques import Label
from gateway.api.critiques import shown
from gateway.api.exchanges import missing
from gateway.api.looks import look
from gateway.api.ports import Audit, Books, InForce, ModeReader, NotFound, Records
from gateway.api.reading import Reader
from gateway.contents import Placed
from policies.evaluate import Ruleset, ruleset_of
from policies.mistakes import BadPolicy
from policies.trail import utf8
from policies.vocabulary.coverage import Examined
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.findings import Evidence, Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.keys import Principal
from policies.vocabulary.modes import Modes
from policies.vocabulary.steps import Part

_SHOWN: Final = 2000
"""Characters of a range that are shown."""

_CLEAR: Final = 4
"""Characters of a secret that are shown: enough to tell which kind it is."""


@get("/api/exchanges/{exchange_id:str}/explanation", opt=requires("app"), sync_to_thread=True)
def explain_exchange(
    exchange_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    reader: NamedDependency[SkipValidation[Reader]],
    books: NamedDependency[SkipValidation[Books]],
    in_force: NamedDependency[SkipValidation[InForce]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Explanation:
    """Why a step was stopped and what to do: the reason alone for the role `app`, all of it for others."""
    exchange = _visible(records, principal, exchange_id)
    judged = records.judged(exchange.exchange_id)
    if principal.role not in SUFFICES["viewer"]:
        return _coarse(exchange, judged)
    look(audit, principal, "explanation", app=exchange.app, exchange=exchange.exchange_id)
    clear = principal.role in SUFFICES["overseer"]
    found = _Explaining(exchange, judged, reader, records, clear=clear)
    ruleset = _ruleset(in_force, exchange.app)
    asked = [each for each in books.holds.list(app=exchange.app) if each.ask.exchange_id == exchange.exchange_id]
    told = found.explanation(ruleset, tuple(answers.Hold.of(each) for each in asked) if clear else ())
    return msgspec.structs.replace(
        told,
        out_of_force=_out_of_force(exchange, judged, books.modes),
        critiques=shown(books.critiques.of_exchange(exchange.exchange_id), records, reader) if clear else (),
        labels=tuple([Label.of(each) for each in books.labels.of_exchange(exchange.exchange_id)]),
    )


def _visible(records: Records, principal: Principal, exchange_id: str) -> Exchange:
    """An exchange this principal may ask about: an app's key only about its own."""
    exchange = records.exchange(exchange_id, app=scope_of(principal, None))
    if exchange is None or not sees(principal, exchange.app):
        raise missing(records, principal, exchange_id)
    if principal.role not in SUFFICES["viewer"] and exchange.key_id != principal.key_id:
        raise NotFound("no exchange has this id")
    return exchange


def _coarse(exchange: Exchange, judged: Judged | None) -> answers.Explanation:
    reason = None if judged is None else judged.verdict.reason
    return answers.Explanation(
        exchange_id=exchange.exchange_id,
        app=exchange.app,
        verdict=exchange.verdict,
        reason=reason,
        shadow="allow",
        advice=None if reason is None else ADVICE[reason],
        full=False,
    )


def _ruleset(in_force: InForce, app: str) -> Ruleset | None:
    """The clauses an app has now; None where it has none, or they do not check."""
    try:
        found = in_force.rulesets()
    except BadPolicy:
        return None
    return ruleset_of(found, app)


def _out_of_force(exchange: Exchange, judged: Judged | None, modes: ModeReader) -> tuple[answers.OutOfForce, ...]:
    """On whose word clauses that looked at this exchange were out of force when it was judged."""
    shadow = {row.clause for said in judged.steps for row in said.coverage if row.shadow} if judged else set[str]()
    if not shadow:
        return ()
    then = Modes(modes.changes()).shadowed(exchange.app, exchange.started_ns)
    return tuple(answers.OutOfForce.of(change) for clause, change in then.items() if clause in shadow)


class _Explaining:
    """One exchange being explained."""

    def __init__(
        self, exchange: Exchange, judged: Judged | None, reader: Reader, records: Records, *, clear: bool
    ) -> None:
        """`clear`: the texts of ranges may be shown."""
        self._exchange = exchange
        self._judged = judged
        self._clear = clear
        steps = records.exchange_steps(exchange.exchange_id)
        self._steps: dict[int, Placed] = {step.seq: step for step in steps}
        if judged is not None:
            self._steps |= {said.seq: said.where for said in judged.steps if said.where is not None}
        placed = list(self._steps.values())
        self._texts = dict(zip(self._steps, reader.texts(exchange, placed), strict=True)) if clear else {}
        self._tools = {step.call_id: step.tool for step in self._steps.values() if step.kind == "tool_call"}
        self._trail: Sequence[Part] = reader.trail(exchange) if judged is not None and _sourced(judged) else ()
        self._tools |= {part.call_id: part.tool for part in self._trail if part.kind == "tool_call"}

    def explanation(self, ruleset: Ruleset | None, holds: tuple[answers.Hold, ...]) -> answers.Explanation:
        """Everything there is to say."""
        judged = self._judged
        if judged is None:
            return answers.Explanation(
                exchange_id=self._exchange.exchange_id,
                app=self._exchange.app,
                verdict=self._exchange.verdict,
                reason=None,
                shadow="allow",
                advice=None,
                full=True,
            )
        verdict = judged.verdict
        return answers.Explanation(
            exchange_id=self._exchange.exchange_id,
            app=self._exchange.app,
            verdict=verdict.name,
            reason=verdict.reason,
            shadow=verdict.shadow,
            advice=None if verdict.reason is None else ADVICE[verdict.reason],
            full=True,
            unread=judged.unread,
            asked_again=judged.asked_again,
            current=ruleset is not None and ruleset.revision == judged.ruleset,
            clauses=_clauses(judged, ruleset),
            steps=tuple(self._step(said) for said in judged.steps if said.findings or said.verdict.name != "allow"),
            guards=tuple(_guards(row for said in judged.steps for row in said.coverage)),
            holds=holds,
        )

    def _step(self, said: StepJudgement) -> answers.ExplainedStep:
        step = self._steps.get(said.seq)
        text = self._texts.get(said.seq)
        matches = [match for finding in said.findings for match in self._matches(text, finding)]
        return answers.ExplainedStep(
            seq=said.seq,
            kind=step.kind if step else "unknown",
            tool=(step.tool or self._tools.get(step.call_id)) if step else None,
            side=step.side if step else "unknown",
            verdict=said.verdict.name,
            reason=said.verdict.reason,
            shadow=said.verdict.shadow,
            clauses=said.verdict.clauses,
            edits=tuple(edit.text for edit in said.edits),
            matches=tuple(matches),
        )

    def _matches(self, text: str | None, finding: Finding) -> Iterator[answers.Match]:
        for evidence in finding.evidence or (Evidence(),):
            yield answers.Match(
                clause=finding.clause,
                guard=finding.guard,
                score=finding.score,
                state=finding.state,
                note=finding.note,
                label=evidence.label,
                pointer=evidence.pointer,
                start=evidence.start,
                end=evidence.end,
                text=self._shown(text, evidence.start, evidence.end, finding.guard),
                source=self._source(evidence, finding.guard),
            )

    def _source(self, evidence: Evidence, guard: str) -> answers.Source | None:
        """The earlier passage; left out where the request cannot be read back or says something else there."""
        if evidence.source is None or evidence.source >= len(self._trail):
            return None
        part = self._trail[evidence.source]
        return answers.Source(
            kind=part.kind,
            tool=part.tool or self._tools.get(part.call_id),
            start=evidence.source_start,
            end=evidence.source_end,
            text=self._shown(part.text, evidence.source_start, evidence.source_end, guard),
        )

    def _shown(self, text: str | None, start: int, end: int, guard: str) -> str | None:
        if not self._clear or text is None or start >= end:
            return None
        found = utf8(text)[start:end].decode("utf-8", "replace")
        if guard.startswith("secrets."):
            return f"{found[:_CLEAR]}… ({len(found)} characters)"
        return found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"


def _sourced(judged: Judged) -> bool:
    """Whether any finding goes back to an earlier step."""
    return any(
        evidence.source is not None
        for said in judged.steps
        for finding in said.findings
        for evidence in finding.evidence
    )


def _clauses(judged: Judged, ruleset: Ruleset | None) -> tuple[answers.Clause, ...]:
    """The clauses that found something or asked for a verdict, as they stand now."""
    if ruleset is None:
        return ()
    named = {finding.clause for said in judged.steps for finding in said.findings}
    named |= {clause for said in judged.steps for clause in said.verdict.clauses}
    return tuple(answers.Clause.of(rule, ruleset.settings) for rule in ruleset.rules if rule.name in named)


def _guards(coverage: Iterable[Examined]) -> Iterator[answers.GuardRun]:
    """Each guard of each clause over all steps, in the order in which they first come."""
    rows: dict[tuple[str, str], list[Examined]] = {}
    for row in coverage:
        rows.setdefault((row.clause, row.guard), []).append(row)
    for (clause, guard), mine in rows.items():
        ran = [row for row in mine if row.skipped is None]
        skipped = [row.skipped for row in mine if row.skipped is not None]
        yield answers.GuardRun(
            clause=clause,
            guard=guard,
            steps=len(ran),
            scanned=sum(row.scanned for row in ran),
            micros=sum(row.micros for row in ran),
            skipped=tuple(dict.fromkeys(skipped)),
            not_run=len(skipped),
            shadow=any(row.shadow for row in mine),
        )
