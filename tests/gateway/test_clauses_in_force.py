"""What `clauses list` and `explain` call in force is what steps are judged by, also after it changed."""

import json
import signal
from pathlib import Path

import pytest

from policies.shipped import shipped
from tests.gateway.house import standing, waited


@pytest.mark.parametrize("workers", [1, 2])
def test_the_listed_clauses_follow_a_hangup(tmp_path: Path, workers: int) -> None:
    policy = tmp_path / "house.toml"
    policy.write_text(shipped()["payments"], encoding="utf-8")
    more = f"[app.default]\npolicy = [{json.dumps(str(policy))}]\n"
    with standing(tmp_path, more=more, workers=workers) as house:

        def listed() -> dict[str, str]:
            _, answer = house.control("/api/clauses")
            return {clause["name"]: clause["text"] for clause in json.loads(answer)["apps"][0]["clauses"]}

        assert listed()["payments/large-payments-are-confirmed"].endswith("above 1000.")
        policy.write_text(shipped()["payments"].replace("payment above 1000.", "payment above 2000."), encoding="utf-8")
        house.gateway.process.send_signal(signal.SIGHUP)
        assert waited(lambda: listed()["payments/large-payments-are-confirmed"].endswith("above 2000.") or None)
