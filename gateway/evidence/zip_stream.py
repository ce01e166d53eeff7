"""A zip file as it is made, a piece at a time: nothing is kept but its directory, about 1 KB a file."""

import datetime as dt
import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from typing import Final, final

from storage.audit.manifest import MANIFEST

_PIECE: Final = 1 << 16
_LEVEL: Final = 1
"""Most of a log is hashes, which nothing compresses; the rest is text, for which fast is enough."""

_OWNER_ONLY: Final = 0o100600 << 16


@final
class _Sink:
    """Where the zip file's bytes wait; it cannot be rewound, as a connection cannot."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.waiting = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self.waiting += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces, self.waiting = [], 0
        return taken


@final
class ZipStream:
    """Files one after the other; every call gives the bytes that are ready, and must be read to its end."""

    def __init__(self, made_ns: int) -> None:
        """`made_ns` is the date of every file: wall clock, nanoseconds."""
        moment = dt.datetime.fromtimestamp(made_ns // 1_000_000_000, dt.UTC)
        self._date = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)  # type: ignore[arg-type]
        self._digests: list[tuple[str, str]] = []

    def add(self, path: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """One file, however long."""
        digest = hashlib.sha256()
        info = zipfile.ZipInfo(path, self._date)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = _OWNER_ONLY
        with self._zip.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
                if self._sink.waiting >= _PIECE:
                    yield self._sink.take()
        self._digests.append((path, digest.hexdigest()))
        if self._sink.waiting >= _PIECE:
            yield self._sink.take()

    def close(self) -> Iterator[bytes]:
        """The digest of every file in `MANIFEST.sha256`, in the form of `sha256sum`, and the zip's own directory."""
        yield from self.add(MANIFEST, (f"{digest}  {path}\n".encode() for path, digest in self._digests[:]))
        self._zip.close()
        yield self._sink.take()
