"""`stepwarden audit export`."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

import click

from gateway.cli.options import TIME, reach, reach_options
from policies.errors import StepwardenError

Counted: TypeAlias = Callable[[int], None]
"""Told how many bytes came."""

_MODE = 0o600
"""A bundle names people and, where it was asked for, holds content."""


class FileThere(StepwardenError):
    """The file that would be written exists."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists; evidence is never written over")

    def remedy(self) -> str:
        """What to do."""
        return "Give another name with -o, or move the file away."


class FileUnwritable(StepwardenError):
    """The file cannot be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror or type(error).__name__}")

    def remedy(self) -> str:
        """What to look at."""
        return "Check the folder, its permissions, and the space that is left."


@click.command("export")
@click.option(
    "--since", type=TIME, required=True, metavar="T", help="Begin of the period: RFC 3339, or `30d` back from now."
)
@click.option("--until", type=TIME, metavar="T", help="Its end, not included [default: now].")
@click.option("--app", metavar="A", help="Only this app's record. The log in a bundle is whole in any case.")
@click.option("--content", is_flag=True, help="With bodies and texts; the log says so.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["bundle", "ocsf", "jsonl"]),
    default="bundle",
    show_default=True,
    help="A bundle for auditors; events in OCSF 1.8, or entries and exchanges as they are, one a line.",
)
@click.option(
    "-o", "out", type=click.Path(path_type=Path), metavar="F", help="The file; lines go to stdout without it."
)
@reach_options
def export(  # noqa: PLR0913, PLR0917 - the options of a command
    since: str,
    until: str | None,
    app: str | None,
    content: bool,  # noqa: FBT001 - a flag by nature
    form: str,
    out: Path | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Write the evidence for a period: the log, the record, and a report that people read and strangers' tools verify.

    A bundle is a zip file with report.html to read and VERIFY.md with the commands to check it. Every export is an
    entry of the log itself. Through a running gateway, or straight from the data directory.
    """
    if out is None and form == "bundle":
        raise click.UsageError("Name the file of the bundle with -o.")
    if content and form != "bundle":
        raise click.UsageError("--content is for bundles; lines never hold content.")
    if out is not None and out.exists():
        raise FileThere(out)
    asked = {"since": since, "until": until, "app": app, "content": "true" if content else None, "format": form}
    with reach(config_file, url) as api, _file(out) as file, counter("exporting", quiet=out is None) as count:
        api.receive("/api/audit/export", lambda piece: count(file.write(piece)), **asked)
    if out is not None:
        _say(out, form, as_json=as_json)


def _say(out: Path, form: str, *, as_json: bool) -> None:
    from gateway.cli.screen import print_json, size

    length = out.stat().st_size
    if as_json:
        print_json({"path": str(out), "format": form, "bytes": length})
        return
    click.echo(f"{out}: {size(length)}")
    if form == "bundle":
        click.echo(f"Read report.html in it. Check it with: stepwarden audit verify {out} --vkey VKEY")


@contextmanager
def _file(out: Path | None) -> Generator[IO[bytes]]:
    """Where the bytes go; a file gets its name only once it is whole."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    draft = out.with_name(f"{out.name}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.rename(out)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileUnwritable(out, error) from error


@contextmanager
def counter(doing: str, *, quiet: bool) -> Generator[Counted]:
    """Where the terminal is one, how much came so far, on standard error; how much there is, nobody knows before."""
    if quiet or not sys.stderr.isatty():
        yield _unseen
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    from gateway.cli.screen import err

    columns = (TextColumn(doing), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda length: bar.update(task, advance=length)


def _unseen(length: int) -> None:
    """No terminal to show it on."""
