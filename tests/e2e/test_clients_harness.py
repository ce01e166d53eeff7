"""The client tests can fail: a house without a gateway passes every check, and one altered byte does not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from gateway.demo.background import BackgroundProvider
from tests.e2e import promises
from tests.e2e.house import open_house
from tests.e2e.programs import PYTHON_SDKS
from tests.e2e.stage import Stage
from tests.e2e.talk import differences, exchanges, pairs
from tests.e2e.tap import Tap, as_it_is

BODY = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}'
Alter = Callable[[bytes], bytes]


@contextmanager
def bad_gateway(*, sent: Alter = as_it_is, received: Alter = as_it_is) -> Iterator[tuple[Tap, Tap]]:
    """Front tap, a relay that alters, back tap, provider; yields the two taps."""
    with (
        BackgroundProvider(Stage()) as provider,
        Tap(("127.0.0.1", int(provider.url.rpartition(":")[2]))) as back,
        Tap(("127.0.0.1", back.port), alter_sent=sent, alter_received=received) as middle,
        Tap(("127.0.0.1", middle.port)) as front,
    ):
        yield front, back


def speak(tap: Tap, *bodies: bytes) -> None:
    """Requests one after the other on one connection."""
    connection = HTTPConnection("127.0.0.1", tap.port, timeout=10)
    for body in bodies:
        headers = {"content-type": "application/json", "x-api-key": "k", "accept-encoding": "identity"}
        connection.request("POST", "/v1/messages?beta=true", body, headers)
        connection.getresponse().read()
    connection.close()


def found(front: Tap, back: Tap) -> list[str]:
    return differences(pairs(exchanges(front.lines), exchanges(back.lines)))


def test_a_plain_relay_differs_in_nothing() -> None:
    with bad_gateway() as (front, back):
        speak(front, BODY, BODY.replace(b"hello", b"again"))
        assert [each.request.body for each in exchanges(back.lines)] == [BODY, BODY.replace(b"hello", b"again")]
        assert found(front, back) == []


@pytest.mark.parametrize(
    ("altered", "alter"),
    [
        ("request body", lambda data: data.replace(b'"hello"', b'"hellO"')),
        ("request headers", lambda data: data.replace(b"x-api-key: k", b"x-api-key: K")),
        (
            "request headers in another order",
            lambda data: _swapped(data, b"x-api-key: k", b"accept-encoding: identity"),
        ),
        ("request line", lambda data: data.replace(b"beta=true", b"beta=fals")),
    ],
)
def test_one_altered_byte_of_a_request_is_found(altered: str, alter: Alter) -> None:
    with bad_gateway(sent=alter) as (front, back):
        speak(front, BODY)
        told = found(front, back)
    assert told
    assert altered in "; ".join(told) or "never" in told[0]


@pytest.mark.parametrize(
    ("altered", "alter"),
    [
        ("response body", lambda data: data.replace(b"demonstration", b"demonstratioN")),
        ("response headers", lambda data: data.replace(b"request-id: req_demo", b"request-id: req_demO")),
        ("status 200 became 201", lambda data: data.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 201 OK")),
    ],
)
def test_one_altered_byte_of_a_reply_is_found(altered: str, alter: Alter) -> None:
    with bad_gateway(received=alter) as (front, back):
        speak(front, BODY)
        assert altered in "; ".join(found(front, back))


def test_a_request_of_the_gateways_own_is_found() -> None:
    with bad_gateway() as (front, back):
        speak(front, BODY)
        speak(back, BODY)
        assert ["never sent this" in text for text in found(front, back)] == [True]


def test_a_request_that_never_arrived_is_found() -> None:
    with bad_gateway() as (front, back):
        speak(front, BODY)
        assert "never reached the provider" in differences(pairs(exchanges(front.lines), []))[0]
        assert exchanges(back.lines)


def test_own_headers_host_and_hop_by_hop_headers_are_no_difference() -> None:
    def alter(data: bytes) -> bytes:
        more = b"\r\nHost: elsewhere\r\nstepwarden-session: s\r\nConnection: x-hop\r\nx-hop: 1\r\nx-api-key: k\r\n"
        return _without_host(data).replace(b"\r\nx-api-key: k\r\n", more)

    with bad_gateway(sent=alter) as (front, back):
        speak(front, BODY)
        assert found(front, back) == []


def test_a_client_run_through_a_relay_keeps_every_promise_but_that_of_the_endings(tmp_path: Path) -> None:
    with open_house(tmp_path, gateway=False) as house:
        run = promises.run(house, PYTHON_SDKS["anthropic-python"], "tools_streamed", "files", "truncated")
    promises.check_results(run)
    promises.check_bytes(run)
    with pytest.raises(AssertionError):
        promises.check_endings(run)


def test_a_result_that_differs_is_found() -> None:
    outcome = {"returned": {"port": "http://127.0.0.1:1/v1"}}
    same = promises.Run(
        {"plain": outcome}, {"plain": {"returned": {"port": "http://127.0.0.1:2/openai/v1"}}}, promises.Counter(), ()
    )
    promises.check_results(same)
    other = promises.Run(
        {"plain": outcome}, {"plain": {"returned": {"port": "http://127.0.0.1:2/v2"}}}, promises.Counter(), ()
    )
    with pytest.raises(AssertionError):
        promises.check_results(other)


def _swapped(data: bytes, one: bytes, other: bytes) -> bytes:
    return data.replace(one, b"\0").replace(other, one).replace(b"\0", other)


def _without_host(data: bytes) -> bytes:
    return b"\r\n".join(line for line in data.split(b"\r\n") if not line.lower().startswith(b"host:"))
