"""Every rule of an alert, at a running gateway: it fires once for what happens again and again, with no content."""

import json
import runpy
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from gateway.demo.answers import Answer
from gateway.demo.guarded import SECRET
from gateway.demo.turns import Call, Turn
from tests.fakes.provider import always, say
from tests.fakes.receiver import Receiver, running_receiver
from tests.gateway.house import ANTHROPIC, CHAT, House, standing, waited
from tests.gateway.rawhttp import Response
from tests.gateway.test_external import clause
from tests.gateway.test_policies import tools_of

NOBODY = "http://127.0.0.1:9/judge"
"""A service that is not there."""

HOOK_SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


def alert(*on: str, **more: Any) -> str:
    """An alert that is quiet for an hour after each message."""
    fields = {"on": list(on), "url_env": "TEST_ALERT_URL", "quiet_seconds": 3600, **more}
    return "".join(["\n[alert.oncall]\n", *(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())])


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with running_receiver() as receiving:
        monkeypatch.setenv("TEST_ALERT_URL", receiving.url)
        monkeypatch.setenv("TEST_ALERT_SECRET", HOOK_SECRET)
        yield receiving


def told(receiver: Receiver) -> Counter[str]:
    return Counter(json.loads(body)["type"].removeprefix("stepwarden.") for _, body in list(receiver.received))


def one(receiver: Receiver, occasion: str) -> dict[str, Any]:
    """The message about an occasion, once it came."""

    def found() -> dict[str, Any] | None:
        bodies = [json.loads(body) for _, body in list(receiver.received)]
        return next((each["data"] for each in bodies if each["type"] == f"stepwarden.{occasion}"), None)

    return waited(found, seconds=30)


def ask(house: House, text: str = "", *, key: str | None = None, **more: Any) -> Response:
    messages = [{"role": "user", "content": f"{text} {secrets.token_hex(4)}"}]
    headers = [] if key is None else [(b"stepwarden-key", key.encode())]
    return house.ask(
        ANTHROPIC.call(headers=headers, body=ANTHROPIC.request_body(stream=False, messages=messages, **more))
    )


def test_verdicts_failures_and_spending_are_told_once_however_often_they_happen(
    tmp_path: Path, receiver: Receiver
) -> None:
    occasions = ("redact", "reject", "flag", "failed", "spent", "terminate")
    more = '[app.default]\npolicy = ["agent-baseline"]\nenforce = true\n' + alert(*occasions, over_usd=0.000001)
    with standing(tmp_path, more=more) as house:
        for _ in range(3):
            house.provider.script = always(say("anthropic", model="claude-haiku-4-5"))
            assert ask(house, f"my token is {SECRET}").status == 200
            house.provider.script = always(Answer(status=500, body=(b"{}",)))
            assert ask(house, "hello").status == 500
            undeclared = Turn(text="Now.", calls=(Call("call_1", "launch_rocket", "{}"),), reply_id="launch01")
            house.provider.script = always(say("anthropic", undeclared))
            ask(house, "go", tools=tools_of(ANTHROPIC, "look"))
        assert one(receiver, "redact")["reason"] == "sensitive_data"
        assert one(receiver, "failed")["reason"]
        assert one(receiver, "spent")["usd"] > 0
        assert one(receiver, "reject")["clauses"] == ["agent-baseline/declared-tools-only"]
    assert set(told(receiver).values()) == {1}
    everything = b"".join(body for _, body in receiver.received)
    assert SECRET.encode() not in everything
    assert b"launch_rocket" not in everything


def test_a_rate_is_told_once_it_is_reached_and_not_before(tmp_path: Path, receiver: Receiver) -> None:
    with standing(tmp_path, more=alert("failed", at=5, within_seconds=600)) as house:
        house.provider.script = always(Answer(status=500, body=(b"{}",)))
        for _ in range(4):
            ask(house)
        counted = waited(lambda: recorded(house) if recorded(house) == 4 else None)
        assert (counted, receiver.received) == (4, [])
        for _ in range(5):
            ask(house)
        assert one(receiver, "failed")["count"] == 5
        waited(lambda: recorded(house) == 9 or None)
    assert told(receiver) == {"failed": 1}


def recorded(house: House) -> int:
    return house.status()["counters"]["recorded"]


def test_a_guard_that_stopped_running_is_told_with_its_clause(tmp_path: Path, receiver: Receiver) -> None:
    policy = tmp_path / "house.toml"
    head = '[policy]\nid = "house"\ndescription = "What the judge says."\n'
    policy.write_text(
        head + clause("words", NOBODY, ["user_input"], "flag").replace('on_error = "reject"', 'on_error = "flag"')
    )
    more = f'[app.default]\npolicy = ["{policy}"]\nenforce = true\n' + alert("guard_not_run")
    with standing(tmp_path, more=more) as house:
        house.provider.script = always(say("anthropic"))
        for _ in range(3):
            ask(house)
        assert one(receiver, "guard_not_run")["clauses"] == ["house/words"]
        waited(lambda: recorded(house) == 3 or None)
    assert told(receiver) == {"guard_not_run": 1}


