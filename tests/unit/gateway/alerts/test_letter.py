"""Letters hold ids, names and codes; nothing in them ends a header, starts markup or escapes a link."""

import base64
import hmac
import json

import msgspec

from gateway.alerts import letter
from gateway.alerts.occurrences import Occurrence, of_recordings
from gateway.alerts.watch import Notice
from gateway.config import Alert
from policies.vocabulary.coverage import Examined
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.verdicts import Verdict
from tests.unit.storage.stored import recording

HOME = "https://gateway.example"
NOTICE = Notice(
    alert="oncall",
    newest=Occurrence(
        occasion="reject", app="shop", exchange="01J<X", session="a/b?c#d", clauses=("p/<b>&",), reason="sensitive_data"
    ),
    count=3,
)
MAILED = Alert(name="oncall", on=("reject",), to="email", mail_from="a@example.com", mail_to=("b@example.com",))


def test_a_webhook_says_what_where_and_how_often() -> None:
    said = json.loads(letter.webhook(NOTICE, HOME, "2026-01-01T00:00:00Z"))
    assert said["type"] == "stepwarden.reject"
    assert said["data"]["summary"] == "rejected in shop (3 times): p/<b>&"
    assert said["data"]["link"] == f"{HOME}/#/sessions/a%2Fb%3Fc%23d?turn=01J%3CX"
    assert said["data"]["count"] == 3


def test_slack_gets_no_markup_of_others() -> None:
    assert "p/&lt;b&gt;&amp;" in json.loads(letter.slack(NOTICE, HOME))["text"]


def test_a_mail_has_one_subject_line() -> None:
    message = letter.mail(NOTICE, HOME, MAILED)
    assert message["Subject"] == "[Stepwarden] rejected in shop (3 times): p/<b>&"
    assert HOME in message.get_content()


def test_what_a_provider_calls_its_error_is_one_line_in_every_letter() -> None:
    hostile = msgspec.structs.replace(NOTICE.newest, clauses=(), reason="over\r\nBcc: all@example.com\r\n\x1b[2J\u202e")
    notice = msgspec.structs.replace(NOTICE, newest=hostile)
    for said in (letter.summary(notice), letter.mail(notice, HOME, MAILED)["Subject"]):
        assert not {"\r", "\n", "\x1b", "\u202e"} & set(said)


def test_a_signature_is_what_standard_webhooks_says() -> None:
    key = b"0123456789abcdef01234567"
    expected = base64.b64encode(hmac.digest(key, b"msg_1.1700000000.{}", "sha256")).decode()
    for secret in (key.decode(), f"whsec_{base64.b64encode(key).decode()}"):
        assert letter.signature(secret, "msg_1", 1_700_000_000, b"{}") == f"v1,{expected}"
    assert letter.signature("whsec_%%", "m", 1, b"").startswith("v1,")


def test_recordings_tell_of_verdicts_failures_spending_and_silent_guards() -> None:
    broken = Examined(clause="p/a", guard="pii.0", seq=0, state="error", skipped="deadline")
    unread = Examined(clause="p/b", guard="pii.0", seq=0, skipped="unread:image")
    verdict = Verdict(name="reject", reason="sensitive_data", clauses=("p/c",))
    judged = Judged(ruleset="r", verdict=verdict, steps=(StepJudgement(seq=0, coverage=(broken, unread)),))
    bad = msgspec.structs.replace(recording(1, verdict="reject", status=529, error_type="overloaded"), judged=judged)
    aborted = recording(2, outcome="client_aborted", status=None, cost_micro_usd=None)
    found = [(each.occasion, each.clauses, each.reason, each.micro_usd) for each in of_recordings([bad, aborted])]
    assert found == [
        ("reject", ("p/c",), "sensitive_data", 0),
        ("failed", (), "overloaded", 0),
        ("spent", (), None, 1200),
        ("guard_not_run", ("p/a",), None, 0),
    ]
