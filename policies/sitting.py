"""Sittings: one step before the clauses that are about it, from the guards that run to the verdict they come to."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from policies.asking import NOT_ASKED, Answer, Answers, Asked, Question
from policies.conditions import Moment, Untold
from policies.edits import Edit, Mark, edits_of
from policies.guards.interface import UNSCANNED, Guard
from policies.guards.judge import AT_THE_GATE, JudgeGuard
from policies.rules import SUPERVISED, Rule, Settings, band_of_worst, in_force
from policies.trail import Scene, utf8
from policies.turn import said_before
from policies.vocabulary.bands import outcome
from policies.vocabulary.coverage import Examined
from policies.vocabulary.facts import Facts, GuardSaid, ValueOrigin
from policies.vocabulary.findings import Evidence, Finding, FindingState, Hit
from policies.vocabulary.monitoring import LATER
from policies.vocabulary.verdicts import ALLOW, Verdict, VerdictName, combine

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds of a monotonic clock."""

GATE: Final = "judge.gate"
"""What findings and coverage call the gate where a band asked it, and no guard of the clause."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of one step."""

    verdict: Verdict = ALLOW
    findings: tuple[Finding, ...] = ()
    coverage: tuple[Examined, ...] = ()
    edits: tuple[Edit, ...] = ()
    """What redaction and rewriting in force change; ascending and disjoint."""

    reach: int = 0
    """Bytes that have to go with the first edit from the end of what the turn said before this step."""

    transient: bool = False
    """True where time ran out or nobody answered: the same step may be judged otherwise when it comes again."""


UNJUDGED: Final = Judgement()
"""Of a step that no clause is about."""

_UNBOUNDED: Final = 4096
"""Characters that are read of what the turn said before, for a guard that does not say how much a hit can span."""


class _Begun(Hit, frozen=True, kw_only=True):
    """A hit that begins in a text before the step's own; its evidence is what of it stands in the step."""

    reach: int
    """Bytes of it before the step's text."""


class _Look(msgspec.Struct, frozen=True):
    """What one guard made of one step."""

    hits: tuple[Hit, ...] = ()
    skipped: str | None = None
    micros: int = 0
    due: bool = True
    """False for a guard that has no say while the step waits."""

    @property
    def failed(self) -> bool:
        """Whether the guard should have run and did not."""
        return self.due and self.skipped is not None


