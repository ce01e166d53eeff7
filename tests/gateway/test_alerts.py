"""Alerts from a gateway process: a hold is told where the team reads, with what it takes to look, and no content."""

import json
import threading
from pathlib import Path

import pytest

from gateway.alerts import letter
from gateway.demo import guarded, story
from tests.fakes.gateway import running_gateway
from tests.fakes.receiver import running_receiver

POLICIES = """
[app.default]
policy = ["agent-baseline", "payments"]
enforce = true

[tool.send_money]
tags = ["money"]

[alert.oncall]
on = ["hold", "redact", "dropped", "audit_failing"]
url_env = "TEST_ALERT_URL"
secret_env = "TEST_ALERT_SECRET"
"""


def test_what_waits_is_told_at_once_and_no_content_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = story.runs()
    poisoned = next(run for run in told if run.name == guarded.POISONED)
    with running_receiver() as receiver, story.provider(told, speed=50.0) as upstream:
        monkeypatch.setenv("TEST_ALERT_URL", receiver.url)
        monkeypatch.setenv("TEST_ALERT_SECRET", "whsec_c2VjcmV0")
        with running_gateway(tmp_path, {"anthropic": upstream.url}, more=POLICIES) as gateway:
            run = guarded.payment(poisoned)
            agent = threading.Thread(target=lambda: list(story.tell(f"{gateway.url}/anthropic", [run])), daemon=True)
            agent.start()
            headers, body = receiver.wait(1)[0]
            said = json.loads(body)
            data = said["data"]
            gateway.command("holds", "approve", data["hold"], "--by", "test")
            agent.join(60)
            assert not agent.is_alive()
            assert said["type"] == "stepwarden.hold"
            signed = letter.signature("whsec_c2VjcmV0", headers["webhook-id"], int(headers["webhook-timestamp"]), body)
            assert headers["webhook-signature"] == signed
            assert data["link"] == f"{gateway.url}/#/holds"
            assert data["clauses"] == ["payments/large-payments-are-confirmed"]
            everything = b"".join(each for _, each in receiver.received).decode()
            for content in ("DE89370400440532013000", guarded.SECRET, "hosting March"):
                assert content not in everything
            assert receiver.url not in gateway.log
            assert "whsec_" not in gateway.log
