"""The bench: the clauses of one app, what one worker remembers of their judgements, and where a step is judged.

Short texts are judged on the event loop, long ones on a thread of their own with guards of its own; who has to be asked
is asked for all steps at once.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from gateway.stations.histories import Histories
from gateway.stations.inquiry import Inquiry
from gateway.stations.needs import needs_of
from gateway.stations.own_clauses import NOTICES
from gateway.stations.trails import Trails
from gateway.wire.memory import Recent
from gateway.wire.notices import recognise
from gateway.wire.overlay import Overlay
from policies.asking import Answers, Asker, Asking, Nobody, Question
from policies.evaluate import UNJUDGED, Judgement, Ruleset
from policies.guards.judge import Judge, NoJudge
from policies.sitting import Sitting
from policies.trail import Scene
from policies.vocabulary.findings import Evidence, Finding
from policies.vocabulary.steps import Part, StepKind
from policies.vocabulary.verdicts import Verdict, combine

INLINE_BYTES: Final = 16 * 1024
"""Characters of text that are judged on the event loop; more leaves it.

A call counts with the data before it that was not yet read there: that is where its values are looked for."""

_DATA: Final[frozenset[StepKind]] = frozenset({"tool_result", "retrieval"})

BUDGET_NS: Final = 2_000_000_000
"""How long the guards of one step may take together; those that have not begun by then follow `on_error`."""

PATIENCE_NS: Final = 10_000_000_000
"""How long a step may wait for its turn off the event loop; behind a longer queue no guard begins."""

_PARTS_BYTES: Final = 16 << 20
_SAID_BYTES: Final = 4 << 20

_SHADOWING: Final = 1000
"""What benches without some clauses may cost, where each costs 200: they change by a person's hand alone."""

ANYBODY: Final = Asking()
"""On whose account steps are judged that belong to no exchange."""

T = TypeVar("T")
Clock = Callable[[], int]


class Said(NamedTuple):
    """What was said of the parts of one cut, in their order."""

    judgements: tuple[Judgement, ...]


class Seated(NamedTuple):
    """One step that was begun to be judged; `sitting` is None where no clause is about its kind."""

    step: Part
    sitting: Sitting | None
    questions: tuple[Question, ...]


