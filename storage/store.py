"""The embedded store: one directory, one process, one writing thread, any number of readers.

A batch is written contents first, then day files, then sessions, so that at no moment does a visible row point
to something that is not there. What sessions add up to is replayed from the day files where a crash came between.
"""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, final

import msgspec

from policies.vocabulary.audit import GATEWAY, KillSwitch, RetentionApplied
from policies.vocabulary.erasures import Erasure, Order
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.reports import ReportedSpan
from storage.aliases import Aliases
from storage.audit.signing_key import adopt_next
from storage.audit_log import AuditLog
from storage.call_intents import CallIntents
from storage.canaries import CanaryBook
from storage.checkup import refuse_lost_keys
from storage.contents import Vault
from storage.critiques import CritiqueBook
from storage.days import Days
from storage.eraser import Eraser
from storage.errors import StorageFailed
from storage.files import ReadFiles, sizes
from storage.holds import HoldBook
from storage.keys import KeyRing
from storage.labels import LabelBook
from storage.leaps import Clock, looked
from storage.ledger import Ledger
from storage.legal_holds import LegalHolds
from storage.lock import DirectoryLock
from storage.modes import ModeBook
from storage.monitor_queue import MonitorQueue
from storage.opening import make_directory, seal_key_of
from storage.optimizer_runs import RunBook
from storage.optimizer_steps import StepBook, expired_steps
from storage.partitions import DAY_NS, day_of, end_of
from storage.pseudonyms import Pseudonyms
from storage.publisher import Publisher, open_log
from storage.reads import Reads
from storage.reports import ReportBook, whole_days
from storage.rotation import Rotation
from storage.rows import ErasedRow, FileStat, StoreStats
from storage.schema import KINDS, Schema
from storage.scopes import ScopeKeys
from storage.seal import Sealer as BlobSealer
from storage.seal import derive
from storage.sealer import Sealer, sealed_until
from storage.secret import Secret
from storage.sequencer import Sequencer
from storage.sign_ins import SignInBook
from storage.supervisor_calls import CallBook
from storage.tool_grants import ToolGrants
from storage.tool_pins import ToolPins
from storage.trials import expired
from storage.ulids import pack
from storage.writer import ContentMode, Writer

if TYPE_CHECKING:
    from storage.revisions import RevisionBook

log = logging.getLogger("stepwarden.storage")

_REMEMBERED = 2048
_CLOCK = "clock"
"""Name of the cursor that says what the clock was when retention was applied last."""

_WAL_RESET_FIXED = (3, 51, 3)
_WAL_RESET_BACKPORTED = {(3, 44): 6, (3, 50): 7}


