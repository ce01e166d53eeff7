"""What can go wrong with the store, each with what to do about it."""

from pathlib import Path
from typing import Final

from policies.errors import StepwardenError


class DirectoryInUse(StepwardenError):
    """Another process holds this data directory."""

    status = 503

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"data directory {path} is in use by process {pid if pid is not None else 'unknown'}")
        self.path = path
        self.pid = pid

    def remedy(self) -> str:
        """One directory, one gateway."""
        return "Stop that gateway, ask it with `--url`, or give this one a directory of its own with `--data-dir`."


class SchemaTooNew(StepwardenError):
    """A file was written by a newer release than this one."""

    def __init__(self, path: Path, unknown: str) -> None:
        super().__init__(f"{path.name} holds migration {unknown!r}, which this release does not know")
        self.path = path

    def remedy(self) -> str:
        """Migrations only go forward."""
        return "Run the release that wrote it, or a newer one; files are never migrated backwards."


class StorageFailed(StepwardenError):
    """The disk or SQLite refused a write; nothing of the batch became visible."""

    status = 503

    def __init__(self, doing: str, cause: BaseException) -> None:
        super().__init__(f"storage failed while {doing}: {type(cause).__name__}: {cause}")

    def remedy(self) -> str:
        """Most often the disk is full."""
        return "Check free space and the health of the disk under the data directory; writing resumes by itself."


class FileDamaged(StorageFailed):
    """A file of the store is no whole database."""

    def __init__(self, path: Path) -> None:
        StepwardenError.__init__(self, f"{path} is damaged: it is no database, or was cut short")
        self._path = path

    def remedy(self) -> str:
        """What is lost without it."""
        names = f"{self._path.name} and what is named {self._path.name}-wal"
        lost = _LOST.get(self._path.stem.partition("-")[0], "what it holds is lost then")
        return f"Put it back from a backup, or move {names} away: {lost}. Nothing was changed."


_LOST: Final = {
    "spans": "the exchanges of that day are lost then, and `audit verify` says which",
    "content": "the bodies of that month are lost then",
    "reported": "what applications reported on that day is lost then",
    "meta": "sessions are then made anew out of the days' files",
    "keys": "no body that was stored so far can be read then",
    "ledger": "gateway keys, holds and legal holds are lost then, and another audit log has to begin",
}


class LedgerLost(StepwardenError):
    """`ledger.db` is not here, and the audit log that it belongs to is."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing or empty, and the audit log beside it says that it was here")
        self._path = path

    def remedy(self) -> str:
        """What stood in it."""
        return (
            "Restore it from a backup; gateway keys, budgets, holds, legal holds and the audit entries that are not "
            "published yet stand in it. To begin again without them, move `audit` and `audit.key` away."
        )


class KeysLost(StepwardenError):
    """`keys.db` is not here, and contents that lie under its keys are."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing or empty: no body that was stored so far can be read")

    def remedy(self) -> str:
        """Before new keys are made under the numbers of old ones."""
        return (
            "Restore it from its backup, kept apart from that of the contents; or move the `content-*.db` away: "
            "what was sealed under lost keys is lost. Nothing was changed."
        )


class NeverTaken(StorageFailed):
    """A write that no database takes, however often it is tried: a value out of range, a broken constraint."""

    def remedy(self) -> str:
        """It is a mistake of ours."""
        return "Report it with this line of the log: the write is left out, and what else waits is written."


class OriginFixed(StepwardenError):
    """The configuration names the audit log otherwise than it was named when it began."""

    def __init__(self, named: str, wanted: str) -> None:
        super().__init__(f"the audit log is called {named!r} since it began, and cannot be called {wanted!r}")
        self._named = named

    def remedy(self) -> str:
        """A log's name is in all that it signed."""
        return (
            f"Set `origin` in [audit] to {self._named!r} or leave it out, or begin another log in another `data_dir`."
        )


class DirectoryExposed(StepwardenError):
    """Others than its owner can enter the data directory, and it is not this process's to close."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__(f"{path} has mode {mode:04o} and is not only this user's; others may read the record")
        self.path = path

    def remedy(self) -> str:
        """A directory of one's own, or its owner's help."""
        return f"Have its owner run `chmod 700 {self.path}`, or set `data_dir` in [gateway] to a directory of your own."


class NoDirectory(StepwardenError):
    """The data directory is none, and cannot be made."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be the data directory ({reason})")

    def remedy(self) -> str:
        """Another place."""
        return "Set `data_dir` in [gateway], or `--data-dir`, to a directory that is there or can be made."


