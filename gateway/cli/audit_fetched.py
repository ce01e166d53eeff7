"""The audit log of a gateway elsewhere, brought here to be verified: its operator's word is not taken for it."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.audit_export import counter
from gateway.cli.options import reach

_SHORTEST = "1s"
"""The period of the bundle: every bundle holds the log whole, and nothing of the record is wanted."""


@contextmanager
def fetched(url: str) -> Generator[Path]:
    """A bundle in a folder of its own, gone afterwards. Asking for it is an entry of that log."""
    with tempfile.TemporaryDirectory(prefix="stepwarden-log-") as folder:
        bundle = Path(folder) / "log.zip"
        with reach(None, url) as api, bundle.open("wb") as file, counter("fetching", quiet=False) as count:
            api.receive("/api/audit/export", lambda piece: count(file.write(piece)), since=_SHORTEST)
        yield bundle
