"""Evaluation: what the clauses in force say of one step.

A `Ruleset` is compiled once from policies, tool tags and one app's settings, and is immutable: every request sees one
snapshot. Findings come from guards and never act; the band table of each clause turns scores into a verdict. Time
is handed in, so the same step under the same clock gives the same judgement.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import msgspec

from policies.asking import NOT_ASKED, Answer, Answers, Asked, Question
from policies.conditions import Condition, Moment, Untold
from policies.digests import digest
from policies.edits import Edit, Mark, edits_of
from policies.guards.interface import UNSCANNED, Guard
from policies.guards.judge import AT_THE_GATE, Charge, JudgeGuard, JudgeSpec
from policies.tools import tool_matches
from policies.trail import Scene, utf8
from policies.vocabulary.bands import Band, outcome
from policies.vocabulary.coverage import Examined
from policies.vocabulary.facts import Facts, GuardSaid, ValueOrigin
from policies.vocabulary.findings import Evidence, Finding, FindingState, Hit
from policies.vocabulary.monitoring import LATER
from policies.vocabulary.steps import Side, StepKind
from policies.vocabulary.verdicts import ALLOW, STRENGTH, ReasonCode, Verdict, VerdictName, combine

if TYPE_CHECKING:  # the kinds of guards and their libraries weigh 13 MB, which judging nothing needs none of
    from policies.vocabulary.clauses import Clause, Policy

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds of a monotonic clock."""

Builder: TypeAlias = Callable[[Any], Guard | Asked]
"""Makes a guard from its spec."""

NEVER: Final = (1 << 63) - 1
"""A deadline that does not come."""

GATE: Final = "judge.gate"
"""What findings and coverage call the gate where a band asked it, and no guard of the clause."""

SUPERVISED: Final[frozenset[StepKind]] = frozenset({"tool_call", "tool_result"})
"""Steps that belong to a tool, so that tool selectors narrow them."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an app's configuration says about its policies."""

    app: str = "default"
    enforce: bool = False
    """False: whatever is stronger than a flag becomes a flag, and counts as what would have been."""

    unseen: Literal["flag", "reject"] = "flag"
    """What becomes of steps that a clause should judge and no guard can read."""

    supervised: bool = False
    """Whether there is a supervisor to ask, at the gate and afterwards."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What judging asks of the relay, for one kind of step on one side."""

    hold: Literal["idle", "observe", "window", "whole"]
    """`idle`: nobody looks. `observe`: judged beside the relay, bytes pass untouched. `window`: text streams on with
    the last bytes held back. `whole`: held until it is judged."""

    window: int = 0
    """Bytes to hold back where `hold` is `window`."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of one step."""

    verdict: Verdict = ALLOW
    findings: tuple[Finding, ...] = ()
    coverage: tuple[Examined, ...] = ()
    edits: tuple[Edit, ...] = ()
    """What redaction and rewriting in force change; ascending and disjoint."""

    transient: bool = False
    """True where time ran out or nobody answered: the same step may be judged otherwise when it comes again."""


UNJUDGED: Final = Judgement()
"""Of a step that no clause is about."""


class Selector:
    """Which tools a clause is about."""

    def __init__(self, clause: "Clause") -> None:
        tools = clause.tools
        self._every = tools is None
        self._tags = frozenset(tools.tags if tools else ())
        self._names = tools.names if tools else ()

    def selects(self, tool: str | None, tags: frozenset[str]) -> bool:
        """Whether it means this tool. A tool nobody can name is meant by every selector."""
        if self._every or not tool:
            return True
        return bool(self._tags & tags) or any(tool_matches(name, tool) for name in self._names)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One clause, ready to run."""

    name: str
    """`policy/clause`."""

    revision: str
    """Digest of the clause."""

    clause: "Clause"
    selector: Selector
    condition: Condition | None
    places: tuple[tuple[str, int], ...]
    """Of each guard: kind and place in the clause, and its number in the ruleset."""

    bands: tuple[Band, ...]
    """Highest first."""

    charge: Charge | None = None
    """What the gate is asked about this clause; None where it never is."""

    guidance: str = ""
    """What whoever judges it is told beside its text and its guards' own guidance."""

    question: int = 0
    """The number of that question; below 0, where no guard's number is."""

    later: bool = False
    """True where the monitor alone judges: nothing follows from this clause while the step waits."""

    def band(self, score: int) -> Band | None:
        """The band a score falls into."""
        return next((band for band in self.bands if score >= band.at), None)


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


