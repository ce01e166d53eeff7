"""A stream of very many small pieces takes time as there are pieces, and not as there are pairs of them."""

import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from streams import Driven
from test_one_block import TEXT, delta, start
from test_one_block import told as messages
from test_one_choice import HEAD, called, chunk, whole
from test_one_choice import told as chunks
from test_one_place import HELLO, LOOKS, at, call, message, told

EMPTY: Final = at("output_item.done", item={**message(), "content": []})


def texts(number: int) -> list[dict[str, Any]]:
    """As many texts of one message."""
    return [at("output_text.delta", content_index=place, delta="so ") for place in range(number)]


def cited(number: int) -> bytes:
    cited = [{"url": f"https://x.example/{place}"} for place in range(number)]
    events = [at("output_text.annotation.added", content_index=0, annotation=one) for one in cited]
    return told(*HELLO, *events, *(at("output_text.delta", content_index=0, delta="so ") for _ in events))


def grown(number: int) -> bytes:
    begun = {
        "type": "shell_call",
        "id": "i",
        "call_id": "c",
        "action": {"commands": [f"go {at}" for at in range(number)]},
    }
    whole = {**begun, "action": {"commands": [f"go {at}!" for at in range(number)]}}
    return told(at("output_item.added", item=begun), at("output_item.done", item=whole), output=(whole,))


def renamed(number: int) -> bytes:
    calls = [{**call("look"), "id": f"a {place}", "call_id": f"c {place}"} for place in range(number)]
    events = [at("output_item.done", place, item=one) for place, one in enumerate(calls)]
    return told(*events, output=tuple({**one, "id": f"b {place}"} for place, one in enumerate(calls)))


def choices(number: int) -> bytes:
    """As many choices, in one chunk and in chunks of their own."""
    given = [chunk({"content": "so "}, place) for place in range(number)]
    return chunks({**HEAD, "choices": [one["choices"][0] for one in given]}, *given)


Made = Callable[[int], bytes]
OTHERS: Final[dict[str, tuple[str, Made, int]]] = {
    "blocks that do not end": (
        "anthropic",
        lambda number: messages(
            TEXT,
            *(start("tool_use", place + 1, id="c", name="look", input={}) for place in range(number)),
            *[delta("text", "so it is ")] * number,
        ),
        500,
    ),
    "calls before what streams on": (
        "chat",
        lambda number: chunks(
            *(called(whole("a", f"c {place}", place)) for place in range(number)), *[{"content": "so it is "}] * number
        ),
        500,
    ),
    "citations": (
        "chat",
        lambda number: chunks(
            {"content": "so "}, *({"annotations": [{"url": f"x {place}"}]} for place in range(number))
        ),
        1000,
    ),
    "choices": ("chat", choices, 500),
}
STREAMS: Final[dict[str, tuple[Made, str, int]]] = {
    "ends of an item that say nothing": (lambda number: told(*HELLO, *texts(number), *[EMPTY] * number), "whole", 250),
    "citations before what streams on": (cited, "whole", 1000),
    "strings that have grown in the end": (grown, "whole", 2000),
    "calls that are named otherwise in the end": (renamed, "whole", 1000),
}


@pytest.mark.parametrize("name", STREAMS)
def test_many_pieces_take_time_as_they_are_many(name: str) -> None:
    made, look, few = STREAMS[name]
    takes_time_as_they_are_many("responses", made, look, few)


@pytest.mark.parametrize("name", OTHERS)
def test_many_pieces_of_other_wires_take_time_as_they_are_many(name: str) -> None:
    wire, made, few = OTHERS[name]
    takes_time_as_they_are_many(wire, made, "window", few)


def takes_time_as_they_are_many(wire: str, made: Made, look: str, few: int) -> None:
    def seconds(number: int) -> float:
        events = [event + b"\n\n" for event in made(number).split(b"\n\n") if event]
        began = time.process_time()
        Driven(wire, LOOKS[look]).feed(events)
        return time.process_time() - began

    assert seconds(8 * few) < 20 * min(seconds(few) for _ in range(3)) + 0.1
