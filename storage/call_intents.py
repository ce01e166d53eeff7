"""Intents: calls to a supervisor's model that are about to be sent, where no kill of the process loses them.

A call waits for no disk. It is put into a slot of one small file, which the kernel keeps whatever becomes of the
process, and the slot is wiped once `ledger.db` has the call. So what an opening finds here was sent, or was about to
be, by a process that died before. What no disk had yet a power cut can lose, as with everything that gathers.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, final

import msgspec

from policies.vocabulary.supervisor_calls import SupervisorCall
from storage.errors import StorageFailed

log = logging.getLogger("stepwarden.storage")

FILE: Final = "supervisor-calls"

_SLOTS: Final = 128
_SLOT_BYTES: Final = 1024
"""Of a slot: a digest of what is in it, how long that is, and the call."""

_DIGEST_BYTES: Final = 16
_HEAD_BYTES: Final = _DIGEST_BYTES + 2

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SupervisorCall).decode


@final
class CallIntents:
    """The slots of one data directory, whose lock the caller holds. Safe from any thread."""

    def __init__(self, directory: Path) -> None:
        """Read the file, where there is one: gateways that never ask a model have none. Raises `StorageFailed`."""
        self._lock = threading.Lock()
        self._path = directory / FILE
        self._file: int | None = None
        self.found: Final = self._left() if self._path.exists() else ()
        """What a process that died left here."""
        self._free = list(range(_SLOTS))
        self._closed = False

    def keep(self, call: SupervisorCall) -> int | None:
        """Put a call into a slot, and say which; None where none is free, or the call does not fit."""
        payload = _encode(call)
        if len(payload) > _SLOT_BYTES - _HEAD_BYTES:
            return None
        with self._lock:
            if self._closed or not self._free:
                return None
            slot = self._free.pop()
            try:
                self._put(slot, _digest(payload) + len(payload).to_bytes(2, "big") + payload)
            except OSError:
                self._free.append(slot)
                return None
        return slot

    def wipe(self, slot: int) -> None:
        """Let go of a call that `ledger.db` has."""
        with self._lock:
            if self._closed:
                return
            # A slot that cannot be wiped is used no more: what is in it is known to the ledger, and so counts once.
            with suppress(OSError):
                self._put(slot, b"")
                self._free.append(slot)

    def wipe_found(self) -> None:
        """Let go of what was found: `ledger.db` has it now. Raises `StorageFailed`."""
        try:
            for slot in range(_SLOTS if self.found else 0):
                self._put(slot, b"")
        except OSError as error:
            raise StorageFailed(f"writing {FILE}", error) from error

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                if self._file is not None:
                    os.close(self._file)

    def _open(self) -> int:
        """Open the file, or make it, mode 0600, as long as it will ever be; idempotent. Raises `OSError`.

        The disk gives all of the room at once, so that it cannot be full when a later call is to be kept.
        """
        if self._file is None:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                missing = _SLOTS * _SLOT_BYTES - os.fstat(file).st_size
                if missing > 0:
                    os.pwrite(file, bytes(missing), _SLOTS * _SLOT_BYTES - missing)
            except OSError:
                os.close(file)
                raise
            self._file = file
        return self._file

    def _left(self) -> tuple[SupervisorCall, ...]:
        try:
            return tuple(self._read())
        except OSError as error:
            if self._file is not None:
                os.close(self._file)
            raise StorageFailed(f"reading {FILE}", error) from error

    def _put(self, slot: int, data: bytes) -> None:
        if os.pwrite(self._open(), data.ljust(_SLOT_BYTES, b"\0"), slot * _SLOT_BYTES) != _SLOT_BYTES:
            raise OSError("a slot was written in part")

    def _read(self) -> Iterator[SupervisorCall]:
        """Every call that is whole. One that is not was never sent: it is written before."""
        file = self._open()
        for slot in range(_SLOTS):
            data = os.pread(file, _SLOT_BYTES, slot * _SLOT_BYTES)
            length = int.from_bytes(data[_DIGEST_BYTES:_HEAD_BYTES], "big")
            payload = data[_HEAD_BYTES : _HEAD_BYTES + length]
            if not payload or _digest(payload) != data[:_DIGEST_BYTES]:
                continue
            try:
                yield _decode(payload)
            except msgspec.MsgspecError:
                log.warning("a call to the supervisor that another release was about to send is not counted")


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES).digest()