def wal_reset_exposed(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite can lose committed writes when two connections write or checkpoint in WAL mode."""
    return version < _WAL_RESET_FIXED and version[2] < _WAL_RESET_BACKPORTED.get(version[:2], version[2] + 1)


@final
class Store(Reads):
    """The whole store. Reads are safe from any thread; writes belong to one."""

    def __init__(
        self, path: Path, *, content: ContentMode, retention_days: int, remembered: int, origin: str | None
    ) -> None:
        make_directory(path)
        self._lock = DirectoryLock(path)
        readers = ReadFiles()
        try:
            key = seal_key_of(path)
            refuse_lost_keys(path)
            names = Pseudonyms(key)
            with ExitStack() as opened:
                keys = ScopeKeys(path, key, names)
                opened.callback(keys.close)
                super().__init__(Days(path), Vault(key, keys), readers)
                self.ledger = Ledger(path, origin)
                opened.callback(self.ledger.close)
                self._scope_keys = keys
                self._writer = self._open_writer(readers, key, names, content=content, remembered=remembered)
                opened.callback(self._writer.close)
                self.reports = ReportBook(path, readers, keys, keeps_detail=content == "encrypted")
                opened.callback(self.reports.close)
                self.keys = KeyRing(self.ledger, key)
                self.holds = HoldBook(self.ledger, key)
                self.sign_ins = SignInBook(self.ledger, key)
                self.modes = ModeBook(self.ledger)
                self.monitor_queue = MonitorQueue(self.ledger)
                self.critiques = CritiqueBook(self.ledger, self.monitor_queue, key)
                self.labels = LabelBook(self.ledger)
                self.pins = ToolPins(self.ledger, key)
                self.grants = ToolGrants(self.ledger, key)
                self.optimizer_steps = StepBook(self.ledger)
                self.aliases = Aliases(self.ledger)
                self._intents = CallIntents(path)
                opened.callback(self._intents.close)
                self.sequencer = Sequencer(self.ledger)
                opened.callback(self.sequencer.close)
                self.supervisor_calls = CallBook(self.ledger, self.sequencer, self._intents)
                self.canaries = CanaryBook(self.ledger, self.sequencer)
                self.publisher = Publisher(
                    self.ledger, lambda: open_log(path, self.ledger.origin), adopt=partial(adopt_next, path)
                )
                self.audit = AuditLog(
                    self,
                    self.ledger,
                    self.sequencer,
                    self.publisher,
                    Rotation(path, self.ledger, self.publisher),
                    names,
                )
                self._sealer = Sealer(
                    self.ledger, self.sequencer, self._days, self._spans, survived=self._writer.survived
                )
                self.legal_holds = LegalHolds(self.ledger)
                self._eraser = Eraser(
                    self.ledger,
                    keys,
                    self._writer,
                    self.holds,
                    self.legal_holds,
                    names,
                    BlobSealer(derive(key, "erasures")),
                    self._seal_record,
                    self.reports,
                    self.ties,
                )
                self._finish_erasures()
                opened.pop_all()
        except BaseException:
            readers.close()
            self._lock.release()
            raise
        self._seal_key = key
        self._content: ContentMode = content
        self._retention_days = retention_days
        self._closed = False

    @cached_property
    def revisions(self) -> "RevisionBook":
        """Proposals and revisions. They know every kind of guard, so only those load them who ask."""
        from storage.revisions import RevisionBook  # noqa: PLC0415 - see above

        return RevisionBook(self.ledger, self._seal_key)

    @cached_property
    def optimizer_runs(self) -> RunBook:
        """What models told runs of optimizers that are not over."""
        return RunBook(self.ledger, self._seal_key)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        content: ContentMode = "encrypted",
        retention_days: int = 190,
        remembered: int = _REMEMBERED,
        origin: str | None = None,
    ) -> Self:
        """Open or create a data directory.

        `remembered` bounds how many contents and states per month are known without asking the file. `origin` names
        the audit log where it begins; None leaves that to chance, and an older log its name. Raises
        `NoDirectory`, `DirectoryExposed`, `DirectoryInUse`, `SchemaTooNew`, `WrongSealKey`, `KeyFileExposed`,
        `KeyFileBroken`, `KeysLost`, `LedgerLost`, `OriginFixed` or `StorageFailed`.
        """
        try:
            return cls(path, content=content, retention_days=retention_days, remembered=remembered, origin=origin)
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed(f"opening {path}", error) from error

    def append(self, batch: Sequence[Recording]) -> None:
        """Store a batch; on return no death of the process loses it. Raises `StorageFailed` and stores nothing.

        What the audit log says of it follows by itself: what cannot be sealed now is with the next batch.
        """
        written = self._writer.append(batch)
        with suppress(StorageFailed, sqlite3.Error):
            self._sealer.seal(written)

    def lost(self) -> None:
        """Let the audit log say that an exchange is not in the record."""
        self.sequencer.lose()

    def terminate(self, session_id: str, at_ns: int, *, actor: str = GATEWAY) -> None:
        """Mark a session as terminated at a wall-clock time in nanoseconds; the first time counts.

        The audit log says so first. Raises `StorageFailed`.
        """
        with self.ledger.lock:
            alias, named = self.aliases.of("session", session_id)
            self.ledger.write(named, entries=[KillSwitch(actor=actor, session=alias)])
        self._writer.terminate(session_id, at_ns)

    def erase(self, order: Order, now_ns: int) -> Erasure:
        """Destroy what is recorded of a session, an end user or an app; on return no file holds a byte of it.

        Once the audit log says that it is begun, it is carried through, by the next start if need be. Raises
        `BadScope`, `NothingToErase`, `SessionHeld`, `StorageFailed`, or `ErasureUnfinished` once it is begun.
        """
        try:
            return self._eraser.erase(order, now_ns)
        except sqlite3.Error as error:
            raise StorageFailed("erasing", error) from error

    def is_terminated(self, session_id: str) -> bool:
        """Whether a session was ended; erasing it does not undo that."""
        row = self.find_named(session_id)
        if row is not None and row.terminated_ns is not None:
            return True
        erased = self.erased_session(session_id)
        return erased is not None and erased.terminated_ns is not None

    def erased_session(self, session_id: str) -> ErasedRow | None:
        """What became of a session that was erased, by its whole id."""
        return self._eraser.session(session_id)

    def erased_exchange(self, exchange_id: str) -> ErasedRow | None:
        """What became of an exchange that was erased, by its whole id."""
        for day in self._days.newest_first():
            with self._spans(day) as connection:
                row = connection.execute(
                    "SELECT app, erasure FROM erased WHERE exchange_id = ? AND erasure > 0", (pack(exchange_id),)
                ).fetchone()
            if row is not None:
                return ErasedRow(row["app"], *self._eraser.basis(row["erasure"]))
        return None

    def reported(self, session_id: str, limit: int, *, in_full: bool = True) -> list[ReportedSpan]:
        """Spans the application reported of a session, in the order in which they began, at most so many.

        Raises `StorageFailed`.
        """
        session, ties = self.find_named(session_id), self.ties(session_id)
        if session is None or ties is None:
            return []
        return self.reports.of(ties, *whole_days(session.started_ns, session.last_ns), limit, in_full=in_full)

    def save_cursor(self, name: str, value: str) -> None:
        """Remember how far a reader of the record has come."""
        self._writer.save_cursor(name, value)

    def sweep(self, now_ns: int) -> list[str]:
        """Carry through erasures, and drop what retention no longer keeps, unless the clock leapt; names of what went.

        Raises `StorageFailed`.
        """
        self._finish_erasures()
        clock = looked(self._clock(now_ns), now_ns)
        self.save_cursor(_CLOCK, msgspec.json.encode(clock).decode())
        if clock.leapt:
            log.warning(
                "the clock is days beyond what it was: retention deletes nothing until it has gone on for a day",
                extra={"before": day_of(clock.believed_ns), "now": day_of(now_ns)},
            )
            return []
        return self.drop_expired(now_ns)

    def _clock(self, now_ns: int) -> Clock:
        """What the clock said at the last sweep; before there were any, the end of the last day that was recorded."""
        known = self.cursor(_CLOCK)
        if known is not None:
            return msgspec.json.decode(known, type=Clock)
        days = self._days.newest_first()
        return Clock(believed_ns=end_of(days[0]) if days else now_ns)

    def drop_expired(self, now_ns: int) -> list[str]:
        """Drop the day and month files retention no longer keeps, but for what must be kept; returns their names.

        The audit log says so first. Raises `StorageFailed`.
        """
        held = self.legal_holds.held()
        kept = [ties for ties in map(self.ties, sorted(held)) if ties is not None]
        before = day_of(now_ns - self._retention_days * DAY_NS)
        months = self.reports.needed_months(kept)
        files = self._writer.expired(now_ns, self._retention_days, held, months)
        reported = self.reports.expired(before, kept)
        if files or reported:
            stripped = self._writer.stripped(files, held, months)
            entry = RetentionApplied(actor=GATEWAY, before=before, files=(*files, *reported), stripped=stripped)
            self.ledger.write([], entries=[entry])
            self._writer.drop(files, held, stripped)
            self.reports.drop(reported, kept)
        self.supervisor_calls.forget(now_ns - self._retention_days * DAY_NS)
        self.canaries.forget(now_ns - self._retention_days * DAY_NS)
        self._writer.forget_sessions(now_ns, self._retention_days, held)
        kept_from_ns = (now_ns // DAY_NS - self._retention_days) * DAY_NS
        self.critiques.expire(kept_from_ns, held)
        self.labels.expire(kept_from_ns, held)
        self.ledger.write([*expired(kept_from_ns), *expired_steps(kept_from_ns)], entries=())
        return [*files, *reported]

    def close(self) -> None:
        """Checkpoint, close and give the directory free. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.sequencer.close()
        self._intents.close()
        self.publisher.stop()
        self._readers.close()
        self._writer.close()
        self.reports.close()
        self._scope_keys.close()
        self.ledger.close()
        self._lock.release()

    def _open_writer(
        self, readers: ReadFiles, key: Secret, names: Pseudonyms, *, content: ContentMode, remembered: int
    ) -> Writer:
        return Writer(
            self._days,
            self._vault,
            self._scope_keys,
            readers,
            names,
            content=content,
            seal_check=derive(key, "seal check").reveal(),
            remembered=remembered,
            taken=sealed_until(self.ledger) or 0,
        )

    def _seal_record(self) -> None:
        """See to it that the audit log seals every exchange there is. Raises `StorageFailed`."""
        self._sealer.seal(())
        self.sequencer.flush()
        if (sealed_until(self.ledger) or 0) < max(self._days.last.values(), default=0):
            raise StorageFailed("erasing", RuntimeError("the audit log does not seal all of the record yet"))

    def _finish_erasures(self) -> None:
        """Carry through what a crash, a full disk or a reader broke off; what still cannot be is tried again."""
        try:
            self._eraser.finish()
        except (StorageFailed, sqlite3.Error) as error:
            log.warning("an erasure is not finished yet", extra={"reason": str(error)})

    def stats(self) -> StoreStats:
        """The store in sum."""
        directory = self._days.directory
        names = sorted(path.name for path in directory.glob("*.db"))
        files = tuple(FileStat(name=name, bytes=sizes(directory / name)) for name in names)
        exchanges = 0
        for day in self._days.newest_first():
            with self._spans(day) as connection:
                exchanges += int(connection.execute("SELECT count(*) FROM exchange").fetchone()[0])
        with self._meta() as connection:
            sessions = int(connection.execute("SELECT count(*) FROM session").fetchone()[0])
        return StoreStats(
            files=files,
            bytes=sum(file.bytes for file in files),
            exchanges=exchanges,
            sessions=sessions,
            content=self._content,
            retention_days=self._retention_days,
            schema={kind: len(Schema.shipped(kind).names) for kind in KINDS},
            kept_whole=self._writer.kept_whole,
            sqlite_version=sqlite3.sqlite_version,
            wal_reset_exposed=wal_reset_exposed(sqlite3.sqlite_version_info),
        )
