"""Revisions: proposals and how far they came, every version that was in force, and which is; in `ledger.db`.

Each move commits together with the audit entry that tells of it, refusals included. A revision is never changed: to go
back is to point at an earlier one.
"""

import secrets
from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import Any, Final, Literal, TypeAlias, final

import msgspec

from policies.gate.memory import Memory, components
from policies.vocabulary.audit import (
    BLIND_BYTES,
    GATEWAY,
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
from policies.vocabulary.revisions import Parameters, Proposal, Revision
from storage.aliases import Aliases
from storage.errors import ProposalDecided, ProposalNotFound, RevisionNotFound
from storage.ledger import Ledger, Statement
from storage.seal import Sealer, derive
from storage.secret import Secret

ProposalState: TypeAlias = Literal["waiting", "refused", "rejected", "canary", "active", "rolled_back"]
"""`waiting`: a rung has not seen enough, or a person has to answer. `refused`: by a rung. `rejected`: by a person."""

_OPEN: Final = ("waiting", "canary")
_COLUMNS: Final = "id, proposal_id, state, content, climb, filed_ns, decided_by, decided_reason, decided_ns"
_encode = msgspec.msgpack.Encoder().encode
_proposal = msgspec.msgpack.Decoder(Proposal).decode
_climb = msgspec.msgpack.Decoder(Climb).decode


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


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One revision as it is kept, with all it puts in force."""

    revision: Revision
    parameters: Parameters


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
        query = "INSERT INTO proposal (proposal_id, app, state, content, climb, filed_ns) VALUES (?, ?, ?, ?, ?, ?)"
        name, state = proposal.digest, _state(climb)
        values = (name, proposal.app, state, self._seal(proposal, name), self._seal(climb, name), now_ns)
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
            self._ledger.write([(query, values)], entries=[filed, _judged(proposal, climb)])
            return self.newest(name)

    def judge(self, number: int, climb: Climb) -> Filed:
        """Note how much further a proposal came. Raises `ProposalNotFound`, or `ProposalDecided` where it is over."""
        with self._ledger.lock:
            found = self._open(number)
            name = found.proposal.digest
            values = (_state(climb), self._seal(climb, name), number)
            work: list[Statement] = [("UPDATE proposal SET state = ?, climb = ? WHERE id = ?", values)]
            self._ledger.write(work, entries=[_judged(found.proposal, climb)])
            return self.get(number)

    def review(self, number: int, *, approve: bool, answer: Review, now_ns: int) -> Filed:
        """A person's answer, with the reason; an approval goes to the next rung. Raises as `judge` does."""
        query = (
            "UPDATE proposal SET state = ?, decided_by = ?, decided_reason = ?, decided_ns = ?, decided_blind = ? "
            "WHERE id = ?"
        )
        blind = secrets.token_bytes(BLIND_BYTES)
        with self._ledger.lock:
            found = self._open(number)
            alias, named = self._aliases.of("person", answer.by) if answer.by else (None, [])
            entry = ProposalReviewed(
                actor=answer.actor,
                tenant=found.proposal.app,
                proposal=found.proposal.digest,
                decision="approved" if approve else "rejected",
                by=alias,
                reason=_committed(blind, answer.reason),
            )
            state: ProposalState = found.state if approve else "rejected"
            values = (state, answer.by or answer.actor, answer.reason, now_ns, blind, number)
            self._ledger.write([*named, (query, values)], entries=[entry])
            return self.get(number)

    def get(self, number: int) -> Filed:
        """One proposal. Raises `ProposalNotFound`."""
        rows = self._ledger.read(f"SELECT {_COLUMNS} FROM proposal WHERE id = ?", (number,))  # noqa: S608 - our names
        if not rows:
            raise ProposalNotFound(str(number))
        return self._filed(rows[0])

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
        return [self._filed(row) for row in self._ledger.read(query, (app, state, limit))]

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

    def salt(self, app: str) -> str:
        """By what an app's episodes are split: the same each time, and known to nobody who proposes."""
        return blake2b(app.encode(), key=self._split_key.reveal(), digest_size=16).hexdigest()

    # ---------------------------------------------------------------------------------------------------- revisions

    def activate(
        self, kept: Kept, *, number: int | None, actor: str, by: str | None = None, also: Sequence[Entry] = ()
    ) -> None:
        """Put a revision in force: it is kept, pointed at and told of in one transaction.

        `number`: of the proposal it comes from; `also`: entries that commit with it. Raises
        `RevisionNotFound` where its parent is not what is in force.
        """
        revision = kept.revision
        name = revision.digest
        with self._ledger.lock:
            now = self.in_force(revision.app)
            if revision.parent != (None if now is None else now.revision.digest):
                raise RevisionNotFound(revision.parent or "none", "what is in force is another by now")
            alias, named = self._aliases.of("person", by) if by else (None, [])
            insert = "INSERT OR IGNORE INTO revision (revision_id, app, parent, content, at_ns) VALUES (?, ?, ?, ?, ?)"
            values = (name, revision.app, revision.parent, self._seal(kept, name), revision.at_ns)
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
            work: list[Statement] = [*named, (insert, values), _pointed(revision.app, name)]
            if number is not None:
                work.append(("UPDATE proposal SET state = 'active' WHERE id = ?", (number,)))
            self._ledger.write(work, entries=[entry, *also])

    def roll_back(self, app: str, to: str, *, answer: Review, now_ns: int, also: Sequence[Entry] = ()) -> Kept:
        """Point at an earlier revision of the app again; proposals that came after it are rolled back.

        `also`: entries that commit with it.

        Raises `RevisionNotFound` where it is none of the app's.
        """
        blind = secrets.token_bytes(BLIND_BYTES)
        with self._ledger.lock:
            past = self._after(app, to)
            alias, named = self._aliases.of("person", answer.by) if answer.by else (None, [])
            entry = RevisionRolledBack(
                actor=answer.actor,
                tenant=app,
                revision=past[0].revision.digest,
                to=to,
                by=alias,
                reason=_committed(blind, answer.reason),
            )
            undone = [each.revision.proposal for each in past if each.revision.proposal]
            query = (
                "UPDATE proposal SET state = 'rolled_back', decided_by = ?, decided_reason = ?, decided_ns = ?, "
                "decided_blind = ? WHERE proposal_id = ? AND state = 'active'"
            )
            who = (answer.by or answer.actor, answer.reason, now_ns, blind)
            work = [*named, _pointed(app, to), *[(query, (*who, name)) for name in undone]]
            self._ledger.write(work, entries=[entry, *also])
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
        return tuple([_kept(self._sealer.open(sealed, name.encode())) for name, sealed in rows])

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


def _committed(blind: bytes, reason: str | None) -> str | None:
    return None if reason is None else commitment(blind, sha256(reason.encode()).digest())
