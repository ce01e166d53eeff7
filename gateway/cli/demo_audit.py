"""The demo's end: its own audit log, verified from its files alone, before and after one of its runs is erased."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.cli import audit_report, client
from gateway.cli.audit_seals import with_seals
from storage.audit.archive import Archive, Folder
from storage.audit.directory import FOLDER
from storage.audit.findings import Report
from storage.audit.verify import verify
from storage.told import lines

if TYPE_CHECKING:
    from gateway.cli.running import RunningGateway

_SHOWN = (
    "config.activated", "request.accepted", "request.completed", "guard.decision", "action.blocked", "action.modified",
    "action.escalated", "human.review", "override.used", "content.read", "step.recorded",
)  # fmt: skip


class CheckedLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log as its files hold it."""

    where: Path
    report: Report
    types: dict[str, int]
    """Entries of each type."""


class ErasedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose contents, rows and keys are destroyed, and the log after that."""

    session: str
    exchanges: int
    log: CheckedLog


class _Typed(msgspec.Struct):
    type: str


def checked(gateway: "RunningGateway") -> CheckedLog:
    """Have everything published, and verify it as a stranger would."""
    data = gateway.config.gateway.data_dir
    with client.here(gateway.config) as api:
        api.download("/api/audit/head")
    files = Folder(data / FOLDER)
    with audit_report.progress_bar("verifying") as progress:
        report = verify(files, None, progress=progress)
        if report.holds:
            report = with_seals(report, data, files, progress=progress)
    return CheckedLog(where=data / FOLDER, report=report, types=_types(files, report.entries))


def erased(gateway: "RunningGateway") -> ErasedRun:
    """Erase the run that came last, as `stepwarden audit erase` does, and verify the log again."""
    with client.here(gateway.config) as api:
        session: str = api.get("/api/sessions")["sessions"][0]["session_id"]
        done = api.post("/api/erasures", {"scope": f"session:{session}", "basis": "the demo is over", "by": "demo"})
    return ErasedRun(session=session, exchanges=done["exchanges"], log=checked(gateway))


def document(log: CheckedLog) -> dict[str, Any]:
    """The same as JSON."""
    return {**audit_report.document(str(log.where), log.report), "types": log.types}


def show(log: CheckedLog) -> None:
    """What `stepwarden audit verify` prints, and the kinds of entries."""
    from rich.text import Text

    from gateway.cli.screen import out

    console = out()
    console.print()
    console.rule(Text("stepwarden audit verify", style="bold"), align="left")
    audit_report.print_report(str(log.where), log.report)
    told = [f"{log.types[name]} {name}" for name in _SHOWN if name in log.types]
    console.print(f"in it: {', '.join(told)}", style="dim")


def show_erased(run: ErasedRun) -> None:
    """What became of the run, and of the log."""
    from rich.text import Text

    from gateway.cli.screen import out

    console = out()
    console.print()
    console.rule(Text(f"stepwarden audit erase session:{run.session}", style="bold"), align="left")
    console.print(
        f"{run.exchanges} exchanges erased: their contents, their rows and the keys they lay under. "
        f"The log {'still holds' if run.log.report.holds else 'DOES NOT HOLD'}: {run.log.report.entries} entries.",
        soft_wrap=True,
    )


def _types(files: Archive, size: int) -> dict[str, int]:
    return dict(Counter([msgspec.json.decode(entry, type=_Typed).type for _, entry in lines(files, size)]))
