"""Rotation: the audit log handed over to a new signing key, on a named person's word.

Four steps, and a crash between any two heals by itself: the new key is made durable as `audit.key.next`; the
`log.key_rotated` entry, signed by both keys, is committed; the checkpoint that covers it is signed by both; the new
key takes the place of `audit.key`. A key that no entry names is thrown away, one that an entry names is put in force
by the next publication.
"""

import secrets
import threading
from hashlib import sha256
from pathlib import Path
from typing import final

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.audit import BLIND_BYTES, KeyRotated, commitment
from storage.aliases import Aliases
from storage.audit.directory import LogDirectory
from storage.audit.signing_key import LogSigner, next_key
from storage.errors import StorageFailed
from storage.ledger import Ledger
from storage.publisher import Publisher

_KEEP = "INSERT INTO key_rotation (vkey, who, reason, blind) VALUES (?, ?, ?, ?)"


class RotationPending(StepwardenError):
    """The log is handed over, and what tells of it cannot be published yet."""

    status = 503

    def __init__(self, index: int, cause: StepwardenError) -> None:
        super().__init__(f"the new key is in the log as entry {index} and not in force yet: {cause}")

    def remedy(self) -> str:
        """It is finished by itself."""
        return "Do not ask again: the new key comes into force as soon as the log can be published."


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """The log was handed over."""

    index: int
    """The entry that says so; the new key signs from it on."""

    retired: str
    """The vkey that signed until then."""

    vkey: str
    """The vkey that signs from there on."""


@final
class Rotation:
    """Safe from any thread; one change at a time."""

    def __init__(self, directory: Path, ledger: Ledger, publisher: Publisher) -> None:
        self._directory = directory
        self._ledger = ledger
        self._publisher = publisher
        self._aliases = Aliases(ledger)
        self._lock = threading.Lock()

    def rotate(self, *, by: str, reason: str, actor: str) -> Rotated:
        """Hand the log over to a new key; in force on return.

        Raises `StorageFailed` or what is wrong with the log, and then the old key stays; `RotationPending` where the
        new one comes into force later.
        """
        with self._lock:
            # Every handover committed so far is in force after this, so a next key that still waits is nobody's.
            log = self._publisher.publish()
            retired = log.signer.verifier
            successor = self._next_key(retired.name)
            index = self._enter(log, successor, by=by, reason=reason, actor=actor)
            try:
                self._publisher.publish()
            except StepwardenError as error:
                raise RotationPending(index, error) from error
            return Rotated(index=index, retired=retired.vkey, vkey=successor.verifier.vkey)

    def _next_key(self, origin: str) -> LogSigner:
        try:
            return next_key(self._directory, origin)
        except OSError as error:
            raise StorageFailed("making a new audit key", error) from error

    def _enter(self, log: LogDirectory, successor: LogSigner, *, by: str, reason: str, actor: str) -> int:
        """Commit the entry with who and why; its index."""
        blind = secrets.token_bytes(BLIND_BYTES)
        handover = log.hand_over(successor)
        with self._ledger.lock:
            alias, named = self._aliases.of("person", by)
            entry = KeyRotated(
                actor=actor,
                handover=handover,
                by=alias,
                reason=commitment(blind, sha256(reason.encode()).digest()),
            )
            kept = (_KEEP, (successor.verifier.vkey, by, reason, blind))
            return self._ledger.write([*named, kept], entries=[entry])[0].index
