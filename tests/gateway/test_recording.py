"""All that was relayed is recorded, and nothing else; no secret is; no trouble of the record reaches a caller."""

import json
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.demo.answers import Answer
from gateway.demo.scenarios import HEADER
from gateway.demo.turns import Turn
from tests.fakes.gateway import GatewayProcess
from tests.fakes.provider import always, say
from tests.gateway.house import (
    ANTHROPIC,
    CANARIES,
    CHAT,
    DIALECTS,
    JSON,
    PATIENT,
    RESPONSES,
    Dialect,
    House,
    standing,
    waited,
)
from tests.gateway.rawhttp import request

SCENARIOS = ["ok", "tool", "thinking", "gzip", "429", "error-event", "unterminated", "html", "drip", "no-answer"]


def test_every_exchange_relayed_is_recorded(house: House) -> None:
    calls = [
        dialect.call(stream=stream, headers=[(HEADER.encode(), scenario.encode())])
        for dialect in DIALECTS
        for stream in (False, True)
        for scenario in SCENARIOS
    ] * 5
    before = house.status()["counters"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(house.ask, calls))
    ids = {got.exchange for got in answers}
    assert len(ids) == len(calls)
    for got, call in zip(answers, calls, strict=True):
        facts = house.facts(got.exchange)
        assert facts["status"] == got.status
        assert house.kept(got.exchange, "request") == call.partition(b"\r\n\r\n")[2]
        if facts["outcome"] == "complete":
            assert house.kept(got.exchange, "response") == got.body
    after = house.status()["counters"]
    assert after["dropped"] == before["dropped"]
    assert after["recorded"] - before["recorded"] >= len(calls)


def test_one_conversation_in_many_calls_is_one_session_and_every_body_comes_back(house: House) -> None:
    messages = [{"role": "user", "content": "A story that only this test tells: the heron and the tin boat."}]
    sessions, sent = set(), []
    for turn in range(12):
        body = ANTHROPIC.request_body(stream=bool(turn % 2), messages=messages)
        got = house.ask(ANTHROPIC.call(body=body))
        sent.append((got.exchange, body, got.body))
        sessions.add(got.one(b"stepwarden-session"))
        text = house.facts(got.exchange)["steps"][-1]["text"]
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": f"And then? ({turn})"}]
    assert len(sessions) == 1
    for exchange, request_body, response_body in sent:
        assert house.kept(exchange, "request") == request_body
        assert house.kept(exchange, "response") == response_body


@pytest.mark.parametrize("dialect", [ANTHROPIC, CHAT], ids=lambda dialect: dialect.name)
def test_a_client_that_keeps_bare_questions_and_sends_more_is_one_session(house: House, dialect: Dialect) -> None:
    kept: list[dict[str, str]] = []
    sessions, new = set(), []
    for turn in range(3):
        reply = f"Heron {turn} on the {dialect.name} wire flew over the tin boat, over the reeds, and was seen no more."
        house.provider.script = always(say(dialect.name, Turn(text=reply, reply_id=f"heron{turn}")))
        asked = {"role": "user", "content": f"What did heron {turn} do?"}
        with_pages = {**asked, "content": f"Page {turn} of what a search found.\n{asked['content']}"}
        got = house.ask(dialect.call(body=dialect.request_body(stream=False, messages=[*kept, with_pages])))
        sessions.add(got.one(b"stepwarden-session"))
        new.append(len(house.facts(got.exchange)["steps"]))
        kept += [asked, {"role": "assistant", "content": reply}]
    assert len(sessions) == 1
    assert new == [2, 3, 3], "the question as it was kept is told once, and no reply twice"


