"""What a gateway promises of its witnesses: heads are cosigned, and none of them can stop or bend the log."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.witness_address import WitnessAddress, read_address
from gateway.witnesses import Cosigner, Own, Witnesses
from policies.vocabulary.audit import ApiKeyRevoked
from storage.audit.cosigning import Reply, WitnessClient
from storage.audit.errors import NoteMalformed
from storage.audit.note import read_note, read_vkey
from storage.audit.signing_key import WitnessSigner
from storage.audit.witness import Answer, Witness
from storage.secret import Secret
from storage.store import Store
from tests.fakes.audit import entries_of, verified
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import key

NOW = 1_764_000_000
URL = "https://witness.example/w1"
SIGNER = WitnessSigner("witness.example/w1", Secret(b"w" * 32))
ADDRESS = WitnessAddress(URL, SIGNER.verifier)

Say = Callable[[bytes], Answer]


class Wire:
    """The network with one witness on it, which may do anything; obeys `storage.audit.cosigning.Http`."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked = 0
        self.closed = False

    async def post(self, url: str, body: bytes, limit: int) -> Reply:
        del url, limit
        self.asked += 1
        answer = self.say(body)
        return Reply(answer.status, answer.body)

    async def close(self) -> None:
        self.closed = True


class Desk:
    """A store, a witness of it, and a clock that is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder)
        self.store.publisher.publish()
        self.now = 0.0
        log = self.store.audit.published
        assert log is not None
        self.witness = Witness(MemoryDisk(), SIGNER, [log.signer.verifier])
        self.wire = Wire(self.honest)
        self.cosigner = Cosigner(
            ADDRESS, WitnessClient(self.wire, URL, SIGNER.verifier), self.store.audit, Own(), clock=lambda: self.now
        )

    def honest(self, body: bytes) -> Answer:
        return self.witness.add_checkpoint(body, NOW)

    def show(self) -> None:
        asyncio.run(self.cosigner.show())

    def log(self, count: int = 1) -> None:
        """More entries, published."""
        self.store.audit.note(*[ApiKeyRevoked(actor="owner", key="key_1")] * count)
        self.store.publisher.publish()

    def cosigners(self) -> int:
        log = self.store.audit.published
        assert log is not None
        note = read_note(log.note)
        return len([each for each in note.signatures if each.name == SIGNER.verifier.name])

    def told(self) -> list[int]:
        """Sizes that entries say were cosigned."""
        self.store.publisher.publish()
        return [e["size"] for e in entries_of(self.store._days.directory) if e["type"] == "checkpoint.witnessed"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "data")
    yield made
    made.store.close()


def test_a_published_head_is_cosigned_on_disk_and_told_of_once(desk: Desk, tmp_path: Path) -> None:
    desk.show()
    assert desk.cosigners() == 1
    assert SIGNER.verifier.name.encode() in (tmp_path / "data" / "audit" / "checkpoint").read_bytes()
    assert (desk.cosigner.state.cosigned, desk.cosigner.state.at, desk.cosigner.state.failing) == (1, NOW, None)
    assert desk.told() == [1]
    verified(tmp_path / "data")


def test_entries_about_witnesses_are_cosigned_and_make_no_further_ones(desk: Desk) -> None:
    for _ in range(5):
        desk.show()
        desk.now += 1000.0
        desk.store.publisher.publish()
    assert desk.told() == [1]
    assert desk.cosigners() == 1
    assert desk.cosigner.state.cosigned == 2


def test_a_busy_log_is_told_of_once_a_minute_and_cosigned_all_the_time(desk: Desk) -> None:
    for _ in range(26):
        desk.log()
        desk.show()
        desk.now += 5.0
        assert desk.cosigner.state.failing is None
    assert len(desk.told()) == 3


def test_a_head_that_is_cosigned_is_not_shown_again(desk: Desk) -> None:
    desk.show()
    desk.store.publisher.publish()
    desk.show()
    asked = desk.wire.asked
    desk.show()
    assert desk.wire.asked == asked


def cosigned_for(text: bytes) -> Answer:
    return Answer(200, SIGNER.cosign(text, NOW).line().encode())


def down(_: bytes) -> Answer:
    raise OSError("it cannot be reached")


HOSTILE: dict[str, Say] = {
    "down": down,
    "says nothing": lambda _: Answer(200, b""),
    "says no signature": lambda _: Answer(200, b"hello\n"),
    "signs something else": lambda _: cosigned_for(b"another\n9\nAAAA\n"),
    "another witness": lambda body: Answer(
        200,
        WitnessSigner("witness.example/w1", Secret(b"x" * 32)).cosign(body.partition(b"\n\n")[2], NOW).line().encode(),
    ),
    "has seen more": lambda _: Answer(409, b"1000000\n"),
    "says 409 and no size": lambda _: Answer(409, b"many\n"),
    "says 409 again and again": lambda _: Answer(409, b"0\n"),
    "knows no such log": lambda _: Answer(404, b"no\n"),
    "another history": lambda _: Answer(422, b"no\n"),
    "is moved": lambda _: Answer(302, b""),
    "lives in the far future": lambda body: Answer(200, SIGNER.cosign(text_in(body), 1 << 62).line().encode()),
}


def text_in(body: bytes) -> bytes:
    return read_note(body.partition(b"\n\n")[2]).text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_witness_that_fails_or_lies_is_named_and_changes_nothing(
    desk: Desk, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.wire.say = HOSTILE[name]
    before = desk.store.audit.size
    desk.show()
    assert desk.cosigner.state.failing
    assert desk.cosigner.state.cosigned is None
    assert "did not cosign" in caplog.text
    assert (desk.cosigners(), desk.store.audit.size) == (0, before)
    desk.log()
    desk.wire.say = desk.honest
    desk.show()
    assert desk.cosigner.state.failing is None
    assert desk.cosigners() == 1


def test_two_histories_under_one_key_are_not_both_cosigned(desk: Desk, tmp_path: Path) -> None:
    """A split view: whoever holds the key shows the witness one log, and somebody else another."""
    shutil.copytree(tmp_path / "data", tmp_path / "other")
    desk.log(20)
    desk.show()
    other = Store.open(tmp_path / "other")
    other.audit.note(*[ApiKeyRevoked(actor="owner", key="key_2")] * 40)
    other.publisher.publish()
    verified(tmp_path / "other")  # by itself the second history holds
    cosigner = Cosigner(ADDRESS, WitnessClient(desk.wire, URL, SIGNER.verifier), other.audit, Own())
    asyncio.run(cosigner.show())
    assert "422" in (cosigner.state.failing or "")
    other.close()


def test_the_last_head_of_a_gateway_that_ends_is_cosigned(tmp_path: Path) -> None:
    async def live() -> None:
        witnesses = Witnesses([ADDRESS], desk.store.audit, way=desk.wire)
        witnesses.start()
        desk.store.audit.note(ApiKeyRevoked(actor="owner", key="key_1"))
        await witnesses.stop()
        assert [each.cosigned for each in witnesses.states()] == [desk.store.audit.size]

    desk = Desk(tmp_path)
    asyncio.run(live())
    assert desk.wire.closed
    desk.store.close()
    assert SIGNER.verifier.name.encode() in (tmp_path / "audit" / "checkpoint").read_bytes()


def test_an_address_is_a_url_and_the_key_of_a_witness() -> None:
    assert read_address(f"{URL}/ {SIGNER.verifier.vkey}") == ADDRESS
    for wrong in (URL, f"{URL} {key().verifier.vkey}", f"{URL} {SIGNER.verifier.vkey[:-1]}"):
        with pytest.raises(NoteMalformed):
            read_address(wrong)
    assert read_vkey(SIGNER.verifier.vkey) == SIGNER.verifier
