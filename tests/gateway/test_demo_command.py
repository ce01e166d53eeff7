"""`stepwarden demo` under a configuration of the user's: what it shows, and what it says where it cannot."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import run


def lived(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, dict[str, Any]]:
    config = tmp_path / "mine.toml"
    config.write_text(text)
    code = run(["demo", "--config", str(config), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.e2e  # half a minute, told at the pace of the demo
def test_policies_of_the_users_watch_the_recorded_runs_to_their_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stern = '[gateway]\nhost = "0.0.0.0"\n\n[app.default]\npolicy = ["agent-baseline"]\nenforce = true\n'
    code, found = lived(tmp_path, capsys, f'{stern}\n[capture]\ncontent = "digest"\n')
    assert code == 0
    assert found["rebuilt"]["equal"] == found["rebuilt"]["requests"] > 0
    assert "reject" in {step["shadow"] for step in found["steps"]}


def test_a_configuration_that_lets_no_run_pass_is_told_as_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = lived(tmp_path, capsys, "[limits]\nbody_bytes = 4096\n")
    assert code == 3
    assert found["error"]["message"].startswith("the agent was not answered: ")
    assert "limits" in found["error"]["remedy"]
