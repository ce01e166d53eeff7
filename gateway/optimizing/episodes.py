"""Episodes out of the record: sessions of which somebody said enough, whole and with their texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from gateway.api.reading import Reader
from gateway.config import Config
from gateway.contents import Reach
from gateway.wire.dialects import dialects
from policies.labels import labelled, step_digest
from policies.vocabulary.audit import OWNER
from policies.vocabulary.episodes import Episode
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.holds import Hold
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.monitoring import Filed
from policies.vocabulary.signals import WEIGHTS, Says, Signal, SignalKind
from policies.vocabulary.steps import Part, Step
from storage.rows import SessionRow
from storage.store import Store

EVERY: Final = 100_000
"""Labels and holds that are looked at, newest first."""

_DECIDED: Final[dict[str, Says]] = {"approved": "ok", "used": "ok", "rejected": "violation"}


class Records(Protocol):
    """The slice of the store this reads; `storage.store.Store` fits."""

    def session(self, session_id: str, *, app: str | None = None) -> SessionRow | None:
        """One session."""
        ...

    def exchanges(self, session_id: str) -> list[Exchange]:
        """The exchanges of a session, in order."""
        ...

    def exchange_steps(self, exchange_id: str) -> list[Step]:
        """The steps of one exchange, in order."""
        ...


class LabelList(Protocol):
    """What persons said; `storage.labels.LabelBook` fits."""

    def list(self, *, app: str | None = None, limit: int = 1000) -> list[LabelGiven]:
        """Labels, newest first."""
        ...

    def of_session(self, session_id: str) -> "Sequence[LabelGiven]":
        """Those of one session."""
        ...


class HoldList(Protocol):
    """What persons decided; `storage.holds.HoldBook` fits."""

    def list(self, *, app: str | None = None, limit: int = 200) -> list[Hold]:
        """Holds, newest first."""
        ...


class CritiqueList(Protocol):
    """What supervisors said; `storage.critiques.CritiqueBook` fits."""

    def of_session(self, session_id: str) -> list[Filed]:
        """Critiques of a session, in the order in which they were made."""
        ...


class _Session(msgspec.Struct, frozen=True):
    """One session as it is read back."""

    episode: Episode
    steps: dict[str, Part]
    """By step id."""

    def named(self, step_id: str) -> str | None:
        """The digest of a step; None where it is none of this session's."""
        part = self.steps.get(step_id)
        return None if part is None else step_digest(part)


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A session with all its texts, and what was said of it."""

    episode: Episode
    steps: tuple[str, ...]
    """The id of each of its steps."""


class RecordedEpisodes:
    """What one gateway recorded, as episodes. Blocks."""

    def __init__(
        self, records: Records, reader: Reader, *, labels: LabelList, holds: HoldList, critiques: CritiqueList
    ) -> None:
        self._records = records
        self._reader = reader
        self._labels = labels
        self._holds = holds
        self._critiques = critiques

    def of(self, app: str, rest: Callable[[], None]) -> tuple[Episode, ...]:
        """Every session of an app of which enough was said, oldest first; `rest` is called after each that is read.

        A session that cannot be read back whole is left out: what guards would have said of it, nobody knows.
        """
        labels, holds = self._labels.list(app=app, limit=EVERY), self._holds.list(app=app, limit=EVERY)
        spoken = {each.session_id for each in labels}
        spoken |= {each.ask.session_id for each in holds if each.state in _DECIDED}
        found: list[Episode] = []
        for session_id in sorted(each for each in spoken if each is not None):
            session = self._read(session_id, app)
            if session is not None:
                signals = self._signals(session, labels, holds)
                episode = labelled(session.episode, signals)
                found += [] if episode is None else [episode]
            rest()
        return tuple(sorted(found, key=lambda each: (each.at_ns, each.episode_id)))

    def whole(self, row: SessionRow, until_ns: int) -> "Whole | None":
        """One session as far as it had come at a moment; None where it cannot be read back whole."""
        session = self._session(row, until_ns)
        if session is None:
            return None
        labels, holds = self._labels.of_session(row.session_id), self._holds.list(app=row.app, limit=EVERY)
        episode = labelled(session.episode, self._signals(session, labels, holds)) or session.episode
        return Whole(episode=episode, steps=tuple(session.steps))

    def _read(self, session_id: str, app: str) -> _Session | None:
        row = self._records.session(session_id, app=app)
        return None if row is None else self._session(row)

    def _session(self, row: SessionRow, until_ns: int | None = None) -> _Session | None:
        app = row.app
        steps: dict[str, Part] = {}
        for exchange in self._records.exchanges(row.session_id):
            if until_ns is not None and exchange.started_ns > until_ns:
                continue
            own = self._records.exchange_steps(exchange.exchange_id)
            for step, text in zip(own, self._reader.texts(exchange, own), strict=True):
                if text is None:
                    return None
                steps[step.step_id] = Part(
                    kind=step.kind, text=text, tool=step.tool, call_id=step.call_id, unread=step.unread
                )
        episode = Episode(
            episode_id=row.session_id,
            app=app,
            group=row.session_id,
            principal=row.key_id or OWNER,
            at_ns=row.started_ns,
            steps=tuple(steps.values()),
        )
        return _Session(episode, steps)

    def _signals(self, session: _Session, labels: Sequence[LabelGiven], holds: Sequence[Hold]) -> list[Signal]:
        mine = session.episode.episode_id
        return [
            *_labels(session, (each for each in labels if each.session_id == mine)),
            *_holds(session, (each for each in holds if each.ask.session_id == mine)),
            *_critiques(session, self._critiques.of_session(mine)),
        ]


def recorded_episodes(store: Store, config: Config) -> RecordedEpisodes:
    """The episodes of one gateway's store."""
    limits = config.limits
    reader = Reader(store, dialects().by_name(), Reach(decoded_bytes=limits.decoded_bytes, ratio=limits.ratio))
    return RecordedEpisodes(store, reader, labels=store.labels, holds=store.holds, critiques=store.critiques)


