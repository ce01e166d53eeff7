"""The live ladder: proposals on real traffic, from shadow over canary to being in force, and back.

The record is its source, so nothing of it is in the path of a request. How far each trial is stands in `ledger.db`;
every move is one transaction there, so that a kill leaves it before or behind the move, and what is looked at again is
what was not counted.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from gateway.config import Config
from gateway.optimizing.episodes import recorded_episodes
from gateway.optimizing.looks import Looks
from gateway.standing import Standing
from policies.beside import Beside
from policies.gate.case import ShadowTally
from policies.gate.trial import Looked, Trial, Word, after
from policies.gate.trial import said as said_by
from policies.parameters import apply
from policies.vocabulary.audit import GATEWAY
from policies.vocabulary.holds import Review
from policies.vocabulary.ladder import Climb, Decision, Outcome, RungName, Why
from policies.vocabulary.revisions import Parameters, Score
from storage.revisions import Filed, RevisionBook
from storage.rows import SessionRow
from storage.store import Store

_LOG: Final = logging.getLogger("stepwarden.optimizer")

AT_A_TIME: Final = 4
"""Proposals of one app that are in shadow at the same time; the others wait for their turn."""

_SESSIONS: Final = 16
"""Sessions that are looked at before it is noted how far a trial is."""

_BEHIND: Final = 5_000
"""Sessions of all apps behind which a trial passes over some, so that it says what is so now."""

_LOOK_SECONDS: Final = 1.0
_SELDOM: Final = 30
"""Looks after which those are looked at, too, that wait for a person: something else may be in force by now."""

_PART: Final = 4
"""Rests are so many times as long as the work before: a fifth of one processor at most."""

_LONGEST_REST: Final = 0.25

_OPEN: Final[frozenset[Word]] = frozenset({"comparing", "one_voice"})
"""Words after which sessions are looked at as before."""

Change = Callable[[Standing], None]
Revise = Callable[[Change], None]
"""Carries out a change of what is in force where that is kept, and waits for it."""


class Stopped(Exception):
    """The gateway stops."""


class LiveLadder:
    """All proposals of one gateway. For one thread."""

    def __init__(  # noqa: PLR0913 - all that it looks at
        self,
        standing: Standing,
        book: RevisionBook,
        looks: Looks,
        *,
        newest: Callable[[], int],
        configured: dict[str, frozenset[str]],
        keys: Callable[[str], int],
        revise: Revise,
        rest: Callable[[], None],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`newest`: number of the session recorded last; `configured`: tags of tools by the configuration.

        `keys`: how many keys there are that may call for an app, or for those that follow it.
        """
        self._keys = keys
        self._standing = standing
        self._book = book
        self._looks = looks
        self._newest = newest
        self._configured = configured
        self._revise = revise
        self._rest = rest
        self._now_ns = now_ns
        self._besides: dict[int, Beside] = {}
        self._looks_left = 0
        """Until those are looked at that wait for a person."""
        self._told: set[tuple[int, str]] = set()
        """Of proposals that cannot go on, what was said of it."""

    def look(self) -> bool:
        """Go on with every proposal; whether there may be more to do at once."""
        asleep, self._looks_left = not self._looks_left, (self._looks_left or _SELDOM) - 1
        live = self._book.live(asleep=asleep)
        self._besides = {number: each for number, each in self._besides.items() if number in {f.number for f in live}}
        more = False
        shadows: dict[str, int] = {}
        for filed in live:
            app = filed.proposal.app
            if app not in self._standing.apps():
                continue
            if filed.state == "waiting" and filed.climb.last.rung == "shadow":
                shadows[app] = shadows.get(app, 0) + 1
                if shadows[app] > AT_A_TIME:
                    continue
            try:
                more = self._go_on(filed) or more
            except Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - one proposal must not stop the others
                self._say(filed.number, type(error).__name__)
        return more

    def _say(self, number: int, error: str) -> None:
        if (number, error) not in self._told:
            self._told.add((number, error))
            _LOG.error("a proposal cannot go on; it is tried again", extra={"proposal": number, "error": error})

    def _go_on(self, filed: Filed) -> bool:
        rung = filed.climb.last.rung
        if filed.state != "active" and filed.proposal.parent != self._standing.parameters(filed.proposal.app).digest:
            return self._end(filed, rung, "abstained", "overtaken")
        trial = self._book.trial(filed.number)
        if filed.state == "waiting" and rung == "shadow":
            return self._shadow(filed, trial)
        if filed.state == "waiting":
            return (filed.climb.reached or filed.climb.last.why == "too_many_by_itself") and self._ask_again(filed)
        return trial is not None and self._watch(filed, trial)

    def _watch(self, filed: Filed, trial: Trial) -> bool:
        """What sessions run under, in its canary or in force, unless something else is in force by now."""
        now = self._standing.line(filed.proposal.app).now
        if filed.state == "canary" and trial.before != now:
            return self._end(filed, "canary", "abstained", "overtaken")
        if filed.state == "active" and trial.revision != now:
            climbed = _and(filed.climb, Decision(rung="rollback", outcome="abstained", why="overtaken"))
            self._carry_out(filed, trial, lambda standing: standing.rest(filed.number, climbed))
            return False
        return self._compare(filed, trial)

    # ------------------------------------------------------------------------------------------------------- stages

    def _shadow(self, filed: Filed, trial: Trial | None) -> bool:
        began = trial or Trial(
            stage="shadow",
            cursor=self._newest(),
            before=self._standing.line(filed.proposal.app).now,
            shadow=ShadowTally(since_ns=self._now_ns()),
        )
        beside = self._beside(filed)
        if beside.blind:
            return self._end(filed, "shadow", "abstained", "cannot_be_watched")
        now, seen = self._further(filed, began, beside)
        climbed = self._standing.asked(filed, now)

        def change(standing: Standing) -> None:
            standing.advance(filed.number, now, [would for each in seen for would in each.woulds])
            if climbed.last.rung != "shadow" or climbed.last.outcome != "waiting":
                standing.close(filed.number, climbed)

        if trial is None or seen or climbed.last != filed.climb.last:
            self._carry_out(filed, trial, change)
        return len(seen) == _SESSIONS or climbed.last.rung != "shadow"

    def _ask_again(self, filed: Filed) -> bool:
        """One that waits for a person, for its turn, or for the next day."""
        climbed = filed.climb if filed.climb.reached else self._standing.asked(filed)
        if not climbed.reached or not self._standing.is_free(filed.proposal.app):
            return False

        def change(standing: Standing) -> None:
            if not filed.climb.reached:
                standing.close(filed.number, climbed)
            if standing.is_free(filed.proposal.app) and standing.may_begin(self._book.get(filed.number)):
                standing.begin(filed.number)

        self._carry_out(filed, None, change)
        return True

    def _compare(self, filed: Filed, trial: Trial) -> bool:
        """The canary, and the watch over what is in force."""
        said = self._said(filed, trial)
        now, seen = trial, list[Looked]()
        if said in _OPEN:
            now, seen = self._further(filed, trial, self._beside(filed) if trial.canary.paired else None)
            said = self._said(filed, now)
        if not seen and said in _OPEN:
            return False
        scores = _figures(now)

        def change(standing: Standing) -> None:
            standing.advance(filed.number, now, [would for each in seen for would in each.woulds])
            if said == "one_voice":
                self._ask_a_person(standing, filed, now, scores)
            elif said != "comparing":
                self._decide(standing, filed, now, said, scores)

        self._carry_out(filed, trial, change)
        return len(seen) == _SESSIONS

    def _said(self, filed: Filed, trial: Trial) -> Word:
        """What live traffic says of it so far."""
        agreed = any(each.why == "person_approved" for each in filed.climb.decisions)
        return said_by(trial, self._standing.gate, keys=self._keys(filed.proposal.app), agreed=agreed)

    def _ask_a_person(self, standing: Standing, filed: Filed, trial: Trial, scores: tuple[Score, ...]) -> None:
        """Say once that it is a person's to decide; it is compared on, and others may speak up."""
        if any(each.why == "one_voice" for each in filed.climb.decisions):
            return
        rung: RungName = "canary" if trial.stage == "canary" else "rollback"
        waits = Decision(rung=rung, outcome="waiting", why="one_voice", scores=scores)
        standing.note(filed.number, _and(filed.climb, waits), trial)
        _LOG.warning(
            "live traffic speaks against it, of too few keys: a person decides", extra={"proposal": filed.number}
        )

    def _decide(self, standing: Standing, filed: Filed, trial: Trial, said: Word, scores: tuple[Score, ...]) -> None:
        if trial.stage == "canary":
            climbed = standing.asked(filed, trial)
            if climbed.reached:
                standing.promote(filed.number, climbed)
            else:
                standing.close(filed.number, climbed)
        elif standing.line(filed.proposal.app).now != trial.revision:
            return  # a person put something else in force while this was looked at, and that stays
        elif said == "not_worse":
            passed = Decision(rung="rollback", outcome="passed", why="not_worse", scores=scores)
            standing.rest(filed.number, _and(filed.climb, passed))
        else:
            climbed = _and(filed.climb, Decision(rung="rollback", outcome="refused", why="worse_live", scores=scores))
            figures = ", ".join(f"{score.name} {score.value:g}" for score in scores)
            word = Review(actor=GATEWAY, reason=f"it harms more sessions than what was before ({figures})")
            standing.roll_back(filed.proposal.app, None, word, climbed)
        _LOG.warning("live traffic decided", extra={"proposal": filed.number, "stage": trial.stage, "said": said})

    # ------------------------------------------------------------------------------------------------------- within

    def _further(self, filed: Filed, trial: Trial, beside: Beside | None) -> tuple[Trial, list[Looked]]:
        """The trial with the sessions that are due."""
        app, now_ns = filed.proposal.app, self._now_ns()
        due = self._looks.due(app, trial.cursor, now_ns=now_ns, most=_SESSIONS)
        if len(due) == _SESSIONS:
            trial, due = self._caught_up(app, trial, due, now_ns)
        seen: list[Looked] = []
        for number, row in due:
            looked = self._looks.look(number, row, trial, beside)
            trial = after(trial, looked, self._standing.gate)
            seen.append(looked)
            self._rest()
            if trial.stage != "shadow" and self._said(filed, trial) not in _OPEN:
                break
        return trial, seen

    def _caught_up(
        self, app: str, trial: Trial, due: list[tuple[int, SessionRow]], now_ns: int
    ) -> tuple[Trial, list[tuple[int, SessionRow]]]:
        last = self._looks.last_due(app, now_ns=now_ns)
        if last - trial.cursor <= _BEHIND:
            return trial, due
        cursor = last - _BEHIND // 2
        trial = msgspec.structs.replace(trial, cursor=cursor, skipped=trial.skipped + cursor - trial.cursor)
        return trial, self._looks.due(app, cursor, now_ns=now_ns, most=_SESSIONS)

    def _beside(self, filed: Filed) -> Beside:
        """What tells the candidate from what it is compared with."""
        found = self._besides.get(filed.number)
        if found is None:
            before, child = self._versions(filed)
            found = Beside(before, child, configured=self._configured, rest=self._rest)
            self._besides[filed.number] = found
        return found

    def _versions(self, filed: Filed) -> tuple[Parameters, Parameters]:
        if filed.state == "active":
            now = self._book.in_force(filed.proposal.app)
            assert now is not None
            assert now.revision.parent is not None
            return self._book.revision(now.revision.parent).parameters, now.parameters
        before = self._standing.parameters(filed.proposal.app)
        return before, apply(before, filed.proposal.edits)

    def _end(self, filed: Filed, rung: RungName, outcome: Outcome, why: Why) -> bool:
        climbed = _and(filed.climb, Decision(rung=rung, outcome=outcome, why=why))
        trial = self._book.trial(filed.number)

        def change(standing: Standing) -> None:
            standing.close(filed.number, climbed)

        self._carry_out(filed, trial, change)
        return False

    def _carry_out(self, filed: Filed, trial: Trial | None, change: Change) -> None:
        """Make a move, unless somebody else moved the proposal meanwhile."""

        def still(standing: Standing) -> None:
            now = self._book.get(filed.number)
            same = (now.state, now.climb) == (filed.state, filed.climb) and self._book.trial(filed.number) == trial
            if same:
                change(standing)

        self._revise(still)


