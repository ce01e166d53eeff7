"""An answer the provider did not finish never looks whole: the caller's own SDK raises."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Literal

import anthropic
import msgspec
import openai
import pytest

from gateway.demo import render
from gateway.demo.answers import Answer, Coding, Cut, Garble, Headers, Reset, Stall, compressed
from gateway.demo.scenarios import HEADER
from tests.fakes.provider import TEXT, always, events, say
from tests.gateway.house import ANTHROPIC, CHAT, DIALECTS, PATIENT, RESPONSES, Dialect, House, standing
from tests.gateway.rawhttp import BrokenOff, Response

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])

CODINGS: tuple[Coding, ...] = ("gzip", "deflate", "br", "zstd")

OUTCOMES = {"cut": "upstream_reset", "reset": "upstream_reset"}


def asked(house: House, dialect: Dialect, scenario: str, *, stream: bool) -> Response:
    return house.ask(dialect.call(stream=stream, headers=[(HEADER.encode(), scenario.encode())]))


def last_event(body: bytes) -> dict[str, object]:
    """The data of the last server-sent event that is no end mark."""
    lines = [line for line in body.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return json.loads(lines[-1][6:])


BROKEN_STREAMS = [
    pytest.param(dialect, scenario, id=f"{dialect.name}-{scenario}")
    for dialect in DIALECTS
    for scenario in ("unterminated", "truncated", "cut", "reset")
    if (dialect, scenario) != (CHAT, "unterminated")  # see the test below: `[DONE]` alone is no proof
]


def test_a_chat_stream_whose_choices_all_finished_is_whole_without_its_done(house: House) -> None:
    got = asked(house, CHAT, "unterminated", stream=True)
    assert got.exchange.encode() not in got.body
    assert house.facts(got.exchange)["outcome"] == "complete"


@pytest.mark.parametrize(("dialect", "scenario"), BROKEN_STREAMS)
def test_a_stream_without_its_terminal_event_ends_in_an_error_of_its_dialect(
    house: House, dialect: Dialect, scenario: str
) -> None:
    got = asked(house, dialect, scenario, stream=True)
    assert got.status == 200
    end = last_event(got.body)
    if dialect is RESPONSES:
        assert end["type"] == "response.failed"
    else:
        assert end["error"]
    assert got.exchange.encode() in got.body
    facts = house.facts(got.exchange)
    assert facts["outcome"] == OUTCOMES.get(scenario, "truncated")
    kept = house.kept(got.exchange, "response")
    assert got.body.startswith(kept), "the record holds what the provider sent, not what we added"
    assert len(got.body) > len(kept)


class Sdk:
    """The vendors' own clients, pointed at a house, without their own retries."""

    def __init__(self, house: House) -> None:
        url = house.gateway.url
        self.anthropic = anthropic.Anthropic(base_url=f"{url}/anthropic", api_key="sk-ant-x", max_retries=0)
        self.openai = openai.OpenAI(base_url=f"{url}/openai/v1", api_key="sk-x", max_retries=0)

    def stream(self, dialect: Dialect, scenario: str) -> list[object]:
        """Everything a streamed call yields, read to its end."""
        extra = {HEADER: scenario}
        if dialect is ANTHROPIC:
            body = ANTHROPIC.body
            answer = self.anthropic.messages.create(**body, stream=True, extra_headers=extra)
        elif dialect is RESPONSES:
            with self.openai.responses.stream(model="m", input="hi", extra_headers=extra) as events_:
                found = list(events_)
                events_.get_final_response()
                return list(found)
        else:
            answer = self.openai.chat.completions.create(**dialect.body, stream=True, extra_headers=extra)
        return list(answer)

    def whole(self, dialect: Dialect, scenario: str) -> object:
        """A call that is not streamed."""
        extra = {HEADER: scenario}
        if dialect is ANTHROPIC:
            return self.anthropic.messages.create(**ANTHROPIC.body, extra_headers=extra)
        if dialect is RESPONSES:
            return self.openai.responses.create(**RESPONSES.body, extra_headers=extra)
        plain = {key: value for key, value in dialect.body.items() if key != "stream_options"}
        return self.openai.chat.completions.create(**plain, extra_headers=extra)

    def close(self) -> None:
        self.anthropic.close()
        self.openai.close()


@pytest.fixture(scope="module")
def sdk(one_house: House) -> Iterator[Sdk]:
    clients = Sdk(one_house)
    yield clients
    clients.close()