def test_going_on_with_the_second_of_two_choices_goes_on_in_the_session_and_tells_nothing_twice(house: House) -> None:
    first = [{"role": "user", "content": "Two endings, please: does the heron get into the tin boat?"}]
    endings = [{"role": "assistant", "content": text} for text in ("It does.", "It flies away.")]
    choices = [{"index": at, "message": each, "finish_reason": "stop"} for at, each in enumerate(endings)]
    reply = json.dumps({"id": "chatcmpl-two", "model": "demo-model", "choices": choices}).encode()
    house.provider.script = always(Answer(headers=(JSON,), body=(reply,)))
    asked = house.ask(CHAT.call(body=CHAT.request_body(stream=False, messages=first, n=2)))
    more = [*first, endings[1], {"role": "user", "content": "Where to?"}]
    facts = house.facts(house.ask(CHAT.call(body=CHAT.request_body(stream=False, messages=more))).exchange)
    assert facts["join"]["session_id"] == asked.one(b"stepwarden-session").decode()
    assert facts["join"]["relation"] == "continues"
    assert [(step["kind"], step["text"]) for step in facts["steps"] if step["side"] == "request"] == [
        ("user_input", "Where to?")
    ]
    assert [step["text"] for step in house.facts(asked.exchange)["steps"]][1:] == ["It does.", "It flies away."]


SECRETS = {
    b"authorization": b"Bearer sk-canary-authorization-51",
    b"x-api-key": b"sk-canary-x-api-key-52",
    b"cookie": b"session=canary-cookie-53",
    b"x-goog-api-key": b"canary-goog-54",
    b"proxy-authorization": b"Basic canary-proxy-55",
    b"api-key": b"canary-azure-56",
}
WORDS = [b"canary-authorization-51", b"canary-x-api-key-52", b"canary-cookie-53", b"canary-goog-54", b"canary-proxy-55"]
WORDS += [b"canary-azure-56", b"canary-set-cookie-57", *(value.encode() for value in CANARIES.values())]


def everything(gateway: GatewayProcess) -> Iterator[tuple[str, bytes]]:
    """Every file the gateway has written."""
    for folder, _, names in os.walk(gateway.folder):
        for name in names:
            path = Path(folder) / name
            if path.is_file():
                yield str(path), path.read_bytes()


def test_no_secret_turns_up_in_any_file_log_or_answer(tmp_path: Path) -> None:
    answers = []
    with standing(tmp_path) as house:
        headers = list(SECRETS.items())
        kept = say("anthropic")
        cookie = (b"set-cookie", b"sid=canary-set-cookie-57")
        house.provider.script = always(Answer(headers=(*kept.headers, cookie), body=kept.body))
        for dialect in DIALECTS:
            bare = [pair for pair in headers if pair[0] != dialect.key[0]]
            for stream in (False, True):
                house.ask(dialect.call(stream=stream, headers=bare))
        house.ask(request(b"/openai/v1/models", method=b"GET", headers=headers))
        house.ask(request(b"/nobody/v1/models", method=b"GET", headers=headers))
        house.ask(request(b"/openai/v1/responses", method=b"GET", headers=[*headers, (b"upgrade", b"websocket")]))
        house.ask(request(b"/anthropic/v1/messages", b"{", headers=[*headers, (b"host", b"twice")]))
        secret = house.key(name="k")["secret"]
        viewer = house.key(name="v", role="admin", app="*")["secret"]
        for slot in (b"x-api-key", b"stepwarden-key"):
            last = request(CHAT.target, CHAT.request_body(stream=True), headers=[JSON, (slot, secret.encode())])
            house.facts(house.ask(last).exchange)
            house.ask(request(CHAT.target, b"{}", headers=[JSON, (slot, secret.encode()[:-1] + b"!")]))
        asked = request(b"/api/keys", method=b"GET", headers=[(b"authorization", b"Bearer " + viewer.encode())])
        house.ask(asked.replace(b"gateway.test", house.gateway.url.encode()[7:]))
        for listed in json.loads(house.control("/api/exchanges?limit=200")[1])["exchanges"]:
            exchange = listed["exchange_id"]
            answers += [house.control(f"/api/exchanges/{exchange}{part}")[1] for part in ("", "/request", "/response")]
        answers += [
            house.control(path)[1] for path in ("/api/status", "/api/keys", "/api/sessions", "/api/openapi.json")
        ]
        assert len(answers) > 20
        words = [*WORDS, secret.encode(), viewer.encode(), secret.encode()[12:]]
        found = [path for path, content in everything(house.gateway) for word in words if word in content]
        found += ["an answer of the API" for content in answers for word in words if word in content]
    found += [path for path, content in everything(house.gateway) for word in words if word in content]
    assert found == []


