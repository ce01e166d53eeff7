"""The monitor: reads what agents did, after it happened, and says what it thinks of it.

Steps wait in a durable queue. Those of one session go to the model in one call, the riskiest sessions first, a few
sessions at a time; when more wait than there is room for, the least risky are let go, and that is recorded like a
critique. What becomes of a step is settled once, whatever crashes: a call may be made again, a critique is kept once.
Nothing here is in any request's way.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from policies.errors import StepwardenError
from policies.guards.judge import Charge
from policies.trail import Scene
from policies.vocabulary.canaries import Sight
from policies.vocabulary.critiques import Consumed, Critique
from policies.vocabulary.monitoring import SHED, Awaiting, Filed
from policies.vocabulary.supervisor_calls import Purpose
from supervisors.caller import Caller, Errand, Unserved
from supervisors.canaries import Canaries, Canary
from supervisors.critic import Critic
from supervisors.critics.answers import Malformed, Said
from supervisors.critics.fences import Draw
from supervisors.critics.prompt import REVISION, Matter
from supervisors.monitor_ports import Book, Clauses, Queue, Record
from supervisors.ports import Clock
from supervisors.transcript import SHOWN_BYTES, STEP_BYTES, Seen, Transcript, Transcripts

log = logging.getLogger("stepwarden.monitor")

ATTEMPTS: Final = 3
"""Attempts at a step of which none was answered properly, before that is what is said of it."""

PATIENCE_NS: Final = 3_600_000_000_000
"""How long a step waits for a provider that is not there; then that is what is said of it."""

NOT_KEPT: Final = "not_kept"
"""The step's text was not kept, so there is nothing to read."""

NO_CLAUSE: Final = "no_clause"
"""The clauses it was to be read for are in force no more."""

_AWAY: Final = frozenset({"overloaded", "unreachable", "breaker_open", "key_missing", "key_refused", "ledger_failed"})
"""Reasons that are none of a step's, so that it waits: what else fails counts as an attempt at it."""

BUDGETS: Final = frozenset({"budget_session", "budget_app", "budget_day", "price_unknown"})
"""Reasons that time alone does not mend soon enough: said of a step at once."""

_BACKOFF_NS: Final = 5_000_000_000
_PAUSE_SECONDS: Final = 5.0
_SHED_AT_ONCE: Final = 500

_BATCH_BYTES: Final = 64 * 1024
"""Of the steps that one call asks about, as far as they are shown; a single one may be as long as any."""


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is read at a time."""

    seconds: float = 60.0
    """For one answer."""

    sessions: int = 4
    """Sessions that are read at the same time."""

    batch: int = 20
    """Steps in one call."""

    room: int = 10_000
    """Steps that may wait; what comes beyond is shed."""

    poll_seconds: float = 0.5


class MonitorState(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor has done since it started, for people on call."""

    read: int = 0
    """Steps of which something was judged."""

    failed: int = 0
    """Steps of which nothing could be judged."""

    shed: int = 0
    """Steps that were let go because too many waited."""

    waiting: int = 0
    problem: str | None = None
    """Why the last call failed; None once one succeeds."""


