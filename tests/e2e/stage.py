"""The scripted provider of the client tests: what it answers to which request.

Equal requests get equal answers, run after run, so that a client's result without the gateway can be compared with
its result through it. A request whose text names a scene of `SCRIPTS` ("scene:NAME") gets that scene's answer; any
other is obliged.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from gateway.demo import obliging, render_anthropic, render_chat, render_responses, resources
from gateway.demo.answers import Answer, Cut, SeenRequest, compressed
from gateway.demo.asked import Asked, read
from gateway.demo.render import SSE, answer, error, json_answer, marks, stream
from gateway.demo.turns import Call, Spent, Turn

SCENE = re.compile(rb"scene:(\w+)")
SEAL = "Eq8BCkYIBxgCKkDv4+/=" * 9
"""Opaque, as signatures and encrypted reasoning are; one byte changed spoils it."""


class Moment(msgspec.Struct, frozen=True):
    """One request of a scene."""

    asked: Asked
    request: SeenRequest
    number: int
    """How many requests of this scene came before."""


Scripted: TypeAlias = Callable[[Moment], Answer]


def say(asked: Asked, turn: Turn) -> Answer:
    """A turn on the wire on which it was asked for."""
    setting = msgspec.structs.replace(asked.setting(), fragment=7)
    return answer(asked.wire, turn, setting, streamed=asked.streamed)


def _oblige(moment: Moment) -> Answer:
    return obliging.reply(moment.asked, moment.request)


def _tools(moment: Moment) -> Answer:
    """Three turns: a call, two calls at once, an answer; each but the last with sealed reasoning."""
    results = len(re.findall(rb'"type": ?"(?:tool_result|function_call_output)"|"role": ?"tool"', moment.request.body))
    number = min(results, 2)
    cities = (("Zürich",), ("東京", "Bern"), ())[number]
    calls = tuple(
        Call(f"call_{number}_{index}", "weather", msgspec.json.encode({"city": city, "unit": "celsius"}).decode())
        for index, city in enumerate(cities)
    )
    sealed = moment.asked.thinking and bool(calls)
    turn = Turn(
        text="" if calls else "21 °C and “light rain” in all three. ☂ \N{UMBRELLA WITH RAIN DROPS}",
        reasoning=f"I should look up {', '.join(cities)}." if sealed else "",
        signature=f"{SEAL}{number}=" if sealed else "",
        calls=calls,
        spent=Spent(input_tokens=100 + 40 * number, cached_tokens=60, output_tokens=30, reasoning_tokens=8),
        reply_id=f"tools{number}",
    )
    return say(moment.asked, turn)


def _gzipped(moment: Moment) -> Answer:
    return compressed(_oblige(moment), "gzip")


def _rate_limited(moment: Moment) -> Answer:
    """Refused once; then served."""
    if moment.number:
        return _oblige(moment)
    headers = ((b"retry-after", b"1"), (b"retry-after-ms", b"20"))
    return error(moment.asked.wire, 429, "rate_limit_error", "Too many requests, in fact.", headers=headers)


def _bad_request(moment: Moment) -> Answer:
    return error(moment.asked.wire, 400, "invalid_request_error", "messages.0: the model did not like “this”.")


def _half(moment: Moment, *tail: bytes) -> Answer:
    """A stream that stops half-way through its events; `tail` is all that follows."""
    asked = moment.asked
    turn = Turn(text=obliging.TEXT, reply_id=f"half{moment.number}")
    events = stream(asked.wire, turn, asked.setting())
    body = (*events[: len(events) // 2], *tail)
    return Answer(headers=(*SSE, *marks(asked.wire)), body=body, transfer="chunked")


def _failed_midway(moment: Moment) -> Answer:
    """A stream that ends with the provider's own error event."""
    asked = moment.asked
    if asked.wire == "anthropic":
        return _half(moment, render_anthropic.error_event("overloaded_error", "Overloaded"))
    if asked.wire == "chat":
        return _half(moment, render_chat.error_event("server_error", "The provider fell over."))
    turn = Turn(reply_id=f"half{moment.number}")
    failed = render_responses.failed_event(9, "server_error", "The provider fell over.", turn, asked.setting())
    return _half(moment, failed)


def _truncated(moment: Moment) -> Answer:
    """Ends as HTTP should and as the dialect should not: without its terminal event."""
    return _half(moment)


def _broken_off(moment: Moment) -> Answer:
    """Ends as neither should: the connection closes inside the chunked body."""
    return msgspec.structs.replace(_half(moment), fault=Cut(after=600))


def willing(moment: Moment) -> Answer:
    """A model with a will to please test suites: calls the first tool it is free to call, jokes when asked for JSON."""
    asked = moment.asked
    turn = obliging.turn_for(asked, moment.request.body)
    if asked.schema == {}:
        joke = {"setup": "Why did the byte cross the road?", "punchline": "It was relayed."}
        turn = msgspec.structs.replace(turn, text=msgspec.json.encode(joke).decode())
    if asked.tools and asked.must_call is None and not asked.answered:
        turn = obliging.turn_for(asked, moment.request.body, call=asked.tools[0])
    calls = tuple(
        msgspec.structs.replace(call, arguments=call.arguments.replace('"demo"', '"你好啊集团・こんにちは株式会社"'))
        for call in turn.calls
    )
    return say(asked, msgspec.structs.replace(turn, calls=calls))


SCRIPTS: Mapping[str, Scripted] = {
    **dict.fromkeys(("tools", "tools_streamed", "chat_tools", "responses_tools"), _tools),
    **dict.fromkeys(("gzipped", "chat_gzipped"), _gzipped),
    "rate_limited": _rate_limited,
    "bad_request": _bad_request,
    **dict.fromkeys(("overloaded_midway", "chat_failed_midway", "responses_failed_midway"), _failed_midway),
    **dict.fromkeys(("truncated", "chat_truncated", "responses_truncated"), _truncated),
    "broken_off": _broken_off,
}


class Stage:
    """A provider's script; one for each run, as scenes count their requests."""

    def __init__(self, extra: Mapping[str, Scripted] | None = None) -> None:
        self._scripts = {**SCRIPTS, **(extra or {})}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: SeenRequest) -> Answer:
        asked = read(request)
        if asked is None:
            return self._resource(request)
        found = SCENE.search(request.body)
        scene = found[1].decode() if found else ""
        with self._lock:
            moment = Moment(asked, request, self._counts[scene])
            self._counts[scene] += 1
        return self._scripts.get(scene, _oblige)(moment)

    def _resource(self, request: SeenRequest) -> Answer:
        if request.method == "DELETE":
            gone: dict[str, Any] = {"id": request.path.rpartition("/")[2], "deleted": True}
            return json_answer(gone | {"type": "file_deleted", "object": "file"})
        if request.header("upgrade"):
            return error("responses", 426, "upgrade_refused", "no WebSockets here")  # as the gateway answers
        return resources.answer(request)
