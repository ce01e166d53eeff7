import asyncio
import errno
from hashlib import sha256
from random import Random

import pytest

from storage.audit.checkpoint import Checkpoint
from storage.audit.cosigning import Reply, WitnessClient
from storage.audit.directory import LogDirectory
from storage.audit.errors import LogDamaged, WitnessRefused
from storage.audit.merkle import EMPTY_ROOT
from storage.audit.note import Note, Signature, read_note, read_signatures, read_vkey
from storage.audit.signing_key import WitnessSigner
from storage.audit.trust import read_trust
from storage.audit.witness import LARGEST, Answer, Request, Witness, read_request
from storage.secret import Secret
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import ORIGIN, entries, entry, grown, key, log_on

NOW = 1_764_000_000
SIGNER = WitnessSigner("witness.example/w1", Secret(b"w" * 32))


def witness_on(disk: MemoryDisk) -> Witness:
    return Witness(disk, SIGNER, [key().verifier])


def asked(log: LogDirectory, old: int) -> bytes:
    """The body of a request for the newest head of a log."""
    return Request(old=old, proof=log.consistency(old, log.checkpoint.size), note=log.note).encode()


def more(log: LogDirectory, count: int) -> LogDirectory:
    log.integrate(entries(log.size, log.size + count))
    log.publish()
    return log


def head_of(size: int, root: bytes, origin: str = ORIGIN) -> bytes:
    """A head that the log's key signed, whatever it says."""
    text = Checkpoint(origin=origin, size=size, root=root).text()
    return Note(text, (key("first", origin).sign(text),)).encode()


def test_the_specifications_request_is_read() -> None:
    body = (
        b"old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
        b"jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\nexample.com/behind-the-sofa\n"
    )
    found = read_request(body)
    assert (found.old, len(found.proof), found.note) == (20852014, 2, b"example.com/behind-the-sofa\n")
    assert found.encode() == body


def test_a_head_that_extends_the_last_is_cosigned_and_remembered_beyond_a_restart() -> None:
    disk, log = MemoryDisk(), grown(MemoryDisk(), 300)
    first = witness_on(disk).add_checkpoint(asked(log, 0), NOW)
    again = witness_on(disk.after_power_loss(Random(1))).add_checkpoint(asked(more(log, 200), 300), NOW + 1)
    assert (first.status, again.status) == (200, 200)
    (signature,) = read_signatures(again.body)
    (found,) = Note(read_note(log.note).text, (signature,)).verified([SIGNER.verifier])
    assert found.at == NOW + 1


def test_the_same_head_is_cosigned_again() -> None:
    disk, log = MemoryDisk(), grown(MemoryDisk(), 5)
    assert witness_on(disk).add_checkpoint(asked(log, 0), NOW).status == 200
    assert witness_on(disk).add_checkpoint(asked(log, 5), NOW + 9).status == 200


def test_who_is_behind_or_ahead_is_told_the_size() -> None:
    disk, log = MemoryDisk(), grown(MemoryDisk(), 300)
    witness = witness_on(disk)
    witness.add_checkpoint(asked(log, 0), NOW)
    for old in (0, 299):
        answer = witness.add_checkpoint(asked(log, old), NOW)
        assert (answer.status, answer.body, answer.content_type) == (409, b"300\n", "text/x.tlog.size")


def test_a_second_history_is_not_cosigned() -> None:
    disk, log = MemoryDisk(), grown(MemoryDisk(), 300)
    witness = witness_on(disk)
    witness.add_checkpoint(asked(log, 0), NOW)
    kept = disk.files()
    forged = log_on(MemoryDisk())
    forged.integrate([entry(index, forged=True) for index in range(400)])
    forged.publish()
    same_size = Request(old=300, proof=(), note=head_of(300, forged.checkpoint.root)).encode()
    for body in (asked(forged, 300), same_size):
        assert witness.add_checkpoint(body, NOW).status == 422
    assert disk.files() == kept


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"old 1\n", 400),
        (b"old 01\n\n" + head_of(0, EMPTY_ROOT), 400),
        (b"new 0\n\n" + head_of(0, EMPTY_ROOT), 400),
        (b"old 0\nAAAA\n\n" + head_of(0, EMPTY_ROOT), 400),
        (b"old 1\n\n" + head_of(0, EMPTY_ROOT), 400),
        (b"old 0\n\nno note", 400),
        (Request(old=0, proof=(bytes(32),) * 64, note=head_of(9, EMPTY_ROOT)).encode(), 400),
        (b"old 0\n\n" + head_of(0, EMPTY_ROOT, "else.example"), 404),
        (b"old 0\n\n" + head_of(0, EMPTY_ROOT).replace(b"\n0\n", b"\n1\n"), 403),
        (b"old 0\n\n" + Note(b"a\n0\n", (key("x").sign(b""),)).encode(), 400),
        (b"old 0\n\n" + head_of(0, bytes(32)), 422),
        (Request(old=0, proof=(bytes(32),), note=head_of(3, bytes(32))).encode(), 422),
    ],
)
def test_a_request_that_cannot_be_granted_is_answered_as_the_protocol_says(body: bytes, status: int) -> None:
    disk = MemoryDisk()
    assert witness_on(disk).add_checkpoint(body, NOW).status == status
    assert disk.files() == {}


