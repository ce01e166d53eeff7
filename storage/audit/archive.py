"""The files of a log to be verified, in a folder or a zip bundle. Reads only, and never more than asked for."""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, final

from storage.audit.errors import NotALog

_PIECE = 1 << 16
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError)
"""What reading a damaged zip file raises."""


class Unreadable(Exception):
    """A file of the log is there and cannot be read; says why."""


class Archive(Protocol):
    """Files by their paths, relative, with `/` between names."""

    def names(self) -> Iterator[str]:
        """Every file, in any order."""
        ...

    def read(self, path: str, limit: int) -> bytes:
        """All bytes of a file. Raises `FileNotFoundError`, or `Unreadable` where they are more than `limit`."""
        ...


@final
class Folder:
    """A folder. Follows no links."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Iterator[str]:
        """Every file, and everything else that is no folder."""
        yield from _inside(str(self._root), "")

    def read(self, path: str, limit: int) -> bytes:
        """All bytes of a file."""
        # Not blocking: a pipe put in a file's place would keep us waiting.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(f"{self._root}/{path}", flags)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError as error:
            raise Unreadable(error.strerror or type(error).__name__) from None
        try:
            return _bounded(descriptor, limit)
        finally:
            os.close(descriptor)


@final
class Bundle:
    """A zip file."""

    def __init__(self, path: Path) -> None:
        """Read its directory. Raises `NotALog` where it is cut short, no zip, or holds two files of one name."""
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise NotALog(str(path), "is no zip file, or was cut short") from None
        except OSError as error:
            raise NotALog(str(path), f"cannot be read: {error.strerror}") from None
        self._names = {each.filename: each for each in self._zip.infolist() if not each.is_dir()}
        if len(self._names) != sum(not each.is_dir() for each in self._zip.infolist()):
            raise NotALog(str(path), "holds two files of one name; tools would not agree on which to read")

    def names(self) -> Iterator[str]:
        """Every file."""
        yield from self._names

    def read(self, path: str, limit: int) -> bytes:
        """All bytes of a file."""
        found = self._names.get(path)
        if found is None:
            raise FileNotFoundError(path)
        try:
            with self._zip.open(found) as file:
                data = file.read(limit + 1)
        except _DAMAGE as error:
            raise _damaged(error) from None
        return _within(data, limit)

    def pieces(self, path: str) -> Iterator[bytes]:
        """All bytes of a file of any length, as `read` gives them."""
        found = self._names.get(path)
        if found is None:
            raise FileNotFoundError(path)
        try:
            with self._zip.open(found) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except _DAMAGE as error:
            raise _damaged(error) from None


def _damaged(error: Exception) -> Unreadable:
    return Unreadable(f"its place in the bundle is damaged ({type(error).__name__})")


def _inside(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        for each in found:
            if each.is_dir(follow_symlinks=False):
                yield from _inside(each.path, f"{prefix}{each.name}/")
            else:
                yield f"{prefix}{each.name}"


def _bounded(descriptor: int, limit: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise Unreadable("it is not a regular file")
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        data = bytearray()
        while len(data) <= limit and (piece := file.read(limit + 1 - len(data))):
            data += piece
    return _within(bytes(data), limit)


def _within(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise Unreadable(f"it is more than {limit} bytes")
    return data
