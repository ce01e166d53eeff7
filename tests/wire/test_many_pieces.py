"""A Responses stream of very many small pieces takes time as there are pieces, and not as there are pairs of them."""

import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from streams import Driven
from test_one_place import HELLO, LOOKS, at, call, message, told

from gateway.wire.gate import Block

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


STREAMS: Final[dict[str, tuple[Callable[[int], bytes], str, int]]] = {
    "ends of an item that say nothing": (lambda number: told(*HELLO, *texts(number), *[EMPTY] * number), "whole", 250),
    "citations before what streams on": (cited, "whole", 1000),
    "strings that have grown in the end": (grown, "whole", 2000),
    "calls that are named otherwise in the end": (renamed, "whole", 1000),
}


@pytest.mark.parametrize("name", STREAMS)
def test_many_pieces_take_time_as_they_are_many(name: str) -> None:
    made, look, few = STREAMS[name]

    def seconds(number: int) -> float:
        events = [event + b"\n\n" for event in made(number).split(b"\n\n") if event]
        began = time.process_time()
        Driven("responses", LOOKS[look]).feed(events)
        return time.process_time() - began

    assert seconds(8 * few) < 20 * min(seconds(few) for _ in range(3)) + 0.1


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
