"""A witness (C2SP tlog-witness): cosigns the heads of logs it knows, each only as long as it extends the last.

Two gateways, or a customer's own machine, can so vouch that a log showed everyone the same history.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, final

import msgspec

from storage.audit import merkle
from storage.audit.checkpoint import Checkpoint, read_checkpoint
from storage.audit.disk import Disk
from storage.audit.encoding import ascii_lines, from_base64, from_decimal, to_base64
from storage.audit.errors import LogDamaged, NoteMalformed, NotSigned, ProofInvalid, SignatureInvalid
from storage.audit.note import Note, Verifier, read_note
from storage.audit.signing_key import WitnessSigner

MOST_HASHES: Final = 63
"""Hashes of the longest consistency proof."""

LARGEST: Final = 64 * 1024
"""Bytes of the largest request."""

_SIZE_TYPE: Final = "text/x.tlog.size"


class Answer(msgspec.Struct, frozen=True):
    """What a witness says over HTTP."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class Request(msgspec.Struct, frozen=True):
    """What `add-checkpoint` is asked with."""

    old: int
    """The size the witness is believed to have cosigned last."""

    proof: tuple[bytes, ...]
    """That the checkpoint extends the log of that size."""

    note: bytes
    """The checkpoint, signed by its log."""

    def encode(self) -> bytes:
        """The body of the request."""
        lines = [f"old {self.old}", *map(to_base64, self.proof), "", ""]
        return "\n".join(lines).encode() + self.note


def read_request(body: bytes) -> Request:
    """A request from its body. Raises `NoteMalformed`."""
    head, gap, note = body.partition(b"\n\n")
    first, *hashes = ascii_lines(head, "a request that is not ASCII before its checkpoint")
    if not gap or not first.startswith("old "):
        raise NoteMalformed("a request reads: old SIZE, hashes, an empty line, a checkpoint")
    if len(hashes) > MOST_HASHES:
        raise NoteMalformed(f"more than {MOST_HASHES} hashes")
    proof = tuple(from_base64(line, "a hash", merkle.HASH) for line in hashes)
    return Request(old=from_decimal(first.removeprefix("old "), "the old size"), proof=proof, note=note)


@final
class Witness:
    """One witness. Called from one thread: to compare with the last head and to replace it is one act."""

    def __init__(self, disk: Disk, signer: WitnessSigner, logs: Sequence[Verifier]) -> None:
        """`logs` are the keys that may sign, each for the log it is named after; `disk` keeps the last heads."""
        self._disk = disk
        self._signer = signer
        self._logs: dict[str, tuple[Verifier, ...]] = {}
        for log in logs:
            self._logs[log.name] = (*self._logs.get(log.name, ()), log)

    def add_checkpoint(self, body: bytes, at: int) -> Answer:
        """Cosign a head; `at` is now: Unix epoch, seconds. Raises `OSError` or `LogDamaged`; none is cosigned then."""
        try:
            request = read_request(body)
            note = read_note(request.note)
            head = read_checkpoint(note.text)
        except NoteMalformed as error:
            return _said(400, str(error))
        if head.origin not in self._logs:
            return _said(404, "this witness does not know that log")
        try:
            note.verified(self._logs[head.origin])
        except (SignatureInvalid, NotSigned) as error:
            return _said(403, str(error))
        if request.old > head.size:
            return _said(400, "the old size is beyond the checkpoint")
        return self._extend(request, note, head, at)

    def newest(self, origin_hash: str) -> Answer:
        """The head cosigned last of the log whose origin has this SHA-256, in lower-case hex. Raises `OSError`."""
        if origin_hash in {_file(origin) for origin in self._logs}:
            try:
                return Answer(200, self._disk.read(origin_hash))
            except FileNotFoundError:
                pass
        return _said(404, "nothing cosigned of that log")

    def _extend(self, request: Request, note: Note, head: Checkpoint, at: int) -> Answer:
        last = self._last(head.origin)
        if request.old != last.size:
            return Answer(409, f"{last.size}\n".encode(), _SIZE_TYPE)
        try:
            merkle.verify_consistency(last.size, head.size, last.root, head.root, request.proof)
        except ProofInvalid as error:
            return _said(422, str(error))
        cosignature = self._signer.cosign(note.text, at)
        known = self._logs[head.origin]
        signed = [
            each for each in note.signatures if any((each.name, each.key_id) == (k.name, k.key_id) for k in known)
        ]
        self._keep(head.origin, Note(note.text, (*signed, cosignature)))
        return Answer(200, cosignature.line().encode())

    def _last(self, origin: str) -> Checkpoint:
        """The head cosigned last; an empty log where there is none. Raises `LogDamaged`."""
        try:
            data = self._disk.read(_file(origin))
        except FileNotFoundError:
            return Checkpoint(origin=origin, size=0, root=merkle.EMPTY_ROOT)
        try:
            note = read_note(data)
            note.verified([self._signer.verifier])
            found = read_checkpoint(note.text)
        except (NoteMalformed, SignatureInvalid, NotSigned):
            raise LogDamaged(f"what this witness cosigned last of {origin!r} cannot be read") from None
        if found.origin != origin:
            raise LogDamaged(f"what this witness cosigned last of {origin!r} is of another log")
        return found

    def _keep(self, origin: str, note: Note) -> None:
        name = _file(origin)
        draft = f"{name}.new"
        self._disk.write(draft, note.encode())
        self._disk.fsync(draft)
        self._disk.rename(draft, name)
        self._disk.fsync("")


def _file(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


def _said(status: int, text: str) -> Answer:
    return Answer(status, f"{text}\n".encode())
