"""`stepwarden bench` as a user runs it: a real provider and a real gateway, as processes of their own."""

import json
from pathlib import Path

import pytest

from gateway.cli.main import run


def test_it_says_what_a_gateway_adds_to_each_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--requests", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [load["load"] for load in found["loads"]] == ["1 KB", "60 KB", "stream, first chunk"]
    for load in found["loads"]:
        assert load["requests"] == 20
        assert load["direct_p50"] > 0
        assert load["gateway_p99"] >= load["gateway_p50"] > 0
    assert found["start_seconds"] > 0


def test_it_measures_with_the_configuration_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "small.toml"
    config.write_text('[gateway]\nhost = "0.0.0.0"\n\n[limits]\nbody_bytes = 8192\n')
    assert run(["bench", "--requests", "20", "--config", str(config), "--json"]) == 3
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["message"] == "a call was answered 413"
    assert "measuring 60 KB requests" in told.err
    assert run(["bench", "--config", str(tmp_path / "none.toml")]) == 3
    assert "none.toml" in capsys.readouterr().err
