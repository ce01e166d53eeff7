"""The fake provider of the tests: the demo's server in a thread, with canned answers of each dialect.

A test sets `provider.script` to a function from `SeenRequest` to `Answer`; without one, requests are answered as
`gateway.demo.scenarios` has it (the header `x-fake-scenario` names a behaviour). Tests wait with `wait_seen`,
`wait_ended` and `wait_for`, and hold answers with a `Gate`; nothing sleeps.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.demo import render
from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.background import BackgroundProvider
from gateway.demo.provider import Script
from gateway.demo.scenarios import Scenarios
from gateway.demo.turns import Call, Setting, Spent, Turn, WireName

TEXT = "The answer is forty-two, as it was before."
THOUGHT = "They want the number again."
TURN = Turn(text=TEXT, spent=Spent(input_tokens=120, cached_tokens=20, output_tokens=12), reply_id="canned01")
CALL = Call("call_canned_1", "get_weather", '{"city": "Zürich", "days": 3}')
TOOL_TURN = Turn(
    text="Let me look.",
    reasoning=THOUGHT,
    signature="c2lnbmF0dXJl",
    calls=(CALL,),
    spent=Spent(input_tokens=200, output_tokens=40, reasoning_tokens=8),
    reply_id="canned02",
)


def say(
    wire: WireName, turn: Turn = TURN, *, streamed: bool = False, model: str = "demo-model", pace: float = 0.0
) -> Answer:
    """A turn as an answer on one wire."""
    return render.answer(wire, turn, Setting(model=model, include_usage=True), streamed=streamed, pace=pace)


def events(wire: WireName, turn: Turn = TURN, *, fragment: int = 8) -> list[bytes]:
    """A turn as server-sent events on one wire."""
    return render.stream(wire, turn, Setting(model="demo-model", include_usage=True, fragment=fragment))


def always(answer: Answer) -> Script:
    """A script that knows one answer."""
    return lambda _: answer


def in_turn(*answers: Answer) -> Script:
    """A script that gives these answers one after the other, then the last one for ever."""
    left = list(answers)

    def script(request: SeenRequest) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return script


@contextmanager
def running_provider(script: Script | None = None) -> Iterator[BackgroundProvider]:
    """A provider that listens on a free loopback port while the block runs."""
    with BackgroundProvider(script or Scenarios()) as provider:
        yield provider
