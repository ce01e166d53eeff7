"""Named behaviours of the provider, so that a client in any language can ask for one.

A request picks its scenario with the header `x-fake-scenario: NAME`; without it, the default of the script holds.
`SCENARIOS` is the list. `ok` is a correct provider of all three wires; the others change one thing about it.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeAlias

import msgspec

from gateway.demo import asked, obliging, render, render_anthropic, render_chat, render_responses, resources
from gateway.demo.answers import Answer, Coding, Cut, Fault, Garble, Headers, Piece, Reset, SeenRequest, Stall, dripped
from gateway.demo.answers import compressed as in_coding
from gateway.demo.asked import Asked
from gateway.demo.turns import Turn
from policies.errors import StepwardenError

HEADER = "x-fake-scenario"

Scenario: TypeAlias = Callable[[SeenRequest], Answer]

_HUGE = 8 << 20
_BOMB = 256
_BLOCK = 1 << 20


class UnknownScenario(StepwardenError):
    """A request asked for a behaviour that the demo provider does not know."""

    status = 400

    def remedy(self) -> str:
        """What the reader should do next, in one sentence."""
        return f"Send `{HEADER}` with one of: {', '.join(sorted(SCENARIOS))}."


def ok(request: SeenRequest) -> Answer:
    """A correct provider."""
    question = asked.read(request)
    return resources.answer(request) if question is None else obliging.reply(question, request)


def _asked(request: SeenRequest) -> Asked:
    """What is asked; a plain call where a request asks for no turn, so that every fault can be had anywhere."""
    return asked.read(request) or Asked(wire=resources.dialect_of(request), model="demo")


def _said(request: SeenRequest, turn: Turn) -> Answer:
    question = asked.read(request)
    if question is None:
        return resources.answer(request)
    return render.answer(question.wire, turn, question.setting(), streamed=question.streamed)


def _turn(request: SeenRequest) -> Turn:
    return obliging.turn_for(_asked(request), request.body)


def _tool(request: SeenRequest) -> Answer:
    question = _asked(request)
    tool = question.tools[0] if question.tools and not question.answered else None
    return _said(request, obliging.turn_for(question, request.body, call=tool))


def _two_tools(request: SeenRequest) -> Answer:
    question = _asked(request)
    if not question.tools or question.answered:
        return ok(request)
    calls = [obliging.call_for(question, question.tools[n % len(question.tools)], b"%d" % n) for n in range(2)]
    text = "Two calls at once."
    return _said(request, msgspec.structs.replace(_turn(request), text=text, calls=tuple(calls)))


def _thinking(request: SeenRequest) -> Answer:
    question = msgspec.structs.replace(_asked(request), thinking=True)
    return _said(request, obliging.turn_for(question, request.body))


def _ending(stop: str) -> Scenario:
    return lambda request: _said(request, msgspec.structs.replace(_turn(request), stop=stop))


def _long(request: SeenRequest) -> Answer:
    return _said(request, msgspec.structs.replace(_turn(request), text=obliging.TEXT * 60))


def _slow(request: SeenRequest) -> Answer:
    answer = ok(request)
    return msgspec.structs.replace(answer, body=tuple(Piece(event, 0.02) for event in _events(request)))


def _events(request: SeenRequest) -> list[bytes]:
    answer = ok(request)
    return [part.data if isinstance(part, Piece) else part for part in answer.body if isinstance(part, Piece | bytes)]


def _half(request: SeenRequest) -> Answer:
    """A stream without its second half, or half a JSON document: the transfer itself ends properly."""
    events, answer = _events(request), ok(request)
    if answer.transfer == "chunked":
        return msgspec.structs.replace(answer, body=tuple(events[: max(1, len(events) // 2)]))
    return msgspec.structs.replace(answer, body=(b"".join(events)[: sum(map(len, events)) // 2],))


def _broken(fault: Callable[[int], Fault]) -> Scenario:
    """The correct answer with a fault in its middle."""
    return lambda request: msgspec.structs.replace(
        ok(request), fault=fault(max(1, sum(map(len, _events(request))) // 2))
    )


def _unterminated(request: SeenRequest) -> Answer:
    """All but the terminal event: `message_stop`, `[DONE]` or `response.completed`."""
    return msgspec.structs.replace(ok(request), body=tuple(_events(request)[:-1]))


def _with_event(request: SeenRequest, event: bytes) -> Answer:
    """The correct stream with one more event in its middle; a JSON document stays as it is."""
    answer, events = ok(request), _events(request)
    if answer.transfer != "chunked":
        return answer
    middle = max(1, len(events) // 2)
    return msgspec.structs.replace(answer, body=(*events[:middle], event, *events[middle:]))


def _ending_in(request: SeenRequest, event: bytes) -> Answer:
    """A stream whose second half is this one event; a request for JSON is answered 529."""
    answer, events = ok(request), _events(request)
    if answer.transfer != "chunked":
        return SCENARIOS["529"](request)
    return msgspec.structs.replace(answer, body=(*events[: max(1, len(events) // 2)], event))


def _garbage_event(request: SeenRequest) -> Answer:
    named = b"event: content_block_delta\n" if _asked(request).wire == "anthropic" else b""
    garbage = named + b'data: {"type": "content_block_de\xff\n\n'
    if ok(request).transfer != "chunked":
        return msgspec.structs.replace(ok(request), body=(garbage,))
    return _with_event(request, garbage)


def _unknown_event(request: SeenRequest) -> Answer:
    event = b': a comment\n\nevent: demo.unknown\ndata: {"type": "demo.unknown", "sequence_number": 3}\n\n'
    return _with_event(request, event)


def _error_event(request: SeenRequest) -> Answer:
    wire, message = _asked(request).wire, "Overloaded"
    if wire == "anthropic":
        event = render_anthropic.error_event("overloaded_error", message)
    elif wire == "chat":
        event = render_chat.error_event("server_error", message)
    else:
        event = render_responses.error_event(len(_events(request)) // 2, "server_error", message)
    return _ending_in(request, event)


def _failed_event(request: SeenRequest) -> Answer:
    question = _asked(request)
    if question.wire != "responses":
        return _error_event(request)
    number = len(_events(request)) // 2
    event = render_responses.failed_event(
        number, "server_error", "The model failed.", _turn(request), question.setting()
    )
    return _ending_in(request, event)


def _crlf(request: SeenRequest) -> Answer:
    return msgspec.structs.replace(ok(request), body=tuple(event.replace(b"\n", b"\r\n") for event in _events(request)))


def _huge_event(request: SeenRequest) -> Answer:
    """One data line of 8 MiB inside a stream that is correct otherwise."""
    event = b'event: demo.huge\ndata: {"type": "demo.huge", "padding": "' + b"x" * _HUGE + b'"}\n\n'
    return _with_event(request, event)


class Endless:
    """A body that never ends: the middle of a correct stream again and again."""

    def __init__(self, events: list[bytes], delay: float) -> None:
        self._events = events
        self._delay = delay

    def __iter__(self) -> Iterator[bytes | Piece]:
        """The first half of the events, then the last of them forever."""
        first = self._events[: max(1, len(self._events) // 2)]
        yield from first
        again = Piece(first[-1], self._delay)
        while True:
            yield again


def _endless(request: SeenRequest) -> Answer:
    body = Endless(_events(request), 0.001)
    return Answer(headers=render.SSE, body=body, transfer="chunked")


def _flood(request: SeenRequest) -> Answer:
    body = Endless(_events(request), 0.0)
    return Answer(headers=render.SSE, body=body, transfer="chunked")


@cache
def bomb(blocks: int = _BOMB) -> bytes:
    """A gzip body of zeros that unpacks to `blocks` MiB, about 1,000 times its own length."""
    block, checksum = bytes(_BLOCK), 0
    for _ in range(blocks):
        checksum = zlib.crc32(block, checksum)
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    # After a full flush nothing refers back, so that one packed block stands for all of them.
    packed = deflated.compress(block) + deflated.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return head + packed * blocks + deflated.flush() + struct.pack("<II", checksum, blocks * _BLOCK % 2**32)


def _bomb(request: SeenRequest) -> Answer:
    del request
    headers = (*render.JSON, (b"content-encoding", b"gzip"))
    return Answer(headers=headers, body=(bomb(),))


def _coded(coding: Coding) -> Scenario:
    return lambda request: in_coding(ok(request), coding)


def _miscoded(request: SeenRequest) -> Answer:
    """Says gzip, sends plain."""
    answer = ok(request)
    return msgspec.structs.replace(answer, headers=(*answer.headers, (b"content-encoding", b"gzip")))


def _length(change: int) -> Scenario:
    def misdeclared(request: SeenRequest) -> Answer:
        body = b"".join(_events(request))
        return msgspec.structs.replace(
            ok(request), body=(body,), transfer="content-length", declared_length=len(body) + change, close=True
        )

    return misdeclared


def _refused(status: int, kind: str, message: str, headers: Headers = ()) -> Scenario:
    return lambda request: render.error(_asked(request).wire, status, kind, message, headers=headers)


_HTML = b"<html><head><title>Sign in</title></head><body>A captive portal answers everything.</body></html>"
_LIMITS: Headers = (
    (b"retry-after", b"1"),
    (b"anthropic-ratelimit-requests-limit", b"50"),
    (b"anthropic-ratelimit-requests-remaining", b"0"),
    (b"anthropic-ratelimit-requests-reset", b"2026-01-01T00:00:01Z"),
    (b"x-ratelimit-remaining-requests", b"0"),
)
_STAY: Headers = ((b"x-should-retry", b"false"),)
_SOON: Headers = ((b"retry-after-ms", b"10"), (b"retry-after", b"0"))

SCENARIOS: dict[str, Scenario] = {
    # correct in every way
    "ok": ok,
    "tool": _tool,
    "two-tools": _two_tools,
    "thinking": _thinking,
    "length": _ending("length"),
    "refusal": _ending("refusal"),
    "long": _long,
    "slow": _slow,
    "drip": lambda request: dripped(ok(request)),
    "slow-drip": lambda request: dripped(ok(request), delay=0.005),
    "late": lambda request: msgspec.structs.replace(ok(request), delay=1.0),
    "crlf": _crlf,
    "unknown-event": _unknown_event,
    "huge-event": _huge_event,
    "gzip": _coded("gzip"),
    "deflate": _coded("deflate"),
    "br": _coded("br"),
    "zstd": _coded("zstd"),
    "close-delimited": lambda request: msgspec.structs.replace(ok(request), transfer="close"),
    "no-keep-alive": lambda request: msgspec.structs.replace(ok(request), close=True),
    # the provider's own errors
    "400": _refused(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "401": _refused(401, "authentication_error", "invalid x-api-key", _STAY),
    "403": _refused(403, "permission_error", "not allowed"),
    "404": _refused(404, "not_found_error", "model: demo"),
    "413": _refused(413, "request_too_large", "Request exceeds the maximum size"),
    "429": _refused(429, "rate_limit_error", "slow down", _LIMITS),
    "429-stay": _refused(429, "rate_limit_error", "out of credit", (*_LIMITS, *_STAY)),
    "500": _refused(500, "api_error", "Internal server error", _SOON),
    "503": _refused(503, "api_error", "Service unavailable", _SOON),
    "529": _refused(529, "overloaded_error", "Overloaded", _SOON),
    "error-event": _error_event,
    "failed-event": _failed_event,
    # what no provider means to do
    "truncated": _half,
    "unterminated": _unterminated,
    "cut": _broken(lambda after: Cut(after=after)),
    "reset": _broken(lambda after: Reset(after=after)),
    "reset-before-headers": _broken(lambda _: Reset(before_headers=True)),
    "no-answer": _broken(lambda _: Cut(before_headers=True)),
    "stall": _broken(lambda after: Stall(after=after)),
    "stall-before-headers": _broken(lambda _: Stall(before_headers=True)),
    "garbage": _broken(lambda _: Garble()),
    "garbage-event": _garbage_event,
    "html": lambda _: Answer(headers=((b"content-type", b"text/html"),), body=(_HTML,)),
    "empty": lambda _: Answer(),
    "empty-json": lambda _: Answer(headers=render.JSON),
    "empty-stream": lambda _: Answer(headers=render.SSE, transfer="chunked"),
    "short-length": _length(-10),
    "long-length": _length(10),
    "miscoded": _miscoded,
    "bomb": _bomb,
    "endless": _endless,
    "flood": _flood,
}


def play(name: str, request: SeenRequest) -> Answer:
    """The answer of one scenario. Raises `UnknownScenario`."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise UnknownScenario(f"no scenario {name!r}")
    return scenario(request)


class Scenarios:
    """A script that plays the scenario a request names, or the default.

    `NAME-twice` fails two requests of three: `429-twice` answers 429, 429, then correctly. The count is kept per
    name, so it holds for one client at a time.
    """

    def __init__(self, default: str | Scenario = "ok") -> None:
        self._default = default
        self._failed: dict[str, int] = {}

    def __call__(self, request: SeenRequest) -> Answer:
        """The answer; an unknown name is answered 400 with the list of names."""
        name = request.header(HEADER)
        if name is None:
            if callable(self._default):
                return self._default(request)
            name = self._default
        try:
            return play(self._turn(name), request)
        except UnknownScenario as unknown:
            return render.error(_asked(request).wire, 400, "invalid_request_error", f"{unknown}. {unknown.remedy()}")

    def _turn(self, name: str) -> str:
        if not name.endswith("-twice"):
            return name
        times = self._failed.get(name, 0)
        self._failed[name] = (times + 1) % 3
        return "ok" if times % 3 == 2 else name.removesuffix("-twice")  # noqa: PLR2004 -- the third time works