class Ruleset:
    """The clauses of one app at one moment."""

    def __init__(
        self,
        rules: Sequence[Rule],
        guards: Sequence[Guard | Asked],
        *,
        tags: Mapping[str, frozenset[str]],
        settings: Settings,
    ) -> None:
        """Use `Ruleset.compile`."""
        self.rules: Final = tuple(rules)
        self.settings: Final = settings
        self.tags: Final = tags
        """Tags of tools, by name."""
        self.revision: Final = digest([[rule.name, rule.revision] for rule in rules])
        """Digest of all clauses, in order."""
        self._guards = tuple(guards)
        self.asked: Final = (
            *[guard.spec for guard in _asked(rules, guards).values() if not isinstance(guard, JudgeGuard)],
            *[rule.charge for rule in rules if rule.charge is not None and settings.supervised],
        )
        """Specs of the guards that are asked elsewhere, and what the gate may be asked."""
        kinds = {kind for rule in rules for kind in rule.clause.steps}
        self._by_kind = {kind: tuple([rule for rule in rules if kind in rule.clause.steps]) for kind in kinds}

    @classmethod
    def compile(
        cls,
        policies: "Iterable[Policy]",
        *,
        tags: Mapping[str, frozenset[str]] | None = None,
        settings: Settings | None = None,
        builder: Builder | None = None,
        guidance: Mapping[str, str] | None = None,
    ) -> Self:
        """Build every guard and condition once; `builder` stands in for that of the registry.

        `guidance`: what judges are told besides, by `policy/clause`.
        Raises `BadGuard` or `BadCondition`, which loading rules out.
        """
        build = builder or _registered()
        guards: list[Guard | Asked] = []
        numbers: dict[bytes, int] = {}
        rules: list[Rule] = []
        for policy in policies:
            for clause in policy.clause:
                places: list[tuple[str, int]] = []
                for at, spec in enumerate(clause.guards):
                    key = msgspec.json.encode(spec, order="sorted")
                    if key not in numbers:
                        numbers[key] = len(guards)
                        guards.append(build(spec))
                    places.append((f"{type(spec).__struct_config__.tag}.{at}", numbers[key]))
                name = f"{policy.policy.id}/{clause.id}"
                rules.append(_rule(name, clause, places, -1 - len(rules), (guidance or {}).get(name, "")))
        settings = settings or Settings()
        if settings.supervised and any(rule.charge for rule in rules):
            guards.append(build(JudgeSpec(seat="gate")))  # the last one: it shows what bands ask about, too
        return cls(rules, guards, tags=tags or {}, settings=settings)

    def here(self) -> Self:
        """The clauses for which nobody has to be asked: all that can judge a text of which more is to come."""
        if not self.asked:
            return self
        rules = [rule for rule in self.rules if not _asked([rule], self._guards)]
        return type(self)(rules, self._guards, tags=self.tags, settings=self.settings)

    def tagged(self, tags: Mapping[str, frozenset[str]]) -> Self:
        """The same clauses and guards for tools with other tags."""
        return type(self)(self.rules, self._guards, tags=tags, settings=self.settings)

    def shadowing(self, clauses: Collection[str]) -> Self:
        """The same clauses and guards with these clauses (`policy/clause`) out of force, whatever their policy says."""
        rules = [_shadowed(rule) if rule.name in clauses else rule for rule in self.rules]
        return type(self)(rules, self._guards, tags=self.tags, settings=self.settings)

    def also(self, rule: Rule, guard: Guard) -> Self:
        """The same clauses, and one more with this guard."""
        mine = msgspec.structs.replace(rule, places=((f"{rule.clause.id}.0", len(self._guards)),))
        gate = [each for each in self._guards[-1:] if isinstance(each, JudgeGuard)]  # which has to be the last
        return type(self)((*self.rules, mine), (*self._guards, guard, *gate), tags=self.tags, settings=self.settings)

    @property
    def acts(self) -> bool:
        """Whether any clause may do more than flag."""
        return any(self._may_act(rule) for rule in self.rules)

    def needs(self, kind: StepKind, side: Side) -> Need:
        """What the relay has to do with steps of a kind, so that it can be judged in time."""
        rules = self._by_kind.get(kind, ())
        if not rules:
            return Need(hold="idle")
        acting = [rule for rule in rules if self._may_act(rule)]
        if not acting:
            return Need(hold="observe")
        guards = [self._guards[number] for rule in acting for _, number in rule.places]
        windows = [guard.window for guard in guards if not _is_later(guard)]
        sized = any(rule.condition and "step.size" in rule.condition.facts for rule in acting)
        streams = side == "response" and kind in ("model_text", "reasoning") and not sized
        widest = max([window for window in windows if window is not None], default=0)
        if not streams or None in windows:
            return Need(hold="whole")
        return Need(hold="window", window=widest)

    def _may_act(self, rule: Rule) -> bool:
        """Whether a clause can do more than flag: by its bands, when it fails, or with a step nobody can read."""
        settings = self.settings
        if rule.later:
            return False
        unseen = settings.unseen == "reject" and rule.clause.mode == "enforce"
        return settings.enforce and (unseen or _acts(rule.clause))

    def judge(self, scene: Scene, *, clock: Clock, deadline_ns: int = NEVER, seq: int = 0) -> Judgement:
        """Judge one step with the guards that are here. Never raises.

        `clock` is read before and after each guard; one that would begin at or after `deadline_ns` is not run, and
        its clause's `on_error` decides, as it does for guards that have to be asked. `seq` is the step's place in its
        exchange, for the coverage.
        """
        sitting = self.sit(scene, clock=clock, deadline_ns=deadline_ns, seq=seq)
        return UNJUDGED if sitting is None else sitting.judgement()

    def sit(self, scene: Scene, *, clock: Clock, deadline_ns: int = NEVER, seq: int = 0) -> "Sitting | None":
        """Begin to judge one step, with the arguments of `judge`; None where no clause is about its kind."""
        rules = self._by_kind.get(scene.step.kind, ())
        if not rules:
            return None
        if scene.trail.tags is not self.tags:
            scene = msgspec.structs.replace(scene, trail=msgspec.structs.replace(scene.trail, tags=self.tags))
        return Sitting(self.settings, rules, self._guards, scene, clock=clock, deadline_ns=deadline_ns, seq=seq)


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
        return _band_of_worst(rule, hits) == "judge"

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
        if _band_of_worst(rule, hits) == "judge" and self._scene.step.kind in AT_THE_GATE:
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
            look = self._answered(number) if isinstance(guard, Asked) else self._run(guard)
            self._looks[number] = look
        return look

    def _answered(self, number: int) -> _Look:
        """What came back of a question."""
        answer = self._answers.get(number)
        if answer is None or answer.failure is not None:
            self._transient = True
        return _Look(skipped=NOT_ASKED) if answer is None else _Look(answer.hits, answer.failure, answer.micros)

    def _run(self, guard: Guard) -> _Look:
        started_ns = self._clock()
        if started_ns >= self._deadline_ns:
            self._transient = True
            return _Look(skipped="deadline")
        try:
            hits = tuple(guard.examine(self._shown))
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