def test_a_head_signed_by_a_stranger_is_forbidden() -> None:
    log = log_on(MemoryDisk(), signers=[key("stranger")])
    assert witness_on(MemoryDisk()).add_checkpoint(asked(log, 0), NOW).status == 403


def test_nothing_is_cosigned_that_could_not_be_kept() -> None:
    disk, log = MemoryDisk(), grown(MemoryDisk(), 5)
    for call in ("write", "fsync", "rename"):
        disk.fault = lambda asked, path, call=call: OSError(errno.ENOSPC, path) if asked == call else None
        with pytest.raises(OSError, match="28"):
            witness_on(disk).add_checkpoint(asked(log, 0), NOW)


def test_a_damaged_memory_is_not_taken_for_a_fresh_start() -> None:
    disk, log = MemoryDisk(), grown(MemoryDisk(), 5)
    witness_on(disk).add_checkpoint(asked(log, 0), NOW)
    (path,) = disk.files()
    disk.write(path, disk.files()[path].replace(b"\n5\n", b"\n4\n"))
    with pytest.raises(LogDamaged):
        witness_on(disk).add_checkpoint(asked(log, 0), NOW)


def test_whoever_monitors_reads_the_last_head_with_both_signatures() -> None:
    disk, log = MemoryDisk(), grown(MemoryDisk(), 5)
    witness = witness_on(disk)
    name = sha256(ORIGIN.encode()).hexdigest()
    assert witness.newest(name).status == 404
    witness.add_checkpoint(asked(log, 0), NOW)
    note = read_note(witness.newest(name).body)
    assert len(note.verified([key().verifier, SIGNER.verifier])) == 2
    for other in ("", "..", f"{name}.new", sha256(b"else").hexdigest()):
        assert witness.newest(other).status == 404


class Wire:
    """A network of one witness; obeys `storage.audit.cosigning.Http`."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.answers: list[Answer] = []

    async def post(self, url: str, body: bytes, limit: int) -> Reply:
        assert (url, limit) == ("https://witness.example/w1/add-checkpoint", LARGEST)
        answer = self.witness.add_checkpoint(body, NOW)
        self.answers.append(answer)
        return Reply(answer.status, answer.body)


def client_of(wire: Wire) -> WitnessClient:
    return WitnessClient(wire, "https://witness.example/w1/", SIGNER.verifier)


def test_a_log_gets_its_head_cosigned_and_a_policy_sees_it() -> None:
    log, wire = grown(MemoryDisk(), 300), Wire(witness_on(MemoryDisk()))
    client = client_of(wire)
    policy = f"log {key().verifier.vkey}\nwitness W {SIGNER.verifier.vkey}\nquorum W\n"
    for _ in range(2):
        assert log.attach(*asyncio.run(client.cosign(log)))
        assert [each.at for each in read_trust(policy.encode()).judge(read_note(log.note))] == [None, NOW]
        more(log, 7)
    assert [answer.status for answer in wire.answers] == [200, 200]


def test_a_client_that_was_started_anew_asks_the_witness_how_far_it_is() -> None:
    log, wire = grown(MemoryDisk(), 300), Wire(witness_on(MemoryDisk()))
    asyncio.run(client_of(wire).cosign(log))
    asyncio.run(client_of(wire).cosign(more(log, 7)))
    assert [answer.status for answer in wire.answers] == [200, 409, 200]


def test_a_log_that_shrank_is_told_so() -> None:
    wire = Wire(witness_on(MemoryDisk()))
    asyncio.run(client_of(wire).cosign(grown(MemoryDisk(), 300)))
    with pytest.raises(WitnessRefused, match="300"):
        asyncio.run(client_of(wire).cosign(grown(MemoryDisk(), 200)))


def test_a_cosignature_of_another_key_or_text_is_not_accepted() -> None:
    log = grown(MemoryDisk(), 3)
    other = Witness(MemoryDisk(), WitnessSigner("witness.example/w1", Secret(b"x" * 32)), [key().verifier])
    with pytest.raises(WitnessRefused):
        asyncio.run(client_of(Wire(other)).cosign(log))


def test_a_cosignature_of_an_older_head_is_not_put_on_a_newer_one() -> None:
    log, wire = grown(MemoryDisk(), 3), Wire(witness_on(MemoryDisk()))
    text, signature = asyncio.run(client_of(wire).cosign(log))
    before = more(log, 1).note
    assert log.attach(text, signature) is False
    assert log.note == before


def test_a_newer_cosignature_takes_the_place_of_the_last_and_survives_opening() -> None:
    disk = MemoryDisk()
    log = grown(disk, 3)
    text = read_note(log.note).text
    for at in (NOW, NOW + 1):
        assert log.attach(text, SIGNER.cosign(text, at))
    assert [each.at for each in read_note(log_on(disk).note).verified([SIGNER.verifier])] == [NOW + 1]


def test_the_specifications_cosignature_line_is_read() -> None:
    line = (
        "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dl"
        "rDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    (found,) = read_signatures(line.encode())
    assert isinstance(found, Signature)
    assert (found.key_id.hex(), int.from_bytes(found.value[:8], "big"), len(found.value)) == (
        "8d66cf3f",
        1679315147,
        72,
    )
    assert read_vkey(SIGNER.verifier.vkey) == SIGNER.verifier
