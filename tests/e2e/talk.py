"""What was said over tapped lines, as HTTP/1.1 exchanges, and where two sides of a gateway differ.

Parsed with h11, which is no part of the gateway: the judge must not share the defendant's parser.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import h11

from tests.e2e.tap import Line

HEAD_LIMIT = 1 << 20
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
PREFIX = re.compile(rb"^/(?:anthropic|openai)(?=/)")
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Request:
    """One request as it stood on the wire; names of headers in lower case, framing removed."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Response:
    """One response as it stood on the wire; `whole` says its own framing was complete."""

    status: int
    headers: Headers
    body: bytes
    whole: bool

    def header(self, name: str) -> bytes | None:
        """The first value under this name."""
        return next((value for key, value in self.headers if key == name.encode()), None)


@dataclass(frozen=True)
class Exchange:
    """A request and what was answered, if anything was."""

    at: float
    request: Request
    response: Response | None

    def __str__(self) -> str:
        status = self.response.status if self.response else "no answer"
        asked = f"{self.request.method.decode()} {self.request.target.decode()} ({len(self.request.body)} bytes)"
        return f"{asked} -> {status}"


def exchanges(lines: Sequence[Line], since: float = 0.0) -> list[Exchange]:
    """The exchanges over these lines that began at `since` (monotonic seconds) or later, in order of time."""
    busy = [line for line in lines if line.sent and line.sent[-1][0] >= since]
    found = [each for line in busy for each in _line_exchanges(line) if each.at >= since]
    return sorted(found, key=lambda each: each.at)


def _line_exchanges(line: Line) -> list[Exchange]:
    requests = list(_requests(line))
    responses = _responses([request for _, request in requests], b"".join(data for _, data in line.received))
    padded = [*responses, *[None] * (len(requests) - len(responses))]
    return [Exchange(at, request, answer) for (at, request), answer in zip(requests, padded, strict=True)]


def _requests(line: Line) -> Iterable[tuple[float, Request]]:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
    head: h11.Request | None = None
    began = line.opened
    body = bytearray()
    for at, data in line.sent:
        parser.receive_data(data)
        while True:
            event = parser.next_event()
            if isinstance(event, h11.Request):
                head, began, body = event, at, bytearray()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                yield began, Request(head.method, head.target, _headers(head), bytes(body))
                if not _answer_all(parser):
                    return
            else:
                break


def _answer_all(parser: h11.Connection) -> bool:
    """Bring the parser to its next request; False where the connection allows none."""
    parser.send(h11.Response(status_code=204, headers=[]))
    parser.send(h11.EndOfMessage())
    if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
        return False
    parser.start_next_cycle()
    return True


def _responses(requests: Sequence[Request], data: bytes) -> list[Response]:
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
    parser.receive_data(data)
    parser.receive_data(b"")
    found: list[Response] = []
    for request in requests:
        parser.send(h11.Request(method=request.method, target=b"/", headers=[(b"host", b"tap")]))
        parser.send(h11.EndOfMessage())
        answer = _response(parser)
        if answer is None:
            break
        found.append(answer)
        if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
            break
        parser.start_next_cycle()
    return found


def _response(parser: h11.Connection) -> Response | None:
    head: h11.Response | None = None
    body = bytearray()
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:
            return head and Response(head.status_code, _headers(head), bytes(body), whole=False)
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Response(head.status_code, _headers(head), bytes(body), whole=True)
        elif not isinstance(event, h11.InformationalResponse):
            return None


def _headers(head: h11.Request | h11.Response) -> Headers:
    return tuple((bytes(name), bytes(value)) for name, value in head.headers)


def inward(exchange: Exchange) -> Exchange:
    """An exchange at the gateway's front door as the provider should see it: without the provider's prefix."""
    target = PREFIX.sub(b"", exchange.request.target)
    return replace(exchange, request=replace(exchange.request, target=target))


def spoken(exchange: Exchange) -> Exchange:
    """Without what a proxy may change: host, hop-by-hop headers and `stepwarden-*`."""
    response = exchange.response
    return replace(
        exchange,
        request=replace(exchange.request, headers=_end_to_end(exchange.request.headers)),
        response=response and replace(response, headers=_end_to_end(response.headers)),
    )


def _end_to_end(headers: Headers) -> Headers:
    named = {
        name.strip().lower() for key, value in headers if key == b"connection" for name in value.decode().split(",")
    }
    dropped = HOP_BY_HOP | named | {"host"}
    return tuple(
        (key, value) for key, value in headers if key.decode() not in dropped and not key.startswith(b"stepwarden-")
    )


@dataclass(frozen=True)
class Pair:
    """One exchange on both sides of the gateway, less what a proxy may change; None where a side never had it."""

    front: Exchange | None
    back: Exchange | None


def pairs(front: Sequence[Exchange], back: Sequence[Exchange]) -> list[Pair]:
    """Exchanges before the gateway with those behind it: equal requests first, in order of time.

    Parallel requests may overtake each other, so time alone does not tell.
    """
    waiting = [spoken(each) for each in back]
    found: list[Pair] = []
    for before in (spoken(inward(each)) for each in front):
        after = next((each for each in waiting if each.request == before.request), None)
        after = after or next((each for each in waiting if each.request.target == before.request.target), None)
        if after is not None:
            waiting.remove(after)
        found.append(Pair(before, after))
    return [*found, *(Pair(None, extra) for extra in waiting)]


def differences(found: Sequence[Pair]) -> list[str]:
    """Where the sides differ, in sentences; none = not a byte."""
    return [f"{pair.front or pair.back}: {text}" for pair in found for text in _differing(pair)]


def _differing(pair: Pair) -> Iterable[str]:
    if pair.back is None or pair.front is None:
        yield "the client never sent this" if pair.front is None else "never reached the provider"
        return
    yield from _changes(pair.front, pair.back)


def _changes(before: Exchange, after: Exchange) -> Iterable[str]:
    sent, got = before.request, after.request
    if sent.method != got.method or sent.target != got.target:
        yield f"request line became {got.method!r} {got.target!r}"
    yield from _header_changes("request", sent.headers, got.headers)
    yield from _body_changes("request", sent.body, got.body)
    given, taken = after.response, before.response
    if given is None or taken is None:
        if given != taken:
            yield f"the provider answered {given and given.status}, the client saw {taken and taken.status}"
        return
    if given.status != taken.status:
        yield f"status {given.status} became {taken.status}"
    yield from _header_changes("response", given.headers, taken.headers)
    yield from _body_changes("response", given.body, taken.body)
    if given.whole != taken.whole:
        words = {True: "was whole", False: "broke off"}
        yield f"the provider's response {words[given.whole]}, the client's {words[taken.whole]}"


def _header_changes(which: str, given: Headers, taken: Headers) -> Iterable[str]:
    if given == taken:
        return
    lost, added = [h for h in given if h not in taken], [h for h in taken if h not in given]
    if not lost and not added:
        yield f"{which} headers in another order or number: {[n for n, _ in given]} became {[n for n, _ in taken]}"
    else:
        yield f"{which} headers: lost {lost}, added {added}"


def _body_changes(which: str, given: bytes, taken: bytes) -> Iterable[str]:
    if given != taken:
        at = first_difference(given, taken)
        excerpt = f"{given[at : at + 40]!r} / {taken[at : at + 40]!r}"
        yield f"{which} body of {len(given)} bytes became {len(taken)}; first difference at {at}: {excerpt}"


def first_difference(one: Sequence[object], other: Sequence[object]) -> int:
    """Where two sequences part; the length of the shorter where it begins the longer."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
