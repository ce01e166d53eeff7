"""A stream of very many small pieces takes work as there are pieces, and not as there are pairs of them."""

import sys
from collections.abc import Callable
from typing import Any, Final

import pytest
from streams import Driven, by_event, streamed
from test_one_block import TEXT, delta, start
from test_one_block import told as messages
from test_one_choice import HEAD, called, chunk, whole
from test_one_choice import told as chunks
from test_one_place import HELLO, LOOKS, at, call, message, told

from gateway.wire.blocks import Block

_MANY: Final = 800
EMPTY: Final = at("output_item.done", item={**message(), "content": []})


def texts(number: int) -> list[dict[str, Any]]:
    """As many texts of one message."""
    return [at("output_text.delta", content_index=place, delta="so ") for place in range(number)]


def renamed(number: int) -> bytes:
    calls = [{**call("look"), "id": f"a {place}", "call_id": f"c {place}"} for place in range(number)]
    events = [at("output_item.done", place, item=one) for place, one in enumerate(calls)]
    return told(*events, output=tuple({**one, "id": f"b {place}"} for place, one in enumerate(calls)))


def blocks(number: int) -> bytes:
    begun = [start("tool_use", place + 1, id="c", name="look", input={}) for place in range(number)]
    return messages(TEXT, *begun, *[delta("text", "so it is ")] * number)


def calls(number: int) -> bytes:
    begun = [called(whole("a", f"c {place}", place)) for place in range(number)]
    return chunks(*begun, *[{"content": "so it is "}] * number)


def citations(number: int) -> bytes:
    return chunks({"content": "so "}, *({"annotations": [{"url": f"x {place}"}]} for place in range(number)))


def choices(number: int) -> bytes:
    """As many choices, in one chunk and in chunks of their own."""
    given = [chunk({"content": "so "}, place) for place in range(number)]
    return chunks({**HEAD, "choices": [one["choices"][0] for one in given]}, *given)


STREAMS: Final[dict[str, tuple[str, str, Callable[[int], bytes]]]] = {
    "ends of an item that say nothing": (
        "responses",
        "whole",
        lambda number: told(*HELLO, *texts(number), *[EMPTY] * number),
    ),
    "calls that are named otherwise in the end": ("responses", "whole", renamed),
    "blocks that do not end": ("anthropic", "window", blocks),
    "calls before what streams on": ("chat", "window", calls),
    "citations": ("chat", "window", citations),
    "choices": ("chat", "window", choices),
    "texts in a row": ("anthropic", "window", lambda number: streamed("anthropic", [("text", "word ")] * number)),
    "items in a row": ("responses", "window", lambda number: streamed("responses", [("text", "word ")] * number)),
}


def lines_run(wire: str, look: str, stream: bytes) -> int:
    """How many lines of Python a stream takes at the gate."""
    events = by_event(stream)
    gate, seen, before = Driven(wire, LOOKS[look]), 0, sys.gettrace()

    def count(*_: object) -> Any:
        nonlocal seen
        seen += 1
        return count

    sys.settrace(count)
    try:
        gate.feed(events)
    finally:
        sys.settrace(before)
    return seen


@pytest.mark.parametrize("name", STREAMS)
def test_many_pieces_take_work_as_they_are_many(name: str) -> None:
    wire, look, made = STREAMS[name]
    assert lines_run(wire, look, made(_MANY)) < 10 * lines_run(wire, look, made(_MANY // 8))


@pytest.mark.parametrize("look", LOOKS)
def test_of_very_many_open_texts_only_those_are_looked_at_that_more_came_of(
    look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    ripe = Block.ripe

    def counted(block: Block) -> bool:
        looked.append(block.number)
        return ripe.fget(block) if ripe.fget is not None else False

    monkeypatch.setattr(Block, "ripe", property(counted))
    number = 100
    gate = Driven("responses", LOOKS[look])
    for event in told(*HELLO, *texts(number)).split(b"\n\n")[:-1]:
        gate.feed([event + b"\n\n"], finish=False)
    assert len(looked) < 5 * number