class KeyFileExposed(StepwardenError):
    """`seal.key` can be read by others than its owner."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__(f"{path} has mode {mode:04o}; others than its owner may read or change it")
        self.path = path

    def remedy(self) -> str:
        """Closing it again does not undo that it was open."""
        return f"Run `chmod 600 {self.path}`; if others had accounts here, treat the stored contents as read."


class KeyFileBroken(StepwardenError):
    """`seal.key` is not 32 bytes."""

    def __init__(self, path: Path, length: int) -> None:
        super().__init__(f"{path} holds {length} bytes, expected 32")

    def remedy(self) -> str:
        """Without the key the contents are gone."""
        return "Restore seal.key from its backup; without it stored contents cannot be read."


class WrongSealKey(StepwardenError):
    """The contents here were sealed under another key."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing or is not the key this directory was sealed under")

    def remedy(self) -> str:
        """The key travels with the data, or is restored from backup."""
        return "Restore the seal.key that belongs to this directory, or start with an empty data directory."


class ContentDamaged(StepwardenError):
    """A stored content is missing, was changed on disk, or does not give the bytes that were sent."""

    def __init__(self, what: str) -> None:
        super().__init__(f"stored content cannot be trusted: {what}")

    def remedy(self) -> str:
        """The record says so instead of showing garbage."""
        return "Restore the content file of that month from backup; other records are unaffected."


class AmbiguousPrefix(StepwardenError):
    """More than one id starts with the given characters."""

    status = 404

    def __init__(self, prefix: str) -> None:
        super().__init__(f"more than one id starts with {prefix!r}")

    def remedy(self) -> str:
        """Say more of it."""
        return "Give more characters of the id."


class KeyNotFound(StepwardenError):
    """No gateway key has this id."""

    status = 404

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no gateway key {key_id!r}")

    def remedy(self) -> str:
        """Where ids are listed."""
        return "Run `stepwarden keys list` to see the ids."


class HoldNotFound(StepwardenError):
    """No hold has this id."""

    status = 404

    def __init__(self, hold_id: str) -> None:
        super().__init__(f"no hold {hold_id[:64]!r}")

    def remedy(self) -> str:
        """Where ids are listed."""
        return "Run `stepwarden holds list` to see the ids."


class PinNotFound(StepwardenError):
    """No tool of this server waits for a person."""

    status = 404

    def __init__(self, server: str, tool: str) -> None:
        super().__init__(f"no change of tool {tool[:64]!r} of {server[:64]!r} waits for a person")

    def remedy(self) -> str:
        """Where they are listed."""
        return "Run `stepwarden mcp tools list` to see what changed."


class GrantNotFound(StepwardenError):
    """The gateway has no tokens for this tool server."""

    status = 404

    def __init__(self, server: str) -> None:
        super().__init__(f"the gateway has no tokens for MCP server {server[:64]!r}")

    def remedy(self) -> str:
        """How it gets some."""
        return "Nothing is left to withdraw; `stepwarden mcp login SERVER` gets new ones."


class HoldDecided(StepwardenError):
    """A hold was decided before."""

    status = 409

    def __init__(self, hold_id: str, state: str) -> None:
        super().__init__(f"hold {hold_id[:64]!r} is {state} already")

    def remedy(self) -> str:
        """What a second decision would take."""
        return "A new call of the agent opens a new hold."


class ProposalNotFound(StepwardenError):
    """No proposal has this number or digest."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"no proposal {name[:64]!r}")

    def remedy(self) -> str:
        """Where they are listed."""
        return "Run `stepwarden proposals list` to see their numbers."


class ProposalDecided(StepwardenError):
    """A proposal's climb is over."""

    status = 409

    def __init__(self, number: int, state: str) -> None:
        super().__init__(f"proposal {number} is {state} already")

    def remedy(self) -> str:
        """What another try would take."""
        return "The same change can be proposed again; it climbs the whole ladder."


class RevisionNotFound(StepwardenError):
    """No revision of this name can be put in force, or gone back to."""

    status = 409

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"no revision {name[:64]!r}: {why}")

    def remedy(self) -> str:
        """What to do next."""
        return "Run `stepwarden revisions list` to see what was in force, and choose one of it."
