"""Publisher: takes committed entries from the ledger into the log's files, and signs what stands there.

The ledger lets an entry go only when a published checkpoint covers the full bundle it is in; so whatever a crash or a
full disk leaves undone is done at the next attempt, and what was acknowledged is in one of the two places at any time.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import final

import msgspec

from policies.errors import StepwardenError
from storage.audit.directory import FOLDER, LogDirectory
from storage.audit.errors import LogForked
from storage.audit.note import Signature, Signer, Verifier
from storage.audit.signing_key import KEY_FILE, NEXT_KEY_FILE, key_of, load_key
from storage.audit.tiles import WIDTH
from storage.errors import StorageFailed
from storage.ledger import Ledger

log = logging.getLogger("stepwarden.audit")

_EVERY_SECONDS = 2.0
_LINES = 2 * WIDTH
"""Entries that are taken in at once: their tiles are written together."""


class PublisherState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the published log is, for people on call."""

    published: int
    unpublished: int
    failing: str | None
    """Why nothing can be published; entries stay in `ledger.db` and it is tried again."""

    broken: bool
    """True where the log itself is wrong, forked from its ledger say: that does not heal without a person."""


def open_log(directory: Path, origin: str) -> LogDirectory:
    """The log of a data directory, with its key; both are made where there are none. Raises as `LogDirectory.open`."""
    signers = [key_of(directory / KEY_FILE, origin)]
    if (directory / NEXT_KEY_FILE).exists():
        signers.append(load_key(directory / NEXT_KEY_FILE))
    return LogDirectory.open(directory / FOLDER, origin=origin, signers=signers)


def _no_key_files(current: Verifier) -> None:
    """Where keys are handed over elsewhere."""


@final
class Publisher:
    """Owns the log's files. `start` is the gateway's; without it everything is published when it is asked for."""

    def __init__(
        self,
        ledger: Ledger,
        opened: Callable[[], LogDirectory],
        *,
        adopt: Callable[[Verifier], None] = _no_key_files,
        seconds: float = _EVERY_SECONDS,
    ) -> None:
        """`adopt` is told the key in force once a published checkpoint carries its signature."""
        self._ledger = ledger
        self._opened = opened
        self._adopt = adopt
        self._adopted: Signer | None = None
        self._seconds = seconds
        self._lock = threading.Lock()
        self._log: LogDirectory | None = None
        self._failing: str | None = None
        self._broken = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Publish now, so that a broken log is known from the first moment, and again and again from then on."""
        self._try()
        self._thread = threading.Thread(target=self._run, name="stepwarden-publisher", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Publish what is there, where it was started, and give the files free. Idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)
            self._thread = None
        with self._lock:
            if self._log is not None:
                self._log.close()
                self._log = None

    def publish(self) -> LogDirectory:
        """Publish every entry that is committed by now. Raises `StorageFailed`, or what is wrong with the log."""
        with self._lock:
            try:
                published = self._publish()
            except OSError as error:
                self._failed(failure := StorageFailed("publishing the audit log", error))
                raise failure from error
            except StepwardenError as error:
                self._failed(error)
                raise
            if self._failing is not None:
                log.info("the audit log is published again")
            self._failing, self._broken = None, False
            return published

    def attach(self, text: bytes, cosignature: Signature) -> bool:
        """See `LogDirectory.attach`; False, too, where the log is not open. Raises `StorageFailed`."""
        with self._lock:
            try:
                return self._log is not None and self._log.attach(text, cosignature)
            except OSError as error:
                raise StorageFailed("keeping a witness's cosignature", error) from error

    @property
    def log(self) -> LogDirectory | None:
        """The log's files; None where they could not be opened yet."""
        return self._log

    def state(self) -> PublisherState:
        """As it stands."""
        size = 0 if self._log is None else self._log.checkpoint.size
        return PublisherState(
            published=size,
            unpublished=self._ledger.next_seq - size,
            failing=self._failing,
            broken=self._broken,
        )

    def _publish(self) -> LogDirectory:
        if self._log is None:
            self._log = self._recovered()
        found = self._log
        while lines := self._ledger.entries(found.size, _LINES):
            found.integrate(lines.lines, at=lines.first)
        found.publish()
        if found.signer is not self._adopted:
            self._adopt(found.signer.verifier)
            self._adopted = found.signer
        full = found.checkpoint.size // WIDTH * WIDTH
        if full > self._ledger.first_kept:
            self._ledger.release(full)
        return found

    def _recovered(self) -> LogDirectory:
        """The log's files, after they were seen to fit what the ledger still has."""
        found = self._opened()
        try:
            self._compare(found)
        except BaseException:
            found.close()
            raise
        return found

    def _compare(self, found: LogDirectory) -> None:
        """Raise `LogForked` or `LogGapped` where the two are not one log; take in what a crash kept out."""
        if found.size > self._ledger.next_seq:
            raise LogForked(self._ledger.next_seq)
        at = self._ledger.first_kept
        while lines := self._ledger.entries(at, _LINES):
            found.integrate(lines.lines, at=lines.first)
            at = lines.first + len(lines.lines)

    def _failed(self, error: StepwardenError) -> None:
        if self._failing is None:
            log.error("the audit log cannot be published; entries wait", extra={"reason": str(error)})
        self._failing, self._broken = str(error), not isinstance(error, StorageFailed)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stopping.wait(self._seconds)
            if self._log is not None and self._log.checkpoint.size == self._ledger.next_seq:
                continue
            self._try()

    def _try(self) -> None:
        try:
            self.publish()
        except StepwardenError:
            pass  # said and kept in `state`; tried again
        except Exception:
            log.exception("publishing the audit log failed")
            self._failing = "an internal failure; see the gateway's log"
