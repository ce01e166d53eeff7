"""Signed notes (C2SP signed-note): a text and signatures over it, each by a key with a name.

Two kinds of signatures are known: Ed25519 over the text (0x01), by logs; and timestamped cosignatures of checkpoints
(0x04, C2SP tlog-cosignature), by witnesses. Signatures by other keys are skipped.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage.audit.encoding import from_base64, to_base64
from storage.audit.errors import NoteMalformed, NotSigned, SignatureInvalid

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04

LARGEST: Final = 1 << 20
"""Bytes of the largest note that is read."""

MOST_SIGNATURES: Final = 64
"""Signatures of a note that is read; the format asks for at least 16."""

_KEY_ID = 4
_PUBLIC = 32
_TIME = 8
_DASH = "\u2014"


class Signature(msgspec.Struct, frozen=True):
    """One signature line."""

    name: str
    key_id: bytes
    """4 bytes."""

    value: bytes
    """What the key's algorithm made."""

    def line(self) -> str:
        """As it stands in a note, with its newline."""
        return f"{_DASH} {self.name} {to_base64(self.key_id + self.value)}\n"


class Signer(Protocol):
    """A key that signs texts."""

    @property
    def verifier(self) -> "Verifier":
        """What checks its signatures."""
        ...

    def sign(self, text: bytes) -> Signature:
        """A signature over a note's text."""
        ...


class Verified(msgspec.Struct, frozen=True):
    """A signature that holds."""

    verifier: "Verifier"
    at: int | None
    """When it was made, as the cosigner says: Unix epoch, seconds; None for a log's own."""


class Verifier(msgspec.Struct, frozen=True):
    """A public key under a name."""

    name: str
    algorithm: int
    """`ED25519` or `COSIGNATURE`."""

    public: bytes
    """32 bytes."""

    @property
    def key_id(self) -> bytes:
        """4 bytes that say which key signed; no proof of anything."""
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public).digest()[:_KEY_ID]

    @property
    def vkey(self) -> str:
        """The key as text."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.algorithm]) + self.public)}"

    def verify(self, text: bytes, signature: Signature) -> Verified:
        """Check one signature by this key. Raises `SignatureInvalid`."""
        value, at, message = signature.value, None, text
        if self.algorithm == COSIGNATURE:
            at = int.from_bytes(value[:_TIME], "big")
            value, message = value[_TIME:], cosigned_message(at, text)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
        except (InvalidSignature, ValueError):
            raise SignatureInvalid(self.name) from None
        return Verified(self, at)


class Note(msgspec.Struct, frozen=True):
    """A text with its signatures, none of them checked."""

    text: bytes
    """With its last newline, without the empty line behind it."""

    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The note as bytes."""
        return self.text + b"\n" + "".join(each.line() for each in self.signatures).encode()

    def verified(self, verifiers: Sequence[Verifier]) -> list[Verified]:
        """Each signature by a key of `verifiers`, one a key.

        Raises `SignatureInvalid` where one by a known key does not hold, `NotSigned` where there is none.
        """
        known = {(each.name, each.key_id): each for each in verifiers}
        found: dict[tuple[str, bytes], Verified] = {}
        for signature in self.signatures:
            key = (signature.name, signature.key_id)
            if (verifier := known.get(key)) is not None:
                checked = verifier.verify(self.text, signature)
                found.setdefault(key, checked)
        if not found:
            raise NotSigned(tuple(each.name for each in self.signatures))
        return list(found.values())


def cosigned_message(at: int, text: bytes) -> bytes:
    """What a cosignature of a checkpoint signs; `at` is Unix epoch, seconds."""
    return f"cosignature/v1\ntime {at}\n".encode() + text


def read_note(data: bytes) -> Note:
    """Take a note apart. Raises `NoteMalformed`."""
    if len(data) > LARGEST:
        raise NoteMalformed(f"a note of more than {LARGEST} bytes")
    if any(each < 0x20 and each != 0x0A for each in data):  # noqa: PLR2004 - control characters but the newline
        raise NoteMalformed("a note with control characters")
    text, gap, lines = data.rpartition(b"\n\n")
    if not gap or not lines.endswith(b"\n"):
        raise NoteMalformed("a note without an empty line and signatures at its end")
    _utf8(data)
    return Note(text + b"\n", tuple(read_signatures(lines)))


def read_signatures(lines: bytes) -> list[Signature]:
    """Signature lines, each with its newline. Raises `NoteMalformed`."""
    found = _utf8(lines).split("\n")
    if found.pop() or not found:
        raise NoteMalformed("signature lines do not end with a newline")
    if len(found) > MOST_SIGNATURES:
        raise NoteMalformed(f"more than {MOST_SIGNATURES} signatures")
    return [_signature(line) for line in found]


def read_vkey(text: str) -> Verifier:
    """A key from its text. Raises `NoteMalformed`."""
    name, plus, rest = text.partition("+")
    key_id, second, encoded = rest.partition("+")
    if not plus or not second:
        raise NoteMalformed("a vkey reads NAME+KEYID+KEY")
    check_name(name)
    key = from_base64(encoded, "the key in a vkey")
    if key[:1] not in {bytes([ED25519]), bytes([COSIGNATURE])}:
        raise NoteMalformed("a vkey of a type other than Ed25519 (0x01) and cosignature (0x04)")
    if len(key) != 1 + _PUBLIC:
        raise NoteMalformed(f"the key in a vkey is {len(key) - 1} bytes, expected {_PUBLIC}")
    verifier = Verifier(name=name, algorithm=key[0], public=key[1:])
    if verifier.key_id.hex() != key_id:
        raise NoteMalformed("the key id in a vkey is not that of its name and key; a character was changed")
    return verifier


def check_name(name: str) -> None:
    """Whether a key may be called so. Raises `NoteMalformed`."""
    if not name or "+" in name or any(each.isspace() or ord(each) < 0x20 for each in name):  # noqa: PLR2004 - control characters
        raise NoteMalformed("a key name is empty or holds a space, a plus sign or a control character")


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, space, encoded = rest.partition(" ")
    if dash != _DASH or not space:
        raise NoteMalformed("a signature line does not read: dash, name, signature")
    check_name(name)
    data = from_base64(encoded, "a signature")
    if len(data) <= _KEY_ID:
        raise NoteMalformed("a signature is too short")
    return Signature(name=name, key_id=data[:_KEY_ID], value=data[_KEY_ID:])


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NoteMalformed("a note that is not UTF-8") from None
