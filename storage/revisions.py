"""Revisions: proposals and how far they came, every version that was in force, and which is; in `ledger.db`.

Each move commits together with the audit entry that tells of it, refusals included. A revision is never changed: to go
back is to point at an earlier one.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b, sha256
from typing import Any, Final, Literal, TypeAlias, TypeVar, final

import msgspec

from policies.gate.memory import Memory, components
from policies.gate.trial import Trial, Would
from policies.vocabulary.audit import (
    BLIND_BYTES,
    GATEWAY,
    CanaryBegun,
    Entry,
    ProposalFiled,
    ProposalJudged,
    ProposalReviewed,
    RevisionActivated,
    RevisionRolledBack,
    commitment,
)
from policies.vocabulary.holds import Review
from policies.vocabulary.ladder import Climb
from policies.vocabulary.revisions import LineEnds, Parameters, Proposal, Revision
from storage import trials
from storage.aliases import Aliases
from storage.errors import ProposalDecided, ProposalNotFound, RevisionNotFound
from storage.ledger import Ledger, Statement
from storage.seal import Sealer, derive
from storage.secret import Secret

ProposalState: TypeAlias = Literal["waiting", "refused", "rejected", "canary", "active", "rolled_back"]
"""`waiting`: a rung has not seen enough, or a person has to answer. `refused`: by a rung. `rejected`: by a person."""

Statements: TypeAlias = list[Statement]
Entries: TypeAlias = list[Entry]
Several: TypeAlias = list["Filed"]
"""The book has a method of the name `list`."""

T = TypeVar("T")

_LOG: Final = logging.getLogger("stepwarden.revisions")

_OPEN: Final = ("waiting", "canary")
_COLUMNS: Final = "id, proposal_id, state, content, climb, filed_ns, decided_by, decided_reason, decided_ns"
_encode = msgspec.msgpack.Encoder().encode
_proposal = msgspec.msgpack.Decoder(Proposal).decode
_climb = msgspec.msgpack.Decoder(Climb).decode
_trial = msgspec.msgpack.Decoder(Trial).decode


class Filed(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal as it is kept."""

    number: int
    """The order in which proposals were filed; the same suggestion made twice has two."""

    proposal: Proposal
    climb: Climb
    state: ProposalState
    filed_ns: int
    decided_by: str | None = None
    decided_reason: str | None = None
    decided_ns: int | None = None


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal with all that is kept of it, as it stood at one moment."""

    filed: Filed
    trial: Trial | None
    """None where none is running."""

    moves: list[trials.Move]
    """In order."""

    woulds: list[Would]
    """What the candidate would have done with which steps, the newest first."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One revision as it is kept, with all it puts in force."""

    revision: Revision
    parameters: Parameters


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal that is put in force."""

    number: int
    climb: Climb | None = None
    """How far it came by now; None: as far as it had come."""

    trial: Trial | None = None
    """What watches it from here on."""

    answer: Review | None = None
    """Of the person who agreed, where one had to."""

    at_ns: int


_kept = msgspec.msgpack.Decoder(Kept).decode


@final
class RevisionBook:
    """All proposals and revisions. Times are wall clock, Unix epoch, nanoseconds. Safe from any thread."""

    def __init__(self, ledger: Ledger, seal_key: Secret) -> None:
        self._ledger = ledger
        self._aliases = Aliases(ledger)
        self._sealer = Sealer(derive(seal_key, "revisions"))
        self._split_key = derive(seal_key, "splits")

    # ---------------------------------------------------------------------------------------------------- proposals

    def file(self, proposal: Proposal, climb: Climb, *, now_ns: int) -> Filed:
        """Keep a proposal and how far it came, whatever became of it. Raises `StorageFailed`."""
        query = (
            "INSERT INTO proposal (id, proposal_id, app, state, content, climb, filed_ns) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        name, state = proposal.digest, _state(climb)
        sealed = self._seal(proposal, name), self._seal(climb, name)
        filed = ProposalFiled(
            actor=GATEWAY,
            tenant=proposal.app,
            proposal=name,
            parent=proposal.parent,
            author=proposal.author,
            direction=climb.direction,
            sessions=len(proposal.support.sessions),
            principals=len(proposal.support.principals),
        )
        with self._ledger.lock:
            number = int(self._ledger.read("SELECT ifnull(max(id), 0) + 1 FROM proposal")[0][0])
            work: list[Statement] = [
                (query, (number, name, proposal.app, state, *sealed, now_ns)),
                trials.moved(number, proposal.app, climb, state, person=False, at_ns=now_ns),
            ]
            self._ledger.write(work, entries=[filed, _judged(proposal, climb)])
            return self.get(number)

    def judge(
        self, number: int, climb: Climb, *, now_ns: int, trial: Trial | None = None, answer: Review | None = None
    ) -> Filed:
        """Note how much further a proposal came.

        `trial`: the one that is running from here on; `answer`: of the person who agreed. Raises `ProposalNotFound`, or
        `ProposalDecided` where it is over.
        """
        with self._ledger.lock:
            found = self._open(number)
            alias, named = self._alias(None if answer is None else answer.by)
            said, entries = _agreed(found, answer, alias, now_ns)
            work = self._moved(found, climb, _state(climb), trial, now_ns=now_ns, person=answer is not None)
            self._ledger.write([*named, *said, *work], entries=[*entries, _judged(found.proposal, climb)])
            return self.get(number)

    def reject(self, number: int, answer: Review, *, now_ns: int) -> Filed:
        """A person's no, with the reason. Raises as `judge` does."""
        with self._ledger.lock:
            found = self._open(number)
            alias, named = self._alias(answer.by)
            said, entry = _answered(found, answer, alias, approve=False, now_ns=now_ns)
            work = self._moved(found, found.climb, "rejected", None, now_ns=now_ns, person=True)
            self._ledger.write([*named, said, *work], entries=[entry])
            return self.get(number)

    def begin_canary(
        self,
        number: int,
        climb: Climb,
        kept: Kept,
        trial: Trial,
        *,
        begun: CanaryBegun,
        now_ns: int,
    ) -> Filed:
        """Let a candidate be in force for a share of sessions: its revision is kept, and pointed at by nothing.

        Raises as `judge` does.
        """
        with self._ledger.lock:
            found = self._open(number)
            work = [self._inserted(kept), *self._moved(found, climb, "canary", trial, now_ns=now_ns)]
            self._ledger.write(work, entries=[_judged(found.proposal, climb), begun])
            return self.get(number)

    def advance(self, number: int, trial: Trial, woulds: Sequence[Would], *, now_ns: int) -> None:
        """Note how far a trial is, and what the candidate would have done with which steps."""
        with self._ledger.lock:
            app = self.get(number).proposal.app
            work = [trials.kept(number, app, self._seal_trial(number, trial))]
            self._ledger.write([*work, *[trials.noted(number, each, now_ns) for each in woulds]], entries=())

    def rest(self, number: int, climb: Climb, *, now_ns: int) -> None:
        """Watch what is in force no more: what was to be shown is shown, or something else is in force."""
        self.note(number, climb, None, now_ns=now_ns)

    def note(self, number: int, climb: Climb, trial: Trial | None, *, now_ns: int) -> None:
        """Keep what was said of a proposal that stays where it is, and its trial from here on, if any."""
        with self._ledger.lock:
            found = self.get(number)
            work = self._moved(found, climb, found.state, trial, now_ns=now_ns)
            self._ledger.write(work, entries=[_judged(found.proposal, climb)])

    def trial(self, number: int) -> Trial | None:
        """The trial of a proposal; None where none is running."""
        rows = self._ledger.read("SELECT content FROM proposal_trial WHERE proposal = ?", (number,))
        return _trial(self._sealer.open(rows[0][0], _trial_name(number))) if rows else None

    def live(self, *, asleep: bool = False) -> list[Filed]:
        """Every proposal that live traffic has to say something of, oldest first.

        `asleep`: those that wait for a person, too.
        """
        for_a_person = (
            "SELECT 1 FROM proposal_move AS move WHERE move.id = (SELECT max(last.id) FROM proposal_move AS last "
            "WHERE last.proposal = proposal.id) AND rung = 'approval' AND outcome = 'waiting' "
            "AND why <> 'too_many_by_itself'"
        )
        query = (
            f"SELECT {_COLUMNS} FROM proposal WHERE state = 'canary' "  # noqa: S608 - our names
            f"OR (state = 'waiting' AND (? OR NOT EXISTS ({for_a_person}))) "
            "OR (state = 'active' AND id IN (SELECT proposal FROM proposal_trial)) ORDER BY id"
        )
        return [*_readable(self._ledger.read(query, (asleep,)), self._filed, "proposal")]

    def ever(self, app: str) -> bool:
        """Whether any proposal for an app was ever in force for all its sessions."""
        query = "SELECT 1 FROM proposal WHERE app = ? AND state IN ('active', 'rolled_back') LIMIT 1"
        return bool(self._ledger.read(query, (app,)))

    def moves(self, number: int) -> "list[trials.Move]":
        """Every move of a proposal, in order."""
        return trials.moves_of(self._ledger, number)

    def newest_move(self) -> int:
        """The number of the last move there was; 0 before any."""
        return trials.newest_move(self._ledger)

    def moves_after(self, number: int, limit: int) -> "list[trials.Move]":
        """Moves of all proposals beyond one, in order."""
        return trials.moves_after(self._ledger, number, limit)

    def woulds(self, number: int, *, limit: int) -> list[Would]:
        """What a candidate would have done with which steps, the newest first."""
        return trials.woulds_of(self._ledger, number, limit)

    def by_itself(self, app: str, since_ns: int) -> int:
        """How many proposals of an app began to act since then without a person."""
        query = (
            "SELECT count(DISTINCT proposal) FROM proposal_move "
            "WHERE app = ? AND at_ns >= ? AND state IN ('canary', 'active') "
            "AND proposal NOT IN (SELECT proposal FROM proposal_move WHERE person)"
        )
        return int(self._ledger.read(query, (app, since_ns))[0][0])

    def get(self, number: int) -> Filed:
        """One proposal. Raises `ProposalNotFound`."""
        rows = self._ledger.read(f"SELECT {_COLUMNS} FROM proposal WHERE id = ?", (number,))  # noqa: S608 - our names
        if not rows:
            raise ProposalNotFound(str(number))
        return self._filed(rows[0])

    def whole(self, number: int, *, woulds: int) -> Whole:
        """One proposal with its trial, its moves, and up to so many steps; between two moves. Raises as `get` does."""
        with self._ledger.lock:
            return Whole(
                filed=self.get(number),
                trial=self.trial(number),
                moves=self.moves(number),
                woulds=self.woulds(number, limit=woulds),
            )

    def newest(self, proposal_id: str) -> Filed:
        """The last time this was suggested. Raises `ProposalNotFound`."""
        query = f"SELECT {_COLUMNS} FROM proposal WHERE proposal_id = ? ORDER BY id DESC LIMIT 1"  # noqa: S608
        rows = self._ledger.read(query, (proposal_id,))
        if not rows:
            raise ProposalNotFound(proposal_id)
        return self._filed(rows[0])

    def list(self, *, app: str | None = None, state: ProposalState | None = None, limit: int = 200) -> list[Filed]:
        """Proposals, newest first."""
        query = (
            f"SELECT {_COLUMNS} FROM proposal WHERE app = ifnull(?, app) AND state = ifnull(?, state) "  # noqa: S608
            "ORDER BY id DESC LIMIT ?"
        )
        return [*_readable(self._ledger.read(query, (app, state, limit)), self._filed, "proposal")]

    def memory(self, app: str, *, cooldown_ns: int, until: int | None = None) -> Memory:
        """What the gate has to remember of an app: what was refused for good, and what rests after a rollback.

        `until`: only of proposals up to this number.
        Where a rung could not tell, it may be asked again once there is more to tell it by.
        """
        resting: dict[str, int] = {}
        refused: set[str] = set()
        for each in self.list(app=app, limit=-1):
            if until is not None and each.number > until:
                continue
            abstained = each.state == "refused" and each.climb.last.outcome == "abstained"
            if each.state in ("refused", "rejected", "rolled_back") and not abstained:
                refused.add(each.proposal.digest)
            if each.state == "rolled_back" and each.decided_ns is not None:
                until_ns = each.decided_ns + cooldown_ns
                for component in components(each.proposal.edits):
                    resting[component] = max(until_ns, resting.get(component, 0))
        return Memory(refused=frozenset(refused), resting=resting)

    def count(self, app: str, ends: Sequence[LineEnds], *, now_ns: int) -> None:
        """Keep how sessions ended with each item of an app's instructions, in the place of what was counted before."""
        insert = "INSERT INTO line_end (app, line, helped, hurt, at_ns) VALUES (?, ?, ?, ?, ?)"
        rows = [(insert, (app, each.line, each.helped, each.hurt, now_ns)) for each in ends]
        self._ledger.write([("DELETE FROM line_end WHERE app = ?", (app,)), *rows], entries=())

    def counted(self, app: str) -> tuple[LineEnds, ...]:
        """How sessions ended with each item, as it was counted last."""
        query = "SELECT line, helped, hurt FROM line_end WHERE app = ? ORDER BY line"
        rows = self._ledger.read(query, (app,))
        return tuple([LineEnds(line=line, helped=helped, hurt=hurt) for line, helped, hurt in rows])

    def salt(self, app: str) -> str:
        """By what an app's episodes are split: the same each time, and known to nobody who proposes."""
        return blake2b(app.encode(), key=self._split_key.reveal(), digest_size=16).hexdigest()

    # ---------------------------------------------------------------------------------------------------- revisions

    def activate(
        self,
        kept: Kept,
        *,
        actor: str,
        by: str | None = None,
        also: Sequence[Entry] = (),
        arrival: "Arrival | None" = None,
    ) -> None:
        """Put a revision in force: it is kept, pointed at and told of in one transaction.

        `arrival`: of the proposal it comes from; `also`: entries that commit with it. Raises `RevisionNotFound` where
        its parent is not what is in force.
        """
        revision = kept.revision
        name = revision.digest
        with self._ledger.lock:
            now = self.in_force(revision.app)
            if revision.parent != (None if now is None else now.revision.digest):
                raise RevisionNotFound(revision.parent or "none", "what is in force is another by now")
            alias, named = self._alias(by)
            entry = RevisionActivated(
                actor=actor,
                tenant=revision.app,
                revision=name,
                parent=revision.parent,
                parameters=revision.parameters,
                proposal=revision.proposal,
                author=revision.author,
                by=alias,
            )
            work: Statements = [*named, self._inserted(kept), _pointed(revision.app, name)]
            entries: Entries = []
            if arrival is not None:
                found, answer, at_ns = self.get(arrival.number), arrival.answer, arrival.at_ns
                said, entries = _agreed(found, answer, alias, at_ns)
                climbed = arrival.climb or found.climb
                work += said
                work += self._moved(found, climbed, "active", arrival.trial, now_ns=at_ns, person=answer is not None)
                entries += [] if arrival.climb is None else [_judged(found.proposal, climbed)]
            self._ledger.write(work, entries=[*entries, entry, *also])

    def roll_back(
        self,
        app: str,
        to: str,
        *,
        answer: Review,
        now_ns: int,
        also: Sequence[Entry] = (),
        climb: Climb | None = None,
    ) -> Kept:
        """Point at an earlier revision of the app again; proposals that came after it are rolled back.

        `also`: entries that commit with it; `climb`: of the newest of these proposals, where it was live traffic that
        spoke. Raises `RevisionNotFound` where it is none of the app's.
        """
        blind = secrets.token_bytes(BLIND_BYTES)
        with self._ledger.lock:
            past = self._after(app, to)
            alias, named = self._alias(answer.by)
            entry = RevisionRolledBack(
                actor=answer.actor,
                tenant=app,
                revision=past[0].revision.digest,
                to=to,
                by=alias,
                reason=_committed(blind, answer.reason),
            )
            query = (
                "UPDATE proposal SET decided_by = ?, decided_reason = ?, decided_ns = ?, decided_blind = ? WHERE id = ?"
            )
            who = (answer.by or answer.actor, answer.reason, now_ns, blind)
            work: Statements = [*named, _pointed(app, to)]
            entries: Entries = []
            for found in self._active(app, [each.revision.proposal for each in past]):
                spoke = climb is not None and climb.proposal == found.proposal.digest
                climbed = climb if climb is not None and spoke else found.climb
                work += self._moved(found, climbed, "rolled_back", None, now_ns=now_ns, person=climb is None)
                work.append((query, (*who, found.number)))
                entries += [_judged(found.proposal, climbed)] if spoke else []
            self._ledger.write(work, entries=[*entries, entry, *also])
            return self.revision(to)

    def in_force(self, app: str) -> Kept | None:
        """What is in force; None where only the policy files are."""
        rows = self._ledger.read("SELECT revision_id FROM revision_in_force WHERE app = ?", (app,))
        return self.revision(rows[0][0]) if rows else None

    def revision(self, name: str) -> Kept:
        """One revision. Raises `RevisionNotFound`."""
        rows = self._ledger.read("SELECT content FROM revision WHERE revision_id = ?", (name,))
        if not rows:
            raise RevisionNotFound(name, "it was never in force")
        return _kept(self._sealer.open(rows[0][0], name.encode()))

    def every(self, *, app: str | None = None, limit: int = 200) -> tuple[Kept, ...]:
        """Everything that was ever put in force, newest first."""
        query = "SELECT revision_id, content FROM revision WHERE app = ifnull(?, app) ORDER BY at_ns DESC LIMIT ?"
        rows = self._ledger.read(query, (app, limit))
        return tuple(_readable(rows, lambda row: _kept(self._sealer.open(row[1], row[0].encode())), "revision"))

    def chain(self, app: str) -> tuple[Kept, ...]:
        """What is in force and everything it goes back to, newest first."""
        found: tuple[Kept, ...] = ()
        now = self.in_force(app)
        while now is not None:
            found = (*found, now)
            now = None if now.revision.parent is None else self.revision(now.revision.parent)
        return found

    def _after(self, app: str, to: str) -> tuple[Kept, ...]:
        """The revisions in force that came after one, newest first."""
        chain = self.chain(app)
        names = [kept.revision.digest for kept in chain]
        if to not in names[1:]:
            raise RevisionNotFound(to, "what is in force does not go back to it")
        return chain[: names.index(to)]

    def _open(self, number: int) -> Filed:
        found = self.get(number)
        if found.state not in _OPEN:
            raise ProposalDecided(number, found.state)
        return found

    def _active(self, app: str, names: Sequence[str | None]) -> Several:
        query = f"SELECT {_COLUMNS} FROM proposal WHERE app = ? AND state = 'active' ORDER BY id"  # noqa: S608
        rows = self._ledger.read(query, (app,))
        return [filed for row in rows if (filed := self._filed(row)).proposal.digest in names]

    def _moved(
        self,
        found: Filed,
        climb: Climb,
        state: ProposalState,
        trial: Trial | None,
        *,
        now_ns: int,
        person: bool = False,
    ) -> Statements:
        """A proposal's next state, how far it came, and the trial that is running from there on."""
        number, app = found.number, found.proposal.app
        sealed = self._seal(climb, found.proposal.digest)
        return [
            ("UPDATE proposal SET state = ?, climb = ? WHERE id = ?", (state, sealed, number)),
            trials.ended(number) if trial is None else trials.kept(number, app, self._seal_trial(number, trial)),
            trials.moved(number, app, climb, state, person=person, at_ns=now_ns),
        ]

    def _alias(self, by: str | None) -> tuple[str | None, Statements]:
        """By what the log calls a person, and what keeps that name."""
        return self._aliases.of("person", by) if by else (None, [])

    def _inserted(self, kept: Kept) -> Statement:
        revision = kept.revision
        name = revision.digest
        insert = "INSERT OR IGNORE INTO revision (revision_id, app, parent, content, at_ns) VALUES (?, ?, ?, ?, ?)"
        return insert, (name, revision.app, revision.parent, self._seal(kept, name), revision.at_ns)

    def _seal_trial(self, number: int, trial: Trial) -> bytes:
        return self._sealer.seal(_encode(trial), _trial_name(number))

    def _seal(self, content: msgspec.Struct, name: str) -> bytes:
        return self._sealer.seal(_encode(content), name.encode())

    def _filed(self, row: tuple[Any, ...]) -> Filed:
        number, name, state, content, climb, filed_ns, by, reason, decided_ns = row
        return Filed(
            number=number,
            proposal=_proposal(self._sealer.open(content, name.encode())),
            climb=_climb(self._sealer.open(climb, name.encode())),
            state=state,
            filed_ns=filed_ns,
            decided_by=by,
            decided_reason=reason,
            decided_ns=decided_ns,
        )