@pytest.mark.parametrize(("dialect", "scenario"), BROKEN_STREAMS)
def test_the_vendors_sdks_raise_on_a_stream_that_was_not_finished(
    house: House, sdk: Sdk, dialect: Dialect, scenario: str
) -> None:
    with pytest.raises((anthropic.APIError, openai.APIError)):
        sdk.stream(dialect, scenario)


@every_dialect
@pytest.mark.parametrize("scenario", ["html", "empty", "empty-json", "no-answer", "reset"])
def test_the_vendors_sdks_raise_on_an_answer_that_is_none(
    house: House, sdk: Sdk, dialect: Dialect, scenario: str
) -> None:
    with pytest.raises((anthropic.APIError, openai.APIError)):
        sdk.whole(dialect, scenario)


@every_dialect
def test_the_vendors_sdks_raise_where_no_answer_comes(hasty: House, dialect: Dialect) -> None:
    with closing(Sdk(hasty)) as sdk, pytest.raises((anthropic.APIStatusError, openai.APIStatusError)) as raised:
        sdk.whole(dialect, "stall-before-headers")
    assert raised.value.status_code == 504


@every_dialect
@pytest.mark.parametrize("scenario", ["cut", "reset", "stall"])
def test_half_a_json_answer_ends_in_a_broken_connection(
    house: House, hasty: House, dialect: Dialect, scenario: str
) -> None:
    house = hasty if scenario == "stall" else house
    with house.wire() as wire:
        head = wire.send(dialect.call(headers=[(HEADER.encode(), scenario.encode())])).head()
        with pytest.raises(BrokenOff):
            list(wire.pieces(head))
    facts = house.facts(head.exchange)
    assert facts["outcome"] == ("timed_out" if scenario == "stall" else "upstream_reset")


