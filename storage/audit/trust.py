"""Whom to believe (C2SP tlog-policy): which logs, and which witnesses must have seen what a log says."""

from collections.abc import Sequence
from typing import Final

import msgspec

from storage.audit.checkpoint import read_checkpoint
from storage.audit.encoding import from_decimal
from storage.audit.errors import NoteMalformed, NotSigned, QuorumMissed, TrustMalformed
from storage.audit.note import COSIGNATURE, ED25519, Note, Verified, Verifier, read_vkey

NONE: Final = "none"
"""The quorum that asks for no witness."""

_MOST_LINES: Final = 10_000
_PRINTABLE = frozenset({0x09, *range(0x20, 0x7F), *range(0x80, 0x100)})


class Group(msgspec.Struct, frozen=True):
    """Witnesses and groups of which some must agree."""

    least: int
    members: tuple[str, ...]


class Trust(msgspec.Struct, frozen=True):
    """A trust policy."""

    logs: tuple[Verifier, ...]
    """Each signs for the log its name is the origin of; any may."""

    witnesses: dict[str, Verifier]
    """By their names in the policy."""

    groups: dict[str, Group]
    quorum: str
    """The name of a witness or a group, or `NONE`."""

    @classmethod
    def of_log(cls, *logs: Verifier) -> "Trust":
        """Trust in logs without witnesses."""
        return cls(logs=logs, witnesses={}, groups={}, quorum=NONE)

    def logs_of(self, origin: str) -> tuple[Verifier, ...]:
        """The keys that may sign for a log."""
        return tuple(each for each in self.logs if each.name == origin)

    def judge(self, note: Note) -> list[Verified]:
        """Who of those listed signed a checkpoint.

        Raises `NoteMalformed`, `SignatureInvalid`, `NotSigned` where none of its log's keys did, or `QuorumMissed`.
        """
        signed = note.verified(self.logs_of(read_checkpoint(note.text).origin))
        return [*signed, *self.cosigned(note)]

    def cosigned(self, note: Note) -> list[Verified]:
        """The witnesses that cosigned. Raises `SignatureInvalid`, or `QuorumMissed` where they are too few."""
        try:
            found = note.verified(tuple(self.witnesses.values()))
        except NotSigned:
            found = []
        seen = {each.verifier for each in found}
        names = frozenset(name for name, verifier in self.witnesses.items() if verifier in seen)
        if self.quorum != NONE and not self._met(self.quorum, names):
            raise QuorumMissed(self.quorum, tuple(sorted(names)))
        return found

    def _met(self, name: str, cosigned: frozenset[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._met(member, cosigned) for member in group.members) >= group.least


def read_trust(data: bytes) -> Trust:
    """A policy from its text. Raises `TrustMalformed` naming the line."""
    lines = data.split(b"\n")
    if len(lines) > _MOST_LINES:
        raise TrustMalformed(_MOST_LINES, "too many lines")
    reading = _Reading()
    for number, line in enumerate(lines, 1):
        if not _PRINTABLE.issuperset(line):
            raise TrustMalformed(number, "a control character")
        words = [word.decode(errors="surrogateescape") for word in line.replace(b"\t", b" ").split(b" ") if word]
        if words and not words[0].startswith("#"):
            reading.line(number, words)
    return reading.done(len(lines))


class _Reading:
    """A policy as far as it was read."""

    def __init__(self) -> None:
        self._logs: list[Verifier] = []
        self._witnesses: dict[str, Verifier] = {}
        self._groups: dict[str, Group] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def line(self, number: int, words: Sequence[str]) -> None:
        """One line that says something."""
        try:
            self._read(words)
        except (ValueError, NoteMalformed) as error:
            raise TrustMalformed(number, str(error)) from None

    def done(self, number: int) -> Trust:
        """The whole."""
        if self._quorum is None:
            raise TrustMalformed(number, "no quorum line; `quorum none` asks for no witness")
        return Trust(logs=tuple(self._logs), witnesses=self._witnesses, groups=self._groups, quorum=self._quorum)

    def _read(self, words: Sequence[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self._log(vkey)
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._witness(name, vkey)
            case ["group", name, least, *members] if members:
                self._group(name, least, members)
            case ["quorum", name]:
                self._set_quorum(name)
            case _:
                raise ValueError(f"`{words[0]}` with {len(words) - 1} words behind it says nothing here")

    def _log(self, vkey: str) -> None:
        log = read_vkey(vkey)
        if log.algorithm != ED25519:
            raise ValueError("a log's key is of type Ed25519 (0x01)")
        if any(log.public == each.public for each in self._logs):
            raise ValueError("the same log key twice")
        self._logs.append(log)

    def _witness(self, name: str, vkey: str) -> None:
        self._check_new(name)
        witness = read_vkey(vkey)
        if witness.algorithm != COSIGNATURE:
            raise ValueError("a witness's key is of type cosignature (0x04)")
        if any(witness.public == each.public for each in self._witnesses.values()):
            raise ValueError("the same witness key twice")
        self._witnesses[name] = witness

    def _group(self, name: str, least: str, members: Sequence[str]) -> None:
        self._check_new(name)
        for member in members:
            self._check_known(member)
            if member in self._members:
                raise ValueError(f"{member!r} is a member twice")
            self._members.add(member)
        count = {"any": 1, "all": len(members)}.get(least)
        if count is None:
            count = from_decimal(least, "how many of a group")
        if not 1 <= count <= len(members):
            raise ValueError(f"{count} of {len(members)} members cannot be")
        self._groups[name] = Group(least=count, members=tuple(members))

    def _set_quorum(self, name: str) -> None:
        if self._quorum is not None:
            raise ValueError("a second quorum line")
        if name != NONE:
            self._check_known(name)
        self._quorum = name

    def _check_new(self, name: str) -> None:
        if name == NONE or name in self._witnesses or name in self._groups:
            raise ValueError(f"the name {name!r} is taken")

    def _check_known(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise ValueError(f"no witness or group {name!r} on a line before")
