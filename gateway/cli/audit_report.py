"""What `stepwarden audit verify` shows."""

import datetime as dt
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import Progress as Bar

from gateway.cli.screen import clean
from storage.audit.derive import Progress
from storage.audit.encoding import to_base64
from storage.audit.findings import Report
from storage.audit.note import Verified

_SHOWN = 20
"""Most flaws that are printed."""


@contextmanager
def progress_bar(doing: str) -> Generator[Progress]:
    """A bar on standard error where that is a terminal, nothing elsewhere; gives what is to be told."""
    with Bar(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell


def document(where: str, report: Report) -> dict[str, Any]:
    """A report as JSON."""
    head = report.head
    return {
        "ok": report.holds,
        "path": where,
        "origin": None if head is None else head.origin,
        "size": None if head is None else head.size,
        "root": None if head is None else to_base64(head.root),
        "entries": report.entries,
        "signed": [{"vkey": each.verifier.vkey, "at": _time(each)} for each in report.signed],
        "successors": [each.vkey for each in report.successors],
        "flaws": [msgspec.to_builtins(each) for each in report.flaws],
        "remarks": list(report.remarks),
    }


def print_report(where: str, report: Report) -> None:
    """A report as sentences: what holds on standard output, what does not on standard error."""
    if report.holds and report.head is not None:
        origin, size = clean(report.head.origin), report.head.size
        click.echo(f"{clean(where)}: the log {origin} holds: {_entries(size)}, every tile derived anew")
        click.echo(f"root {to_base64(report.head.root)}")
    for signed in report.signed:
        at = _time(signed)
        click.echo(
            f"signed by {clean(signed.verifier.vkey)}"
            if at is None
            else f"cosigned {at} by {clean(signed.verifier.vkey)}"
        )
    for successor in report.successors:
        click.echo(f"handed over to {clean(successor.vkey)}")
    for flaw in report.flaws[:_SHOWN]:
        click.echo(clean(str(flaw)), err=True)
    if not report.holds:
        more = len(report.flaws) - _SHOWN
        rest = f"; {more} more were found" if more > 0 else ""
        click.echo(f"{clean(where)}: the log does not hold{rest}", err=True)
    for remark in report.remarks:
        click.echo(f"note: {clean(remark)}", err=True)


def _entries(size: int) -> str:
    return "1 entry" if size == 1 else f"{size:,} entries"


def _time(signed: Verified) -> str | None:
    """When a witness cosigned, as RFC 3339; any number a signature may hold."""
    if signed.at is None:
        return None
    try:
        return dt.datetime.fromtimestamp(signed.at, dt.UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"at second {signed.at}"
