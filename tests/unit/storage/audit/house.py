"""Keys, entries and logs for the tests of the audit log."""

import json
from collections.abc import Sequence
from hashlib import sha256

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
