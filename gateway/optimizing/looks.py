"""Looks: recorded sessions, each looked at once some time after it began, for what a proposal does or did to it.

How long after is the same for all, and in the order in which they were first recorded, so that what becomes of a
session does not decide when it counts.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final, Protocol

from gateway.optimizing.episodes import RecordedEpisodes, Whole
from policies.beside import Beside, Difference
from policies.gate.canary import Arm
from policies.gate.trial import Looked, Trial, Would
from policies.vocabulary.verdicts import STRENGTH
from storage.rows import RecordedRow, SessionRow
from storage.sessions import Apps

_ACTS: Final = STRENGTH["redact"]
_WELL: Final = frozenset({"complete", "client_aborted"})
_ERROR: Final = 400


class Records(Protocol):
    """The slice of the record this reads; `storage.store.Store` fits."""

    def opened(self, apps: Apps, after: int, limit: int) -> list[tuple[int, SessionRow]]:
        """Sessions beyond a number, in the order in which they were first recorded."""
        ...

    def last_opened(self, apps: Apps, before_ns: int) -> int:
        """Number of the newest session that began before a moment; 0 where there is none."""
        ...

    def backwards(self, session_id: str, after: int) -> Iterator[RecordedRow]:
        """The exchanges of a session, newest first."""
        ...


class Looks:
    """The sessions of one gateway. Blocks."""

    def __init__(
        self, records: Records, episodes: RecordedEpisodes, *, settle_ns: int, configured: Collection[str]
    ) -> None:
        """`settle_ns`: how long after its beginning a session is looked at; `configured`: the apps that are."""
        self._configured = tuple(configured)
        self._records = records
        self._episodes = episodes
        self._settle_ns = settle_ns

    def due(self, app: str, after: int, *, now_ns: int, most: int) -> list[tuple[int, SessionRow]]:
        """The sessions that can be looked at now, in order, up to the first that is too young."""
        found: list[tuple[int, SessionRow]] = []
        for number, row in self._records.opened(self._apps(app), after, most):
            if row.started_ns + self._settle_ns > now_ns:
                break
            found.append((number, row))
        return found

    def last_due(self, app: str, *, now_ns: int) -> int:
        """Number of the newest session that can be looked at now; 0 where there is none."""
        return self._records.last_opened(self._apps(app), now_ns - self._settle_ns)

    def _apps(self, app: str) -> Apps:
        """Whose sessions run under what is in force for an app: those that nobody configured follow `default`."""
        return Apps(app=app, unlike=self._configured if app == "default" else ())

    def look(self, number: int, row: SessionRow, trial: Trial, beside: Beside | None) -> Looked:
        """One session. `beside`: what tells the two versions apart by replay; None where that cannot be known."""
        until_ns = row.started_ns + self._settle_ns
        rows = [each for each in self._records.backwards(row.session_id, 0) if each.exchange.started_ns <= until_ns]
        judged = [each for each in rows if each.judged is not None]
        looked = Looked(
            number=number,
            session_id=row.session_id,
            arm=_arm(judged, trial) if judged else None,
            key=row.key_id or "",
            requests=len(judged),
            harm=any(_harmed(each) for each in rows),
        )
        if beside is None or not judged or not (trial.stage == "shadow" or looked.arm == "candidate"):
            return looked
        whole = self._episodes.whole(row, until_ns)
        return _unread(looked) if whole is None else _compared(looked, whole, beside)


def _arm(rows: Sequence[RecordedRow], trial: Trial) -> Arm | None:
    """By what a session really ran under, whatever it was drawn for."""
    under = {each.judged.revision for each in rows if each.judged is not None}
    if under == {trial.before}:
        return "in_force"
    return "candidate" if trial.stage != "shadow" and under == {trial.revision} else None


def _harmed(row: RecordedRow) -> bool:
    """Whether an exchange was changed or stopped, or ended in an error."""
    exchange = row.exchange
    failed = exchange.outcome not in _WELL or (exchange.status or 0) >= _ERROR
    return failed or STRENGTH[exchange.verdict] >= _ACTS


def _unread(looked: Looked) -> Looked:
    return Looked(number=looked.number, session_id=looked.session_id, unread=True)


def _compared(looked: Looked, whole: Whole, beside: Beside) -> Looked:
    """What one version stops and the other does not, but for what somebody says should be stopped."""
    differences = list(beside.differences(whole.episode.steps))
    bad, undecided = whole.episode.bad, whole.episode.undecided
    wrong = [each for each in differences if each.at not in undecided and each.stricter != (each.at in bad)]
    extra = {_exchange_of(whole, each) for each in wrong if each.stricter}
    woulds = [
        Would(session_id=looked.session_id, step_id=whole.steps[each.at], was=each.was, would=each.would)
        for each in differences
    ]
    return Looked(
        number=looked.number,
        session_id=looked.session_id,
        arm=looked.arm,
        key=looked.key,
        requests=looked.requests,
        extra=len(extra),
        harm=bool(wrong),
        woulds=tuple(woulds),
    )


def _exchange_of(whole: Whole, difference: Difference) -> str:
    return whole.steps[difference.at].partition(".")[0]
