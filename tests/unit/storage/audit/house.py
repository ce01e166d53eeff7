"""Keys, entries and logs for the tests of the audit log."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256

from storage.audit.archive import Unreadable
from storage.audit.directory import LogDirectory
from storage.audit.disk import Disk
from storage.audit.note import Signer
from storage.audit.signing_key import LogSigner
from storage.secret import Secret

ORIGIN = "stepwarden.example/audit"


def key(name: str = "first", origin: str = ORIGIN) -> LogSigner:
    """A key that is the same for the same name."""
    return LogSigner(origin, Secret(sha256(name.encode()).digest()))


def entry(index: int, **fields: object) -> bytes:
    """An entry as the gateway writes them."""
    found = {"seq": index, "type": "request.accepted", "v": 1, **fields}
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def entries(start: int, end: int) -> list[bytes]:
    return [entry(index) for index in range(start, end)]


def log_on(disk: Disk, *, signers: Sequence[Signer] = (key(),)) -> LogDirectory:
    return LogDirectory(disk, origin=ORIGIN, signers=signers)


def grown(disk: Disk, size: int) -> LogDirectory:
    """A published log of `size` entries."""
    log = log_on(disk)
    log.integrate(entries(0, size))
    log.publish()
    return log


class MemoryArchive:
    """Files in memory; obeys `storage.audit.archive.Archive`."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def names(self) -> Iterator[str]:
        yield from self.files

    def read(self, path: str, limit: int) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        if len(self.files[path]) > limit:
            raise Unreadable("too long")
        return self.files[path]


def memory_archive(files: dict[str, bytes]) -> MemoryArchive:
    return MemoryArchive(files)


def quiet(done: int, total: int) -> None:
    """Progress that nobody watches."""
