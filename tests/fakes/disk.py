"""A disk in memory: knows what was made durable, may forget the rest on power loss, and fails where it is told to."""

import errno
from collections.abc import Callable
from random import Random

Fault = Callable[[str, str], OSError | None]
"""Given the name of a call and its path: what it fails with, or None."""


def healthy(call: str, path: str) -> OSError | None:
    """Nothing fails."""
    return None


class Inode:
    """A file: what was written, and what of it is durable."""

    def __init__(self) -> None:
        self.data = b""
        self.durable = b""
        self.synced = True


class MemoryDisk:
    """Obeys `storage.audit.disk.Disk`, with the weakest promises POSIX allows.

    Bytes are durable once their file was synced; a name, once its folder was. On power loss each byte and each name
    that is not durable may or may not be there, and a file in between may be torn.
    """

    def __init__(self, fault: Fault = healthy) -> None:
        self.fault = fault
        self.names: dict[str, Inode | None] = {"": None}
        self.durable: dict[str, Inode | None] = {"": None}
        self.calls: list[tuple[str, str]] = []
        self.locked = False

    def read(self, path: str) -> bytes:
        self._call("read", path)
        return self._file(path).data

    def write(self, path: str, data: bytes) -> None:
        parent = path.rpartition("/")[0]
        if self.names.get(parent, path) is not None:
            raise FileNotFoundError(path)
        inode = self.names.get(path) or Inode()
        fault = self._asked("write", path)
        inode.data, inode.synced = data if fault is None else data[: len(data) // 2], False
        self.names[path] = inode
        if fault is not None:
            raise fault

    def fsync(self, path: str) -> None:
        fault = self._asked("fsync", path)
        inode = self.names[path] if path in self.names else self._file(path)
        if inode is not None:
            # A failed sync leaves the pages clean: asking again without writing again would tell a lie.
            inode.synced = True
            if fault is None:
                inode.durable = inode.data
        if fault is not None:
            raise fault
        if inode is None:
            inside = self._inside(path)
            for name in [each for each in self.durable if each and _parent(each) == path and each not in inside]:
                del self.durable[name]
            self.durable.update({name: self.names[name] for name in inside})

    def rename(self, old: str, new: str) -> None:
        self._call("rename", old)
        self.names[new] = self._file(old)
        del self.names[old]

    def unlink(self, path: str) -> None:
        self._call("unlink", path)
        self._file(path)
        del self.names[path]

    def mkdir(self, path: str) -> None:
        self._call("mkdir", path)
        if self.names.get(_parent(path), 0) is not None:
            raise FileNotFoundError(path)
        self.names.setdefault(path, None)

    def rmdir(self, path: str) -> None:
        self._call("rmdir", path)
        if self.names.get(path, 0) is not None:
            raise FileNotFoundError(path)
        if self._inside(path):
            raise OSError(errno.ENOTEMPTY, path)
        del self.names[path]

    def listdir(self, path: str) -> list[str]:
        self._call("listdir", path)
        return [name.rpartition("/")[2] for name in self._inside(path)]

    def close(self) -> None:
        self.locked = False

    def files(self) -> dict[str, bytes]:
        """Every file with its bytes."""
        return {path: inode.data for path, inode in self.names.items() if inode is not None}

    def after_power_loss(self, random: Random) -> "MemoryDisk":
        """What is found when power comes back."""
        after = MemoryDisk()
        for path in sorted({*self.names, *self.durable}, key=lambda each: (each.count("/"), each)):
            if path and after.names.get(_parent(path), 0) is not None:
                continue  # its folder was lost
            inode = self._surviving(path, random)
            if inode is _ABSENT:
                continue
            after.names[path] = None if inode is None else _settled(inode, random)
        after.durable = dict(after.names)
        return after

    def _surviving(self, path: str, random: Random) -> Inode | None:
        now, then = self.names.get(path, _ABSENT), self.durable.get(path, _ABSENT)
        return now if now is then or random.random() < 0.5 else then

    def _call(self, call: str, path: str) -> None:
        fault = self._asked(call, path)
        if fault is not None:
            raise fault

    def _asked(self, call: str, path: str) -> OSError | None:
        self.calls.append((call, path))
        return self.fault(call, path)

    def _file(self, path: str) -> Inode:
        inode = self.names.get(path)
        if inode is None:
            raise FileNotFoundError(path)
        return inode

    def _inside(self, path: str) -> list[str]:
        return [name for name in self.names if name and _parent(name) == path]


_ABSENT = Inode()


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _settled(inode: Inode, random: Random) -> Inode:
    """A file as the disk holds it: what was durable, what was written, or something torn in between."""
    after = Inode()
    after.data = inode.durable
    if inode.data != inode.durable:
        torn = inode.data[: random.randrange(len(inode.data) + 1)]
        zeros = torn + bytes(len(inode.data) - len(torn))
        after.data = random.choice([inode.durable, inode.data, torn, zeros])
    after.durable = after.data
    return after
