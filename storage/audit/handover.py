"""Handing a log over to another key: an entry that both keys signed.

The entry's `handover` is a signed note of five lines: what it is, the origin, size and root hash of the log at a
moment before, and the vkey that signs from this entry on. So the old key vouches for the history up to then, even if
the new one is stolen one day; and who knows the first key can follow all the others.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from storage.audit.checkpoint import Checkpoint, read_checkpoint
from storage.audit.errors import NoteMalformed
from storage.audit.note import ED25519, Note, Signer, Verifier, read_note, read_vkey

ROTATED: Final = "log.key_rotated"
"""The type of the entry."""

_HEADER: Final = b"stepwarden key handover v1\n"
"""Holds spaces, so it is no origin of ours: none of these texts can pass for a checkpoint."""

_MARK: Final = ROTATED.encode()


class Handover(msgspec.Struct, frozen=True):
    """From this entry on another key signs."""

    prior: Checkpoint
    """The log at a moment before."""

    successor: Verifier
    """The key that signs from here on."""

    note: Note
    """What was signed."""

    def check_origin(self, origin: str) -> None:
        """Whether it is of this log. Raises `NoteMalformed`."""
        if {self.prior.origin, self.successor.name} != {origin}:
            raise NoteMalformed(f"the handover is of the log {self.prior.origin!r}, not of {origin!r}")

    def check(self, origin: str, current: Verifier) -> None:
        """Whether the key in force and its successor both signed. Raises also `SignatureInvalid` and `NotSigned`."""
        self.check_origin(origin)
        for verifier in (current, self.successor):
            self.note.verified([verifier])


class _Entry(msgspec.Struct):
    type: str = ""
    handover: str = ""


def hand_over(prior: Checkpoint, old: Signer, new: Signer) -> str:
    """The `handover` of an entry of type `log.key_rotated`; `prior` is a checkpoint of the log so far."""
    text = _HEADER + prior.text() + f"{new.verifier.vkey}\n".encode()
    return Note(text, (old.sign(text), new.sign(text))).encode().decode()


def read_handovers(entries: Iterable[bytes]) -> list[Handover]:
    """The handovers among entries, in order. Raises `NoteMalformed`."""
    found = [read_handover(entry) for entry in entries if _MARK in entry]
    return [handover for handover in found if handover is not None]


def read_handover(entry: bytes) -> Handover | None:
    """The handover in an entry, None in one of another type. Raises `NoteMalformed`."""
    if _MARK not in entry:
        return None
    try:
        found = msgspec.json.decode(entry, type=_Entry)
    except (msgspec.DecodeError, RecursionError):
        return None
    return _parse(found.handover.encode()) if found.type == ROTATED else None


def _parse(data: bytes) -> Handover:
    note = read_note(data)
    if not note.text.startswith(_HEADER):
        raise NoteMalformed("a handover that does not say that it is one")
    head, _, vkey = note.text.removeprefix(_HEADER).removesuffix(b"\n").rpartition(b"\n")
    successor = read_vkey(vkey.decode())
    if successor.algorithm != ED25519:
        raise NoteMalformed("a handover to a key that does not sign logs")
    return Handover(prior=read_checkpoint(head + b"\n"), successor=successor, note=note)
