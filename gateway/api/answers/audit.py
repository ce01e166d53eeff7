"""Answers about the audit log."""

import msgspec

from gateway.api.answers.values import sound
from gateway.times import rfc3339
from gateway.witnesses import WitnessState


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit log."""

    index: int
    entry: str
    """The exact bytes that are hashed into the log, as text."""


class AuditLines(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first."""

    size: int
    """How many entries the log has."""

    entries: tuple[AuditLine, ...]
    next: int | None
    """Pass as `before` for the page after this one; null at the beginning of the log."""


class AuditKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Every vkey that ever signed the log, oldest first: for comparing with the one you hold, not for trusting."""

    vkeys: tuple[str, ...]


class VerificationFlaw(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not hold."""

    place: str
    """The file, relative to the log, or `spans`."""

    what: str
    entry: int | None = None
    """The first entry it touches, where that is known."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying the log and its record from their files came to; as `stepwarden audit verify --json` has it."""

    ok: bool
    origin: str | None
    size: int | None
    """Entries under the head that was verified."""

    root: str | None
    entries: int
    """How many were read and hashed."""

    successors: tuple[str, ...]
    """The keys the log was handed over to, oldest first."""

    flaws: tuple[VerificationFlaw, ...]
    remarks: tuple[str, ...]


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A witness that the audit log's heads are shown to."""

    name: str
    url: str
    cosigned: int | None
    """Entries under the newest head it cosigned since the gateway started; null before the first."""

    at: str | None
    """When, as the witness says."""

    failing: str | None
    """Why it cosigned nothing when it was asked last; it is asked again, and the log goes on without it."""

    @classmethod
    def of(cls, state: WitnessState) -> "Witness":
        """The answer for one witness."""
        return cls(
            name=sound(state.name),
            url=state.url,
            cosigned=state.cosigned,
            at=None if state.at is None else rfc3339(state.at * 1_000_000_000),
            failing=None if state.failing is None else sound(state.failing),
        )


class WitnessList(msgspec.Struct, frozen=True, kw_only=True):
    """The witnesses of this gateway."""

    witnesses: tuple[Witness, ...]


class KeyRotated(msgspec.Struct, frozen=True, kw_only=True):
    """The audit log was handed over to another signing key."""

    index: int
    """The entry that says so; the new key signs from it on."""

    retired: str
    """The vkey that signed until then."""

    vkey: str
    """The vkey that signs from there on."""


class LoggedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit log with its proof."""

    index: int
    entry: str
    """The exact bytes that are hashed into the log, as text."""

    proof: str
    """C2SP tlog-proof with the newest checkpoint."""


class ExchangeReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log says of an exchange, with proofs."""

    exchange_id: str
    accepted: LoggedEntry
    recorded: LoggedEntry
    """The batch that its record and steps are sealed in; the proof's `extra` leads from each of them to its root."""
