"""The gate: a model is asked about a proposed call before it takes effect.

One question holds all clauses a step is to be held against. A quick word comes first; only where it is not ok a
critique follows, and for critical clauses three of them from different views, at the same time. Scores are taken at
their worst. Whatever goes wrong is an answer with a `failure`, so that the clause's `on_error` decides:
the words of `Unserved`, and `answer_refused answer_cut_off answer_empty answer_malformed`.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from policies.asking import Answer, Asking
from policies.digests import digest
from policies.guards.judge import Case, Charge
from policies.vocabulary.canaries import Sight
from policies.vocabulary.critiques import Critique, Opinion
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.supervisor_calls import Purpose
from supervisors.adapters.excerpt import Excerpt
from supervisors.caller import Caller, Errand, Unserved
from supervisors.canaries import Canaries, Canary
from supervisors.critic import UNSURE, Critic, Opined
from supervisors.critics.answers import Malformed
from supervisors.critics.appeals import appeals
from supervisors.critics.fences import Draw, Exhibit
from supervisors.critics.prompt import REVISION, Matter, ordered
from supervisors.exhibits import Exhibits
from supervisors.ports import Clock

log = logging.getLogger("stepwarden.gate")

IN_FLIGHT: Final = 32
"""Steps that are judged at the same time; others wait their turn, no longer than the deadline."""

GRACE_SECONDS: Final = 1.0
"""Beyond the deadline, which every call keeps by itself: for a ledger that hangs."""

QUOTED: Final = "judge"
"""The label of evidence that a critique quotes."""

_REMEMBERED: Final = 4096

_LOOKED_THROUGH_HERE: Final = 4096
"""Bytes of a step that are looked through on the event loop; more may take tens of milliseconds."""

Told = Callable[[Critique], None]
"""Takes a critique for the record; returns at once."""


class Gate:
    """Who answers for the gate: one for all workers. Used from one event loop."""

    def __init__(
        self,
        caller: Caller,
        *,
        draw: Draw,
        seconds: float,
        clock: Clock,
        now_ns: Clock,
        new_id: Callable[[], str],
        told: Told,
    ) -> None:
        """`seconds`: how long a step waits for its judgement at most, whatever it takes."""
        self._caller = caller
        self._exhibits = Exhibits(draw)
        self._seconds = seconds
        self._clock = clock
        self._now_ns = now_ns
        self._new_id = new_id
        self._told = told
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._known: OrderedDict[bytes, Answer] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[dict[str, Answer]]] = {}
        self._canaries: Canaries | None = None
        self._watching: set[asyncio.Task[None]] = set()

    def watch(self, canaries: Canaries) -> None:
        """Mix canaries in among the cases from now on. Nobody waits for one."""
        self._canaries = canaries

    @property
    def sight(self) -> Sight | None:
        """What the newest canaries say; None where none are mixed in."""
        return None if self._canaries is None else self._canaries.sight

    async def judge(self, case: Case) -> tuple[Answer, ...]:
        """An answer for each charge, in order. Raises nothing but `CancelledError`.

        The same step under the same clause gets the same answer; one that is asked about meanwhile is not asked twice.
        """
        keys = {charge: case.digest(charge) for charge in case.charges}
        found = {key: self._known[key] for key in keys.values() if key in self._known}
        left = tuple([charge for charge, key in keys.items() if key not in found])
        if left:
            answers = await self._joined(msgspec.structs.replace(case, charges=ordered(left)), keys)
            found |= {keys[charge]: answers[charge.clause] for charge in left}
        return tuple([found[keys[charge]] for charge in case.charges])

    def forget(self, sessions: Iterable[str]) -> None:
        """Keep nothing of what was shown of these sessions: they were erased."""
        self._exhibits.forget(sessions)

    async def close(self) -> None:
        """Wait for nobody any more."""
        tasks: list[asyncio.Task[Any]] = [*self._running.values(), *self._watching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _joined(self, case: Case, keys: Mapping[Charge, bytes]) -> dict[str, Answer]:
        """The answers of the one inquiry there is about a case; who leaves does not end it for others.

        One for each session: whose budget is gone must not be why another's step has no answer.
        """
        account = f"{case.asking.app}\0{case.asking.session_id or ''}\0".encode("utf-8", "surrogatepass")
        key = account + b"".join([keys[charge] for charge in case.charges])
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._judged(case, keys))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
            self._mix_in(case)
        return await asyncio.shield(task)

    def _mix_in(self, case: Case) -> None:
        """Let a canary go with a case where one is due, under the same charges, unless every turn is taken."""
        canaries, app = self._canaries, case.asking.app
        if canaries is None or self._turns.locked():
            return
        canary = canaries.due(app, [charge.clause for charge in case.charges])
        if canary is None:
            return
        asked = Case(charges=case.charges, scene=canary.scene, facts=canary.facts, asking=Asking(app=app))
        task = asyncio.get_running_loop().create_task(self._watched(canaries, canary, asked))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _watched(self, canaries: Canaries, canary: Canary, case: Case) -> None:
        """Judge a canary like any case, and note what was said; of one that got no answer nothing is known."""
        try:
            async with asyncio.timeout(self._seconds + GRACE_SECONDS), self._turns:
                found = await self._asked(case, self._exhibits.matter(case), "canary", self._clock())
        except (TimeoutError, Unserved, Malformed):
            return
        answer = found.answers[canary.clause]
        if answer.failure is None:
            score = max([hit.score for hit in answer.hits], default=0)
            canaries.judged(canary, case.asking.app, score, prompt=REVISION)

    async def _judged(self, case: Case, keys: Mapping[Charge, bytes]) -> dict[str, Answer]:
        """By clause; what was answered is remembered, what failed is asked again."""
        began_ns = self._clock()
        try:
            async with asyncio.timeout(self._seconds + GRACE_SECONDS):
                answers = await self._in_turn(case, began_ns)
        except TimeoutError:
            answers = _failed(case.charges, "timed_out")
        except (Unserved, Malformed) as failed:
            answers = _failed(case.charges, failed.failure)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the clause's `on_error` decides
            # The message may hold what was judged.
            log.error("the gate failed", extra={"error": type(error).__name__})  # noqa: TRY400
            answers = _failed(case.charges, f"raised:{type(error).__name__}")
        micros = max(self._clock() - began_ns, 0) // 1000
        answers = {clause: msgspec.structs.replace(answer, micros=micros) for clause, answer in answers.items()}
        for charge in case.charges:
            if answers[charge.clause].failure is None:
                self._remember(keys[charge], answers[charge.clause])
        return answers

    async def _in_turn(self, case: Case, began_ns: int) -> dict[str, Answer]:
        """What is said of a case, by a model and of what it holds or hides. Raises as `_asked`, or `Unserved`."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Unserved("overloaded") from None
        try:
            matter = self._exhibits.matter(case)
            asked = self._asked(case, matter, "word", began_ns)
            found, beside = await asyncio.gather(asked, _beside(matter.steps[-1]))
        finally:
            self._turns.release()
        self._tell(case, found.opined)
        return {clause: _with(answer, beside) for clause, answer in found.answers.items()}

    async def _asked(self, case: Case, matter: Matter, purpose: Purpose, began_ns: int) -> "_Found":
        """The cascade. Raises `Unserved`, `Malformed` or `TimeoutError`."""
        critic = self._critic(case, purpose, began_ns)
        if await critic.word(matter) == "ok":
            return _Found({charge.clause: Answer() for charge in case.charges})
        opined = await critic.views(matter)
        answers = {
            charge.clause: _answer(charge, [each for each in opined if charge in each.charges])
            for charge in case.charges
        }
        return _Found(answers, opined)

    def _critic(self, case: Case, purpose: Purpose, began_ns: int) -> Critic:
        """Who asks, as long as there is time."""
        until_ns = began_ns + int(self._seconds * 1e9)
        asking = case.asking
        errand = Errand(
            seat="gate",
            purpose=purpose,
            clauses=tuple([charge.clause for charge in case.charges]),
            app=asking.app,
            session_id=asking.session_id,
            exchange_id=asking.exchange_id,
        )
        return Critic(self._caller, errand, left=lambda: (until_ns - self._clock()) / 1e9)

    def _tell(self, case: Case, opined: Iterable[Opined]) -> None:
        """Hand critiques over for the record."""
        asking = case.asking
        for each in opined:
            if each.said is None:
                continue
            self._told(
                Critique(
                    critique_id=self._new_id(),
                    seat="gate",
                    view=each.view,
                    app=asking.app,
                    session_id=asking.session_id,
                    exchange_id=asking.exchange_id,
                    steps=(),
                    ruleset=digest([msgspec.to_builtins(charge) for charge in case.charges]),
                    opinions=each.said.opinions,
                    blamed=each.said.blamed,
                    calls=each.calls,
                    at_ns=self._now_ns(),
                )
            )

    def _remember(self, key: bytes, answer: Answer) -> None:
        self._known[key] = answer
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