def in_force(
    rule: Rule, settings: Settings, name: VerdictName, *, asked: bool = False, reason: ReasonCode | None = None
) -> Verdict:
    """A verdict as strong as the clause and its app are allowed to be."""
    if name == "allow":
        return Verdict(asked=asked)
    if rule.clause.mode == "shadow":
        return Verdict(shadow=name, asked=asked)
    if name == "flag":
        return Verdict(name="flag", clauses=(rule.name,), asked=asked)
    if not settings.enforce:
        return Verdict(name="flag", clauses=(rule.name,), shadow=name, asked=asked)
    return Verdict(
        name=name,
        reason=reason or rule.clause.reason,
        clauses=(rule.name,),
        recover=rule.clause.recover,
        asked=asked,
    )


def _registered() -> Builder:
    """What builds every kind of guard there is; loaded with the first clause, not with this module."""
    from policies.guards.registry import Workshop  # noqa: PLC0415 - 13 MB of tables and libraries

    return Workshop().build


def _rule(name: str, clause: "Clause", places: Sequence[tuple[str, int]], question: int, guidance: str) -> Rule:
    judges = [spec for spec in clause.guards if isinstance(spec, JudgeSpec)]
    gates = [spec for spec in judges if spec.seat == "gate"]
    asks = gates or any(band.do == "judge" for band in clause.action)
    return Rule(
        name=name,
        revision=_revision(clause, guidance),
        clause=clause,
        selector=Selector(clause),
        condition=None if clause.when is None else Condition(clause.when),
        places=tuple(places),
        bands=tuple(sorted(clause.action, key=lambda band: -band.at)),
        charge=_charge(name, clause, gates, guidance) if asks and AT_THE_GATE & set(clause.steps) else None,
        guidance=guidance,
        question=question,
        later=len(judges) == len(clause.guards) and not gates,
    )


