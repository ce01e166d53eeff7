"""Manifest: whether every file of a bundle is the one that was put into it. Shows damage, not forgery."""

import hashlib
from typing import Final

from storage.audit.archive import Bundle, Unreadable
from storage.audit.findings import Flaws

MANIFEST: Final = "MANIFEST.sha256"
_LARGEST: Final = 1 << 28
"""Bytes of the longest manifest that is read: some two million files."""


def check_manifest(bundle: Bundle, flaws: Flaws) -> int | None:
    """Hold every file against its line, and find those that have none; how many agreed.

    None where the bundle has no manifest, as a plain copy of a log has none.
    """
    try:
        lines = bundle.read(MANIFEST, _LARGEST).decode().splitlines()
    except FileNotFoundError:
        return None
    except (Unreadable, UnicodeDecodeError) as error:
        flaws.add(MANIFEST, f"it cannot be read: {error}")
        return 0
    digests = {path: digest for digest, _, path in (line.partition("  ") for line in lines) if path}
    if len(digests) != len(lines):
        flaws.add(MANIFEST, "a line of it is no digest with a path, or a path stands there twice")
    for path in sorted({*bundle.names()} - {*digests, MANIFEST}):
        flaws.add(path, f"it is not in {MANIFEST}: it was added")
    return sum(_agrees(bundle, path, digest, flaws) for path, digest in digests.items())


def _agrees(bundle: Bundle, path: str, digest: str, flaws: Flaws) -> bool:
    found = hashlib.sha256()
    try:
        for piece in bundle.pieces(path):
            found.update(piece)
    except FileNotFoundError:
        flaws.add(path, f"it is in {MANIFEST} and missing here")
    except Unreadable as error:
        flaws.add(path, str(error))
    else:
        if found.hexdigest() == digest:
            return True
        flaws.add(path, f"it is not the file that {MANIFEST} names")
    return False