class Sitting:
    """One step before the clauses: each guard runs once, whoever asks for it.

    `questions` may come first: it runs what is here and says what has to be asked. `judgement` ends the sitting.
    """

    def __init__(
        self,
        settings: Settings,
        rules: Iterable[Rule],
        guards: Sequence[Guard | Asked],
        scene: Scene,
        *,
        clock: Clock,
        deadline_ns: int,
        seq: int,
    ) -> None:
        """Use `Ruleset.sit`."""
        self._settings = settings
        self._guards = guards
        self._scene = scene
        self._shown = _shown(scene)
        self._clock = clock
        self._deadline_ns = deadline_ns
        self._seq = seq
        self._tool = _tool_of(scene)
        self._size = len(utf8(scene.step.text))
        self._moment = Moment(scene, app=settings.app, tool=self._tool)
        tags = scene.trail.tags_of(self._tool)
        narrowed = scene.step.kind in SUPERVISED
        self._rules = [rule for rule in rules if not narrowed or rule.selector.selects(self._tool, tags)]
        self._answers: Answers = {}
        self._transient = False
        self._looks: dict[int, _Look] = {}
        self._findings: list[Finding] = []
        self._coverage: list[Examined] = []
        self._marks: list[Mark] = []
        self._reach = 0

    def questions(self) -> tuple[Question, ...]:
        """Run the guards that are here, and say what others have to be asked. Never raises."""
        looked = [rule for rule in self._rules if self._is_looked(rule)]
        found: dict[int, Question] = {}
        for number in dict.fromkeys([number for rule in looked for _, number in rule.places]):
            guard = self._guards[number]
            if not isinstance(guard, Asked):
                self._look(number)
            elif not isinstance(guard, JudgeGuard):
                found[number] = Question(number=number, spec=guard.spec, scene=guard.shown(self._shown))
        return (*found.values(), *self._to_the_gate([rule for rule in looked if self._asks_gate(rule)]))

    def _to_the_gate(self, rules: Sequence[Rule]) -> Iterator[Question]:
        """A question for each of these clauses; all show the same."""
        gate = self._guards[-1] if rules else None
        if not isinstance(gate, JudgeGuard):
            return
        said = [
            GuardSaid(guard=place, score=hit.score, labels=tuple(dict.fromkeys([each.label for each in hit.evidence])))
            for place, number in dict.fromkeys([place for rule in self._rules for place in rule.places])
            if number in self._looks
            for hit in self._looks[number].hits
        ]
        facts = Facts(values=self._origins(gate), guards=tuple(said), partial=self._scene.trail.partial)
        for rule in rules:
            if rule.charge is not None:
                yield Question(number=rule.question, spec=rule.charge, scene=gate.shown(self._shown), facts=facts)

    def _origins(self, gate: JudgeGuard) -> tuple[ValueOrigin, ...]:
        """Where values come from; nothing where that cannot be told, which is then no fact."""
        try:
            return gate.origins(self._shown)
        except BaseException as error:
            if not _is_fault(error):
                raise
            return ()

    def _asks_gate(self, rule: Rule) -> bool:
        """Whether the gate is asked: by a guard, or by the band that the highest score fell into."""
        if rule.charge is None or not self._settings.supervised or self._scene.step.kind not in AT_THE_GATE:
            return False
        if any(self._is_gate(number) for _, number in rule.places):
            return True
        hits = [hit for _, number in rule.places if number in self._looks for hit in self._looks[number].hits]
        return band_of_worst(rule, hits) == "judge"

    def _is_gate(self, number: int) -> bool:
        guard = self._guards[number]
        return isinstance(guard, JudgeGuard) and guard.seat == "gate"

    def judgement(self, answers: Answers | None = None) -> Judgement:
        """What all clauses say together. A guard that had to be asked and has no answer here did not run."""
        self._answers = answers or {}
        verdicts = [verdict for rule in self._rules for verdict in self._verdicts(rule)]
        return Judgement(
            verdict=combine(verdicts),
            findings=tuple(self._findings),
            coverage=tuple(self._coverage),
            edits=edits_of(self._scene.step, self._marks),
            reach=self._reach,
            transient=self._transient,
        )

    def _is_looked(self, rule: Rule) -> bool:
        """Whether the clause's guards look at this step."""
        try:
            return self._applies(rule) and bool(self._scene.step.text or self._scene.step.unread is None)
        except Untold:
            return False

    def _verdicts(self, rule: Rule) -> Iterator[Verdict]:
        """Verdicts of one clause: of its score, of what failed, of what nobody can read."""
        if rule.later:
            self._leave(rule)
            return
        try:
            if not self._applies(rule):
                return
        except Untold as untold:
            self._failed(rule, "when", str(untold))
            self._skip(rule, "condition")
            yield self._on_error(rule)
            return
        if self._scene.step.unread is not None:
            yield self._unread(rule)
            if not self._scene.step.text:
                return
        yield from self._looked(rule)

    def _leave(self, rule: Rule) -> None:
        """Leave a step to the monitor, where its clause applies and there is anything to read."""
        why = LATER if self._settings.supervised else NOT_ASKED
        try:
            if not self._applies(rule):
                return
        except Untold:
            why = "condition"
        if self._scene.step.unread is not None and not self._scene.step.text:
            why = f"unread:{_word(self._scene.step.unread)}"
        self._skip(rule, why, due=False)

    def _applies(self, rule: Rule) -> bool:
        """Whether the clause's condition holds. Raises `Untold`."""
        try:
            return rule.condition is None or rule.condition.holds(self._moment)
        except Untold:
            raise
        except BaseException as error:
            if not _is_fault(error):
                raise
            raise Untold(f"the condition raised {type(error).__name__}") from None

    def _looked(self, rule: Rule) -> Iterator[Verdict]:
        hits: list[Hit] = []
        judged: list[Hit] = []
        failed = False
        for place, number in rule.places:
            look = self._look_for(rule, number)
            self._coverage.append(self._examined(rule, place, look))
            if look.failed:
                failed = True
                self._failed(rule, place, look.skipped or "")
            for hit in look.hits:
                self._findings.append(_finding(rule, place, hit))
                failed = failed or hit.state == "error"
            found = judged if self._is_gate(number) else hits
            found += [hit for hit in look.hits if hit.state in ("unsure", "violation")]
        if failed:
            yield self._on_error(rule)
        yield from self._banded(rule, hits)
        yield from self._after_the_gate(rule, judged)

    def _banded(self, rule: Rule, hits: Sequence[Hit]) -> Iterator[Verdict]:
        """What the bands make of what was found here, the strongest first."""
        if band_of_worst(rule, hits) == "judge" and self._scene.step.kind in AT_THE_GATE:
            asked = self._answers.get(rule.question)
            if asked is not None and asked.failure != NOT_ASKED:
                yield from self._by_the_gate(rule, asked)
                return
            if not any(self._is_gate(number) for _, number in rule.places):
                self._coverage.append(self._examined(rule, GATE, _Look(skipped=NOT_ASKED)))
        for hit in sorted(hits, key=lambda each: -each.score):
            yield self._in_band(rule, hit)

    def _by_the_gate(self, rule: Rule, answer: Answer) -> Iterator[Verdict]:
        """What the gate makes of what was found here; where a guard of the clause asked it, that tells of the rest."""
        if any(self._is_gate(number) for _, number in rule.places):
            yield Verdict(asked=True)
            return
        look = _Look(answer.hits, answer.failure, answer.micros)
        self._coverage.append(self._examined(rule, GATE, look))
        if look.failed:
            self._transient = True
            self._failed(rule, GATE, look.skipped or "")
            yield msgspec.structs.replace(self._on_error(rule), asked=True)
            return
        self._findings += [_finding(rule, GATE, hit) for hit in answer.hits]
        yield Verdict(asked=True)
        yield from self._after_the_gate(rule, answer.hits)

    def _after_the_gate(self, rule: Rule, hits: Iterable[Hit]) -> Iterator[Verdict]:
        """What the bands make of the gate's own scores; one that would ask it again gives its `else`."""
        for hit in sorted(hits, key=lambda each: -each.score):
            yield msgspec.structs.replace(self._in_band(rule, hit), asked=True)

    def _in_band(self, rule: Rule, hit: Hit) -> Verdict:
        """What one score comes to."""
        band = rule.band(hit.score)
        if band is None:
            unscanned = any(evidence.label == UNSCANNED for evidence in hit.evidence)
            return self._in_force(rule, "flag") if unscanned else ALLOW
        name = outcome(band)
        if name in ("redact", "rewrite") and not self._mark(rule, name, hit):
            self._failed(rule, "action", "there is no range of the step's text to change")
            return self._on_error(rule)
        return self._in_force(rule, name, asked=band.do == "judge")

    def _mark(self, rule: Rule, change: Literal["redact", "rewrite"], hit: Hit) -> bool:
        """Note the ranges that have to go; False where there are none."""
        ranges = [evidence for evidence in hit.evidence if evidence.end > evidence.start]
        if self._acts(rule):
            self._marks += [
                Mark(start=each.start, end=each.end, label=each.label, change=change, score=hit.score)
                for each in ranges
            ]
            self._reach = max(self._reach, hit.reach if isinstance(hit, _Begun) else 0)
        return bool(ranges)

    def _acts(self, rule: Rule) -> bool:
        return self._settings.enforce and rule.clause.mode == "enforce"

    def _in_force(self, rule: Rule, name: VerdictName, *, asked: bool = False, reason: Any = None) -> Verdict:
        return in_force(rule, self._settings, name, asked=asked, reason=reason)

    def _on_error(self, rule: Rule) -> Verdict:
        return self._in_force(rule, rule.clause.on_error, reason="supervision_unavailable")

    def _unread(self, rule: Rule) -> Verdict:
        """The app's `unseen` on a step that this clause should judge."""
        why = f"unread:{_word(self._scene.step.unread or '')}"
        self._failed(rule, "unread", why)
        if not self._scene.step.text:
            self._skip(rule, why)
        return self._in_force(rule, self._settings.unseen, reason="supervision_unavailable")

    def _look_for(self, rule: Rule, number: int) -> _Look:
        """What one guard of a clause made of the step; what the gate said depends on the clause."""
        guard = self._guards[number]
        if not isinstance(guard, JudgeGuard):
            return self._look(number)
        if guard.seat == "gate":
            return self._answered(rule.question)
        return _Look(skipped=LATER if self._settings.supervised else NOT_ASKED, due=False)

    def _look(self, number: int) -> _Look:
        look = self._looks.get(number)
        if look is None:
            guard = self._guards[number]
            look = self._answered(number) if isinstance(guard, Asked) else self._looked_at(guard)
            self._looks[number] = look
        return look

    def _answered(self, number: int) -> _Look:
        """What came back of a question."""
        answer = self._answers.get(number)
        if answer is None or answer.failure is not None:
            self._transient = True
        return _Look(skipped=NOT_ASKED) if answer is None else _Look(answer.hits, answer.failure, answer.micros)

    def _looked_at(self, guard: Guard) -> _Look:
        """What a guard makes of the step, and of the step behind what its turn said before."""
        look = self._run(guard, self._shown)
        before = said_before(self._shown, _UNBOUNDED if guard.window is None else 2 * guard.window)
        if not before or look.skipped is not None:
            return look
        step = msgspec.structs.replace(self._shown.step, text=before + self._shown.step.text)
        more = self._run(guard, msgspec.structs.replace(self._shown, step=step))
        found = _beyond(look.hits, more.hits, len(utf8(before)))
        return _Look((*look.hits, *found), more.skipped, look.micros + more.micros)

    def _run(self, guard: Guard, scene: Scene) -> _Look:
        started_ns = self._clock()
        if started_ns >= self._deadline_ns:
            self._transient = True
            return _Look(skipped="deadline")
        try:
            hits = tuple(guard.examine(scene))
        except BaseException as error:
            if not _is_fault(error):
                raise
            return _Look(skipped=f"raised:{type(error).__name__}", micros=self._since(started_ns))
        return _Look(hits=hits, micros=self._since(started_ns))

    def _since(self, started_ns: int) -> int:
        return max(self._clock() - started_ns, 0) // 1000

    def _failed(self, rule: Rule, place: str, why: str) -> None:
        self._findings.append(Finding(clause=rule.name, guard=place, score=50, state="error", note=why))

    def _skip(self, rule: Rule, why: str, *, due: bool = True) -> None:
        """All guards of a clause that are not run."""
        self._coverage += [self._examined(rule, place, _Look(skipped=why, due=due)) for place, _ in rule.places]

    def _examined(self, rule: Rule, place: str, look: _Look) -> Examined:
        scanned = 0 if look.skipped else self._size - sum(_unscanned(hit.evidence) for hit in look.hits)
        return Examined(
            clause=rule.name,
            guard=place,
            seq=self._seq,
            scanned=max(scanned, 0),
            size=self._size,
            state="error" if look.failed else _worst(look.hits),
            skipped=look.skipped,
            micros=look.micros,
            shadow=rule.clause.mode == "shadow",
        )


