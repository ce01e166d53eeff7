"""Episodes out of the record: sessions of which somebody said enough, whole and with their texts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from gateway.api.reading import Reader
from gateway.config import Config
from gateway.contents import Reach
from gateway.wire.dialects import dialects
from policies.guard_record import GuardRecord, Look, guard_records
from policies.labels import labelled, step_digest
from policies.outcomes import Acted, Turned, outcomes
from policies.signals import limited
from policies.vocabulary.audit import OWNER
from policies.vocabulary.episodes import Episode
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.holds import Hold, HoldState
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.monitoring import Filed
from policies.vocabulary.signals import WEIGHTS, Says, Signal, SignalKind
from policies.vocabulary.steps import Part, Step
from storage.rows import SessionRow
from storage.store import Store

EVERY: Final = 100_000
"""Labels and holds that are looked at, newest first."""

_DECIDED: Final[dict[HoldState, Says]] = {"approved": "ok", "used": "ok", "rejected": "violation"}


_WORDS: Final[frozenset[SignalKind]] = frozenset({"label", "override", "hold"})
"""What people and keys say."""

SECOND_LOOK: Final = 50
"""From this score on a finding says that something is wrong."""

DISAGREEMENT: Final = "gateway:disagreement"
"""On whose word it is that two of gate, monitor and guards differ: one voice, whatever they are."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """How often guards were wrong, and on what that rests."""

    guards: tuple[GuardRecord, ...]
    signals: Mapping[str, int]
    """Signals that count, by kind."""


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

    def judged(self, exchange_id: str) -> Judged | None:
        """What clauses said of an exchange."""
        ...


class LabelList(Protocol):
    """What persons said; `storage.labels.LabelBook` fits."""

    def heard(self, app: str, *, limit: int) -> list[LabelGiven]:
        """Labels of an app, newest first, so many of each who gives them that nobody crowds out others."""
        ...

    def of_session(self, session_id: str) -> "Sequence[LabelGiven]":
        """Those of one session."""
        ...


class HoldList(Protocol):
    """What persons decided; `storage.holds.HoldBook` fits."""

    def list(self, *, state: HoldState | None = None, app: str | None = None, limit: int = 200) -> list[Hold]:
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

    turns: tuple[Turned, ...]
    verdicts: Mapping[str, str]
    """What clauses came to, by step id."""

    looks: tuple[Look, ...]
    instructed: frozenset[str] = frozenset()
    """Digests of the parameters whose lines were in its requests."""

    def named(self, step_id: str) -> str | None:
        """The digest of a step; None where it is none of this session's.

        The gate names what it judged before that had an id by its exchange and a dot: the one call there is of that.
        """
        part = self.steps.get(step_id)
        if part is None and step_id.endswith("."):
            calls = [each for name, each in self.steps.items() if name.startswith(step_id) and each.kind == "tool_call"]
            part = calls[0] if len(calls) == 1 else None
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

    def of(
        self, app: str, rest: Callable[[], None], lines: Mapping[str, tuple[str, ...]], *, most: int
    ) -> tuple[Episode, ...]:
        """Every session of an app of which enough was said, oldest first; `rest` is called after each that is read.

        `lines`: ids of items of instructions, by the digest of the parameters that the record says were added.
        `most`: how many words of one person or key count in a day, over all sessions.
        A session that cannot be read back whole is left out: what guards would have said of it, nobody knows.
        """
        found: list[Episode] = []
        spoken = list(self._spoken(app, rest))
        counted = _counted([signal for _, signals in spoken for signal in signals], most)
        for session, _ in spoken:
            episode = labelled(session.episode, counted[session.episode.episode_id])
            if episode is not None:
                stood = {line for name in session.instructed for line in lines.get(name, ())}
                found.append(msgspec.structs.replace(episode, lines=tuple(sorted(stood))))
        return tuple(sorted(found, key=lambda each: (each.at_ns, each.episode_id)))

    def records(self, app: str, rest: Callable[[], None]) -> Record:
        """How often each guard of an app was wrong, in the sessions of which anything was said; and what was said."""
        looks: list[Look] = []
        spoken: list[Signal] = []
        for session, signals in self._spoken(app, rest):
            looks += session.looks
            spoken += signals
        kinds = Counter([each.kind for each in limited(spoken)])
        return Record(guards=guard_records(looks, spoken), signals=kinds)

    def _spoken(self, app: str, rest: Callable[[], None]) -> Iterator[tuple[_Session, list[Signal]]]:
        labels = self._labels.heard(app, limit=EVERY)
        given: dict[str, list[LabelGiven]] = defaultdict(list)
        decided: dict[str, list[Hold]] = defaultdict(list)
        for label in labels:
            if label.session_id is not None:
                given[label.session_id].append(label)
        for hold in self._decided(app):
            if hold.ask.session_id is not None:
                decided[hold.ask.session_id].append(hold)
        for session_id in sorted(given.keys() | decided.keys()):
            session = self._read(session_id, app)
            if session is not None:
                yield session, self._signals(session, given[session_id], decided[session_id])
            rest()

    def _decided(self, app: str) -> list[Hold]:
        """The holds of an app that a person answered."""
        return [hold for state in _DECIDED for hold in self._holds.list(state=state, app=app, limit=EVERY)]

    def whole(self, row: SessionRow, until_ns: int) -> "Whole | None":
        """One session as far as it had come at a moment; None where it cannot be read back whole."""
        session = self._session(row, until_ns)
        if session is None:
            return None
        labels = self._labels.of_session(row.session_id)
        holds = [each for each in self._decided(row.app) if each.ask.session_id == row.session_id]
        episode = labelled(session.episode, self._signals(session, labels, holds)) or session.episode
        return Whole(episode=episode, steps=tuple(session.steps))

    def _read(self, session_id: str, app: str) -> _Session | None:
        row = self._records.session(session_id, app=app)
        return None if row is None else self._session(row)

    def _session(self, row: SessionRow, until_ns: int | None = None) -> _Session | None:
        app = row.app
        steps: dict[str, Part] = {}
        turns: list[Turned] = []
        verdicts: dict[str, str] = {}
        looks: list[Look] = []
        instructed: set[str] = set()
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
            turns.append(_turned(exchange, [(step, steps[step.step_id]) for step in own]))
            judged = self._records.judged(exchange.exchange_id)
            if judged is not None and judged.instructed is not None:
                instructed.add(judged.instructed)
            by_seq = {step.seq: step.step_id for step in own}
            for said in () if judged is None else judged.steps:
                if (step_id := by_seq.get(said.seq)) is not None:
                    verdicts[step_id] = said.verdict.name
                    looks += _looks(row.session_id, step_digest(steps[step_id]), said)
        episode = Episode(
            episode_id=row.session_id,
            app=app,
            group=row.session_id,
            principal=row.key_id or OWNER,
            at_ns=row.started_ns,
            steps=tuple(steps.values()),
        )
        return _Session(episode, steps, tuple(turns), verdicts, tuple(looks), frozenset(instructed))

    def _signals(self, session: _Session, labels: Sequence[LabelGiven], holds: Sequence[Hold]) -> list[Signal]:
        """All that was said of a session; labels and holds are its own."""
        critiques = self._critiques.of_session(session.episode.episode_id)
        return [
            *_labels(session, labels),
            *_holds(session, holds),
            *_critiques(session, critiques),
            *_disagreements(session, critiques),
            *_outcomes(session),
        ]


def _counted(signals: Sequence[Signal], most: int) -> Mapping[str, list[Signal]]:
    """The signals that count, by session: who says much is one voice of many, over all sessions together.

    What supervisors and plain outcomes say is nobody's word, and too weak to decide a step by itself.
    """
    words = limited([each for each in signals if each.kind in _WORDS], most=most)
    counted: dict[str, list[Signal]] = defaultdict(list)
    for signal in (*words, *[each for each in signals if each.kind not in _WORDS]):
        counted[signal.session_id].append(signal)
    return counted


def recorded_episodes(store: Store, config: Config) -> RecordedEpisodes:
    """The episodes of one gateway's store."""
    reader = Reader(store, dialects().by_name(), Reach.within(config.limits))
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


