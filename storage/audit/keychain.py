"""Which key must have signed a log's head: the first, or the one that the handovers in the log lead to."""

from typing import final

from storage.audit.errors import LogKeyWrong, NotSigned
from storage.audit.handover import Handover
from storage.audit.note import Note, Verified, Verifier


@final
class Keychain:
    """The keys of a log, followed entry by entry from those that are trusted.

    Trust may begin at a later key: handovers before it prove nothing by themselves then, and need not, because the
    trusted key signs the tree they are in.
    """

    def __init__(self, origin: str, trusted: tuple[Verifier, ...]) -> None:
        self._origin = origin
        self._trusted = trusted
        self._current = trusted
        self._reached = True
        self._followed: list[Verifier] = []

    @property
    def successors(self) -> tuple[Verifier, ...]:
        """Every key the log was handed over to, oldest first."""
        return tuple(self._followed)

    @property
    def all(self) -> tuple[Verifier, ...]:
        """Every key that may have signed some checkpoint of this log."""
        return tuple(dict.fromkeys((*self._trusted, *self._followed)))

    def follow(self, handover: Handover) -> None:
        """Pass on to the next key. Raises `NoteMalformed`, `SignatureInvalid` or `NotSigned`."""
        handover.check_origin(self._origin)
        handover.note.verified([handover.successor])
        try:
            handover.note.verified(self._current)
        except NotSigned:
            if self._followed:
                raise
            self._reached = False
        self._reached = self._reached or handover.successor in self._trusted
        self._current = (handover.successor,)
        self._followed.append(handover.successor)

    def signed(self, note: Note) -> list[Verified]:
        """Who signed the head. Raises `SignatureInvalid`, `NotSigned`, or `LogKeyWrong` where trust does not reach."""
        if not self._reached:
            raise LogKeyWrong(f"it was handed over to {self._current[0].vkey}, and by no key you trust")
        return note.verified(self._current)
