import pytest

from storage.audit.checkpoint import Checkpoint
from storage.audit.errors import NoteMalformed, NotSigned, ProofInvalid, QuorumMissed, TrustMalformed
from storage.audit.merkle import EMPTY_ROOT
from storage.audit.note import Note
from storage.audit.proof import TlogProof, read_proof
from storage.audit.signing_key import LogSigner, WitnessSigner
from storage.audit.trust import Trust, read_trust
from storage.secret import Secret
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import ORIGIN, entry, grown, key

OURS = key()
LOG = OURS.verifier.vkey


def witness(name: str) -> WitnessSigner:
    return WitnessSigner(f"witness.example/{name}", Secret(name.encode().ljust(32, b".")))


WITNESSES = {name: witness(name) for name in ("X1", "X2", "X3", "Y1", "Y2")}
VKEYS = {name: each.verifier.vkey for name, each in WITNESSES.items()}
POLICY = f"""
# the example of the specification
log {LOG}

witness X1 {VKEYS["X1"]}
witness X2 {VKEYS["X2"]} https://x2.example
witness X3\t{VKEYS["X3"]}
group X-witnesses 2 X1 X2 X3

  witness Y1 {VKEYS["Y1"]}
witness Y2 {VKEYS["Y2"]}
group Y-witnesses any Y1 Y2

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def signed(*names: str, by: LogSigner = OURS) -> Note:
    text = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT).text()
    return Note(text, (by.sign(text), *(WITNESSES[name].cosign(text, 1_764_000_000) for name in names)))


@pytest.mark.parametrize("names", [("X1", "X2", "Y1"), ("X2", "X3", "Y2"), ("X1", "X2", "X3", "Y1", "Y2")])
def test_a_quorum_is_met_by_enough_of_each_group(names: tuple[str, ...]) -> None:
    found = read_trust(POLICY.encode()).judge(signed(*names))
    assert [each.at for each in found] == [None, *[1_764_000_000] * len(names)]


@pytest.mark.parametrize("names", [(), ("X1", "X2", "X3"), ("X1", "Y1", "Y2"), ("Y1",)])
def test_a_quorum_is_missed_by_too_few(names: tuple[str, ...]) -> None:
    with pytest.raises(QuorumMissed):
        read_trust(POLICY.encode()).judge(signed(*names))


def test_witnesses_do_not_stand_in_for_the_log() -> None:
    with pytest.raises(NotSigned):
        read_trust(POLICY.encode()).judge(signed("X1", "X2", "Y1", by=key("stranger")))


def test_a_log_key_vouches_only_for_the_log_it_is_named_after() -> None:
    text = Checkpoint(origin="else.example", size=0, root=EMPTY_ROOT).text()
    with pytest.raises(NotSigned):
        Trust.of_log(key().verifier).judge(Note(text, (key().sign(text),)))


def test_no_witness_is_asked_for_where_the_quorum_is_none() -> None:
    assert len(read_trust(f"log {LOG}\nquorum none".encode()).judge(signed())) == 1


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ("", 1),
        (f"log {LOG}", 1),
        ("quorum none\nquorum none", 2),
        ("quorum W", 1),
        (f"log {LOG}\nlog {LOG}\nquorum none", 2),
        (f"log {VKEYS['X1']}\nquorum none", 1),
        (f"witness W {LOG}\nquorum W", 1),
        (f"witness none {VKEYS['X1']}\nquorum none", 1),
        (f"witness W {VKEYS['X1']}\nwitness W {VKEYS['X2']}\nquorum W", 2),
        (f"witness W {VKEYS['X1']}\nwitness V {VKEYS['X1']}\nquorum W", 2),
        (f"group G any W\nwitness W {VKEYS['X1']}\nquorum G", 1),
        (f"witness W {VKEYS['X1']}\ngroup G any\nquorum W", 2),
        (f"witness W {VKEYS['X1']}\ngroup G 0 W\nquorum G", 2),
        (f"witness W {VKEYS['X1']}\ngroup G 2 W\nquorum G", 2),
        (f"witness W {VKEYS['X1']}\ngroup G some W\nquorum G", 2),
        (f"witness W {VKEYS['X1']}\ngroup G any W W\nquorum G", 2),
        (f"witness W {VKEYS['X1']}\ngroup G any W\ngroup H any W\nquorum G", 3),
        ("log one+two+three\nquorum none", 1),
        ("quorum none\nunknown word", 2),
        ("quorum none\r\n", 1),
    ],
)
def test_a_policy_with_a_mistake_is_refused_at_its_line(policy: str, line: int) -> None:
    with pytest.raises(TrustMalformed) as mistake:
        read_trust(policy.encode())
    assert mistake.value.line == line


def test_a_proof_in_one_file_shows_an_entry_to_be_in_the_log() -> None:
    log = grown(MemoryDisk(), 300)
    proof = log.receipt(77, b"inner")
    again = read_proof(proof.encode())
    assert again == proof
    assert again.extra == b"inner"
    assert again.verify(entry(77), Trust.of_log(key().verifier))
    with pytest.raises(ProofInvalid):
        again.verify(entry(78), Trust.of_log(key().verifier))
    with pytest.raises(NotSigned):
        again.verify(entry(77), Trust.of_log(key("stranger").verifier))


def test_the_text_of_a_proof_is_that_of_the_specification() -> None:
    proof = TlogProof(index=7, hashes=(bytes(32),), checkpoint=b"origin\n", extra=b"x")
    assert proof.encode() == (
        b"c2sp.org/tlog-proof@v1\nextra eA==\nindex 7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\norigin\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        (b"@v1", b"@v2"),
        (b"index 77", b"index 077"),
        (b"index 77", b"index -1"),
        (b"index 77\n", b""),
        (b"\n\n", b"\n"),
        (b"extra ", b"more "),
        (b"index 77\n", b"index 77\nAAAA\n"),
    ],
)
def test_what_is_no_proof_is_refused(change: tuple[bytes, bytes]) -> None:
    data = grown(MemoryDisk(), 300).receipt(77, b"inner").encode()
    assert change[0] in data
    with pytest.raises(NoteMalformed):
        read_proof(data.replace(*change, 1)).verify(entry(77), Trust.of_log(key().verifier))