def test_a_used_up_budget_is_told_with_the_app_it_stops(tmp_path: Path, receiver: Receiver) -> None:
    with standing(tmp_path, more=alert("budget")) as house:
        house.provider.script = always(say("anthropic"))
        key = house.key(app="shop", budget_usd=0.000001)["secret"]
        assert [ask(house, key=key).status for _ in range(3)] == [429] * 3
        said = one(receiver, "budget")
        assert (said["app"], said["link"]) == ("shop", f"{house.gateway.url}/#/costs")
    assert told(receiver) == {"budget": 1}


def test_what_could_not_be_recorded_is_told(tmp_path: Path, receiver: Receiver) -> None:
    more = "[limits]\nqueue_bytes = 4096\n" + alert("dropped")
    with standing(tmp_path, more=more) as house:
        house.provider.script = always(say("anthropic"))
        for _ in range(3):
            assert ask(house, "x" * 20_000).status == 200
        assert one(receiver, "dropped")["summary"] == "an exchange could not be recorded"
    assert told(receiver) == {"dropped": 1}


def test_an_audit_log_that_does_not_verify_is_told(tmp_path: Path, receiver: Receiver) -> None:
    with standing(tmp_path, more=alert("not_verified")) as house:
        house.provider.script = always(say("anthropic"))
        house.facts(ask(house).exchange)
        waited(lambda: house.status()["counters"]["audit_unpublished"] == 0 or None)
        assert verified(house)
        for day in (tmp_path / "data").glob("spans-*.db"):  # two of them around midnight
            with closing(sqlite3.connect(day)) as connection, connection:
                connection.execute("UPDATE exchange SET input_tokens = input_tokens + 1")
        assert [verified(house), verified(house)] == [False, False]
        said = one(receiver, "not_verified")
        assert (said["summary"], said["link"]) == ("the audit log does not verify", f"{house.gateway.url}/#/audit")
    assert told(receiver) == {"not_verified": 1}


def verified(house: House) -> bool:
    status, body = house.control("/api/audit/verify", method="POST")
    assert status == 200, body
    return json.loads(body)["ok"]


def test_a_disk_that_takes_no_log_is_told_while_it_is_full(small: Path, receiver: Receiver) -> None:
    with standing(small, more=alert("audit_failing")) as house:
        house.provider.script = always(say("anthropic"))
        filling = small / "data" / "filler"
        with filling.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
                    file.flush()
            except OSError:
                pass
        for _ in range(400):
            ask(house, "x" * 20_000)
            if receiver.received:
                break
        said = one(receiver, "audit_failing")
        assert said["summary"] == "the audit log cannot be written or published"
        filling.unlink()
    assert told(receiver)["audit_failing"] == 1


def test_the_signature_is_taken_by_others_and_refused_for_other_bytes(tmp_path: Path, receiver: Receiver) -> None:
    """OpenAI's SDK has a verifier of Standard Webhooks that is none of ours."""
    receiver.statuses[:] = [503, 200]
    with standing(tmp_path, more=alert("failed", secret_env="TEST_ALERT_SECRET")) as house:
        house.provider.script = always(Answer(status=500, body=(b"{}",)))
        ask(house)
        receiver.wait(2)
    verifier = openai.OpenAI(api_key="sk-none").webhooks
    documented = runpy.run_path(str(snippet(tmp_path)))["is_ours"]
    for headers, body in receiver.received:
        verifier.verify_signature(body, headers, secret=HOOK_SECRET)
        assert documented(HOOK_SECRET, headers, body)
        assert not documented(HOOK_SECRET, headers, body + b" ")
        for changed in (body.replace(b'"count":1', b'"count":9'), body + b" "):
            with pytest.raises(openai.InvalidWebhookSignatureError):
                verifier.verify_signature(changed, headers, secret=HOOK_SECRET)
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1, "it was tried again under its own id"


def snippet(folder: Path) -> Path:
    """What docs/DEPLOYMENT.md shows receivers, as a file."""
    document = (Path(__file__).parents[2] / "docs" / "DEPLOYMENT.md").read_text()
    file = folder / "snippet.py"
    file.write_text(document.partition("```python\n")[2].partition("```")[0])
    return file


def test_slack_gets_what_its_incoming_webhooks_take(tmp_path: Path, receiver: Receiver) -> None:
    with standing(tmp_path, more=alert("failed", to="slack")) as house:
        house.provider.script = always(Answer(status=500, body=(b"{}",)))
        house.ask(CHAT.call())
        ((headers, body),) = receiver.wait(1)
    assert headers["content-type"].startswith("application/json")
    said = msgspec.json.decode(body, type=dict[str, str])
    assert said.keys() == {"text"}
    assert f"<{house.gateway.url}/#/" in said["text"]
