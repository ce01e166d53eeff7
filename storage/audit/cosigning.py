"""Asking a witness to cosign a log's head (C2SP tlog-witness, `add-checkpoint`)."""

from typing import Final, Protocol, final

import msgspec

from storage.audit.checkpoint import read_checkpoint
from storage.audit.encoding import from_decimal
from storage.audit.errors import NoteMalformed, NotSigned, SignatureInvalid, WitnessRefused
from storage.audit.note import Note, Signature, Verifier, read_note, read_signatures
from storage.audit.witness import LARGEST, Request

_OK: Final = 200
_CONFLICT: Final = 409


class Reply(msgspec.Struct, frozen=True):
    """An HTTP response."""

    status: int
    body: bytes


class Http(Protocol):
    """The way to a witness."""

    async def post(self, url: str, body: bytes, limit: int) -> Reply:
        """Send one request; the body of the reply is read up to `limit` bytes. Raises `OSError` without an answer."""
        ...


class Provable(Protocol):
    """A log whose growth can be proved; `LogDirectory` is one."""

    @property
    def note(self) -> bytes:
        """Its newest signed checkpoint."""
        ...

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """That it grew from one size to another."""
        ...


@final
class WitnessClient:
    """One witness, by the URL before `/add-checkpoint` and its key. Remembers what it cosigned last."""

    def __init__(self, http: Http, url: str, verifier: Verifier) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._verifier = verifier
        self._cosigned = 0

    async def cosign(self, log: Provable) -> tuple[bytes, Signature]:
        """Have the newest head cosigned; gives the text that was signed, and the signature.

        Raises `WitnessRefused`, also where what came back is no cosignature by this witness, and `OSError`.
        """
        note = read_note(log.note)
        size = read_checkpoint(note.text).size
        reply = await self._ask(log, note, size)
        if reply.status == _CONFLICT:
            # The witness says how far it is: most often this process is new, and the witness is not.
            self._cosigned = _size(reply)
            if self._cosigned > size:
                raise WitnessRefused(self._url, f"it has cosigned {self._cosigned} entries of a log that has {size}")
            reply = await self._ask(log, note, size)
        if reply.status != _OK:
            raise WitnessRefused(
                self._url, f"status {reply.status}: {reply.body[:200].decode(errors='replace').strip()!r}"
            )
        signature = self._signature(reply, note.text)
        self._cosigned = size
        return note.text, signature

    async def _ask(self, log: Provable, note: Note, size: int) -> Reply:
        old = min(self._cosigned, size)
        request = Request(old=old, proof=log.consistency(old, size), note=note.encode())
        return await self._http.post(self._url, request.encode(), LARGEST)

    def _signature(self, reply: Reply, text: bytes) -> Signature:
        try:
            found = tuple(read_signatures(reply.body))
            Note(text, found).verified([self._verifier])
        except (NoteMalformed, SignatureInvalid, NotSigned) as error:
            raise WitnessRefused(self._url, str(error)) from None
        wanted = (self._verifier.name, self._verifier.key_id)
        return next(each for each in found if (each.name, each.key_id) == wanted)


def _size(reply: Reply) -> int:
    try:
        return from_decimal(reply.body.decode("ascii").removesuffix("\n"), "the size a witness has")
    except (NoteMalformed, UnicodeDecodeError):
        raise WitnessRefused("a witness", "it answered 409 without a size") from None
