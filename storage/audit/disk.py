"""The disk as the log sees it: a handful of calls, each of which can fail."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol, final

from storage.audit.errors import LogInUse


class Disk(Protocol):
    """A folder. Paths are relative to it, with `/` between names; "" is the folder itself.

    Every call may raise `OSError`.
    What is written is durable once its file was synced, and found again after a power loss once its folder was, too.
    """

    def read(self, path: str) -> bytes:
        """All bytes of a file. Raises `FileNotFoundError`."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Make a file or replace what is in it."""
        ...

    def fsync(self, path: str) -> None:
        """Make a file's bytes, or the names in a folder, durable."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Put a file in the place of another, at once."""
        ...

    def unlink(self, path: str) -> None:
        """Remove a file. Raises `FileNotFoundError`."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a folder in one that is there; nothing where it is there already."""
        ...

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        ...

    def listdir(self, path: str) -> list[str]:
        """The names in a folder, in any order; none where there is no such folder."""
        ...

    def close(self) -> None:
        """Give the folder free. Idempotent; never raises."""
        ...


@final
class PosixDisk:
    """A real folder, kept to one process by a lock on the folder itself."""

    def __init__(self, root: Path) -> None:
        """Make the folder with mode 0700 where there is none. Raises `LogInUse` or `OSError`."""
        root.mkdir(mode=0o700, exist_ok=True)
        self._root = str(root)
        self._lock: int | None = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise LogInUse(root) from None
        _sync(str(root.parent), os.O_DIRECTORY)

    def close(self) -> None:
        """Give the folder free. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, path: str) -> bytes:
        """All bytes of a file."""
        with open(self._at(path), "rb", buffering=0) as file:  # noqa: PTH123 - a hot path; Path costs more than the read
            return file.readall()

    def write(self, path: str, data: bytes) -> None:
        """Make a file or replace what is in it."""
        descriptor = os.open(self._at(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    def fsync(self, path: str) -> None:
        """Make a file's bytes, or the names in a folder, durable."""
        _sync(self._at(path), 0)

    def rename(self, old: str, new: str) -> None:
        """Put a file in the place of another, at once."""
        os.replace(self._at(old), self._at(new))  # noqa: PTH105 - see `read`

    def unlink(self, path: str) -> None:
        """Remove a file."""
        os.unlink(self._at(path))  # noqa: PTH108 - see `read`

    def mkdir(self, path: str) -> None:
        """Make a folder in one that is there."""
        with suppress(FileExistsError):
            os.mkdir(self._at(path), 0o700)  # noqa: PTH102 - see `read`

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        os.rmdir(self._at(path))  # noqa: PTH106 - see `read`

    def listdir(self, path: str) -> list[str]:
        """The names in a folder."""
        try:
            return os.listdir(self._at(path))  # noqa: PTH208 - see `read`
        except FileNotFoundError:
            return []

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
