"""Clients put a text together from the deltas of one kind, or of one name: another between them hides nothing."""

from typing import Any, Final

import pytest
from corpus_words import sse
from streams import Driven, events
from test_one_place import DONE, ENDINGS, HI, LOOKED, LOOKS, SAID, WORD, at, call, delivered, message, told

from gateway.wire.blocks import Judgement
from gateway.wire.gate import DOUBTFUL, Ending, Substituted

HALVES: Final = (WORD[:3], WORD[3:])


def delta(stem: str, said: str, name: str = "i") -> dict[str, Any]:
    return {**at(f"{stem}.delta", content_index=0, delta=said), "item_id": name}


TEXT: Final = "output_text"
GIVEN: Final = "function_call_arguments"
BEGUN: Final = at("output_item.added", item={**message(), "content": []})
HIDDEN: Final[dict[str, tuple[str, list[dict[str, Any]]]]] = {
    "a refusal in a text": (TEXT, [BEGUN, delta("refusal", "?")]),
    "what is heard in a text": (TEXT, [BEGUN, delta("audio.transcript", "?")]),
    "a part that begins in its midst": (
        TEXT,
        [BEGUN, at("content_part.added", content_index=0, part=message("?")["content"][0])],
    ),
    "an item that begins in its midst": (TEXT, [BEGUN, at("output_item.added", item=message("?"))]),
    "a text under another name": (TEXT, [BEGUN, delta(TEXT, "?", "j")]),
    "arguments of another kind": (GIVEN, [LOOKED, delta("mcp_call_arguments", "?")]),
    "arguments under another name": (GIVEN, [LOOKED, delta(GIVEN, "?", "j")]),
}


def put_together(wire: bytes, stem: str) -> str:
    """What a client makes of the deltas of one kind and name."""
    found = [event for event in events(wire) if event["type"] == f"response.{stem}.delta"]
    return "".join(event["delta"] for event in found if event["item_id"] == "i")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", HIDDEN)
def test_a_text_is_judged_as_a_client_puts_it_together(name: str, ending: Ending, look: str) -> None:
    stem, (begun, between) = HIDDEN[name]
    first, last = (delta(stem, half) for half in HALVES)
    wire = delivered(told(begun, first, between, last), look, ending, SAID | DONE)
    assert WORD not in put_together(wire, stem)


def test_arguments_that_go_on_behind_their_end_do_not_pass() -> None:
    stream = told(LOOKED, at(f"{GIVEN}.done", arguments='{"at": "/"}'), delta(GIVEN, " and on"))
    assert DOUBTFUL.encode() in delivered(stream, "whole", Substituted("No."), DONE)


@pytest.mark.parametrize("look", LOOKS)
def test_a_provider_may_give_each_event_another_name(look: str) -> None:
    texts = [delta(TEXT, letter, f"name {place}") for place, letter in enumerate(HI)]
    given = [delta(GIVEN, letter, f"other name {place}") for place, letter in enumerate('{"at": 1}')]
    looked = call("look", '{"at": 1}')
    stream = told(
        BEGUN,
        *texts,
        at("output_item.done", item=message(HI)),
        {**LOOKED, "output_index": 1},
        *({**event, "output_index": 1} for event in given),
        at("output_item.done", 1, item=looked),
        output=(message(HI), looked),
    )
    driven = Driven("responses", LOOKS[look]).feed([stream])
    assert driven.wire == stream
    assert [one.part.text for one in driven.judged if one.final] == [HI, '{"at": 1}']


def test_an_item_may_be_given_whole_from_its_beginning() -> None:
    whole = message(HI)
    begun = at("output_item.added", item=whole)
    part = at("content_part.added", content_index=0, part=whole["content"][0])
    stream = told(begun, part, at("output_text.done", content_index=0, text=HI), output=(whole,))
    driven = Driven("responses", LOOKS["whole"]).feed([stream])
    assert driven.wire == stream
    assert [one.part.text for one in driven.judged] == [HI]


FORMS: Final[dict[str, dict[str, Any]]] = {
    "a custom call within a function": {"custom": {"input": "?"}},
    "an input among arguments": {"function": {"input": "?"}},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", FORMS)
def test_a_chat_call_is_judged_as_a_client_puts_it_together(name: str, look: str) -> None:
    begun = {"id": "c", "type": "function", "function": {"name": "look", "arguments": HALVES[0]}}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [
        {"tool_calls": [{"index": 0, **one}]} for one in (begun, FORMS[name], {"function": {"arguments": HALVES[1]}})
    ]
    chunks = [{**head, "choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}

    def decide(judgement: Judgement) -> Ending | None:
        return Substituted("No.") if WORD in judgement.part.text else None

    wire = Driven("chat", LOOKS[look]).feed([sse("chat", [*chunks, end, "[DONE]"])], decide).wire
    assert HALVES[1].encode() not in wire