def _trial_name(number: int) -> bytes:
    return b"trial %d" % number


def _state(climb: Climb) -> ProposalState:
    """What a climb says of its proposal: what abstains does not pass, so it is refused."""
    if climb.last.outcome == "waiting" and climb.last.rung == "canary":
        return "canary"
    return "waiting" if climb.reached or climb.last.outcome == "waiting" else "refused"


def _judged(proposal: Proposal, climb: Climb) -> ProposalJudged:
    last = climb.last
    return ProposalJudged(
        actor=GATEWAY,
        tenant=proposal.app,
        proposal=proposal.digest,
        rung=last.rung,
        outcome=last.outcome,
        why=last.why,
        passed=tuple([decision.rung for decision in climb.decisions if decision.stands]),
    )


def _pointed(app: str, name: str) -> Statement:
    query = (
        "INSERT INTO revision_in_force (app, revision_id) VALUES (?, ?) "
        "ON CONFLICT (app) DO UPDATE SET revision_id = excluded.revision_id"
    )
    return query, (app, name)


def _answered(
    found: Filed, answer: Review, alias: str | None, *, approve: bool, now_ns: int
) -> tuple[Statement, ProposalReviewed]:
    """A person's answer as it is kept, and as the log tells of it."""
    query = "UPDATE proposal SET decided_by = ?, decided_reason = ?, decided_ns = ?, decided_blind = ? WHERE id = ?"
    blind = secrets.token_bytes(BLIND_BYTES)
    entry = ProposalReviewed(
        actor=answer.actor,
        tenant=found.proposal.app,
        proposal=found.proposal.digest,
        decision="approved" if approve else "rejected",
        by=alias,
        reason=_committed(blind, answer.reason),
    )
    return (query, (answer.by or answer.actor, answer.reason, now_ns, blind, found.number)), entry


def _agreed(found: Filed, answer: Review | None, alias: str | None, now_ns: int) -> tuple[Statements, Entries]:
    if answer is None:
        return [], []
    work, entry = _answered(found, answer, alias, approve=True, now_ns=now_ns)
    return [work], [entry]


def _committed(blind: bytes, reason: str | None) -> str | None:
    return None if reason is None else commitment(blind, sha256(reason.encode()).digest())


def _readable(rows: Iterable[tuple[Any, ...]], read: Callable[[tuple[Any, ...]], T], what: str) -> Iterator[T]:
    """As far as this version can read them: one that it cannot keeps no other from going on."""
    for row in rows:
        try:
            yield read(row)
        except msgspec.MsgspecError as error:
            _LOG.error(
                f"a {what} cannot be read: a guard of another version, say",
                extra={what: row[0], "error": type(error).__name__},
            )