def _disagreements(session: _Session, several: Iterable[Filed]) -> Iterator[Signal]:
    """Steps of which the guards and a supervisor, or its two seats, think differently: each once, for the other side.

    What was in force had its say when it acted; the signal is what speaks against that.
    """
    seats: dict[tuple[str, str], dict[str, Says]] = defaultdict(dict)
    at_ns: dict[str, int] = {}
    for filed in several:
        for opinion in filed.critique.opinions:
            if opinion.label == "unsure":
                continue
            bad = opinion.label == "violation"
            for step in [opinion.first_bad_step] if bad else filed.critique.steps:
                if step is not None:
                    seats[step, opinion.clause][filed.critique.seat] = "violation" if bad else "ok"
                    at_ns[step] = filed.critique.at_ns
    for (step_id, clause), said in seats.items():
        step = session.named(step_id)
        if step is None:
            continue
        guards: Says = "ok" if session.verdicts.get(step_id, "allow") == "allow" else "violation"
        against: Says = "ok" if guards == "violation" else "violation"
        if against in said.values():
            yield _signal(
                session, "disagreement", against, step=step, who=DISAGREEMENT, at_ns=at_ns[step_id], clause=clause
            )


def _outcomes(session: _Session) -> Iterator[Signal]:
    for outcome in outcomes(session.turns):
        who = session.episode.principal
        yield _signal(session, "outcome", "violation", step=outcome.step, who=who, at_ns=outcome.at_ns, clause=None)


def _turned(exchange: Exchange, steps: Sequence[tuple[Step, Part]]) -> Turned:
    return Turned(
        steps=tuple([Acted(step_digest(part), step.kind) for step, part in steps]),
        at_ns=exchange.started_ns,
        status=exchange.upstream_status,
        retried=exchange.join is not None and exchange.join.relation == "retries",
        finish_reasons=exchange.finish_reasons,
        cost_micro_usd=exchange.cost_micro_usd,
    )


def _looks(session_id: str, step: str, said: StepJudgement) -> Iterator[Look]:
    """The guards that ran on a step, and whether each found something."""
    fired = {
        (each.clause, each.guard)
        for each in said.findings
        if each.state in ("unsure", "violation") and each.score >= SECOND_LOOK
    }
    for row in said.coverage:
        if row.skipped is None:
            name = (row.clause, row.guard)
            yield Look(session_id=session_id, step=step, clause=row.clause, guard=row.guard, fired=name in fired)


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
