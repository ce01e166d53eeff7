"""`stepwarden audit`."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.audit_export import export
from gateway.cli.audit_prove import prove
from gateway.cli.audit_rotate import rotate
from gateway.cli.erase import erase
from gateway.cli.options import VKEY, load_config, reach, reach_options
from policies.errors import StepwardenError

if TYPE_CHECKING:
    from storage.audit.archive import Archive
    from storage.audit.trust import Trust

LOG_FOLDER = "audit"
"""Where the log stands in a data directory."""


class FileUnreadable(StepwardenError):
    """A file named on the command line cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}")

    def remedy(self) -> str:
        """What to look at."""
        return "Check its name and its permissions."


@click.group()
def audit() -> None:
    """The audit log: verify it, and show its head."""


@audit.command("verify")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--from-checkpoint", "since", type=click.Path(path_type=Path), metavar="F", help="A head kept earlier.")
@click.option(
    "--trust", "trust_file", type=click.Path(path_type=Path), metavar="F", help="Whom to trust: a tlog-policy file."
)
@click.option(
    "--vkey", type=VKEY, metavar="V", help="The key of the log, its first or its newest, got from its operator."
)
@reach_options
def verify(
    path: Path | None,
    since: Path | None,
    trust_file: Path | None,
    vkey: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> int:
    """Verify the log in PATH offline, from its files alone: a folder, a data directory or a zip bundle.

    Hashes every entry anew, derives every tile, follows every change of key, and checks the signatures on the head.
    With --from-checkpoint also that the log extends a head that was kept earlier. Nothing is written. Without PATH, the
    log of this directory's gateway; without --vkey and --trust, the key the log names itself, which shows that it is
    whole but not whose it is. Where the log stands in a data directory, the record beside it is held against what the
    log sealed; of a bundle, every file against its manifest. With --url the log of a gateway elsewhere is fetched as a
    bundle and verified here, for which the key needs the role `auditor`. Exits 1 where something does not hold, 3 where
    there is no log to verify.
    """
    if trust_file is not None and vkey is not None:
        raise click.UsageError("Give --trust or --vkey, not both.")
    _one_log(path, url)
    from gateway.cli.audit_fetched import fetched
    from gateway.cli.audit_report import document, print_report, progress_bar
    from gateway.cli.audit_seals import with_manifest, with_seals
    from gateway.cli.screen import print_json
    from storage.audit.archive import Bundle
    from storage.audit.verify import verify as verified

    trust = _trust(trust_file, vkey)
    earlier = None if since is None else _bytes(since)
    with ExitStack() as stack:
        bundle = path if url is None else stack.enter_context(fetched(url))
        where, files = _archive(bundle, config_file)
        with progress_bar("verifying") as progress:
            report = verified(files, trust, since=earlier, progress=progress)
        if isinstance(files, Bundle):
            report = with_manifest(report, files)
        if report.holds and report.head is not None and where.is_dir():
            with progress_bar("the record") as progress:
                report = with_seals(report, where.parent, files, progress=progress)
    shown = str(where) if url is None else url
    if as_json:
        print_json(document(shown, report))
    else:
        print_report(shown, report)
    return 0 if report.holds else 1


def _one_log(path: Path | None, url: str | None) -> None:
    if path is not None and url is not None:
        raise click.UsageError("Give PATH or --url, not both.")


@audit.command("head")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@reach_options
def head(path: Path | None, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Show the newest signed head of the log in PATH, to be kept for `audit verify --from-checkpoint`.

    Prints the checkpoint as it was signed, byte for byte, and on standard error the keys the log names itself. Nothing
    is verified.
    """
    _one_log(path, url)
    from gateway.cli.screen import clean, print_json
    from storage.audit.checkpoint import read_checkpoint
    from storage.audit.encoding import to_base64
    from storage.audit.note import read_note

    signed, vkeys = _kept_head(path, config_file) if url is None else _told_head(url)
    note = read_note(signed)
    found = read_checkpoint(note.text)
    if as_json:
        shown = {"origin": found.origin, "size": found.size, "root": to_base64(found.root)}
        print_json({**shown, "vkeys": vkeys, "note": note.encode().decode()})
        return
    click.echo(note.encode(), nl=False)  # bytes: what was signed, nothing else; a note holds no control characters
    for vkey in vkeys:
        click.echo(f"vkey: {clean(vkey)}", err=True)


def _kept_head(path: Path | None, config_file: Path | None) -> tuple[bytes, list[str]]:
    """The checkpoint and the keys as they stand in the log's files."""
    from storage.audit.directory import CHECKPOINT, VKEYS
    from storage.audit.note import LARGEST

    _, files = _archive(path, config_file)
    return _read(files, CHECKPOINT, LARGEST), _read(files, VKEYS, LARGEST).decode(errors="replace").splitlines()


def _told_head(url: str) -> tuple[bytes, list[str]]:
    """The same as a gateway elsewhere tells it."""
    with reach(None, url) as api:
        return api.download("/api/audit/head"), api.get("/api/audit/keys")["vkeys"]


audit.add_command(export)
audit.add_command(prove)
audit.add_command(erase)
audit.add_command(rotate)


def _archive(path: Path | None, config_file: Path | None) -> tuple[Path, "Archive"]:
    """The log at a path. Raises `NotALog`."""
    from storage.audit.archive import Bundle, Folder
    from storage.audit.directory import CHECKPOINT
    from storage.audit.errors import NotALog

    where = path or load_config(config_file).gateway.data_dir
    if where.is_file():
        return where, Bundle(where)
    for folder in (where, where / LOG_FOLDER):
        if (folder / CHECKPOINT).exists():
            return folder, Folder(folder)
    raise NotALog(str(where), "holds no audit log" if where.exists() else "does not exist")


def _trust(trust_file: Path | None, vkey: str | None) -> "Trust | None":
    from storage.audit.note import read_vkey
    from storage.audit.trust import Trust, read_trust

    if trust_file is not None:
        return read_trust(_bytes(trust_file))
    return None if vkey is None else Trust.of_log(read_vkey(vkey))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileUnreadable(path, error.strerror or type(error).__name__) from None


def _read(files: "Archive", path: str, limit: int) -> bytes:
    from storage.audit.archive import Unreadable

    try:
        return files.read(path, limit)
    except FileNotFoundError:
        raise FileUnreadable(Path(path), "it is missing from the log") from None
    except Unreadable as error:
        raise FileUnreadable(Path(path), str(error)) from None
