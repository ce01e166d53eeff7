"""The witness over HTTP: what the protocol says it answers, and that nothing else is served."""

import asyncio
import errno
from hashlib import sha256

import httpx
import pytest

from gateway.witness import witness_app
from storage.audit.note import read_signatures
from storage.audit.signing_key import WitnessSigner
from storage.audit.witness import LARGEST, Request, Witness
from storage.secret import Secret
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import ORIGIN, grown, key

SIGNER = WitnessSigner("witness.example/w1", Secret(b"w" * 32))


def answers(disk: MemoryDisk, *asked: tuple[str, str, bytes]) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(witness_app(Witness(disk, SIGNER, [key().verifier])))
        async with httpx.AsyncClient(transport=transport, base_url="http://witness.example") as client:
            return [await client.request(method, path, content=body) for method, path, body in asked]

    return asyncio.run(ask())


def body(old: int = 0) -> bytes:
    log = grown(MemoryDisk(), 5)
    return Request(old=old, proof=log.consistency(old, 5), note=log.note).encode()


def test_a_head_is_cosigned_conflicts_are_told_and_monitors_are_served() -> None:
    path = f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    first, second, head = answers(
        MemoryDisk(), ("POST", "/add-checkpoint", body()), ("POST", "/add-checkpoint", body()), ("GET", path, b"")
    )
    assert (first.status_code, len(read_signatures(first.content))) == (200, 1)
    assert (second.status_code, second.text, second.headers["content-type"]) == (409, "5\n", "text/x.tlog.size")
    assert (head.status_code, head.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert first.text in head.text


def test_anything_else_is_not_found_and_too_much_is_refused() -> None:
    disk = MemoryDisk()
    found = answers(
        disk,
        ("GET", "/add-checkpoint", b""),
        ("POST", "/", body()),
        ("GET", "/witness.key", b""),
        ("GET", "/../witness.key/checkpoint", b""),
        ("POST", "/add-checkpoint", b"x" * (LARGEST + 1)),
        ("POST", "/add-checkpoint", b"old"),
    )
    assert [each.status_code for each in found] == [404, 404, 404, 404, 413, 400]
    assert disk.files() == {}


def test_a_witness_that_cannot_keep_its_state_says_so(caplog: pytest.LogCaptureFixture) -> None:
    disk = MemoryDisk(lambda call, path: OSError(errno.ENOSPC, path) if call == "fsync" else None)
    (found,) = answers(disk, ("POST", "/add-checkpoint", body()))
    assert found.status_code == 503
    assert "nothing was cosigned" in caplog.text
