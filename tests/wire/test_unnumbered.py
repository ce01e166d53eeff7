"""Servers that give no output index: their items are told apart by their names, and nothing leaves unjudged."""

import json
from typing import Any, Final

import pytest
from corpus_words import sse
from streams import Driven, read
from test_one_place import DONE, ENDINGS, HI, LOOKS, SAID, WORD, at, call, delivered, message, told

from gateway.wire.gate import DOUBTFUL, Ending, Substituted

Call = tuple[str, str]
"""A tool, and what it is given."""


def llama(thought: str, said: str, *calls: Call) -> bytes:
    """A reply as llama.cpp's server streams it: without indexes and numbers, and what is done is told in the end."""
    head = {"id": "resp_1", "object": "response", "status": "in_progress"}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": head}]
    reasoning = {"id": "rs_1", "summary": [], "type": "reasoning", "content": [], "encrypted_content": ""}
    piece = {"type": "output_text", "annotations": [], "logprobs": [], "text": said}
    speaking = {"content": [], "id": "msg_1", "role": "assistant", "status": "in_progress", "type": "message"}
    events += [
        {"type": "response.output_item.added", "item": {**reasoning, "status": "in_progress"}},
        *({"type": "response.reasoning_text.delta", "delta": letter, "item_id": "rs_1"} for letter in thought),
        {"type": "response.output_item.added", "item": speaking},
        {"type": "response.content_part.added", "item_id": "msg_1", "part": {"type": "output_text", "text": ""}},
        *({"type": "response.output_text.delta", "item_id": "msg_1", "delta": letter} for letter in said),
    ]
    output: list[dict[str, Any]] = [
        {**reasoning, "content": [{"text": thought, "type": "reasoning_text"}]},
        {**speaking, "status": "completed", "content": [piece]},
    ]
    for number, (name, given) in enumerate(calls):
        item = {"id": f"fc_{number}", "call_id": f"call_{number}", "name": name, "type": "function_call"}
        begun = {**item, "arguments": "", "status": "in_progress"}
        events.append({"type": "response.output_item.added", "item": begun})
        for letter in given:
            delta = {"type": "response.function_call_arguments.delta", "delta": letter, "item_id": item["id"]}
            events.append(delta)
        output.append({**item, "arguments": given, "status": "completed"})
    for item in output:
        if item["type"] == "message":
            events.append({"type": "response.output_text.done", "item_id": "msg_1", "text": said})
            events.append({"type": "response.content_part.done", "item_id": "msg_1", "part": piece})
        events.append({"type": "response.output_item.done", "item": item})
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    end = {**head, "status": "completed", "output": output, "usage": usage}
    return sse("responses", [*events, {"type": "response.completed", "response": end}])


@pytest.mark.parametrize("look", LOOKS)
def test_items_without_an_index_are_judged_each_by_itself(look: str) -> None:
    stream = llama("Hm.", HI, ("look", "{}"), ("look", '{"at": 1}'))
    driven = Driven("responses", LOOKS[look]).feed([stream])
    assert driven.wire == stream
    assert [(one.part.kind, one.part.pointer, one.part.text) for one in driven.judged if one.final] == [
        ("reasoning", "/output/0", "Hm."),
        ("model_text", "/output/1/content/0", HI),
        ("tool_call", "/output/2", "{}"),
        ("tool_call", "/output/3", '{"at": 1}'),
    ]


