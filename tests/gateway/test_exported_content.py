"""What leaves for a collector: texts of apps that say so, and of nothing that a clause took out or stopped."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec

from gateway.demo.guarded import SECRET
from tests.fakes.provider import TEXT, always, say
from tests.fakes.receiver import Receiver, running_receiver
from tests.gateway.house import ANTHROPIC, House, standing, waited

PLAIN = "the plain question of an honest person"
SPAN = b"chat claude-haiku-4-5"
"""What the span of each exchange is called."""


def config(receiver: Receiver, *, content: bool) -> str:
    endpoint = receiver.url.removesuffix("/hook")
    return f"""
[app.default]
policy = ["agent-baseline"]
enforce = true
export_content = {str(content).lower()}

[telemetry]
otlp_endpoint = "{endpoint}"
"""


def asked(house: House, *texts: str) -> None:
    house.provider.script = always(say("anthropic"))
    for text in texts:
        body = ANTHROPIC.request_body(stream=False, messages=[{"role": "user", "content": text}])
        assert house.ask(ANTHROPIC.call(body=body)).status == 200


def exported(folder: Path, *texts: str, content: bool) -> bytes:
    """All that a gateway sent until it ended. It is ended once every exchange is out: what its last flush may take is
    not much on a busy machine.
    """
    with running_receiver() as receiver:
        with standing(folder, more=config(receiver, content=content)) as house:
            asked(house, *texts)
            waited(lambda: sent_to(receiver).count(SPAN) >= len(texts) or None)
        return sent_to(receiver)


def sent_to(receiver: Receiver) -> bytes:
    return b"".join(gzip.decompress(body) for _, body in list(receiver.received))


def test_content_leaves_where_the_app_says_so_without_what_a_clause_redacted(tmp_path: Path) -> None:
    sent = exported(tmp_path, PLAIN, f"my token is {SECRET}", content=True)
    assert PLAIN.encode() in sent
    assert TEXT.encode() in sent
    assert SECRET.encode() not in sent
    assert b"redact" in sent, "that something was taken out is told"


def test_whether_spans_reach_the_collector_is_counted(tmp_path: Path) -> None:
    with running_receiver(503) as receiver, standing(tmp_path, more=config(receiver, content=False)) as house:
        asked(house, PLAIN)
        waited(lambda: house.status()["counters"]["export_failing"] or None)
        assert house.status()["counters"]["spans_exported"] == 0
        receiver.statuses = [200]
        waited(lambda: house.status()["counters"]["spans_exported"] or None, seconds=60)  # each try waits for longer
        found = house.control("/metrics")[1].decode()
    assert "\nstepwarden_export_failing 0\n" in found
    assert "\n# TYPE stepwarden_spans_exported_total counter\n" in found


def test_no_content_leaves_unless_the_app_says_so(tmp_path: Path) -> None:
    sent = exported(tmp_path, PLAIN, content=False)
    assert SPAN in sent
    assert PLAIN.encode() not in sent
    assert TEXT.encode() not in sent


def test_that_content_leaves_is_in_the_audit_log_before_it_does(tmp_path: Path) -> None:
    with running_receiver() as receiver, standing(tmp_path, more=config(receiver, content=True)) as house:
        found = waited(lambda: noted(house))
    assert [(each["actor"], each["tenant"], each["what"]) for each in found] == [("gateway", "default", "export")]


def test_content_of_an_app_that_follows_the_default_is_in_the_log_under_its_own_name(tmp_path: Path) -> None:
    with running_receiver() as receiver, standing(tmp_path, more=config(receiver, content=True)) as house:
        key = (b"stepwarden-key", house.key(app="shop")["secret"].encode())
        house.provider.script = always(say("anthropic"))
        body = ANTHROPIC.request_body(stream=False, messages=[{"role": "user", "content": PLAIN}])
        assert house.ask(ANTHROPIC.call(body=body, headers=[key])).status == 200
        waited(lambda: {each["tenant"] for each in noted(house) or ()} == {"default", "shop"} or None)
        assert waited(lambda: PLAIN.encode() in sent_to(receiver) or None)


def noted(house: House) -> list[dict[str, Any]] | None:
    """The looks at content in the published log; None while there is none."""
    status, body = house.control("/api/audit/entries?kind=content.")
    assert status == 200, body
    return [json.loads(each["entry"]) for each in json.loads(body)["entries"]] or None


def test_a_trace_goes_to_the_provider_and_its_answer_comes_back_as_they_were(house: House) -> None:
    trace = [
        (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        (b"tracestate", b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        (b"baggage", b"tenant=acme;ttl=1"),
    ]
    said, answer = (b"traceresponse", b"00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"), say("anthropic")
    house.provider.script = always(msgspec.structs.replace(answer, headers=(*answer.headers, said)))
    answered = house.ask(ANTHROPIC.call(headers=trace))
    seen = dict(house.forwarded().headers)
    assert [(name, seen[name]) for name, _ in trace] == trace
    assert said in answered.headers
    join = house.facts(dict(answered.headers)[b"stepwarden-exchange"].decode())["join"]
    assert join["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
