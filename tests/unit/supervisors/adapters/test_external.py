"""`external` over real sockets: what a service does, and what the clause gets of it."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import pytest

from gateway.endpoint import Endpoint
from policies.asking import Answer
from policies.guards.external import ExternalSpec
from policies.trail import Scene
from policies.vocabulary.steps import Part
from supervisors.adapters import external
from supervisors.adapters.external import External
from tests.fakes.judge import (
    Behaviour,
    Service,
    dripping,
    flooding,
    half,
    raw,
    resetting,
    running_judge,
    saying,
    sending,
    stalling,
)

SCENE: Final = Scene(step=Part(kind="model_text", text="hello there"))
FINDING: Final = {"findings": [{"state": "violation", "score": 80, "spans": [{"start": 0, "end": 5}]}]}
KEY: Final = "sk-judge-canary-4c1d"


class Clock:
    """Stands still until it is set."""

    now = 0

    def __call__(self) -> int:
        return self.now


def adapter(
    url: str, *, clock: Clock | None = None, environ: Mapping[str, str] | None = None, **fields: Any
) -> External:
    spec = msgspec.convert({"kind": "external", "url": url, "deadline_ms": 5000, **fields}, ExternalSpec)
    return External(spec, post=Endpoint(url), environ=environ or {}, clock=clock or Clock())


def asked(service: Service, times: int = 1, **fields: Any) -> list[Answer]:
    """So many answers, one after the other."""

    async def ask() -> list[Answer]:
        one = adapter(service.url, **fields)
        try:
            return [await one.ask(SCENE) for _ in range(times)]
        finally:
            await one.close()

    return asyncio.run(ask())


def test_a_service_that_answers_is_taken_at_its_word() -> None:
    with running_judge(saying(lambda _: FINDING)) as service:
        (answer,) = asked(service)
    (hit,) = answer.hits
    assert (answer.failure, hit.score, hit.evidence[0].end) == (None, 80, 5)
    (seen,) = service.seen
    assert seen.line == "POST /judge HTTP/1.1"
    assert seen.document["step"]["text"] == "hello there"
    assert "authorization" not in seen.headers


EMPTY: Final = b'{"findings": []}'
WAYS: Final[Mapping[str, tuple[Behaviour, str]]] = {
    "stalls": (stalling, "timed_out"),
    "drips": (dripping, "timed_out"),
    "resets": (resetting, "broke_off"),
    "ends in the middle": (half, "broke_off"),
    "sends 100 MB": (flooding, "answer_too_large"),
    "is no HTTP": (sending(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "not_http"),
    "is no JSON": (sending(raw("200 OK", b"<html>")), "answer_invalid"),
    "says nothing": (sending(raw("200 OK", b"")), "answer_invalid"),
    "redirects": (sending(raw("307 Temporary Redirect", b"", "location: http://127.0.0.1:1/elsewhere")), "redirected"),
    "fails": (sending(raw("503 Service Unavailable", EMPTY)), "status:503"),
    "answers another success": (sending(raw("204 No Content", b"")), "status:204"),
    "compresses": (sending(raw("200 OK", EMPTY, "content-encoding: gzip")), "answer_encoded"),
    "reports an error": (sending(raw("200 OK", b'{"error": "no memory"}')), "answer_error"),
    "has a huge head": (sending(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n"), "not_http"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_service_that_misbehaves_is_no_answer_with_its_reason(way: str) -> None:
    behaviour, why = WAYS[way]
    deadline_ms = 150 if why == "timed_out" else 5000
    with running_judge(behaviour) as service:
        (answer,) = asked(service, deadline_ms=deadline_ms)
    assert (answer.hits, answer.failure) == ((), why)
    assert len(service.seen) == 1  # nothing is sent twice, and no redirect is followed


def test_nobody_there_is_no_answer() -> None:
    with running_judge(stalling) as service:
        pass
    (answer,) = asked(service)
    assert answer.failure == "unreachable"


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_judge(saying(lambda _: FINDING)) as service, running_judge(saying(lambda _: {})) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        (answer,) = asked(service)
    assert answer.failure is None
    assert proxy.seen == []


# ------------------------------------------------------------------------------------------------------------- the key


def test_a_key_goes_along_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    with running_judge(sending(raw("401 Unauthorized", b"bad " + KEY.encode()))) as service:
        (answer,) = asked(service, key_env="JUDGE_KEY", environ={"JUDGE_KEY": KEY})
    assert service.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in service.seen[0].body.decode()
    assert KEY not in repr(answer) + caplog.text


@pytest.mark.parametrize(
    ("environ", "why"),
    [({}, "key_missing"), ({"JUDGE_KEY": ""}, "key_missing"), ({"JUDGE_KEY": f"{KEY}\r\nx: y"}, "key_unusable")],
)
def test_a_service_that_wants_a_key_is_not_asked_without(environ: Mapping[str, str], why: str) -> None:
    with running_judge(saying(lambda _: FINDING)) as service:
        (answer,) = asked(service, key_env="JUDGE_KEY", environ=environ)
    assert (answer.failure, service.seen) == (why, [])


# --------------------------------------------------------------------------------------------------------- the breaker


def test_a_service_that_fails_is_left_alone_then_tried_once_then_trusted_again() -> None:
    clock, pause = Clock(), 30.0

    async def ask(service: Service) -> list[str | None]:
        one = adapter(service.url, clock=clock, failures=2, pause_seconds=pause)
        said = [(await one.ask(SCENE)).failure for _ in range(3)]
        clock.now = int(pause * 1e9)
        said.append((await one.ask(SCENE)).failure)
        said.append((await one.ask(SCENE)).failure)
        clock.now *= 2
        service.behaviour = saying(lambda _: FINDING)
        said += [(await one.ask(SCENE)).failure for _ in range(2)]
        await one.close()
        return said

    with running_judge(sending(raw("500 Oops", b""))) as service:
        said = asyncio.run(ask(service))
    assert said == ["status:500", "status:500", "breaker_open", "status:500", "breaker_open", None, None]
    assert len(service.seen) == 5


def test_a_question_nobody_waits_for_any_more_is_no_failure() -> None:
    async def ask(service: Service) -> str | None:
        one = adapter(service.url, failures=1)
        gone = asyncio.ensure_future(one.ask(SCENE))
        await asyncio.to_thread(service.asked.wait, 10)
        gone.cancel()
        await asyncio.wait({gone})
        service.behaviour = saying(lambda _: FINDING)
        answer = await one.ask(SCENE)
        await one.close()
        return answer.failure

    with running_judge(stalling) as service:
        assert asyncio.run(ask(service)) is None


# ------------------------------------------------------------------------------------------------------------- in turn


def in_flight(service: Service, number: int, **fields: Any) -> Callable[[], Any]:
    async def ask() -> list[str | None]:
        one = adapter(service.url, **fields)
        answers = await asyncio.gather(*[one.ask(SCENE) for _ in range(number)])
        await one.close()
        return [answer.failure for answer in answers]

    return lambda: asyncio.run(ask())


def test_no_more_questions_are_open_at_a_time_than_the_clause_allows() -> None:
    most = 0

    def counting(service: Service, connection: Any, document: Any) -> None:
        nonlocal most
        most = max(most, len(service.seen) - answered[0])
        service.over.wait(0.02)
        answered[0] += 1
        connection.sendall(raw("200 OK", EMPTY))

    answered = [0]
    with running_judge(counting) as service:
        assert in_flight(service, 8, in_flight=2)() == [None] * 8
    assert most == 2


def test_who_waits_too_long_for_a_turn_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "PATIENCE_SECONDS", 0.05)
    with running_judge(stalling) as service:
        said = in_flight(service, 2, in_flight=1, deadline_ms=300)()
    assert said == ["timed_out", "overloaded"]
    assert len(service.seen) == 1


def test_the_spec_says_what_is_sent_of_a_long_text() -> None:
    async def ask(service: Service) -> Answer:
        one = adapter(service.url, max_bytes=10)
        answer = await one.ask(Scene(step=Part(kind="model_text", text="x" * 100)))
        await one.close()
        return answer

    with running_judge(saying(lambda _: {"findings": []})) as service:
        answer = asyncio.run(ask(service))
    assert json.loads(service.seen[0].body)["step"] == {"kind": "model_text", "text": "x" * 10, "size": 100}
    assert [hit.evidence[0].label for hit in answer.hits] == ["unscanned_tail"]
