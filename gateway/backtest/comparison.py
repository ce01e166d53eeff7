"""Comparison: two judgements of the same recorded steps, the one that was recorded and the candidate's."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from gateway.backtest.replay import JUDGED_REFUSALS, Replayed
from gateway.stations.own_clauses import CHANGED, RETOLD, SHADOWING, UNSEEN
from policies.vocabulary.backtests import Flip
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.findings import Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.steps import Step
from policies.vocabulary.verdicts import ALLOW, STRENGTH, Verdict, VerdictName

AMBIGUOUS: Final = "stepwarden/ambiguous"
"""Stands for the gateway's own refusal of JSON that parsers read differently, wherever a clause acts."""

_KEPT_APART: Final = frozenset({RETOLD, CHANGED, SHADOWING})
"""Clauses of the gateway's own that come of what a keeper remembers, and of no policy: they flip nothing."""

_OUT_OF_TIME: Final = frozenset({"deadline", "broken_off"})
"""Why a guard did not run then, where it is a matter of that moment alone."""


OUT_OF_TIME: Final = "a guard ran out of time then, or its caller left while it was judged; steps of it are left out"
UNASKED: Final = "a guard that is asked elsewhere would decide, and a backtest asks nobody; steps of it are left out"
UNREMEMBERED: Final = "what came before it is known on one side alone (another worker, a restart)"

_ELSEWHERE: Final = "server_side_history"


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One step, or an exchange as a whole, before both."""

    step: Step | None
    before: StepJudgement
    after: StepJudgement

    @property
    def flips(self) -> bool:
        """Whether it is another verdict, or changes other bytes."""
        return self.before.verdict.name != self.after.verdict.name or self.before.edits != self.after.edits

    @property
    def diverges(self) -> bool:
        """Whether what followed would have been another: whoever gets something else goes on differently."""
        return _effect(self.before) != _effect(self.after)


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is compared of one turn, in its order."""

    compared: tuple[tuple[Exchange, Recording, Compared], ...] = ()
    """With the exchange as recorded and as it would be recorded now."""

    why: str | None = None
    """Why something of it cannot be compared; None where all of it can."""

    diverges: bool = False
    """Whether what followed may have been another for the sake of a step that cannot be compared."""


def compare(replayed: Replayed, recorded: Mapping[str, Judged | None]) -> Verdicts:
    """Hold a replayed turn against its record; `recorded` gives what was said of each exchange then.

    Of requests in the caller's place the first was answered by the first then and now, and so on; one that only one
    side asked has nothing to be compared with.
    """
    exchanges = (replayed.turn.exchange, *replayed.turn.again)
    found: list[tuple[Exchange, Recording, Compared]] = []
    why: str | None = None
    unasked = False
    for exchange, now in zip(exchanges, replayed.recordings, strict=False):
        then = recorded.get(exchange.exchange_id)
        if _remembered_otherwise(then, now.judged):
            why = UNREMEMBERED
            continue
        found += [(exchange, now, each) for each in _whole(exchange, then, now)]
        for compared in _steps(then, now):
            if _ran_out_of_time(compared.before):
                why = OUT_OF_TIME
            elif _is_unanswered(compared.after, replayed.asked):
                why = UNASKED
                unasked = unasked or compared.diverges
            else:
                found.append((exchange, now, compared))
    return Verdicts(compared=tuple(found), why=why, diverges=unasked)


def _steps(then: Judged | None, now: Recording) -> Iterator[Compared]:
    before, after = _by_seq(then), _by_seq(now.judged)
    for step in now.steps:
        nothing = StepJudgement(seq=step.seq)
        yield Compared(step=step, before=before.get(step.seq, nothing), after=after.get(step.seq, nothing))


def _whole(exchange: Exchange, then: Judged | None, now: Recording) -> Iterator[Compared]:
    """What is said of an exchange as a whole: that no guard could read it, or that its JSON is ambiguous."""
    unread = Compared(step=None, before=_unread(then), after=_unread(now.judged))
    ambiguous = Compared(step=None, before=_ambiguous(exchange), after=_ambiguous(now.exchange))
    yield from (each for each in (unread, ambiguous) if each.flips)


def _unread(judged: Judged | None) -> StepJudgement:
    told = judged is not None and judged.unread is not None and UNSEEN in judged.verdict.clauses
    return StepJudgement(seq=0, verdict=judged.verdict if judged is not None and told else ALLOW)


