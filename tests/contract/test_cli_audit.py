import json
import os
import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest

from gateway.cli.main import FAILED, run
from storage.audit.directory import LogDirectory
from tests.unit.storage.audit.house import ORIGIN, entries, key

VKEY = key().verifier.vkey


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to run in, with a data directory that holds a log of 300 entries."""
    monkeypatch.chdir(tmp_path)
    for name in tuple(os.environ):
        if name.startswith("STEPWARDEN_"):
            monkeypatch.delenv(name)
    (tmp_path / "stepwarden-data").mkdir(mode=0o700)
    log = LogDirectory.open(tmp_path / "stepwarden-data" / "audit", origin=ORIGIN, signers=[key()])
    log.integrate(entries(0, 300))
    log.publish()
    log.close()
    return tmp_path / "stepwarden-data"


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def bundle_of(data: Path) -> Path:
    path = data.parent / "bundle.zip"
    with ZipFile(path, "w") as made:
        for file in (data / "audit").rglob("*"):
            if file.is_file():
                made.write(file, file.relative_to(data / "audit"))
    return path


def test_the_log_of_this_directory_is_verified_without_being_touched(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(data)
    assert run(["audit", "verify"]) == 0
    said = capsys.readouterr()
    assert f"the log {ORIGIN} holds: 300 entries" in said.out
    assert "give --vkey or --trust" in said.err
    assert everything(data) == before


def test_folder_data_directory_and_bundle_are_all_taken(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data, data / "audit", bundle_of(data)):
        assert run(["audit", "verify", str(path), "--vkey", VKEY]) == 0
        said = capsys.readouterr()
        assert (f"signed by {VKEY}" in said.out, said.err) == (True, "")


def test_what_does_not_hold_is_said_with_its_place_and_exits_with_one(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tile = data / "audit" / "tile" / "0" / "000"
    tile.write_bytes(b"\xff" + tile.read_bytes()[1:])
    assert run(["audit", "verify", "--vkey", VKEY]) == 1
    said = capsys.readouterr()
    assert "tile/0/000: its hash 0 is not that of what it covers, entry 0 on" in said.err
    assert "the log does not hold" in said.err
    assert "holds:" not in said.out


def test_a_key_that_does_not_fit_exits_with_one(data: Path) -> None:
    assert run(["audit", "verify", "--vkey", key("stranger").verifier.vkey]) == 1


def test_a_text_that_is_no_key_is_a_usage_error_that_says_what_a_key_reads(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del data
    assert run(["audit", "verify", "--vkey", "garbage"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'--vkey': 'garbage': a vkey reads NAME+KEYID+KEY." in said


def test_a_head_kept_earlier_shows_what_was_removed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "head"]) == 0
    kept = data.parent / "head"
    kept.write_text(capsys.readouterr().out)
    assert kept.read_bytes() == (data / "audit" / "checkpoint").read_bytes()
    assert run(["audit", "verify", "--vkey", VKEY, "--from-checkpoint", str(kept)]) == 0
    shutil.rmtree(data / "audit")
    log = LogDirectory.open(data / "audit", origin=ORIGIN, signers=[key()])
    log.integrate(entries(0, 200))
    log.publish()
    log.close()
    assert run(["audit", "verify", "--vkey", VKEY]) == 0
    assert run(["audit", "verify", "--vkey", VKEY, "--from-checkpoint", str(kept)]) == 1
    assert "entries were removed" in capsys.readouterr().err


def test_a_trust_policy_asks_for_its_witnesses(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = data.parent / "policy"
    policy.write_text(f"log {VKEY}\nquorum none\n")
    assert run(["audit", "verify", "--trust", str(policy)]) == 0
    witness = "witness W witness.example/w1+ac3d6f07+BAPTVfNeuZJYtWL8pEtt+IZPcH/DYXI/bWWwBGCHgSY2"
    policy.write_text(f"log {VKEY}\n{witness}\nquorum W\n")
    assert run(["audit", "verify", "--trust", str(policy)]) == FAILED
    assert "line 2 of the trust policy" in capsys.readouterr().err
    assert run(["audit", "verify", "--trust", str(policy), "--vkey", VKEY]) == 2


@pytest.mark.parametrize("made", ["nothing", "an empty folder", "a text", "half a bundle", "no such checkpoint"])
def test_what_is_no_log_exits_with_three_and_a_sentence(
    data: Path, capsys: pytest.CaptureFixture[str], made: str
) -> None:
    path = data.parent / "given"
    extra: list[str] = []
    match made:
        case "an empty folder":
            path.mkdir()
        case "a text":
            path.write_text("hello")
        case "half a bundle":
            whole = bundle_of(data).read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
        case "no such checkpoint":
            path, extra = data, ["--from-checkpoint", str(data / "none")]
        case _:
            pass
    assert run(["audit", "verify", str(path), *extra]) == FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("stepwarden: ")


def test_the_report_is_one_json_document(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "audit" / "tile" / "0" / "001.p" / "44").unlink()
    assert run(["audit", "verify", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["size"], report["flaws"][0]["place"]) == (False, 300, "tile/0/001.p/44")
    assert run(["audit", "head", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vkeys"] == [VKEY]


def test_a_hostile_log_says_nothing_to_the_terminal(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "audit" / "tile" / "\x1b[2J").write_bytes(b"x")
    (data / "audit" / "vkeys.txt").write_bytes(b"\x1b]0;title\x07\n")
    assert run(["audit", "verify", "--vkey", VKEY]) == 1
    assert run(["audit", "head"]) == 0
    said = capsys.readouterr()
    assert not {"\x1b", "\x07"} & set(said.out + said.err)


def test_a_witness_without_logs_does_not_start(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["witness", "--name", "witness.example/w1"]) == FAILED
    assert "knows no log" in capsys.readouterr().err
    assert run(["witness", "--name", "witness.example/w1", "--log", "no vkey"]) == 2
    assert run(["witness", "--name", "a name", "--log", VKEY]) == 2
    assert run(["witness", "--log", VKEY]) == FAILED
    assert "`key_name` in [witness]" in capsys.readouterr().err
    assert not (data.parent / "stepwarden-witness").exists()