class LiveThread:
    """The thread in which the ladder is climbed, beside the traffic: a fifth of one processor at most."""

    def __init__(self, make: Callable[[Callable[[], None]], LiveLadder]) -> None:
        """`make` builds the ladder, given what rests."""
        self._stopping = threading.Event()
        self._since = time.monotonic()
        self._ladder = make(self._rest)
        self._thread = threading.Thread(target=self._run, name="stepwarden-live", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, before the next session is looked at. Blocks; what was begun is carried out meanwhile."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self._since = time.monotonic()
                while self._ladder.look():
                    self._rest()
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - nobody watches a thread
                _LOG.error("live traffic cannot be looked at", extra={"error": type(error).__name__})

    def _rest(self) -> None:
        if self._stopping.wait(min(_PART * (time.monotonic() - self._since), _LONGEST_REST)):
            raise Stopped
        self._since = time.monotonic()


def open_live(config: Config, store: Store, standing: Standing, revise: Revise) -> LiveThread:
    """The thread of a gateway that begins."""
    settle_ns = int(config.optimizer.session_minutes * 60e9)
    looks = Looks(store, recorded_episodes(store, config), settle_ns=settle_ns, configured=config.apps)

    def make(rest: Callable[[], None]) -> LiveLadder:
        return LiveLadder(
            standing,
            store.revisions,
            looks,
            newest=store.newest_session,
            configured={name: frozenset[str](tool.tags) for name, tool in config.tools.items()},
            keys=partial(keys_of, store, config),
            revise=revise,
            rest=rest,
        )

    return LiveThread(make)


def keys_of(store: Store, config: Config, app: str) -> int:
    """How many keys may call for an app; for `default`, those of apps that nobody configured, too."""
    now_ns = time.time_ns()
    return sum(
        key.role == "app" and key.is_valid(now_ns) and config.followed(key.app) == app for key in store.keys.list()
    )


def _and(climb: Climb, decision: Decision) -> Climb:
    """A climb with what was said last in place of what merely waited."""
    kept = tuple([each for each in climb.decisions if each.stands])
    return msgspec.structs.replace(climb, decisions=(*kept, decision))


def _figures(trial: Trial) -> tuple[Score, ...]:
    canary = trial.canary
    figures = {"sessions": canary.candidate.sessions, "harmed": canary.candidate.harmed}
    if not canary.paired:
        figures |= {"sessions_before": canary.in_force.sessions, "harmed_before": canary.in_force.harmed}
    return tuple([Score(name=name, value=float(value)) for name, value in figures.items()])
