import pytest

from storage.audit.checkpoint import Checkpoint
from storage.audit.errors import NoteMalformed, NotSigned
from storage.audit.handover import Handover, hand_over, read_handover
from storage.audit.keychain import Keychain
from storage.audit.merkle import EMPTY_ROOT
from storage.audit.note import Note, Signer
from tests.unit.storage.audit.house import ORIGIN, entry, key

FIRST, SECOND, THIRD = key("first"), key("second"), key("third")


def handover(old: Signer, new: Signer, origin: str = ORIGIN) -> Handover:
    prior = Checkpoint(origin=origin, size=0, root=EMPTY_ROOT)
    found = read_handover(entry(0, type="log.key_rotated", handover=hand_over(prior, old, new)))
    assert found is not None
    return found


def chain(trusted: Signer) -> Keychain:
    return Keychain(ORIGIN, (trusted.verifier,))


def test_a_successor_that_did_not_sign_is_not_followed() -> None:
    made = handover(FIRST, SECOND)
    alone = Handover(made.prior, made.successor, Note(made.note.text, made.note.signatures[:1]))
    with pytest.raises(NotSigned):
        chain(FIRST).follow(alone)


@pytest.mark.parametrize("trusted", [FIRST, SECOND, THIRD])
def test_a_chain_has_no_gap_wherever_trust_begins(trusted: Signer) -> None:
    keys = chain(trusted)
    keys.follow(handover(FIRST, SECOND))
    with pytest.raises(NotSigned):
        keys.follow(handover(FIRST, THIRD))


def test_a_handover_of_another_log_is_not_followed() -> None:
    old, new = key("first", "else.example"), key("second", "else.example")
    with pytest.raises(NoteMalformed):
        chain(FIRST).follow(handover(old, new, "else.example"))