def _labels(session: _Session, given: Iterable[LabelGiven]) -> Iterator[Signal]:
    for each in given:
        step = session.named(each.step_id)
        if step is not None:
            says: Says = "violation" if each.label == "violation" else "ok"
            who = voice(each.actor, each.by)
            yield _signal(session, "label", says, step=step, who=who, at_ns=each.at_ns, clause=each.clause)


def _holds(session: _Session, holds: Iterable[Hold]) -> Iterator[Signal]:
    for hold in holds:
        says, step = _DECIDED.get(hold.state), _held(session, hold)
        if says is None or step is None or hold.decided_ns is None:
            continue
        clause = hold.ask.clauses[0] if hold.ask.clauses else None
        who = hold.decided_by or OWNER
        yield _signal(session, "hold", says, step=step, who=who, at_ns=hold.decided_ns, clause=clause)


def _held(session: _Session, hold: Hold) -> str | None:
    """The step that waited: the one of this exchange, kind and tool; None where there are several that fit."""
    fitting = {
        step_digest(part)
        for step_id, part in session.steps.items()
        if step_id.startswith(f"{hold.ask.exchange_id}.") and (part.kind, part.tool) == (hold.ask.kind, hold.ask.tool)
    }
    return fitting.pop() if len(fitting) == 1 else None


def _critiques(session: _Session, several: Iterable[Filed]) -> Iterator[Signal]:
    for filed in several:
        critique = filed.critique
        who = f"supervisor:{critique.calls[-1].model}" if critique.calls else "supervisor"
        for opinion in critique.opinions:
            if opinion.label == "unsure":
                continue
            bad = opinion.label == "violation"
            steps = [opinion.first_bad_step] if bad else list(critique.steps)
            for step in [found for each in steps if each and (found := session.named(each))]:
                says: Says = "violation" if bad else "ok"
                yield _signal(
                    session, "critique", says, step=step, who=who, at_ns=critique.at_ns, clause=opinion.clause
                )


def voice(actor: str, by: str) -> str:
    """On whose word something was said: a key's, whatever names it gives; the owner's own people by name."""
    return f"person:{by}" if actor == OWNER else actor


def _signal(
    session: _Session, kind: SignalKind, says: Says, *, step: str, who: str, at_ns: int, clause: str | None
) -> Signal:
    return Signal(
        kind=kind,
        says=says,
        app=session.episode.app,
        session_id=session.episode.episode_id,
        principal=who,
        step=step,
        at_ns=at_ns,
        weight=WEIGHTS[kind, says],
        clause=clause,
    )