GUILTY: Final[dict[str, bytes]] = {
    "reasoning": llama(WORD, HI, ("look", "{}")),
    "a text": llama("Hm.", WORD, ("look", "{}")),
    "a name": llama("Hm.", HI, ("look", "{}"), (WORD, "{}")),
    "arguments": llama("Hm.", HI, ("look", json.dumps({"at": WORD})), ("look", "{}")),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", GUILTY)
def test_what_is_rejected_does_not_leave_without_an_index(name: str, ending: Ending, look: str) -> None:
    wire = delivered(GUILTY[name], look, ending, SAID | DONE)
    assert WORD.encode() not in wire
    assert DOUBTFUL.encode() not in wire


def test_items_without_an_index_are_recorded_as_they_are_judged() -> None:
    stream = llama("Hm.", HI, ("look", "{}"), ("look", '{"at": 1}'))
    judged = [one.part for one in Driven("responses", LOOKS["whole"]).feed([stream]).judged if one.final]
    recorded = read("responses", stream).parts
    assert [(part.kind, part.pointer, part.tool, part.text) for part in recorded] == [
        (part.kind, part.pointer, part.tool, part.text) for part in judged
    ]


def bare(*events: dict[str, Any], without: tuple[str, ...] = ("output_index", "item_id")) -> list[dict[str, Any]]:
    return [{key: event[key] for key in event if key not in without} for event in events]


CALLED: Final = (
    at("output_item.added", item={**call("look", ""), "id": None}),
    at("function_call_arguments.delta", delta=WORD),
    at("function_call_arguments.done", arguments=WORD),
    at("output_item.done", item={**call("look", WORD), "id": None}),
)
SPOKEN: Final = (
    at("output_item.added", item={**message(), "id": None, "content": []}),
    at("output_text.delta", content_index=0, delta=WORD),
    at("output_text.done", content_index=0, text=WORD),
    at("output_item.done", item={**message(WORD), "id": None}),
)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("events", [CALLED, SPOKEN], ids=["call", "text"])
def test_what_is_rejected_does_not_leave_with_neither_an_index_nor_a_name(
    events: tuple[dict[str, Any], ...], ending: Ending, look: str
) -> None:
    item = events[-1]["item"]
    for stream in (told(*bare(*events), output=(item,)), told(*bare(*events))):
        assert Driven("responses", LOOKS[look]).feed([stream]).wire == stream
        assert WORD.encode() not in delivered(stream, look, ending, SAID | DONE)


def named(name: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """Events about an item of this name, without an index."""
    return [
        {**event, "item": {**event["item"], "id": name}} if "item" in event else {**event, "item_id": name}
        for event in bare(*events)
    ]


BEGUN: Final = at("output_item.added", item=call("look", ""))
HALF: Final = at("function_call_arguments.delta", delta='{"at": "her')
REST: Final = at("function_call_arguments.delta", delta='onry"}')
HELLO: Final = at("output_item.added", item={**message(), "content": []})
SAYS: Final = at("output_text.delta", content_index=0, delta=HI)
TAKEN_OTHERWISE: Final[dict[str, list[dict[str, Any]]]] = {
    "by those that take no index for the first": [*named("a", BEGUN, HALF), *named("b", BEGUN, REST)],
    "a call within another": [*named("a", BEGUN), *named("b", BEGUN, HALF), *named("a", REST)],
    "by those that take no name for the last": [*named("a", HELLO), *named("b", HELLO), *bare(SAYS)],
    "a text by those that take no index for the first, where others give one": [
        *(HELLO, SAYS, {**HELLO, "output_index": 1, "item": {**HELLO["item"], "id": "b"}}),
        *named("b", SAYS),
    ],
    "by those that go by the index": [BEGUN, {**BEGUN, "output_index": 1}, *named("a", HALF)],
    "an index below all": [{**BEGUN, "output_index": -1}],
}


@pytest.mark.parametrize("name", TAKEN_OTHERWISE)
def test_what_clients_may_take_for_more_of_another_item_ends_the_stream(name: str) -> None:
    wire = delivered(told(*TAKEN_OTHERWISE[name]), "whole", Substituted("No."), SAID | DONE)
    assert DOUBTFUL.encode() in wire


def test_an_event_that_leaves_the_index_of_the_first_item_out_is_about_that_item() -> None:
    item = message(HI)
    stream = told(HELLO, *bare(SAYS), *named("i", SAYS), at("output_item.done", item=message(HI * 2)), output=(item,))
    assert Driven("responses", LOOKS["whole"]).feed([stream]).wire == stream
