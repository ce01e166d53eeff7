"""What verification found."""

import msgspec

from storage.audit.checkpoint import Checkpoint
from storage.audit.note import Verified, Verifier


class Flaw(msgspec.Struct, frozen=True):
    """Something that does not hold."""

    place: str
    """The file, relative to the log."""

    what: str
    """A sentence without its full stop."""

    entry: int | None = None
    """The first entry it touches, where that is known."""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class Report(msgspec.Struct, frozen=True):
    """The outcome of a verification."""

    head: Checkpoint | None
    """What the log says it holds; None where that cannot be read."""

    entries: int
    """How many were read and hashed."""

    flaws: tuple[Flaw, ...]
    """In the order they were found; the log holds where there is none."""

    remarks: tuple[str, ...]
    """What does not speak against the log and should be known."""

    signed: tuple[Verified, ...] = ()
    """Whose signatures on the head hold, cosigners included."""

    successors: tuple[Verifier, ...] = ()
    """The keys the log was handed over to, oldest first."""

    @property
    def holds(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.flaws


class Flaws:
    """Those found so far, the first of them kept: a damaged disk has one a file."""

    def __init__(self, most: int = 100) -> None:
        self.found: list[Flaw] = []
        self._most = most

    def add(self, place: str, what: str, entry: int | None = None) -> None:
        """Note one down."""
        if len(self.found) < self._most:
            self.found.append(Flaw(place=place, what=what, entry=entry))
