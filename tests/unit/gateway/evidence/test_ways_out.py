"""However an export ends early, nothing that looks whole is left; and it never holds more than a piece in memory."""

import asyncio
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.api.exports import _threaded
from gateway.cli.main import run
from gateway.cli.within import Within
from gateway.evidence.zip_stream import ZipStream
from storage.audit.archive import Bundle, Folder
from storage.audit.directory import LogDirectory
from storage.audit.findings import Flaws
from storage.audit.manifest import MANIFEST, check_manifest
from storage.audit.snapshot import Snapshot
from storage.audit.verify import verify
from tests.fakes.audit import quiet
from tests.unit.gateway.evidence.house import Eventful
from tests.unit.storage.audit.house import ORIGIN, entries, key

COULD_NOT_RUN = 3


@pytest.fixture
def kept(plane: Eventful, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.zip"
    path.write_bytes(plane.export("since=1h&content=true"))
    return path


@pytest.fixture
def here(plane: Eventful, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to run in, whose gateway stopped with a history."""
    plane.store.close()
    (tmp_path / "data").rename(tmp_path / "stepwarden-data")
    monkeypatch.chdir(tmp_path)
    for name in tuple(os.environ):
        if name.startswith("STEPWARDEN_"):
            monkeypatch.delenv(name)
    return tmp_path


def test_a_bundle_cut_short_anywhere_does_not_pass(kept: Path) -> None:
    whole = kept.read_bytes()
    assert run(["audit", "verify", str(kept)]) == 0
    for length in (0, 1, 100, len(whole) // 3, len(whole) // 2, len(whole) - 1_000, len(whole) - 1):
        kept.write_bytes(whole[:length])
        assert run(["audit", "verify", str(kept)]) in {1, COULD_NOT_RUN}, length


def repacked(path: Path, change: dict[str, bytes | None]) -> None:
    """The same bundle with files changed, added or left out."""
    with zipfile.ZipFile(path) as old:
        files: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in (files | change).items():
            if data is not None:
                new.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"report.html": b"<p>All is well.</p>"}, "report.html: it is not the file"),
        ({"entries.jsonl": b""}, "entries.jsonl: it is not the file"),
        ({"notes.txt": b"added"}, "notes.txt: it is not in MANIFEST.sha256"),
        ({"VERIFY.md": None}, "VERIFY.md: it is in MANIFEST.sha256 and missing"),
        ({MANIFEST: b"nonsense\n"}, "MANIFEST.sha256: a line of it"),
        ({MANIFEST: b"\xff\n"}, "MANIFEST.sha256: it cannot be read"),
    ],
)
def test_a_file_that_was_changed_added_or_taken_out_is_named(
    kept: Path, capsys: pytest.CaptureFixture[str], change: dict[str, bytes | None], place: str
) -> None:
    repacked(kept, change)
    assert run(["audit", "verify", str(kept)]) == 1
    assert place in capsys.readouterr().err


def test_a_copy_of_a_log_needs_no_manifest(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as made:
        made.writestr("checkpoint", b"")
    assert check_manifest(Bundle(tmp_path / "log.zip"), Flaws()) is None


def test_a_failure_while_it_is_made_does_not_pass_for_the_end() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise ValueError("the disk is gone")

    async def read() -> None:
        async for _ in _threaded(pieces()):
            pass

    with pytest.raises(ValueError, match="disk"):
        asyncio.run(read())


def test_an_answer_of_this_process_that_breaks_off_is_no_answer() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def ask() -> bytes:
        async with httpx.AsyncClient(transport=Within(breaks), base_url="http://here") as client:
            return (await client.get("/")).content

    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(ask())


def test_an_export_that_breaks_off_leaves_no_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Iterator[bytes]:
        yield b"PK half"
        raise ValueError("the disk is gone")

    monkeypatch.setattr("gateway.api.exports.bundle", broken)
    assert run(["audit", "export", "--since", "1h", "-o", "b.zip"]) == COULD_NOT_RUN
    assert not [path for path in here.iterdir() if path.name.startswith("b.zip")]


def test_the_command_writes_a_bundle_only_its_owner_reads_and_never_over_another(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", "export", "--since", "1h", "--content", "-o", "b.zip"]) == 0
    written = (here / "b.zip").read_bytes()
    assert stat.S_IMODE((here / "b.zip").stat().st_mode) == 0o600
    assert "audit verify b.zip" in capsys.readouterr().out
    assert run(["audit", "export", "--since", "1h", "-o", "b.zip"]) == COULD_NOT_RUN
    assert (here / "b.zip").read_bytes() == written
    assert "never written over" in capsys.readouterr().err
    assert run(["audit", "verify", "b.zip"]) == 0
    assert "agree with its manifest" in capsys.readouterr().err


def test_lines_go_to_standard_output_and_a_bundle_needs_a_name(
    here: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["audit", "export", "--since", "1h", "--format", "ocsf"]) == 0
    assert capfdbinary.readouterr().out.startswith(b'{"class_uid":')
    assert run(["audit", "export", "--since", "1h"]) == 2
    assert run(["audit", "export", "--since", "1h", "--format", "jsonl", "--content"]) == 2


def test_a_large_file_leaves_in_small_pieces_as_it_comes() -> None:
    made = ZipStream(0 + 10**18)
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield os.urandom(1 << 16)

    before_the_end = 0
    for piece in made.add("spans/1.jsonl", source()):
        before_the_end += taken < 200
        assert len(piece) < 1 << 18
    assert before_the_end > 100


def test_a_snapshot_stays_while_the_log_grows_and_drops_its_partial_files(tmp_path: Path) -> None:
    log = LogDirectory.open(tmp_path / "audit", origin=ORIGIN, signers=[key()])
    log.integrate(entries(0, 300))
    log.publish()
    kept = Snapshot.of(Folder(tmp_path / "audit"))
    log.integrate(entries(300, 70_000))
    log.publish()
    assert not (tmp_path / "audit" / "tile" / "entries" / "001.p").exists()
    report = verify(kept, None, progress=quiet)
    assert report.holds, report.flaws
    assert (report.entries, kept.size) == (300, 300)
    log.close()
