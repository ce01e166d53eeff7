"""The audit log, verified by code that no one here wrote: what Go's checksum database is built on, from Debian."""

import io
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from storage.audit.directory import LogDirectory
from tests.gateway.house import ANTHROPIC, standing
from tests.unit.gateway.evidence.house import Eventful
from tests.unit.storage.audit.house import ORIGIN, entries, entry, key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SOURCE = Path(__file__).parent / "audit_verify" / "main.go"
GOPATH = "/usr/share/gocode"
SIZES = (0, 1, 255, 256, 257, 65_535, 65_536, 70_000)
FIRST, SECOND = key("first"), key("second")

FLIPPED = (
    "checkpoint",
    "tile/entries/100",
    "tile/entries/273.p/112",
    "tile/0/100",
    "tile/0/273.p/112",
    "tile/1/000",
    "tile/1/001.p/17",
    "tile/2/000.p/1",
)
"""One of each kind of file in a log of 70,000 entries."""


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The foreign verifier, built from Debian's packages. Fails where they are not installed: it is not optional."""
    go = shutil.which("go")
    if go is None or not Path(GOPATH, "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.fail("Go's own verifier cannot be built: install the packages golang-go and golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    places = {"GOPATH": GOPATH, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off", "GOFLAGS": ""}
    made = folder / "audit_verify"
    built = subprocess.run(
        [go, "build", "-o", str(made), str(SOURCE)],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return made


def verified(verifier: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(verifier), *arguments], capture_output=True, text=True, timeout=120, check=False)


def written(path: Path, size: int) -> Path:
    """A log of `size` entries, handed over to another key in its middle where it has any, in several publications."""
    log = LogDirectory.open(path, origin=ORIGIN, signers=[FIRST])
    log.integrate(entries(0, size // 2))
    log.publish()
    if size:
        log.integrate([entry(log.size, type="log.key_rotated", handover=log.hand_over(SECOND))])
        log.publish()
        log.integrate(entries(log.size, size))
        log.publish()
    log.close()
    return path


@pytest.fixture(scope="module")
def largest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("log") / "audit", SIZES[-1])


@pytest.mark.parametrize("size", SIZES[:-1])
def test_a_log_of_any_size_with_its_key_changed_is_verified_by_strangers(
    verifier: Path, tmp_path: Path, size: int
) -> None:
    found = verified(verifier, "log", str(written(tmp_path / "audit", size)), FIRST.verifier.vkey)
    assert (found.returncode, found.stdout) == (0, f"{size} entries, signed by {ORIGIN}\n"), found.stderr


def test_seventy_thousand_entries_are_verified_by_strangers_and_not_under_another_key(
    verifier: Path, largest: Path
) -> None:
    assert verified(verifier, "log", str(largest), FIRST.verifier.vkey).returncode == 0
    assert "handover" in verified(verifier, "log", str(largest), key("stranger").verifier.vkey).stderr


def test_a_running_gateways_log_is_verified_by_strangers_across_two_changes_of_its_key(
    verifier: Path, tmp_path: Path
) -> None:
    """What `stepwarden audit rotate` writes, not what the library can: exchanges before, between and after."""
    with standing(tmp_path) as house:
        folder = str(tmp_path / "data" / "audit")
        said = [house.ask(ANTHROPIC.call()).status]
        first = house.control("/api/audit/head")[1]
        changed = []
        for why in ("the yearly change", "a key that was seen"):
            made = house.gateway.command("audit", "rotate", "--by", "Ada", "--reason", why, "--json")
            assert made.returncode == 0, made.stderr
            changed.append(json.loads(made.stdout))
            said.append(house.ask(ANTHROPIC.call()).status)
        assert said == [200, 200, 200]
        assert house.control("/api/audit/head")[1] != first
    vkeys = [changed[0]["retired"], changed[0]["vkey"], changed[1]["vkey"]]
    assert changed[1]["retired"] == vkeys[1]
    assert (tmp_path / "data" / "audit" / "vkeys.txt").read_text().split() == vkeys
    found = verified(verifier, "log", folder, vkeys[0])
    assert found.returncode == 0, found.stderr
    assert verified(verifier, "log", folder, key("stranger").verifier.vkey).returncode == 1


@pytest.mark.parametrize("path", FLIPPED)
def test_strangers_see_one_flipped_bit_in_any_kind_of_file(verifier: Path, largest: Path, path: str) -> None:
    file = largest / path
    data = file.read_bytes()
    middle = len(data) // 2
    try:
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        found = verified(verifier, "log", str(largest), FIRST.verifier.vkey)
    finally:
        file.write_bytes(data)
    assert found.returncode == 1
    assert found.stderr


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """An export as an auditor has it: unzipped into a folder."""
    plane = Eventful(tmp_path / "data")
    with zipfile.ZipFile(io.BytesIO(plane.export("since=1h&content=true"))) as bundle:
        bundle.extractall(tmp_path / "bundle")
    plane.store.close()
    return tmp_path / "bundle"


def test_an_exported_bundle_and_every_receipt_in_it_is_verified_by_strangers(verifier: Path, unpacked: Path) -> None:
    vkey = (unpacked / "vkeys.txt").read_text().splitlines()[0]
    found = verified(verifier, "log", str(unpacked), vkey)
    assert found.returncode == 0, found.stderr
    receipts = sorted((unpacked / "receipts").glob("*.tlog-proof"))
    assert receipts
    for receipt in receipts:
        assert verified(verifier, "proof", str(receipt.with_suffix(".json")), str(receipt), vkey).returncode == 0
    bundled = next(path for path in (unpacked / "tile" / "entries").rglob("*") if path.is_file())
    bundled.write_bytes(bundled.read_bytes().replace(b"owner", b"other", 1))
    assert verified(verifier, "log", str(unpacked), vkey).returncode == 1


@pytest.mark.parametrize("section", ["## 1.", "## 2."])
def test_the_commands_in_a_bundle_that_need_nothing_but_a_shell_work_and_find_damage(
    unpacked: Path, section: str
) -> None:
    """Coreutils and OpenSSL, typed as VERIFY.md has them."""
    text = (unpacked / "VERIFY.md").read_text().split(section)[1].split("\n## ")[0]
    commands = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    vkey = (unpacked / "vkeys.txt").read_text().splitlines()[0]
    script = f"set -e\nVKEY='{vkey}'\n{commands}\n"

    def typed() -> int:
        return subprocess.run(
            ["sh", "-c", script], cwd=unpacked, capture_output=True, timeout=60, check=False
        ).returncode

    assert typed() == 0
    head = unpacked / "checkpoint"
    head.write_bytes(head.read_bytes().replace(b"stepwarden", b"stepwarten", 1))
    assert typed() != 0


def test_a_receipt_is_verified_by_strangers(verifier: Path, tmp_path: Path) -> None:
    log = LogDirectory.open(tmp_path / "audit", origin=ORIGIN, signers=[FIRST])
    log.integrate(entries(0, 700))
    log.publish()
    (tmp_path / "entry").write_bytes(entry(300))
    (tmp_path / "proof").write_bytes(log.receipt(300).encode())
    log.close()
    question = ("proof", str(tmp_path / "entry"), str(tmp_path / "proof"), FIRST.verifier.vkey)
    assert verified(verifier, *question).returncode == 0
    (tmp_path / "entry").write_bytes(entry(301))
    assert verified(verifier, *question).returncode == 1