def _ambiguous(exchange: Exchange) -> StepJudgement:
    refused = exchange.error_type in JUDGED_REFUSALS
    return StepJudgement(seq=0, verdict=Verdict(name="reject", clauses=(AMBIGUOUS,)) if refused else ALLOW)


def _by_seq(judged: Judged | None) -> dict[int, StepJudgement]:
    return {} if judged is None else {said.seq: _of_policies(said) for said in judged.steps}


def _of_policies(said: StepJudgement) -> StepJudgement:
    """What policies alone say of a step: clauses of the gateway's own flag, and do no more."""
    clauses = tuple([clause for clause in said.verdict.clauses if clause not in _KEPT_APART])
    if clauses == said.verdict.clauses:
        return said
    alone = said.verdict.name == "flag" and not clauses
    return msgspec.structs.replace(
        said, verdict=ALLOW if alone else msgspec.structs.replace(said.verdict, clauses=clauses)
    )


def _remembered_otherwise(then: Judged | None, now: Judged | None) -> bool:
    """Whether only one side knew what came before: that is memory, not judgement."""
    return then is not None and _unremembered(then) != _unremembered(now)


def _unremembered(judged: Judged | None) -> tuple[bool, bool]:
    return (False, False) if judged is None else (judged.partial, judged.unread == _ELSEWHERE)


def _ran_out_of_time(said: StepJudgement) -> bool:
    return any(row.skipped in _OUT_OF_TIME for row in said.coverage)


def _is_unanswered(said: StepJudgement, asked: Collection[str]) -> bool:
    """Whether a clause in force would have put the step to a guard of one of these kinds, whose answer nobody knows."""
    return any(row.skipped is None and not row.shadow and row.guard.partition(".")[0] in asked for row in said.coverage)


def interferes(name: VerdictName) -> bool:
    """Whether a verdict does more than mark a step."""
    return STRENGTH[name] > STRENGTH["flag"]


def _effect(said: StepJudgement) -> object:
    verdict = said.verdict
    if not interferes(verdict.name):
        return None
    return verdict.name, verdict.reason, verdict.recover, said.edits


def flip_of(exchange: Exchange, compared: Compared, *, hypothetical: bool, text: str | None = None) -> Flip:
    """A changed verdict as it is reported."""
    before, after, step = compared.before.verdict, compared.after.verdict, compared.step
    weaker = STRENGTH[after.name] < STRENGTH[before.name]
    said = compared.before if weaker else compared.after
    assert exchange.join is not None
    return Flip(
        session_id=exchange.join.session_id,
        exchange_id=exchange.exchange_id,
        seq=None if step is None else step.seq,
        kind=None if step is None else step.kind,
        tool=None if step is None else step.tool,
        before=before.name,
        after=after.name,
        clauses=_changing(before, after) if before.name == after.name else said.verdict.clauses,
        reason=after.reason if interferes(after.name) else None,
        why=_why(said),
        hypothetical=hypothetical,
        text=text,
    )


def _changing(before: Verdict, after: Verdict) -> tuple[str, ...]:
    """Of one verdict with other bytes: the clauses that ask for it on one side alone, or else all of them."""
    alone = tuple(
        name for name in (*before.clauses, *after.clauses) if (name in before.clauses) != (name in after.clauses)
    )
    return alone or after.clauses


def _why(said: StepJudgement) -> str:
    """The strongest finding of the clauses that decided, as a sentence."""
    mine = [finding for finding in said.findings if finding.clause in said.verdict.clauses]
    if not mine:
        return ""
    strongest: Finding = max(mine, key=lambda finding: finding.score)
    labels = ", ".join(dict.fromkeys(evidence.label for evidence in strongest.evidence if evidence.label))
    return "; ".join(part for part in (strongest.note, labels) if part)


def masked(text: str, findings: Iterable[Finding], *, longest: int) -> str:
    """A text shortened to so many characters, without what guards of secrets found in it."""
    raw = text.encode("utf-8", "surrogatepass")
    ranges = sorted(
        (evidence.start, evidence.end)
        for finding in findings
        if finding.guard.startswith("secrets.")
        for evidence in finding.evidence
    )
    kept, at = b"", 0
    for start, end in ranges:
        if start >= at:
            kept += raw[at:start] + "…".encode()
        at = max(at, end)
    shown = (kept + raw[at:]).decode("utf-8", "replace")
    return shown if len(shown) <= longest else f"{shown[:longest]}…"
