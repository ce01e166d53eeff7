import pytest

from storage.audit.errors import NoteMalformed, NotSigned, SignatureInvalid
from storage.audit.note import Note, read_note, read_vkey
from tests.unit.storage.audit.house import key

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n"
    "\n"
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONn"
    "cAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
"""The example of the specification."""


def test_the_specifications_example_verifies() -> None:
    note = read_note(NOTE)
    (found,) = note.verified([read_vkey(VKEY)])
    assert (note.text, found.verifier.name, found.at) == (b"This is an example message.\n", "example.com/foo", None)
    assert note.encode() == NOTE
    assert read_vkey(VKEY).vkey == VKEY


def test_one_changed_byte_of_text_or_signature_is_refused() -> None:
    known = [read_vkey(VKEY)]
    for at, byte in enumerate(NOTE):
        with pytest.raises((NoteMalformed, SignatureInvalid, NotSigned)):
            read_note(NOTE[:at] + bytes([byte ^ 1]) + NOTE[at + 1 :]).verified(known)


def test_a_note_may_hold_empty_lines_and_end_with_many_signatures() -> None:
    signers = [key(str(number), f"signer.example/{number}") for number in range(16)]
    text = b"one\n\ntwo\n"
    note = read_note(Note(text, tuple(each.sign(text) for each in signers)).encode())
    assert note.text == text
    assert len(note.verified([each.verifier for each in signers])) == 16


def test_unknown_keys_are_passed_over_even_under_a_known_name() -> None:
    mine, other = key("mine"), key("other")
    text = b"text\n"
    note = Note(text, (other.sign(text), mine.sign(text)))
    assert [each.verifier for each in note.verified([mine.verifier])] == [mine.verifier]
    with pytest.raises(NotSigned):
        Note(text, (other.sign(text),)).verified([mine.verifier])


def test_a_bad_signature_by_a_known_key_spoils_the_note() -> None:
    mine, other = key("mine"), key("other")
    text = b"text\n"
    with pytest.raises(SignatureInvalid):
        Note(text, (mine.sign(text), other.sign(b"else\n"))).verified([mine.verifier, other.verifier])
    with pytest.raises(SignatureInvalid):  # the second by the same key, too
        Note(text, (mine.sign(text), mine.sign(b"else\n"))).verified([mine.verifier])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        NOTE[:-1],
        NOTE.replace(b"example.com/foo", b"example.com/f+o"),
        NOTE.replace(b"example message", b"example\tmessage"),
        NOTE.replace(b"example message", b"example\xff"),
        NOTE.replace("\u2014".encode(), b"-"),
        NOTE + b"\n",
        NOTE.replace(b"aQM=", b"aQN="),  # the same bytes in a second spelling
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(NoteMalformed):
        read_note(data)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a+b", VKEY[:-1], VKEY.replace("530d", "530e"), VKEY.replace("foo", "fo o"), "x+00000000+Ag=="],
)
def test_what_is_no_vkey_is_refused(text: str) -> None:
    with pytest.raises(NoteMalformed):
        read_vkey(text)