@every_dialect
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("ending", ["cut", "reset", "silent"])
def test_a_compressed_stream_cut_short_ends_in_a_broken_connection(
    house: House, dialect: Dialect, coding: str, ending: str
) -> None:
    answer = compressed(say(dialect.name, streamed=True), coding)
    parts = [part.data for part in answer.body]
    half = sum(map(len, parts[: len(parts) // 2]))
    if ending == "silent":
        cut = Answer(headers=answer.headers, body=tuple(parts[: len(parts) // 2]), transfer="chunked")
    else:
        fault = Cut(after=half) if ending == "cut" else Reset(after=half)
        cut = Answer(headers=answer.headers, body=answer.body, transfer="chunked", fault=fault)
    house.provider.script = always(cut)
    with house.wire() as wire:
        head = wire.send(dialect.call(stream=True)).head()
        with pytest.raises(BrokenOff):
            list(wire.pieces(head))
    assert house.facts(head.exchange)["outcome"] == ("truncated" if ending == "silent" else "upstream_reset")


@every_dialect
@stream_or_json
@pytest.mark.parametrize("scenario", ["html", "empty", "empty-json", "sized-empty-stream"])
def test_html_or_nothing_under_200_is_no_answer(house: House, dialect: Dialect, scenario: str, *, stream: bool) -> None:
    if scenario == "sized-empty-stream":
        house.provider.script = always(Answer(headers=render.SSE))
    got = asked(house, dialect, scenario, stream=stream)
    facts = house.facts(got.exchange)
    assert got.status == 502
    assert json.loads(got.body)["error"]["message"]
    assert (facts["outcome"], facts["status"], facts["upstream_status"]) == ("not_an_answer", 502, 200)


NO_ANSWERS = {
    "a page by its first letter": (b"\xef\xbb\xbf\r\n<!-- a portal --><html>Sign in</html>", ()),
    "XML": (b'<?xml version="1.0"?><error>AccessDenied</error>', render.JSON),
    "blanks": (b"\r\n \r\n", render.JSON),
    **{f"a page in {coding}": (b"<html>Sign in, please.</html>", (*render.JSON, coding)) for coding in CODINGS},
    **{f"nothing in {coding}": (b"", (*render.JSON, coding)) for coding in CODINGS},
}
"""What is no answer, as (body, headers); a header that is the name of a coding means that the body is in it."""


@every_dialect
@stream_or_json
@pytest.mark.parametrize("transfer", ["content-length", "chunked"])
@pytest.mark.parametrize("name", NO_ANSWERS)
def test_a_page_or_nothing_is_no_answer_however_it_is_written(
    house: House, dialect: Dialect, name: str, transfer: Literal["content-length", "chunked"], *, stream: bool
) -> None:
    body, headers = NO_ANSWERS[name]
    plain = tuple(pair for pair in headers if isinstance(pair, tuple))
    answer = Answer(headers=plain, body=(body,), transfer=transfer)
    for coding in CODINGS:
        answer = compressed(answer, coding) if coding in headers else answer
    house.provider.script = always(answer)
    got = house.ask(dialect.call(stream=stream))
    if (name, transfer) == ("blanks", "chunked"):
        assert got.body == body, "blanks may keep a connection alive until the document comes"
        return
    assert got.status == 502
    assert house.facts(got.exchange)["outcome"] == "not_an_answer"


@every_dialect
@stream_or_json
def test_a_stream_without_a_single_event_ends_in_an_error(house: House, dialect: Dialect, *, stream: bool) -> None:
    got = asked(house, dialect, "empty-stream", stream=stream)
    assert got.status == 200
    assert got.exchange.encode() in got.body
    assert last_event(got.body)
    assert house.facts(got.exchange)["outcome"] == "truncated"


UNFINISHED = [
    pytest.param(dialect, headers, id=f"{dialect.name}-{name}")
    for dialect in DIALECTS
    for name, headers in {
        "event-stream": render.SSE,
        "json": render.JSON,
        "text": ((b"content-type", b"text/plain"),),
        "untyped": (),
    }.items()
]
"""Streams by the media type a provider gives them."""


def half_of(dialect: Dialect) -> bytes:
    """Whole events, but no last one."""
    return b"".join(events(dialect.name)[:3])


@pytest.mark.parametrize(("dialect", "headers"), UNFINISHED)
def test_a_sized_stream_without_its_terminal_event_never_arrives_whole(
    house: House, dialect: Dialect, headers: Headers
) -> None:
    half = half_of(dialect)
    house.provider.script = always(Answer(headers=headers, body=(half,)))
    with house.wire() as wire:
        head = wire.send(dialect.call(stream=True)).head()
        assert head.one(b"content-length") == b"%d" % len(half)
        with pytest.raises(BrokenOff):
            list(wire.pieces(head))
    facts = house.facts(head.exchange)
    assert (facts["outcome"], facts["stream"]) == ("truncated", True)
    assert house.kept(head.exchange, "response") == half


@pytest.mark.parametrize("transfer", ["chunked", "close"])
@pytest.mark.parametrize(("dialect", "headers"), UNFINISHED)
def test_a_stream_is_judged_by_its_bytes_where_its_media_type_says_something_else(
    house: House, sdk: Sdk, dialect: Dialect, headers: Headers, transfer: Literal["chunked", "close"]
) -> None:
    half = half_of(dialect)
    house.provider.script = always(Answer(headers=headers, body=(half[:1], half[1:]), transfer=transfer))
    got = house.ask(dialect.call(stream=True))
    assert got.body.startswith(half)
    assert got.exchange.encode() in got.body
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["stream"]) == ("truncated", True)
    with pytest.raises((anthropic.APIError, openai.APIError)):
        sdk.stream(dialect, "of the script")


@pytest.mark.parametrize("transfer", ["content-length", "chunked", "close"])
@pytest.mark.parametrize(("dialect", "headers"), UNFINISHED)
def test_a_whole_stream_arrives_byte_for_byte_and_is_read_under_any_media_type(
    house: House, dialect: Dialect, headers: Headers, transfer: Literal["content-length", "chunked", "close"]
) -> None:
    whole = b"".join(events(dialect.name))
    house.provider.script = always(Answer(headers=headers, body=(b"\n" + whole,), transfer=transfer))
    got = house.ask(dialect.call(stream=True))
    assert got.body == b"\n" + whole
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["stream"]) == ("complete", True)
    assert facts["steps"][-1]["text"] == TEXT


@every_dialect
def test_a_compressed_stream_without_a_media_type_is_judged_by_its_bytes_too(house: House, dialect: Dialect) -> None:
    cut = Answer(body=(half_of(dialect),), transfer="chunked")
    house.provider.script = always(compressed(cut, "gzip"))
    with house.wire() as wire:
        head = wire.send(dialect.call(stream=True)).head()
        with pytest.raises(BrokenOff):
            list(wire.pieces(head))
    assert house.facts(head.exchange)["outcome"] == "truncated"


@every_dialect
def test_a_document_in_answer_to_a_call_for_a_stream_stays_a_document(house: House, dialect: Dialect) -> None:
    house.provider.script = always(say(dialect.name))
    got = house.ask(dialect.call(stream=True))
    assert json.loads(got.body)
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["stream"]) == ("complete", False)
    assert facts["steps"][-1]["text"] == TEXT


@pytest.mark.parametrize(("finished", "outcome"), [((0,), "truncated"), ((1, 0), "complete")])
def test_a_stream_of_two_choices_is_whole_only_when_both_have_finished(
    house: House, finished: tuple[int, ...], outcome: str
) -> None:
    chunks = [{"choices": [{"index": at, "delta": {"content": "a"}, "finish_reason": "stop"}]} for at in finished]
    body = tuple(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    house.provider.script = always(Answer(headers=render.SSE, body=body, transfer="close"))
    got = house.ask(CHAT.call(body=CHAT.request_body(stream=True, n=2)))
    assert (got.exchange.encode() in got.body) == (outcome == "truncated")
    assert house.facts(got.exchange)["outcome"] == outcome


@every_dialect
@pytest.mark.parametrize("after", [1, 30])
def test_a_document_that_ends_with_its_connection_is_not_whole_where_that_was_reset(
    house: House, dialect: Dialect, after: int
) -> None:
    whole = b"".join(part for part in say(dialect.name).body if isinstance(part, bytes))
    answer = Answer(headers=render.JSON, body=(whole,), transfer="close")
    house.provider.script = always(msgspec.structs.replace(answer, fault=Reset(after=after)))
    with house.wire() as wire:
        head = wire.send(dialect.call()).head()
        with pytest.raises(BrokenOff):
            list(wire.pieces(head))
    assert house.facts(head.exchange)["outcome"] == "upstream_reset"
    house.provider.script = always(answer)
    got = house.ask(dialect.call())
    assert got.body == whole
    assert house.facts(got.exchange)["outcome"] == "complete"


@every_dialect
@stream_or_json
@pytest.mark.parametrize(
    ("scenario", "status", "outcome"),
    [
        ("stall-before-headers", 504, "timed_out"),
        ("reset-before-headers", 502, "upstream_reset"),
        ("no-answer", 502, "upstream_reset"),
        ("garbage", 502, "not_an_answer"),
    ],
)
def test_a_provider_that_gives_no_answer_is_reported_in_the_callers_dialect(
    house: House, hasty: House, dialect: Dialect, scenario: str, status: int, outcome: str, *, stream: bool
) -> None:
    house = hasty if outcome == "timed_out" else house
    got = asked(house, dialect, scenario, stream=stream)
    assert got.status == status
    assert json.loads(got.body)["error"]["message"]
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["status"], facts["upstream_status"]) == (outcome, status, None)


UNREADABLE = {
    "an impossible status": Answer(status=678, body=(b"{}",)),
    "the highest status": Answer(status=999, body=(b"{}",)),
    "another protocol": Answer(status=101, headers=((b"connection", b"upgrade"), (b"upgrade", b"foo"))),
    "too many headers": Answer(headers=(*render.JSON, *((b"x-h-%d" % at, b"1") for at in range(1000))), body=(b"{}",)),
    "a header too long": Answer(headers=(*render.JSON, (b"x-h", b"1" * 70_000)), body=(b"{}",)),
    "no http": Answer(fault=Garble()),
}


@every_dialect
@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_nobody_can_read_is_a_502_that_asks_for_no_second_attempt(
    house: House, dialect: Dialect, answer: Answer
) -> None:
    house.provider.script = always(answer)
    with house.wire() as wire:
        got = wire.send(dialect.call()).response()
        assert got.status == 502
        assert "connection broke" not in json.loads(got.body)["error"]["message"]
        assert got.all(b"retry-after") == []
        assert got.one(b"x-should-retry") == b"false"
        facts = house.facts(got.exchange)
        assert (facts["outcome"], facts["status"], facts["upstream_status"]) == ("not_an_answer", 502, None)
        assert facts["error_type"] == "upstream_malformed"
        house.provider.script = always(say(dialect.name))
        assert wire.send(dialect.call()).response().status == 200, "the caller's connection is as good as before"


@every_dialect
@stream_or_json
def test_a_header_that_http_does_not_allow_is_a_502_and_no_broken_connection(
    house: House, dialect: Dialect, *, stream: bool
) -> None:
    answer = say(dialect.name, streamed=stream)
    odd = msgspec.structs.replace(answer, headers=(*answer.headers, (b"x-odd", b"a\x00b")))
    house.provider.script = always(odd)
    with house.wire() as wire:
        got = wire.send(dialect.call(stream=stream)).response()
        assert got.status == 502
        assert "header" in json.loads(got.body)["error"]["message"]
        facts = house.facts(got.exchange)
        assert (facts["outcome"], facts["error_type"]) == ("not_an_answer", "upstream_malformed")
        house.provider.script = always(answer)
        assert wire.send(dialect.call(stream=stream)).response().status == 200


@every_dialect
@pytest.mark.parametrize("transfer", ["content-length", "close"])
def test_an_answer_that_breaks_before_its_first_byte_is_no_provider_that_cannot_be_reached(
    house: House, dialect: Dialect, transfer: Literal["content-length", "close"]
) -> None:
    house.provider.script = always(msgspec.structs.replace(say(dialect.name), transfer=transfer, fault=Reset()))
    got = house.ask(dialect.call())
    assert (got.status, got.all(b"retry-after")) == (502, [b"1"])
    facts = house.facts(got.exchange)
    assert (facts["outcome"], facts["error_type"]) == ("upstream_reset", "upstream_reset")
    assert facts["cost_micro_usd"] is None, "it may have been billed"


@every_dialect
def test_an_answer_with_many_headers_arrives_with_all_of_them(house: House, dialect: Dialect) -> None:
    many = tuple((b"x-h-%d" % at, b"1") for at in range(500))
    house.provider.script = always(msgspec.structs.replace(say(dialect.name), headers=(*render.JSON, *many)))
    got = house.ask(dialect.call())
    assert got.status == 200
    assert [pair for pair in got.headers if pair[0].startswith(b"x-h-")] == list(many)


@every_dialect
def test_a_stream_that_falls_silent_ends_in_an_error(hasty: House, dialect: Dialect) -> None:
    got = asked(hasty, dialect, "stall", stream=True)
    assert last_event(got.body)
    assert got.exchange.encode() in got.body
    assert hasty.facts(got.exchange)["outcome"] == "timed_out"


@every_dialect
def test_a_provider_that_sent_its_end_may_stay_on_the_line(house: House, dialect: Dialect) -> None:
    whole = b"".join(events(dialect.name))
    answer = say(dialect.name, streamed=True)
    fault = Stall(after=len(whole))
    house.provider.script = always(Answer(headers=answer.headers, body=(whole,), transfer="chunked", fault=fault))
    with house.wire() as wire:
        head = wire.send(dialect.call(stream=True)).head()
        got = b""
        arriving = wire.pieces(head)
        while len(got) < len(whole):
            got += next(arriving)
        assert got == whole


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose provider's port nobody listens on, nor can as long as it is bound."""
    folder = tmp_path_factory.mktemp("cut-off")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        nobody = f'[provider.nobody]\ndialect = "anthropic"\nbase_url = "{url}"\n'
        nobody += f'[provider.nothing]\ndialect = "openai"\nbase_url = "{url}"\n'
        with standing(folder, more=PATIENT + nobody) as house:
            yield house


@every_dialect
@stream_or_json
def test_a_provider_that_is_down_is_a_502_at_once(cut_off: House, dialect: Dialect, *, stream: bool) -> None:
    call = dialect.call(stream=stream).replace(b"/anthropic/", b"/nobody/").replace(b"/openai/", b"/nothing/")
    got = cut_off.ask(call)
    assert got.status == 502
    assert json.loads(got.body)["error"]["message"]
    facts = cut_off.facts(got.exchange)
    assert (facts["outcome"], facts["cost_micro_usd"]) == ("upstream_unreachable", 0)


@every_dialect
def test_wherever_a_stream_is_cut_it_ends_in_an_error_or_whole(house: House, dialect: Dialect) -> None:
    whole = b"".join(events(dialect.name))
    headers = say(dialect.name, streamed=True).headers
    finished = whole.find(b'"finish_reason": "') if dialect is CHAT else len(whole)
    for at in range(1, finished, 41):
        house.provider.script = always(Answer(headers=headers, body=(whole[:at],), transfer="chunked"))
        got = house.ask(dialect.call(stream=True))
        assert got.body.startswith(whole[:at])
        assert got.exchange.encode() in got.body, at