class Monitor:
    """One gateway's monitor. Used from one event loop."""

    def __init__(  # noqa: PLR0913 - all it touches, by name
        self,
        caller: Caller,
        *,
        queue: Queue,
        record: Record,
        clauses: Clauses,
        book: Book,
        canaries: Canaries,
        settings: MonitorSettings,
        draw: Draw,
        new_id: Callable[[], str],
        clock: Clock,
        now_ns: Clock,
    ) -> None:
        """`draw` gives fences, `new_id` ULIDs; `clock` is monotonic, `now_ns` the wall clock, both nanoseconds."""
        self._caller = caller
        self._queue = queue
        self._record = record
        self._clauses = clauses
        self._book = book
        self._settings = settings
        self._draw = draw
        self._new_id = new_id
        self._clock = clock
        self._now_ns = now_ns
        self._canaries = canaries
        self._transcripts = Transcripts()
        self._reading: dict[str, asyncio.Task[None]] = {}
        """By session."""
        self._rest_until_ns = 0
        self._read = self._failed = self._shed = self._waiting = 0
        self._problem: str | None = None

    def state(self) -> MonitorState:
        """Counters as they stand."""
        return MonitorState(
            read=self._read,
            failed=self._failed,
            shed=self._shed,
            waiting=self._waiting,
            problem=self._problem,
        )

    @property
    def sight(self) -> Sight:
        """What the newest canaries say."""
        return self._canaries.sight

    def forget(self, sessions: Sequence[str]) -> None:
        """Show nothing any more of what was shown of these sessions: they were erased."""
        self._transcripts.forget(sessions)

    async def run(self) -> None:
        """Read until cancelled; whatever goes wrong is said and tried again."""
        try:
            while True:
                idle = True
                try:
                    idle = not await self._turn()
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # noqa: BLE001 - nobody watches a task
                    _tell("the monitor failed, and goes on", error)
                if idle:
                    await self._rest()
        finally:
            for task in self._reading.values():
                task.cancel()
            await asyncio.gather(*self._reading.values(), return_exceptions=True)

    async def drain(self) -> None:
        """Read until nothing waits that can be read now."""
        while await self._turn() or self._reading:
            if self._reading:
                await asyncio.wait(self._reading.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _turn(self) -> bool:
        """Queue what is new, make room, and begin to read; whether there is more to do at once."""
        more = await self._queue.fill()
        self._waiting = await self._queue.depth()
        surplus = self._waiting - self._settings.room
        made_room = surplus > 0 and await self._make_room(surplus)
        return await self._begin() or made_room or more

    async def _rest(self) -> None:
        """Wait for a session to be read, or for something new."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.poll_seconds):
                if self._reading:
                    await asyncio.wait(self._reading.values(), return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.Event().wait()

    async def _begin(self) -> bool:
        """Begin to read sessions, as many as may be read at a time; whether any was begun."""
        begun = False
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._reading) < self._settings.sessions and self._clock() >= self._rest_until_ns:
            steps = await self._queue.next(self._settings.batch, self._reading)
            if not steps:
                break
            session_id = steps[0].session_id
            task = loop.create_task(self._guarded(steps))
            self._reading[session_id] = task
            task.add_done_callback(lambda _, mine=session_id: self._reading.pop(mine, None))
            begun = True
        return begun

    async def _guarded(self, steps: Sequence[Awaiting]) -> None:
        """Read one session's steps; a fault of ours counts as an attempt at them."""
        try:
            try:
                await self._session(steps)
            except StepwardenError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the step must not be lost
                _tell("a session could not be read", error)
                await self._fail(steps, f"raised:{type(error).__name__}", ())
        except StepwardenError as error:
            log.warning("what the supervisor says cannot be stored, and waits", extra={"reason": str(error)})
            self._pause(_PAUSE_SECONDS)

    # ------------------------------------------------------------------------------------------------ one session

    async def _session(self, steps: Sequence[Awaiting]) -> None:
        steps = _fitting(steps)
        app, names = steps[0].app, steps[0].clauses
        charges = self._clauses.charges(app, names)
        if not charges:
            await self._settle([self._unjudged(steps, NO_CLAUSE)])
            return
        transcript, seen = await self._shown(steps)
        steps = await self._readable(steps, transcript, seen)
        if not steps:
            return
        canary = self._canaries.due(app, _names(charges))
        if canary is not None:
            await self._watch(app, charges, canary)
        critic = Critic(self._caller, self._errand(app, steps[0].session_id, charges, "word"), left=self._seconds)
        try:
            said = await critic.said(transcript.matter(charges, {step.step_id for step in steps}))
        except Unserved as unserved:
            await self._unserved(steps, unserved, critic.calls)
        except Malformed as malformed:
            await self._fail(steps, malformed.failure, critic.calls)
        else:
            self._problem = None
            if await self._settle([self._judged(steps, said, critic.calls)]):
                self._transcripts.keep(steps[0].session_id, names, transcript)

    async def _shown(self, steps: Sequence[Awaiting]) -> tuple[Transcript, set[str]]:
        """The session's transcript with these steps at its end, and the ids of all that is recorded of it there."""
        session_id, names = steps[0].session_id, steps[0].clauses
        before = self._transcripts.of(session_id, names)
        wanted = [step.step_id for step in steps]
        if before.size < SHOWN_BYTES and before.ids.isdisjoint(wanted):
            most = SHOWN_BYTES - before.size
            new = await self._record.steps(session_id, after=before.number, wanted=wanted, most=most)
            seen = {step.step_id for step in new}
            if seen.issuperset(wanted):
                return before.followed(new, self._draw), seen
        new = await self._record.steps(session_id, after=0, wanted=wanted, most=SHOWN_BYTES // 2)
        return Transcript().followed(new, self._draw), {step.step_id for step in new}

    async def _readable(self, steps: Sequence[Awaiting], transcript: Transcript, seen: set[str]) -> list[Awaiting]:
        """The steps that can be read; of one whose text was not kept that is said, one that is gone is let go."""
        shown = transcript.ids
        gone = [step for step in steps if step.step_id not in seen]
        if gone:
            await self._queue.forget(gone)
        unkept = [step for step in steps if step.step_id in seen and step.step_id not in shown]
        if unkept:
            await self._settle([self._unjudged(unkept, NOT_KEPT)])
        return [step for step in steps if step.step_id in shown]

    async def _watch(self, app: str, charges: Sequence[Charge], canary: Canary) -> None:
        """Judge a canary like any session, under the same charges; of one that got no answer nothing is known."""
        critic = Critic(self._caller, self._errand(app, None, charges, "canary"), left=self._seconds)
        try:
            said = await critic.said(_alone(canary.scene, charges, self._draw))
        except (Unserved, Malformed):
            return  # what is wrong shows in the session's own call
        scores = [each.score for each in said.opinions if each.clause == canary.clause and each.label != "ok"]
        self._canaries.judged(canary, app, max(scores, default=0), prompt=REVISION)

    async def _unserved(self, steps: Sequence[Awaiting], unserved: Unserved, calls: Sequence[Consumed]) -> None:
        """Nobody answered: wait where that is not about these steps, and say so where it is or lasts too long."""
        why = unserved.why
        self._say(why)
        if why in BUDGETS:
            await self._settle([self._unjudged(steps, why, calls)])
        elif why not in _AWAY:
            await self._fail(steps, why, calls)
        elif min([step.since_ns for step in steps]) + PATIENCE_NS < self._now_ns():
            await self._settle([self._unjudged(steps, why, calls)])
        else:
            self._pause(_PAUSE_SECONDS if unserved.retry_after_seconds is None else unserved.retry_after_seconds)

    async def _fail(self, steps: Sequence[Awaiting], why: str, calls: Sequence[Consumed]) -> None:
        """An attempt came to nothing: let the steps wait a while, or say so for good."""
        self._say(why)
        tried = max([step.attempts for step in steps]) + 1
        if tried < ATTEMPTS:
            await self._queue.postpone(steps, self._now_ns() + _BACKOFF_NS * 4 ** (tried - 1))
        else:
            await self._settle([self._unjudged(steps, why, calls)])

    async def _make_room(self, count: int) -> bool:
        """Let go of what matters least, and say so; whether there was anything that is not being read."""
        least = await self._queue.least_risky(min(count, _SHED_AT_ONCE), self._reading)
        if not least:
            return False
        groups: dict[tuple[str, str], list[Awaiting]] = {}
        for step in least:
            groups.setdefault((step.session_id, step.ruleset), []).append(step)
        await self._settle([self._unjudged(steps, SHED) for steps in groups.values()])
        log.warning(
            "more steps wait than the supervisor can read: the least risky are let go",
            extra={"shed": len(least), "waiting": self._waiting, "shed_since_start": self._shed},
        )
        return True

    async def _settle(self, several: Sequence[Filed]) -> bool:
        """Keep what came of steps, and count it; whether any was kept."""
        kept = await self._book.settle(several)
        for filed in kept:
            count = len(filed.critique.steps)
            if filed.failure is None:
                self._read += count
            elif filed.failure == SHED:
                self._shed += count
            else:
                self._failed += count
        return bool(kept)

    def _seconds(self) -> float:
        """For the next answer."""
        return self._settings.seconds

    def _pause(self, seconds: float) -> None:
        """Begin to read no session for a while."""
        self._rest_until_ns = self._clock() + int(seconds * 1e9)

    def _say(self, why: str) -> None:
        """Tell of a problem once, not each time."""
        if why != self._problem:
            log.warning("the supervisor did not answer: %s", why)
        self._problem = why

    def _errand(self, app: str, session_id: str | None, charges: Sequence[Charge], purpose: Purpose) -> Errand:
        return Errand(seat="monitor", purpose=purpose, clauses=_names(charges), app=app, session_id=session_id)

    def _judged(self, steps: Sequence[Awaiting], said: Said, calls: Sequence[Consumed]) -> Filed:
        verdict = self._clauses.ruling(steps[0].app, said.opinions)
        return Filed(
            critique=self._critique(steps, calls, said),
            verdict=verdict.name,
            shadow=verdict.shadow,
            clauses=verdict.clauses,
        )

    def _unjudged(self, steps: Sequence[Awaiting], why: str, calls: Sequence[Consumed] = ()) -> Filed:
        return Filed(critique=self._critique(steps, calls, Said(opinions=())), failure=why)

    def _critique(self, steps: Sequence[Awaiting], calls: Sequence[Consumed], said: Said) -> Critique:
        return Critique(
            critique_id=self._new_id(),
            seat="monitor",
            app=steps[0].app,
            session_id=steps[0].session_id,
            steps=tuple([step.step_id for step in steps]),
            ruleset=steps[-1].ruleset,
            opinions=said.opinions,
            blamed=said.blamed,
            calls=tuple(calls),
            at_ns=self._now_ns(),
        )


def _tell(what: str, error: Exception) -> None:
    """Say that something went wrong; the message of the error may hold what was read."""
    log.error(what, extra={"error": type(error).__name__})


def _fitting(steps: Sequence[Awaiting]) -> Sequence[Awaiting]:
    """The first of these steps, as many as one call has room for."""
    room = _BATCH_BYTES
    for at, step in enumerate(steps):
        room -= min(step.size, STEP_BYTES)
        if room < 0 and at:
            return steps[:at]
    return steps


def _alone(scene: Scene, charges: Sequence[Charge], draw: Draw) -> Matter:
    """The question about the last step of a scene, shown like the beginning of a session."""
    parts = (*scene.trail.parts, scene.step)
    seen = [Seen(number=1, step_id=f"canary.{at}", part=part) for at, part in enumerate(parts)]
    return Transcript().followed(seen, draw).matter(charges, {seen[-1].step_id})


def _names(charges: Sequence[Charge]) -> tuple[str, ...]:
    return tuple([charge.clause for charge in charges])
