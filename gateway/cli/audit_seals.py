"""What `stepwarden audit verify` says of what comes with a log: the record beside it, the files of a bundle."""

import sqlite3
from pathlib import Path

import msgspec

from storage.audit.archive import Archive, Bundle
from storage.audit.derive import Progress
from storage.audit.findings import Flaws, Report
from storage.audit.manifest import check_manifest
from storage.seal_check import SealsChecked, check_seals


def with_seals(report: Report, directory: Path, files: Archive, *, progress: Progress) -> Report:
    """A report on a log that holds, with what is to be said of the record in `directory`, if there is one."""
    assert report.head is not None
    flaws = Flaws()
    try:
        checked = check_seals(directory, files, report.head.size, flaws, progress)
    except sqlite3.Error as error:
        flaws.add("spans", f"the record cannot be read: {error}")
        checked = None
    remarks = () if checked is None else _remarks(checked)
    return msgspec.structs.replace(report, flaws=(*report.flaws, *flaws.found), remarks=(*report.remarks, *remarks))


def with_manifest(report: Report, bundle: Bundle) -> Report:
    """A report on a bundle, with whether each of its files is the one its manifest names."""
    flaws = Flaws()
    agreed = check_manifest(bundle, flaws)
    if agreed is None:
        return report
    said = f"the bundle: {agreed:,} files agree with its manifest, which shows damage and not forgery"
    return msgspec.structs.replace(report, flaws=(*report.flaws, *flaws.found), remarks=(*report.remarks, said))


def _remarks(checked: SealsChecked) -> tuple[str, ...]:
    said = [f"the record: {checked.exchanges:,} exchanges in {checked.batches:,} batches, derived anew"]
    if checked.expired:
        said.append(f"the record: {checked.expired:,} batches are gone or partly, as the log itself tells")
    if checked.on_trust:
        said.append(
            "the record: some of it is gone on the word of entries beyond the signed head, for which nothing vouches "
            "yet; verify again once a head covers them"
        )
    if checked.older:
        said.append(f"the record: {checked.older:,} exchanges are older than the first seal; nothing vouches for them")
    if checked.unsealed:
        said.append(f"the record: {checked.unsealed:,} exchanges are newer than the signed head")
    return tuple(said)
