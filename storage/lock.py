"""The lock that keeps a data directory to one process."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import final

from storage.errors import DirectoryInUse


@final
class DirectoryLock:
    """An advisory lock on `lock`, held until `release` or the death of the process, whichever is first."""

    def __init__(self, path: Path) -> None:
        """Take the lock in directory `path`. Raises `DirectoryInUse` naming the holder."""
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32)
            os.close(descriptor)
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            raise DirectoryInUse(path, int(holder) if holder.strip().isdigit() else None) from None
        self._descriptor: int | None = descriptor
        # The pid is a courtesy to whoever comes second; a full disk must not keep the gateway from starting.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the directory free. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