class Bench:
    """One app's clauses with the memory of one worker. Immutable as far as anybody can tell."""

    def __init__(
        self,
        ruleset: Ruleset,
        *,
        heavy: Callable[[], Ruleset],
        clock: Clock,
        notice_key: bytes,
        asker: Asker | None = None,
        judge: Judge | None = None,
        overlay: Overlay | None = None,
    ) -> None:
        """`heavy` compiles the same ruleset anew: guards remember texts, and two threads must not share them.

        `asker` is who answers for guards that are asked; without one they are not, and `on_error` decides. `judge` puts
        proposed calls to the gate. `overlay`: what is added to requests beside the clauses.
        """
        self.ruleset: Final = ruleset
        self.overlay: Final = overlay or Overlay()
        self.needs: Final = needs_of(ruleset)
        """What they want to see of a reply before its caller does; None where that is nothing."""
        self._here = ruleset.here()
        self._inquiry = Inquiry(asker or Nobody(), judge or NoJudge())
        self.notice_key: Final = notice_key
        self._clock = clock
        self._heavy = heavy
        self._heavy_ruleset: Ruleset | None = None
        self._thread: ThreadPoolExecutor | None = None
        self.parts: Recent[tuple[str, bytes], tuple[Part, ...]] = Recent(_PARTS_BYTES)
        self.said: Recent[bytes, Said] = Recent(_SAID_BYTES)
        self.offered: Recent[str, tuple[Part, ...]] = Recent(_SAID_BYTES)
        """Tool definitions as a session first had them."""
        self.histories: Histories = Histories()
        """What stands at providers, for requests that go on from there by an id alone."""
        self.trails: Trails = Trails()
        """What came before in sessions, for acts that tool servers see."""
        self._read_here: Recent[str, bool] = Recent(_SAID_BYTES)
        """Data that calls were held against on the event loop: guards remember it there, and only there."""
        self._shadowing: Recent[frozenset[str], Bench] = Recent(_SHADOWING)
        self._distrusting: Bench | None = None

    def shadowing(self, clauses: frozenset[str]) -> "Bench":
        """A bench with the same memory of what was said, and these clauses out of force; itself where it has none."""
        mine = frozenset([rule.name for rule in self.ruleset.rules if rule.name in clauses])
        if not mine:
            return self
        found = self._shadowing.get(mine)
        if found is None:
            found = self._beside(lambda ruleset: ruleset.shadowing(mine))
            self._shadowing.put(mine, found, 0)
        return found

    def distrusting(self) -> "Bench":
        """A bench with the same memory, before which every tool call waits for a person."""
        if self._distrusting is None:
            from policies.distrust import distrusting  # noqa: PLC0415 - with the kinds of guards, which are here by now

            self._distrusting = self._beside(distrusting)
        return self._distrusting

    def _beside(self, changed: Callable[[Ruleset], Ruleset]) -> "Bench":
        """A bench for the same clauses, changed a little."""
        other = Bench(
            changed(self.ruleset), heavy=lambda: changed(self._heavy()), clock=self._clock, notice_key=self.notice_key,
            overlay=self.overlay,
        )  # fmt: skip
        other._read_here = self._read_here
        other._inquiry = self._inquiry
        return other.remembering(self)

    def remembering(self, other: "Bench") -> "Bench":
        """This bench, with what another remembers of sessions: that does not depend on clauses; what was said does."""
        self.parts, self.offered, self.histories = other.parts, other.offered, other.histories
        self.trails = other.trails
        return self

    def forget(self, sessions: Sequence[str]) -> None:
        """Forget what was read of these sessions, which were erased.

        Messages and stored histories are known by their hash or id alone, so all of them are read anew.
        """
        self.trails.forget(sessions)
        self.parts.clear()
        self.histories.clear()
        self._read_here.clear()
        for session_id in sessions:
            self.offered.drop(session_id, sum(len(part.text) for part in self.offered.get(session_id) or ()))

    async def judge(self, scenes: Sequence[Scene], asking: Asking = ANYBODY) -> list[Judgement]:
        """Judge steps in order; long ones off the event loop, and what has to be asked all at once."""
        here = self._is_light(scenes)
        if not self.ruleset.asked:
            return self.judge_here(scenes) if here else await self._on_thread(self._judge_heavy, scenes, self._clock())
        if here:
            seated = [self._seat(self.ruleset, scene) for scene in scenes]
        else:
            seated = await self._on_thread(self._seat_heavy, scenes, self._clock())
        answers = await self._inquiry.answers([seat.questions for seat in seated], asking)
        return self._closed(seated, answers) if here else await self._on_thread(self._closed, seated, answers)

    async def judge_stretch(self, scene: Scene) -> Judgement:
        """Judge a stretch of a text that streams by, off the event loop where it is long.

        Nobody is asked about half a text: clauses that would have to are left for when it is whole. They can do no more
        than flag, or it would not stream.
        """
        if self._is_light([scene]):
            return self._judge(self._here, scene)
        return (await self._on_thread(self._judge_heavy, [scene], self._clock()))[0]

    def _is_light(self, scenes: Sequence[Scene]) -> bool:
        """Whether steps are judged on the event loop; what calls are held against there is then remembered."""
        data = {part.text for scene in scenes if scene.step.kind == "tool_call" for part in self._unread_here(scene)}
        if sum(len(scene.step.text) for scene in scenes) + sum(map(len, data)) > INLINE_BYTES:
            return False
        for text in data:
            self._read_here.put(text, True, len(text))
        return True

    async def _on_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something on the one thread that judges what is long."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="stepwarden-judge")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def close(self) -> None:
        """End the thread of long steps, where there is one."""
        if self._distrusting is not None:
            self._distrusting.close()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _unread_here(self, scene: Scene) -> Iterable[Part]:
        return (part for part in scene.trail.parts if part.kind in _DATA and not self._read_here.get(part.text))

    def judge_here(self, scenes: Iterable[Scene]) -> list[Judgement]:
        """The same on this thread, whatever it takes."""
        return [self._judge(self.ruleset, scene) for scene in scenes]

    def _judge_heavy(self, scenes: Sequence[Scene], asked_ns: int) -> list[Judgement]:
        """Judge by the clauses for which nobody has to be asked."""
        ruleset, budget_ns = self._heavily(asked_ns)
        return [self._judge(ruleset.here(), scene, budget_ns) for scene in scenes]

    def _seat_heavy(self, scenes: Sequence[Scene], asked_ns: int) -> list[Seated]:
        ruleset, budget_ns = self._heavily(asked_ns)
        return [self._seat(ruleset, scene, budget_ns) for scene in scenes]

    def _heavily(self, asked_ns: int) -> tuple[Ruleset, int]:
        """The ruleset of the thread, and what is left of the budget of a step that has waited for it since then."""
        if self._heavy_ruleset is None:
            self._heavy_ruleset = self._heavy()
        return self._heavy_ruleset, BUDGET_NS if self._clock() - asked_ns <= PATIENCE_NS else 0

    def _seat(self, ruleset: Ruleset, scene: Scene, budget_ns: int = BUDGET_NS) -> Seated:
        """Run the guards that are here."""
        sitting = ruleset.sit(scene, clock=self._clock, deadline_ns=self._clock() + budget_ns)
        return Seated(scene.step, sitting, () if sitting is None else sitting.questions())

    def _closed(self, seated: Iterable[Seated], answers: Iterable[Answers]) -> list[Judgement]:
        """End what was begun with the answers that came."""
        return [
            self._with_forgeries(step, UNJUDGED if sitting is None else sitting.judgement(answered))
            for (step, sitting, _), answered in zip(seated, answers, strict=True)
        ]

    def _judge(self, ruleset: Ruleset, scene: Scene, budget_ns: int = BUDGET_NS) -> Judgement:
        judgement = ruleset.judge(scene, clock=self._clock, deadline_ns=self._clock() + budget_ns)
        return self._with_forgeries(scene.step, judgement)

    def forged(self, step: Part) -> Judgement:
        """What is to say of a step that no clause is held against: whether it pretends to be a notice of ours."""
        return self._with_forgeries(step, UNJUDGED)

    def _with_forgeries(self, step: Part, judgement: Judgement) -> Judgement:
        """Add what pretends to be a notice of ours: whoever writes "blocked by the gateway" wants to be believed."""
        if "[Stepwarden:" not in step.text:
            return judgement
        forged = [found for found in recognise(step.text, self.notice_key) if not found.genuine]
        if not forged:
            return judgement
        evidence = tuple([Evidence(start=found.start, end=found.end, label="forged_notice") for found in forged])
        finding = Finding(clause=NOTICES, guard="mark.0", score=60, state="unsure", evidence=evidence)
        flagged = combine([judgement.verdict, Verdict(name="flag", clauses=(NOTICES,))])
        return msgspec.structs.replace(judgement, verdict=flagged, findings=(*judgement.findings, finding))