class _Found(msgspec.Struct, frozen=True):
    """What the cascade came to: an answer for each clause, and the critiques it took."""

    answers: dict[str, Answer]
    opined: tuple[Opined, ...] = ()


async def _beside(step: Exhibit) -> tuple[Hit, ...]:
    """What a step says to its judge and what of it nobody was shown: looked for while the model is asked."""
    spoken = appeals(step.text) if step.size <= _LOOKED_THROUGH_HERE else await asyncio.to_thread(appeals, step.text)
    return (*spoken, *Excerpt(text=step.text, size=step.size, whole=step.whole).tail())


def _failed(charges: Iterable[Charge], why: str) -> dict[str, Answer]:
    return {charge.clause: Answer(failure=why) for charge in charges}


def _answer(charge: Charge, opined: Sequence[Opined]) -> Answer:
    """What the views come to: the worst of them; one that is missing is unsure, and all missing is no answer."""
    if all(each.said is None for each in opined):
        return Answer(failure=opined[0].failure)
    hits = [_hit(each, opinion) for each in opined for opinion in _of(charge, each) if opinion.label != "ok"]
    for each in opined:
        if each.said is None:
            note = f"the {each.view} view gave no answer ({each.failure})"
            hits.append(Hit(score=UNSURE, state="unsure", evidence=(Evidence(label=QUOTED),), note=note))
    return Answer(hits=tuple(hits))


def _of(charge: Charge, opined: Opined) -> Iterable[Opinion]:
    return () if opined.said is None else [each for each in opined.said.opinions if each.clause == charge.clause]


def _hit(opined: Opined, opinion: Opinion) -> Hit:
    evidence = tuple([Evidence(start=each.start, end=each.end, label=QUOTED) for each in opinion.quotes])
    return Hit(
        score=opinion.score,
        state="violation" if opinion.label == "violation" else "unsure",
        evidence=evidence or (Evidence(label=QUOTED),),
        note=f"the supervisor's {opined.view} view says {opinion.label}",
    )


def _with(answer: Answer, beside: tuple[Hit, ...]) -> Answer:
    return answer if answer.failure is not None else msgspec.structs.replace(answer, hits=(*answer.hits, *beside))
