"""SQLite's own disk, recorded: a VFS of ours under the very library Python uses, and what power loss leaves of it.

Between SQLite and its "unix" VFS stand wrappers for the calls that change files: xOpen, xWrite, xTruncate, xSync,
xDelete. Each is passed on and written down, so that the state of the disk at any moment can be laid out afterwards,
with what was not synced by then there, missing, or torn at a sector. The shared-memory index is not recorded: it
never outlives a power loss.
"""

import ctypes
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

SECTOR = 512
"""Bytes that a disk writes at once: within them nothing is torn."""

_P = ctypes.c_void_p
_I = ctypes.c_int
_L = ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, _P)
_DELETE = ctypes.CFUNCTYPE(_I, _P, ctypes.c_char_p, _I)
_WRITE = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE = ctypes.CFUNCTYPE(_I, _P, _L)
_SYNC = ctypes.CFUNCTYPE(_I, _P, _I)
_CLOSE = ctypes.CFUNCTYPE(_I, _P)
_METHODS = 19
"""Pointers in `sqlite3_io_methods` of version 3: iVersion and eighteen functions (sqlite3.h)."""

_AT_CLOSE, _AT_WRITE, _AT_TRUNCATE, _AT_SYNC = 1, 3, 4, 5


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs` up to xDelete; what follows is copied as it is."""

    _fields_ = [
        ("iVersion", _I),
        ("szOsFile", _I),
        ("mxPathname", _I),
        ("pNext", _P),
        ("zName", ctypes.c_char_p),
        ("pAppData", _P),
        ("xOpen", _P),
        ("xDelete", _P),
        ("rest", _P * 16),
    ]


@dataclass(frozen=True)
class Call:
    """One call that changed a file."""

    kind: str
    path: str
    at: int = 0
    data: bytes = b""


@dataclass
class Recording:
    """Every call, in order."""

    calls: list[Call] = field(default_factory=list)


@contextmanager
def recorded(folder: Path) -> Generator[Recording]:
    """Have every connection opened meanwhile write down what it does to files in `folder`."""
    library = ctypes.CDLL(_library())
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), _I]
    library.sqlite3_vfs_unregister.argtypes = [ctypes.POINTER(_Vfs)]
    real = library.sqlite3_vfs_find(None)
    shim = _Shim(real, str(folder))
    assert library.sqlite3_vfs_register(ctypes.byref(shim.vfs), 1) == 0
    try:
        yield shim.recording
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(shim.vfs))
        library.sqlite3_vfs_register(real, 1)


def _library() -> str:
    """The file of the SQLite that Python's module is linked with: another copy would know nothing of this VFS."""
    import _sqlite3  # noqa: F401, PLC0415 - to have it mapped

    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.rpartition(" ")[2]
        if "libsqlite3" in path:
            return path
    raise LookupError("Python's sqlite3 holds a SQLite of its own, whose calls cannot be recorded")


class _Shim:
    """Holds the callbacks for as long as SQLite may call them."""

    def __init__(self, real: Any, folder: str) -> None:
        self.recording = Recording()
        self._real = real
        self._folder = folder
        self._paths: dict[int, str] = {}
        self._methods: dict[int, Any] = {}
        """A table of wrapped methods for each of the tables "unix" hands out."""
        self._kept: list[Any] = []
        self.vfs = _Vfs.from_buffer_copy(real.contents)
        self.vfs.zName = b"recorded"
        self.vfs.pNext = None
        self._open_real = _OPEN(real.contents.xOpen)
        self._delete_real = _DELETE(real.contents.xDelete)
        self.vfs.xOpen = self._keep(_OPEN(self._open))
        self.vfs.xDelete = self._keep(_DELETE(self._delete))

    def _keep(self, function: Any) -> int | None:
        self._kept.append(function)
        return ctypes.cast(function, _P).value

    def _say(self, kind: str, path: str, at: int = 0, data: bytes = b"") -> None:
        if path.startswith(self._folder):
            self.recording.calls.append(Call(kind, path.rpartition("/")[2], at, data))

    def _open(self, _: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = self._open_real(ctypes.addressof(self._real.contents), name, file, flags, out)
        if code == 0 and name is not None:
            # SQLite keeps the pointer for as long as the file is open, so it is handed on as it came.
            path = ctypes.string_at(name).decode()
            self._paths[file] = path
            self._say("open", path)
            table = ctypes.cast(file, ctypes.POINTER(_P))
            table[0] = self._wrapped(table[0])
        return code

    def _delete(self, _: int, name: bytes, synced: int) -> int:
        code = self._delete_real(ctypes.addressof(self._real.contents), name, synced)
        if code == 0:
            self._say("delete", name.decode(), synced)
        return code

    def _wrapped(self, table: int) -> int:
        """The address of a copy of a table of methods, with ours in it."""
        if table not in self._methods:
            made = (_P * _METHODS).from_buffer_copy((_P * _METHODS).from_address(table))
            real = {at: made[at] for at in (_AT_CLOSE, _AT_WRITE, _AT_TRUNCATE, _AT_SYNC)}
            made[_AT_CLOSE] = self._keep(_CLOSE(self._closing(_CLOSE(real[_AT_CLOSE]))))
            made[_AT_WRITE] = self._keep(_WRITE(self._writing(_WRITE(real[_AT_WRITE]))))
            made[_AT_TRUNCATE] = self._keep(_TRUNCATE(self._truncating(_TRUNCATE(real[_AT_TRUNCATE]))))
            made[_AT_SYNC] = self._keep(_SYNC(self._syncing(_SYNC(real[_AT_SYNC]))))
            self._methods[table] = made
        return ctypes.addressof(self._methods[table])

    def _closing(self, real: Any) -> Any:
        def close(file: int) -> int:
            self._paths.pop(file, None)
            return real(file)

        return close

    def _writing(self, real: Any) -> Any:
        def write(file: int, data: int, size: int, at: int) -> int:
            code = real(file, data, size, at)
            if code == 0:
                self._say("write", self._paths[file], at, ctypes.string_at(data, size))
            return code

        return write

    def _truncating(self, real: Any) -> Any:
        def truncate(file: int, size: int) -> int:
            code = real(file, size)
            if code == 0:
                self._say("truncate", self._paths[file], size)
            return code

        return truncate

    def _syncing(self, real: Any) -> Any:
        def sync(file: int, flags: int) -> int:
            code = real(file, flags)
            if code == 0:
                self._say("sync", self._paths[file])
            return code

        return sync


class Remains:
    """What a disk holds after power went at some call.

    A sync makes a file's earlier calls durable, and the names in the folder with them: SQLite's "unix" VFS syncs the
    folder when it first syncs a journal or log it made. Of the calls after it each is there, missing, or, where it
    wrote several sectors, torn; in any order, as a disk's cache writes them.
    """

    def __init__(self, before: dict[str, bytes]) -> None:
        self._files = {name: bytearray(data) for name, data in before.items()}
        self._pending: list[Call] = []

    def apply(self, call: Call) -> None:
        """One more call."""
        if call.kind != "sync" and not (call.kind == "delete" and call.at):
            self._pending.append(call)
            return
        settled = [each for each in self._pending if each.path == call.path or each.kind in {"open", "delete"}]
        self._pending = [each for each in self._pending if each not in settled]
        for each in (*settled, call):
            _act(self._files, each)

    def lay_out(self, folder: Path, random: Random) -> None:
        """Write the files as they are found when power comes back."""
        found = {name: bytearray(data) for name, data in self._files.items()}
        for call in self._pending:
            fate = random.random()
            if fate < 0.4:
                _act(found, call)
            elif fate < 0.7 and call.kind == "write":
                _tear(found, call, random)
        for name, data in found.items():
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)


def _act(files: dict[str, bytearray], call: Call) -> None:
    if call.kind == "open":
        files.setdefault(call.path, bytearray())
    elif call.kind == "delete":
        files.pop(call.path, None)
    elif call.kind == "truncate" and call.path in files:
        del files[call.path][call.at :]
    elif call.kind == "write" and call.path in files:
        _put(files[call.path], call.at, call.data)


def _put(file: bytearray, at: int, data: bytes) -> None:
    file.extend(bytes(max(0, at - len(file))))
    file[at : at + len(data)] = data


def _tear(files: dict[str, bytearray], call: Call, random: Random) -> None:
    """Some of a write's sectors, in their places; of the others what was there before."""
    if call.path not in files:
        return
    at, end = call.at, call.at + len(call.data)
    while at < end:
        until = min((at // SECTOR + 1) * SECTOR, end)
        if random.random() < 0.5:
            _put(files[call.path], at, call.data[at - call.at : until - call.at])
        at = until