def _tool_of(scene: Scene) -> str | None:
    """The tool a step belongs to; of a result without a name, the tool of the call it answers."""
    step = scene.step
    if step.tool or step.kind != "tool_result" or not step.call_id:
        return step.tool
    calls = (part for part in reversed(scene.trail.parts) if part.kind == "tool_call" and part.call_id == step.call_id)
    return next((part.tool for part in calls), None)


def _shown(scene: Scene) -> Scene:
    """The scene for guards: a call without arguments reads `{}`, as most wires write it, so that patterns see it."""
    step = scene.step
    if step.kind != "tool_call" or step.text.strip():
        return scene
    return msgspec.structs.replace(scene, step=msgspec.structs.replace(step, text="{}"))


def _finding(rule: Rule, place: str, hit: Hit) -> Finding:
    return Finding(
        clause=rule.name, guard=place, score=hit.score, state=hit.state, evidence=hit.evidence, note=hit.note
    )


def _beyond(known: Iterable[Hit], joined: Iterable[Hit], before: int) -> Iterator[Hit]:
    """Of hits in a step behind so many bytes, what is new: it reaches into the step, and was not found in it alone."""
    alone = {_place(each) for hit in known for each in hit.evidence}
    for hit in joined:
        reaching = [each for each in hit.evidence if each.end > before and each.label != UNSCANNED]
        new = [each for each in reaching if each.start < before or _place(_moved(each, before)) not in alone]
        if not new:
            continue
        evidence = tuple([_moved(each, before) for each in new])
        reach = before - min(each.start for each in new)
        if reach > 0:
            note = f"begins {reach} bytes before this text, in what the same turn said before it"
            yield _Begun(score=hit.score, state=hit.state, evidence=evidence, note=note, reach=reach)
        else:
            yield msgspec.structs.replace(hit, evidence=evidence)


def _moved(evidence: Evidence, before: int) -> Evidence:
    """Evidence as it stands in the text behind so many bytes."""
    return msgspec.structs.replace(evidence, start=max(evidence.start - before, 0), end=evidence.end - before)


def _place(evidence: Evidence) -> tuple[int, int, str]:
    return evidence.start, evidence.end, evidence.label


_WORST: Final[tuple[FindingState, ...]] = ("error", "violation", "unsure")


def _worst(hits: Iterable[Hit]) -> FindingState:
    found = {hit.state for hit in hits}
    worst: list[FindingState] = [state for state in _WORST if state in found]
    return worst[0] if worst else "ok"


def _unscanned(evidence: Iterable[Evidence]) -> int:
    return sum(each.end - each.start for each in evidence if each.label == UNSCANNED)


def _is_fault(error: BaseException) -> bool:
    """Whether an exception is the guard's own: Rust extensions panic with one that is no `Exception`."""
    return isinstance(error, Exception) or type(error).__module__ == "pyo3_runtime"


def _word(text: str) -> str:
    """The first words of why a step is unread, bounded."""
    return text[:64]
