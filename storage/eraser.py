"""Eraser: destroys what was recorded of a session, an end user or an app, and says so in the audit log.

That an erasure is begun is committed together with its entry, and with it what is to be destroyed; from then on it is
carried through, by the next start if need be. Keys go first: whatever is left of contents then is noise. Belongs to
the thread that writes.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, final

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.audit import ContentErased
from policies.vocabulary.erasures import Erasure, Order
from policies.vocabulary.reports import Ties
from storage import erased
from storage.aliases import Aliases
from storage.critiques import erased_with
from storage.erased import Plan
from storage.errors import StorageFailed
from storage.holds import HoldBook
from storage.ledger import Ledger, Statement
from storage.legal_holds import LegalHolds
from storage.optimizer_runs import FORGETTING
from storage.pseudonyms import Pseudonyms
from storage.reports import ReportBook
from storage.rows import ErasedRow
from storage.scopes import ScopeKeys
from storage.seal import Sealer
from storage.supervisor_calls import forgetting
from storage.trials import forgotten
from storage.writer import Writer

Kind: TypeAlias = Literal["session", "user", "app"]
KINDS: Final[tuple[Kind, ...]] = ("session", "user", "app")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Plan).decode
_BINDING = b"erasure"


class BadScope(StepwardenError):
    """A scope is not one of those that can be erased."""

    status = 400

    def remedy(self) -> str:
        """How a scope is written."""
        return "Write `session:ID`, `user:ID` (as the client names its end user) or `app:NAME`."


class NothingToErase(StepwardenError):
    """Nothing of that scope is recorded."""

    status = 404

    def remedy(self) -> str:
        """What to look at."""
        return "Check the id; end users are found in what was recorded since this release. Nothing was changed."


class SessionHeld(StepwardenError):
    """A session that must be kept would be erased."""

    status = 409

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} session{'' if count == 1 else 's'} of it must be kept (legal hold); nothing was erased"
        )

    def remedy(self) -> str:
        """Who has to decide first."""
        return "Release it first: `stepwarden retention hold SESSION --release --by WHO --reason R`."


class ErasureUnfinished(StorageFailed):
    """An erasure is begun, and something was in its way."""

    def __init__(self, sessions: tuple[str, ...], cause: Exception) -> None:
        StepwardenError.__init__(self, f"the erasure is in the audit log and not finished yet: {cause}")
        self.sessions = sessions
        """What it is about, as far as that has sessions."""

    def remedy(self) -> str:
        """It is finished by itself."""
        return "Do not ask again: it is carried through within the hour, and at the next start."


class _Target(NamedTuple):
    session_id: str
    app: str
    terminated_ns: int | None


@final
class Eraser:
    """All erasures of a directory."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that something is erased from
        self,
        ledger: Ledger,
        keys: ScopeKeys,
        writer: Writer,
        holds: HoldBook,
        legal_holds: LegalHolds,
        names: Pseudonyms,
        sealer: Sealer,
        seal_record: Callable[[], None],
        reports: ReportBook,
        ties: Callable[[str], Ties | None],
    ) -> None:
        """`seal_record` makes sure that every exchange is under the audit log's seal; `ties` of a session by its id."""
        self._ledger = ledger
        self._aliases = Aliases(ledger)
        self._keys = keys
        self._writer = writer
        self._holds = holds
        self._legal_holds = legal_holds
        self._names = names
        self._sealer = sealer
        self._seal_record = seal_record
        self._reports = reports
        self._ties = ties

    def erase(self, order: Order, now_ns: int) -> Erasure:
        """Destroy what is recorded of a scope; on return it is gone from every file.

        Raises `BadScope`, `NothingToErase`, `SessionHeld` or `StorageFailed`, and `ErasureUnfinished` where it began.
        """
        kind, name = _parsed(order.scope)
        targets, plan = self._planned(kind, name)
        held = self._legal_holds.held() & set(plan.sessions)
        if held:
            raise SessionHeld(len(held))
        exchanges = sum(len(erased.numbers(day, plan)) for day in self._writer.each_day())
        if not targets and not exchanges and not self._reports.has(plan.apps):
            raise NothingToErase(f"nothing is recorded of this {kind}")
        found = (self._ties(each) for each in plan.sessions)
        plan = msgspec.structs.replace(plan, ties=tuple(each for each in found if each is not None))
        self._seal_record()
        entry = self._begin(order, kind, name, targets, plan, exchanges, now_ns)
        try:
            self.finish()
        except (StorageFailed, sqlite3.Error) as error:
            raise ErasureUnfinished(plan.sessions, error) from error
        return Erasure(
            scope=entry.scope,
            sessions=tuple(plan.sessions),
            exchanges=exchanges,
            basis=order.basis,
            at_ns=now_ns,
        )

    def finish(self) -> None:
        """Carry through what was begun. Raises `StorageFailed`; nothing is lost by that, it can be tried again."""
        begun = self._ledger.read("SELECT id, plan FROM erasure WHERE plan IS NOT NULL ORDER BY id")
        for number, sealed in begun:
            self._carry_through(number, _decode(self._sealer.open(sealed, _BINDING)))
        if begun:
            self._ledger.scrub()

    def session(self, session_id: str) -> ErasedRow | None:
        """What became of a session that was erased, by its whole id; safe from any thread."""
        query = """
        SELECT app, basis, at_ns, terminated_ns FROM erased_session JOIN erasure ON erasure.id = erasure
        WHERE name = ?
        """
        found = self._ledger.read(query, (self._names.of("session", session_id),))
        return ErasedRow(*found[0]) if found else None

    def basis(self, erasure: int) -> tuple[str, int]:
        """On what basis something was erased, and when; safe from any thread."""
        found = self._ledger.read("SELECT basis, at_ns FROM erasure WHERE id = ?", (erasure,))
        return found[0][0], found[0][1]

    def _planned(self, kind: Kind, name: str) -> tuple[list[_Target], Plan]:
        meta = self._writer.meta
        select = "SELECT session_id, app, terminated_ns FROM session"
        if kind == "session":
            rows = meta.execute(f"{select} WHERE session_id = ?", (name,))
            targets = [_Target(*row) for row in rows]
            return targets, Plan(sessions=tuple(each.session_id for each in targets))
        if kind == "app":
            targets = [_Target(*row) for row in meta.execute(f"{select} WHERE app = ?", (name,))]
            users = {user for day in self._writer.each_day() for user in erased.loose_users(day, name)}
            sessions = tuple(each.session_id for each in targets)
            return targets, Plan(sessions=sessions, users=tuple(sorted(users)), apps=(name,))
        users = {self._names.of("user", app, name) for app in self._apps()}
        of_user = "SELECT session_id, app, terminated_ns FROM session NATURAL JOIN participant WHERE end_user = ?"
        targets = [_Target(*row) for user in users for row in meta.execute(of_user, (user,))]
        return targets, Plan(sessions=tuple(each.session_id for each in targets), users=tuple(sorted(users)))

    def _apps(self) -> set[str]:
        apps = {app for day in self._writer.each_day() for (app,) in day.execute("SELECT DISTINCT app FROM common")}
        return apps | {app for (app,) in self._writer.meta.execute("SELECT DISTINCT app FROM session")}

    def _begin(
        self,
        order: Order,
        kind: Kind,
        name: str,
        targets: Sequence[_Target],
        plan: Plan,
        exchanges: int,
        now_ns: int,
    ) -> ContentErased:
        scope = f"{kind}:{self._names.of(kind, name).hex()}"
        apps = {each.app for each in targets} | set(plan.apps)
        with self._ledger.lock:
            by, named = self._aliases.of("person", order.by)
            entry = ContentErased(
                actor=order.actor,
                tenant=apps.pop() if len(apps) == 1 else None,
                scope=scope,
                sessions=len(targets),
                exchanges=exchanges,
                basis=order.basis,
                by=by,
            )
            number = int(self._ledger.read("SELECT ifnull(max(id), 0) + 1 FROM erasure")[0][0])
            sealed = self._sealer.seal(_encode(msgspec.structs.replace(plan, entry=entry)), _BINDING)
            insert = "INSERT INTO erasure (id, scope, basis, at_ns, plan) VALUES (?, ?, ?, ?, ?)"
            work = [*named, (insert, (number, scope, order.basis, now_ns, sealed)), *self._tombs(targets, number)]
            self._ledger.write(work, entries=[entry])
        return entry

    def _tombs(self, targets: Sequence[_Target], number: int) -> Iterator[Statement]:
        query = "INSERT OR REPLACE INTO erased_session (name, app, erasure, terminated_ns) VALUES (?, ?, ?, ?)"
        for each in targets:
            yield query, (self._names.of("session", each.session_id), each.app, number, each.terminated_ns)

    def _carry_through(self, number: int, plan: Plan) -> None:
        self._keys.destroy("session", plan.sessions)
        self._keys.destroy("user", [user.hex() for user in plan.users])
        self._keys.destroy("app", plan.apps)
        self._seal_record()  # what came since the beginning goes too, and could not be sealed any more then
        self._tell_of_more(number, plan)
        self._reports.erase(plan.ties, plan.apps)
        self._writer.erase(plan, number)
        work: list[Statement] = [
            *(("DELETE FROM audit_alias WHERE kind = 'session' AND name = ?", (each,)) for each in plan.sessions),
            *(("DELETE FROM legal_hold WHERE session_id = ?", (each,)) for each in plan.sessions),
            *(statement for each in plan.sessions for statement in forgetting(each)),
            *FORGETTING,
            *(("DELETE FROM hold WHERE hold_id = ?", (each,)) for each in self._asked(plan)),
            *(statement for each in plan.sessions for statement in erased_with(each)),
            *(statement for each in plan.sessions for statement in forgotten(each)),
            ("UPDATE erasure SET plan = NULL WHERE id = ?", (number,)),
        ]
        self._ledger.write(work, entries=())

    def _tell_of_more(self, number: int, plan: Plan) -> None:
        """Let the log tell of exchanges that came while the erasure waited, before they go too."""
        days = self._writer.each_day()
        count = sum(erased.left(day, number) + len(erased.numbers(day, plan)) for day in days)
        if plan.entry is None or count <= plan.entry.exchanges:
            return
        more = msgspec.structs.replace(plan.entry, sessions=0, exchanges=count - plan.entry.exchanges)
        told = msgspec.structs.replace(plan, entry=msgspec.structs.replace(plan.entry, exchanges=count))
        sealed = self._sealer.seal(_encode(told), _BINDING)
        self._ledger.write([("UPDATE erasure SET plan = ? WHERE id = ?", (sealed, number))], entries=[more])

    def _asked(self, plan: Plan) -> list[str]:
        """Holds that ask about what is erased."""
        sessions, apps = set(plan.sessions), set(plan.apps)
        every = self._holds.list(limit=-1)
        return [each.hold_id for each in every if each.ask.session_id in sessions or each.ask.app in apps]


def _parsed(scope: str) -> tuple[Kind, str]:
    kind, colon, name = scope.partition(":")
    found: Kind | None = next((each for each in KINDS if each == kind), None)
    if found is None or not colon or not name:
        raise BadScope(f"{scope[:80]!r} is no scope")
    return found, name
