"""What can go wrong with the audit log, each with what to do about it."""

from pathlib import Path

from policies.errors import StepwardenError


class EntryTooLong(StepwardenError):
    """An entry does not fit the 16-bit length of an entry bundle."""

    def __init__(self, length: int) -> None:
        super().__init__(f"an audit entry of {length} bytes; the format holds at most 65,535")

    def remedy(self) -> str:
        """Entries hold commitments, not contents."""
        return "Log a digest of what is long, or split the entry."


class LogForked(StepwardenError):
    """Other bytes were to be logged at an index that the log covers already."""

    def __init__(self, index: int) -> None:
        super().__init__(f"entry {index} of the audit log is other bytes than were logged there before")
        self.index = index

    def remedy(self) -> str:
        """Two histories exist; neither is thrown away."""
        return "Keep `audit/` and `ledger.db` as they are and find out which was restored; nothing was written."


class LogGapped(StepwardenError):
    """Entries between the tree and what was handed to it are missing."""

    def __init__(self, size: int, at: int) -> None:
        super().__init__(f"the audit log holds {size} entries and was given the one at {at}")
        self.size = size
        self.at = at

    def remedy(self) -> str:
        """Most often an old directory was restored beside a newer ledger."""
        return "Restore `audit/` from a backup that is at least as new as `ledger.db`; nothing was written."


class LogDamaged(StepwardenError):
    """The files of the log do not fit together."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the audit log is damaged: {what}")

    def remedy(self) -> str:
        """Where it is broken, and that nothing was changed."""
        return "Run `stepwarden audit verify` to see where, and restore those files from backup; nothing was changed."


class LogKeyWrong(StepwardenError):
    """The key at hand is not the one this log is signed with."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the key does not fit the audit log: {what}")

    def remedy(self) -> str:
        """A key belongs to one log."""
        return "Restore the `audit.key` that belongs to this log, or give the vkey of the log you mean."


class LogKeyExposed(StepwardenError):
    """A signing key can be read by others than its owner."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__(f"{path} has mode {mode:04o}; others than its owner may read or change it")
        self.path = path

    def remedy(self) -> str:
        """Closing it again does not undo that it was open."""
        return f"Run `chmod 600 {self.path}`; if others had accounts here, change the key: it signs as this log."


class LogInUse(StepwardenError):
    """Another process writes this log."""

    status = 503

    def __init__(self, path: Path) -> None:
        super().__init__(f"the audit log in {path} is being written by another process")

    def remedy(self) -> str:
        """One log, one writer."""
        return "Stop that process; two writers would fork the log."


class NoteMalformed(StepwardenError):
    """A text is not a signed note, checkpoint or proof."""

    status = 400

    def __init__(self, what: str) -> None:
        super().__init__(f"malformed: {what}")

    def remedy(self) -> str:
        """The bytes matter, all of them."""
        return "Take the file as it was published, byte for byte; docs/AUDIT.md names the formats."


class SignatureInvalid(StepwardenError):
    """A signature that claims to be by a known key is not."""

    status = 403

    def __init__(self, name: str) -> None:
        super().__init__(f"the signature by {name!r} does not verify; the text or the signature was changed")
        self.name = name

    def remedy(self) -> str:
        """Nothing under a broken signature may be believed."""
        return "Do not rely on this text; get it again from its source and compare."


class NotSigned(StepwardenError):
    """No known key signed."""

    status = 403

    def __init__(self, by: tuple[str, ...]) -> None:
        super().__init__(f"no known key signed; signatures found: {', '.join(map(repr, by)) or 'none'}")

    def remedy(self) -> str:
        """The right key, or the wrong log."""
        return "Give the vkey of the log you mean, got from its operator and not from the log itself."


class QuorumMissed(StepwardenError):
    """Too few witnesses cosigned."""

    status = 403

    def __init__(self, quorum: str, cosigned: tuple[str, ...]) -> None:
        super().__init__(f"the quorum {quorum!r} is not met; cosigned: {', '.join(map(repr, cosigned)) or 'none'}")

    def remedy(self) -> str:
        """Witnesses follow a log after it is published."""
        return "Take a checkpoint with the cosignatures of its witnesses, or ask why they withheld them."


class WitnessRefused(StepwardenError):
    """A witness did not cosign."""

    status = 502

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where} did not cosign: {what}")

    def remedy(self) -> str:
        """A refusal is news about the log or about the witness."""
        return (
            "Check that the witness knows this log's vkey; if it saw another history, keep both heads and find out why."
        )


class TrustMalformed(StepwardenError):
    """A trust policy cannot be read."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line} of the trust policy: {what}")
        self.line = line

    def remedy(self) -> str:
        """The format is somebody else's."""
        return (
            "Write lines of C2SP tlog-policy: `log VKEY`, `witness NAME VKEY`, `group NAME K MEMBER...`, `quorum NAME`."
        )


class NotALog(StepwardenError):
    """What was to be verified is no audit log, or cannot be read."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where} {what}")

    def remedy(self) -> str:
        """A log is known by its checkpoint."""
        return "Give the folder that holds `checkpoint` and `tile/`, a data directory with `audit/` in it, or a bundle."


class LogTooNew(StepwardenError):
    """The log holds entries of a later format."""

    def __init__(self, index: int, version: int) -> None:
        super().__init__(f"entry {index} is of version {version}, which this release does not know")

    def remedy(self) -> str:
        """Nothing is said about what is not understood."""
        return "Verify with the release that wrote it, or a newer one; other tools still check the tree."


class ProofInvalid(StepwardenError):
    """A Merkle proof does not lead to the root it should."""

    status = 422

    def __init__(self, what: str) -> None:
        super().__init__(f"the proof does not hold: {what}")

    def remedy(self) -> str:
        """The proof, the entry or the checkpoint is not what it says."""
        return "Ask the log for the proof again; where it fails again, entry and log do not belong together."
