"""Two gateways that witness each other, as their operators would run them: four real processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.cli.main import run
from storage.store import Store
from tests.fakes.audit import entries_of
from tests.fakes.gateway import ROOT, free_port, running_gateway
from tests.fakes.provider import running_provider
from tests.gateway.house import PATIENT, House, waited

NOWHERE = {"raw": "http://127.0.0.1:9"}


def vkey_of_log(folder: Path) -> str:
    """A gateway's data directory as its first start makes it; the vkey of its log."""
    store = Store.open(folder / "data")
    store.audit.head()
    store.close()
    return (folder / "data" / "audit" / "vkeys.txt").read_text().strip()


def by_options(folder: Path, name: str, log: str, port: int) -> list[str]:
    return ["--name", name, "--log", log, "--port", str(port), "--dir", str(folder / "witness")]


def by_configuration(folder: Path, name: str, log: str, port: int) -> list[str]:
    """But for the port, where the option wins."""
    config = folder / "witness.toml"
    config.write_text(f'[witness]\nkey_name = "{name}"\nlogs = ["{log}"]\nport = 9\ndirectory = "witness"\n')
    return ["--config", str(config), "--port", str(port)]


@contextmanager
def running_witness(words: list[str], port: int) -> Iterator[tuple[str, str]]:
    """`stepwarden witness` for one log; its URL and its vkey."""
    command = [sys.executable, "-u", "-m", "gateway.cli.main", "witness", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            vkey = process.stdout.readline().split()[1]
            assert "cosigns 1 log" in process.stdout.readline()
            yield f"http://127.0.0.1:{port}", vkey
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(20)
    assert code == 0


def cosigned(house: House) -> None:
    """Wait until the gateway says that its witness cosigned a head."""

    def read() -> bool | None:
        status, body = house.control("/api/audit/witnesses")
        assert status == 200
        (witness,) = json.loads(body)["witnesses"]
        return (witness["cosigned"] is not None and witness["failing"] is None) or None

    assert waited(read)


def test_two_gateways_witness_each_other_and_a_quorum_is_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    logs = [vkey_of_log(folder) for folder in folders]
    with ExitStack() as running:
        witnesses = [
            running.enter_context(running_witness(told(folder, f"{folder.name}.example/w", log, port), port))
            for told, folder, log in zip((by_options, by_configuration), reversed(folders), logs, strict=True)
            for port in [free_port()]
        ]
        assert [(folder / "witness" / "witness.key").is_file() for folder in folders] == [True, True]
        gateways = [
            running.enter_context(
                running_gateway(folder, NOWHERE, more=f'{PATIENT}\n[audit]\nwitnesses = ["{url} {vkey}"]\n')
            )
            for folder, (url, vkey) in zip(folders, witnesses, strict=True)
        ]
        provider = running.enter_context(running_provider())
        for gateway, log, (_, vkey) in zip(gateways, logs, witnesses, strict=True):
            cosigned(House(provider, gateway))
            (gateway.folder / "trust").write_text(f"log {log}\nwitness W {vkey}\nquorum W\n")
    for folder in folders:  # what the last head says, once the gateway has ended
        assert run(["audit", "verify", str(folder / "data"), "--trust", str(folder / "trust")]) == 0
        assert "cosigned 20" in capsys.readouterr().out
        assert [e["type"] for e in entries_of(folder / "data")].count("checkpoint.witnessed") == 1
    swapped = folders[1] / "trust"
    swapped.write_text(swapped.read_text().replace(witnesses[1][1], witnesses[0][1]))
    assert run(["audit", "verify", str(folders[1] / "data"), "--trust", str(swapped)]) == 1
    assert "quorum" in capsys.readouterr().err