def test_content_lies_sealed_on_disk(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        body = ANTHROPIC.request_body(stream=False, messages=[{"role": "user", "content": "canary-content-77"}])
        house.provider.script = always(say("anthropic"))
        got = house.ask(ANTHROPIC.call(body=body))
        house.facts(got.exchange)
        assert house.kept(got.exchange, "request") == body
        assert not [path for path, content in everything(house.gateway) if b"canary-content-77" in content]
    assert not [path for path, content in everything(house.gateway) if b"canary-content-77" in content]


def test_with_digests_only_no_content_is_kept(tmp_path: Path) -> None:
    more = PATIENT + '[capture]\ncontent = "digest"\n'
    with standing(tmp_path, more=more) as house:
        got = house.ask(CHAT.call())
        facts = house.facts(got.exchange)
        assert facts["outcome"] == "complete"
        assert house.control(f"/api/exchanges/{got.exchange}/request")[0] == 404


TINY = PATIENT + "queue_exchanges = 16\nqueue_bytes = 65536\n"


def choke(gateway: GatewayProcess, size: int) -> None:
    """Let no file of the gateway grow beyond `size` bytes (RLIM_INFINITY lifts it): a full disk, as SQLite sees it."""
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_store_that_fails_breaks_no_request_and_a_full_queue_is_counted_and_logged(tmp_path: Path) -> None:
    with standing(tmp_path, more=TINY) as house:
        first = house.ask(CHAT.call())
        house.facts(first.exchange)
        log_size = (house.gateway.folder / "gateway.log").stat().st_size
        choke(house.gateway, max(4096, log_size + 20_000))
        body = CHAT.request_body(stream=True, messages=[{"role": "user", "content": os.urandom(9000).hex()}])
        for _ in range(60):
            assert house.ask(CHAT.call(stream=True, body=body)).status == 200
        counters = waited(lambda: found if (found := house.status()["counters"])["dropped"] else None)
        assert counters["dropped"] > 0
        assert house.ask(CHAT.call()).status == 200
        choke(house.gateway, resource.RLIM_INFINITY)
        waited(lambda: house.status()["counters"]["waiting"] == 0 or None, seconds=20)
        after = house.ask(CHAT.call())
        assert house.facts(after.exchange)["outcome"] == "complete"
        assert house.kept(first.exchange, "request") == CHAT.request_body(stream=False)
        assert "exchange not recorded" in house.gateway.log
    assert house.gateway.process.returncode == 1, "something was lost, and the exit code says so"


def reply_of(model: str) -> Answer:
    """A whole answer of a model: 1,000 tokens in, 1,000 out."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    return Answer(headers=(JSON,), body=(json.dumps(body).encode(),))


def test_costs_and_tokens_are_recorded_and_unknown_ones_stay_unknown(house: House) -> None:
    got = house.ask(RESPONSES.call())
    facts = house.facts(got.exchange)
    assert facts["usage"]["input_tokens"] > 0
    house.provider.script = always(reply_of("gpt-4.1-mini"))
    priced = house.ask(CHAT.call())
    assert house.facts(priced.exchange)["cost_micro_usd"] == 400 + 1600
    house.provider.script = always(reply_of("somebody-elses-model"))
    unpriced = house.facts(house.ask(CHAT.call()).exchange)
    assert (unpriced["usage"]["input_tokens"], unpriced["cost_micro_usd"]) == (1000, None)
    batch = house.ask(request(b"/openai/v1/batches", b'{"input_file_id": "f"}', headers=[JSON]))
    assert house.facts(batch.exchange)["cost_micro_usd"] is None
    models = house.ask(request(b"/openai/v1/models", method=b"GET"))
    assert house.facts(models.exchange)["cost_micro_usd"] == 0