def _revision(clause: "Clause", guidance: str) -> str:
    """The digest of a clause, and of what its judges are told besides."""
    return digest([clause, guidance]) if guidance else digest(clause)


def _charge(name: str, clause: "Clause", gates: Sequence[JudgeSpec], guidance: str) -> Charge:
    told = " ".join([text for text in (gates[0].guidance if gates else "", guidance) if text])
    return Charge(clause=name, text=clause.text, guidance=told, severity=clause.severity, seat="gate")


def _band_of_worst(rule: Rule, hits: Iterable[Hit]) -> str | None:
    """What the band of the highest score says is to be done; None where there is none."""
    scores = [hit.score for hit in hits if hit.state in ("unsure", "violation")]
    band = rule.band(max(scores)) if scores else None
    return None if band is None else band.do


def _is_later(guard: Guard | Asked) -> bool:
    return isinstance(guard, JudgeGuard) and guard.seat == "monitor"


def _asked(rules: Iterable[Rule], guards: Sequence[Guard | Asked]) -> dict[int, Asked]:
    """The guards of these clauses that are asked while a step waits, by their number."""
    numbers = [number for rule in rules for _, number in rule.places]
    found = {number: guards[number] for number in numbers}
    return {number: guard for number, guard in found.items() if isinstance(guard, Asked) and not _is_later(guard)}


def _shadowed(rule: Rule) -> Rule:
    """A rule out of force; its revision is another, so that nothing said of it now passes for what it says in force."""
    clause = msgspec.structs.replace(rule.clause, mode="shadow")
    return msgspec.structs.replace(rule, clause=clause, revision=_revision(clause, rule.guidance))


def _acts(clause: "Clause") -> bool:
    """Whether a clause can do more than flag."""
    if clause.mode == "shadow":
        return False
    results: list[VerdictName] = [*[outcome(band) for band in clause.action], clause.on_error]
    return any(STRENGTH[result] > STRENGTH["flag"] for result in results)


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
