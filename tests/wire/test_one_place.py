"""Whatever a Responses stream says of one output index, and however often, nothing leaves that was not judged.

Clients put an item together from its first event, from what streams, from its last event or from the stream's: each
must show only what a clause let pass.
"""

import json
from typing import Any, Final

import pytest
from corpus_words import sse
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import Driven, rejecting

from gateway.wire.blocks import Judgement, Window
from gateway.wire.edits import Replacement
from gateway.wire.gate import Ending, Failed, Needs, Refused, Substituted

WORD: Final = "heronry"
LOOKS: Final = {
    "window": Needs(text=Window(32), reasoning=Window(32), tool_call="whole", server_side="whole"),
    "whole": Needs(text="whole", reasoning="whole", tool_call="whole", server_side="whole"),
}
ENDINGS: Final[list[Ending]] = [Substituted("No."), Refused("No."), Failed("No.")]
HI: Final = "Hi there."


def told(*events: dict[str, Any], output: tuple[Any, ...] = ()) -> bytes:
    """A stream of these events, whose last one gives this output."""
    response = {"id": "resp_1", "status": "in_progress", "output": []}
    whole = [{"type": "response.created", "response": response}, *events]
    whole.append({"type": "response.completed", "response": {**response, "status": "completed", "output": [*output]}})
    return sse("responses", [{**event, "sequence_number": at} for at, event in enumerate(whole)])


def delivered(stream: bytes, look: str, ending: Ending, kinds: frozenset[str]) -> bytes:
    """What leaves where a clause on these kinds of steps lets nothing say the word."""
    return Driven("responses", LOOKS[look]).feed([stream], rejecting(WORD, ending, kinds)).wire


# ----------------------------------------------------------------------------------------------- any such stream

SAID: Final = frozenset({"model_text", "reasoning", "tool_result"})
DONE: Final = frozenset({"tool_call", "model_text", "tool_result"})
"""What nobody can read is judged as text; what a provider's own tool brought is its result."""


def text_of(word: str) -> dict[str, Any]:
    return {"type": "output_text", "text": word, "annotations": []}


def items(said: str, name: str, given: str) -> list[dict[str, Any]]:
    """Items of all kinds, with such a text, name and arguments."""
    message = {"type": "message", "role": "assistant"}
    return [
        {**message, "content": [text_of(said)]},
        {**message, "content": [text_of(HI), text_of(said)]},
        {**message, "content": [text_of(HI), {"type": "refusal", "refusal": said}]},
        {**message, "content": said},
        {"content": [text_of(said)]},
        {"text": said},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": said}]},
        {"type": "function_call", "call_id": "c", "name": name, "arguments": given},
        {"type": "function_call", "call_id": "d", "name": name, "arguments": given},
        {"type": "function_call", "call_id": "c", "arguments": given},
        {"type": "custom_tool_call", "call_id": "c", "name": name, "input": given},
        {"type": "mcp_call", "name": name, "server_label": "s", "arguments": given, "output": said},
        {"type": "shell_call", "call_id": "c", "action": {"commands": [said]}},
        {"call_id": "c", "name": name, "arguments": given},
    ]


def pieces(said: str, name: str, given: str) -> list[dict[str, Any]]:
    """Events that tell of an item piece by piece, or of a piece of it."""
    events: list[dict[str, Any]] = []
    for place in (0, 1):
        where = {"content_index": place}
        part = {**where, "part": text_of(said)}
        cited = {"type": "url_citation", "title": said, "url": "https://x.example"}
        events += [
            {"type": "response.output_text.delta", **where, "delta": said},
            {"type": "response.output_text.done", **where, "text": said},
            {"type": "response.content_part.added", **part},
            {"type": "response.content_part.done", **part},
            {"type": "response.output_text.annotation.added", **where, "annotation": cited},
        ]
    for stem, field in (("function_call_arguments", "arguments"), ("custom_tool_call_input", "input")):
        events += [
            {"type": f"response.{stem}.delta", "delta": given},
            {"type": f"response.{stem}.done", field: given},
            {"type": f"response.{stem}.done", field: given, "name": name},
        ]
    return [
        *events,
        {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": said},
        {"type": "response.reasoning_summary_text.done", "summary_index": 0, "text": said},
    ]


def spoken(bad: str | None) -> tuple[str, str, str]:
    """Text, name and arguments, of which one may be the word."""
    return (
        WORD if bad == "text" else HI,
        WORD if bad == "name" else "look",
        json.dumps({"at": WORD}) if bad == "arguments" else "{}",
    )


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, frozenset[str]]:
    """A stream about one or two places in which one event says the word, with the kinds of steps it says it in."""
    bad = draw(st.sampled_from(["text", "name", "arguments"]))
    count = draw(st.integers(1, 5))
    which = draw(st.integers(0, count))
    begin = {**items(*spoken(None))[0], "content": []}
    begun = [{"type": "response.output_item.added", "output_index": 0, "item": begin}] if draw(st.booleans()) else []
    events: list[dict[str, Any]] = []
    for at in range(count):
        words = spoken(bad if at == which else None)
        place = {"output_index": draw(st.sampled_from([0, 0, 0, 1])), "item_id": "i"}
        own = draw(st.sampled_from(["added", "done", "piece"]))
        if own == "piece":
            events.append({**draw(st.sampled_from(pieces(*words))), **place})
        else:
            item = draw(st.sampled_from(items(*words)))
            events.append({"type": f"response.output_item.{own}", **place, "item": item})
    output = [draw(st.sampled_from(items(*spoken(None)))) for _ in range(draw(st.integers(0, 2)))]
    if which == count:
        output.append(draw(st.sampled_from(items(*spoken(bad)))))
    return told(*begun, *events, output=tuple(output)), SAID | DONE if bad == "text" else DONE


@settings(max_examples=500)
@given(streams(), st.sampled_from(sorted(LOOKS)), st.sampled_from(ENDINGS))
def test_nothing_that_is_said_of_one_place_leaves_unjudged(
    stream: tuple[bytes, frozenset[str]], look: str, ending: Ending
) -> None:
    wire, kinds = stream
    assert WORD.encode() not in delivered(wire, look, ending, kinds)


# ------------------------------------------------------------------------------------------------- by example


def at(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": index, "item_id": "i", **fields}


def call(name: str, given: str = "{}", call_id: str = "c") -> dict[str, Any]:
    return {"type": "function_call", "id": "i", "call_id": call_id, "name": name, "arguments": given}


def message(*said: str) -> dict[str, Any]:
    return {"type": "message", "id": "i", "role": "assistant", "content": [text_of(one) for one in said]}


HELLO: Final = (
    at("output_item.added", item={**message(), "content": []}),
    at("output_text.delta", content_index=0, delta=HI),
)
LOOKED: Final = at("output_item.added", item=call("look", ""))

SMUGGLED: Final[dict[str, bytes]] = {
    "the second part of a message": told(
        *HELLO,
        at("output_text.delta", content_index=1, delta=WORD),
        at("output_item.done", item=message(HI, WORD)),
        output=(message(HI, WORD),),
    ),
    "a second part that stands in the last event alone": told(*HELLO, output=(message(HI, WORD),)),
    "a call where a message stands, behind another": told(
        *HELLO, at("output_item.done", item=call("look")), output=(call(WORD),)
    ),
    "a third call in one place": told(LOOKED, at("output_item.done", item=call("look")), output=(call(WORD),)),
    "arguments where a message stands": told(*HELLO, at("function_call_arguments.done", arguments=WORD)),
    "a call that begins twice": told(
        LOOKED, at("output_item.added", item=call(WORD)), at("output_item.done", item=call("look"))
    ),
    "a name that the end takes back": told(
        at("output_item.added", item=call(WORD, "")), at("output_item.done", item=call("look")), output=(call("look"),)
    ),
    "a name beside the arguments": told(
        LOOKED, at("function_call_arguments.done", arguments="{}", name=WORD), output=(call("look"),)
    ),
    "a name that comes with the arguments, and that the end takes back": told(
        at("output_item.added", item={"type": "function_call", "id": "i", "call_id": "c", "arguments": ""}),
        at("function_call_arguments.done", arguments="{}", name=WORD),
        output=(call("look"),),
    ),
    "arguments that the end takes back": told(
        LOOKED, at("function_call_arguments.delta", delta=WORD), output=(call("look", "{}"),)
    ),
    "arguments that are an object in the end": told(
        LOOKED,
        at("function_call_arguments.delta", delta="{}"),
        at("output_item.done", item={**call("look"), "arguments": {"at": WORD}}),
        output=(call("look"),),
    ),
    "arguments that the end leaves out": told(
        LOOKED, at("function_call_arguments.delta", delta=WORD), output=(call("look", ""),)
    ),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", SMUGGLED)
def test_what_clients_may_put_together_is_judged(name: str, look: str) -> None:
    assert WORD.encode() not in delivered(SMUGGLED[name], look, Substituted("No."), SAID | DONE)


def thought(*said: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": "i", "summary": [{"type": "summary_text", "text": one} for one in said]}


FIRST: Final[dict[str, dict[str, Any]]] = {
    "a text": {**message(), "content": []},
    "reasoning": thought(),
    "a call": call("look", ""),
    "a call of the provider's": {"type": "web_search_call", "id": "i", "status": "in_progress"},
    "a call the provider runs": {"type": "shell_call", "id": "i", "call_id": "c", "execution": "server"},
    "what nobody knows": {"type": "novelty", "id": "i"},
}
ONLY: Final[dict[str, tuple[Needs, dict[str, Any]]]] = {
    "model_text": (Needs(text="whole"), message(WORD)),
    "reasoning": (Needs(reasoning="whole"), thought(WORD)),
    "tool_call": (Needs(tool_call="whole"), call(WORD)),
    "tool_result": (Needs(server_side="whole"), {"type": "mcp_call", "name": "look", "output": WORD}),
}


def refused(stream: bytes, kind: str) -> bytes:
    """What leaves where a clause on this kind of steps alone lets none of them pass."""

    def decide(judgement: Judgement) -> Ending | None:
        return Refused("No.") if judgement.part.kind == kind else None

    return Driven("responses", ONLY[kind][0]).feed([stream], decide).wire


@pytest.mark.parametrize("kind", ONLY)
@pytest.mark.parametrize("first", FIRST)
def test_a_clause_on_one_kind_sees_it_also_where_an_item_of_another_kind_began(first: str, kind: str) -> None:
    _, item = ONLY[kind]
    begun = at("output_item.added", item=FIRST[first])
    events = (
        [at("output_item.added", item=item)],
        [at("output_item.done", item=item)],
        [at("output_item.done", item=FIRST[first]), at("output_item.done", item=item)],
    )
    streams = [told(begun, *each) for each in events] + [told(begun, output=(item,))]
    for stream in streams:
        assert WORD.encode() not in refused(stream, kind)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("model_text", at("output_text.delta", content_index=0, delta=WORD)),
        ("model_text", at("output_text.done", content_index=0, text=WORD)),
        ("reasoning", at("reasoning_text.delta", content_index=0, delta=WORD)),
        ("reasoning", at("reasoning_summary_text.done", summary_index=0, text=WORD)),
        ("tool_call", at("function_call_arguments.delta", delta=WORD)),
        ("tool_call", at("function_call_arguments.done", arguments=WORD)),
    ],
)
@pytest.mark.parametrize("first", FIRST)
def test_a_clause_on_one_kind_sees_what_streams_of_it_in_an_item_of_another(
    first: str, kind: str, event: dict[str, Any]
) -> None:
    stream = told(at("output_item.added", item=FIRST[first]), event)
    assert WORD.encode() not in refused(stream, kind)


NO_CALLS: Final[list[dict[str, Any]]] = [
    FIRST["what nobody knows"],
    {"type": "mcp_list_tools", "id": "i", "server_label": "s", "tools": [{"name": "look"}]},
    {"type": "compaction", "id": "i", "encrypted_content": "gAAAAAB"},
]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("field", ["delta", "text", "output"])
@pytest.mark.parametrize("item", NO_CALLS, ids=lambda item: item["type"])
def test_what_an_item_that_is_no_call_grows_by_in_a_way_nobody_knows_is_judged(
    item: dict[str, Any], field: str, look: str
) -> None:
    begun, done = at("output_item.added", item=item), at("output_item.done", item=item)
    stream = told(begun, at(f"{item['type']}.progress", **{field: WORD}), done, output=(item,))
    assert Driven("responses", LOOKS[look]).feed([stream]).wire == stream
    assert WORD.encode() not in delivered(stream, look, Substituted("No."), SAID)


@pytest.mark.parametrize("item", [{"text": WORD}, {"type": "message", "content": WORD}, {"content": [text_of(WORD)]}])
def test_what_stands_in_an_output_is_what_the_model_says(item: dict[str, Any]) -> None:
    alone, beside = told(output=(item,)), told(*HELLO, output=(item,))
    for stream in (alone, beside, told(at("output_item.added", item=item))):
        assert WORD.encode() not in delivered(stream, "whole", Substituted("No."), frozenset({"model_text"}))


def test_a_message_that_is_repeated_without_its_type_is_changed_and_asked_about_once() -> None:
    asked: list[str] = []

    def decide(judgement: Judgement) -> list[Replacement]:
        asked.append(judgement.part.text)
        return [Replacement(0, 2, "Ho")]

    bare = {"id": "i", "content": [text_of(HI)]}
    stream = told(*HELLO, at("output_item.done", item=bare), output=(message(HI),))
    wire = Driven("responses", LOOKS["whole"]).feed([stream], decide).wire
    assert asked == [HI]
    assert (wire.count(b"Ho there."), HI.encode() in wire) == (3, False)


def test_a_call_whose_end_leaves_its_arguments_out_is_judged_with_those_that_came() -> None:
    stream = told(LOOKED, at("function_call_arguments.delta", delta='{"at": 1}'), output=(call("look", ""),))
    driven = Driven("responses", LOOKS["whole"]).feed([stream])
    assert [(one.part.tool, one.part.text) for one in driven.judged] == [("look", '{"at": 1}')]
    assert driven.wire == stream


def test_a_built_in_call_may_grow_until_it_is_done() -> None:
    begun = {"type": "shell_call", "id": "i", "call_id": "c", "status": "in_progress", "action": {"commands": ["ls"]}}
    whole = {**begun, "status": "completed", "action": {"commands": ["ls", "pwd"]}}
    stream = told(at("output_item.added", item=begun), at("output_item.done", item=whole), output=(whole,))
    driven = Driven("responses", LOOKS["whole"]).feed([stream])
    assert [one.part.text for one in driven.judged] == ['{"commands":["ls","pwd"]}']
    assert driven.wire == stream


def test_what_nobody_can_read_may_be_sealed_anew_with_each_event() -> None:
    begun = {"type": "compaction", "id": "i", "encrypted_content": "gAAAAAB-first"}
    whole = {**begun, "encrypted_content": "gAAAAAB-second"}
    stream = told(at("output_item.added", item=begun), at("output_item.done", item=whole), output=(whole,))
    driven = Driven("responses", LOOKS["whole"]).feed([stream])
    assert [one.part.unread for one in driven.judged] == ["encrypted"]
    assert driven.wire == stream


def test_a_server_may_leave_items_out_of_its_last_event() -> None:
    message_at_1 = (
        at("output_item.added", 1, item={**message(), "id": "j", "content": []}),
        at("output_text.delta", 1, content_index=0, delta=HI),
        at("output_item.done", 1, item={**message(HI), "id": "j"}),
    )
    looked = (LOOKED, at("function_call_arguments.delta", delta="{}"), at("output_item.done", item=call("look")))
    nameless = {key: value for key, value in message(HI).items() if key != "id"}
    for output in ((nameless,), (nameless, call("look")), (call("look"), nameless)):
        stream = told(*looked, *message_at_1, output=output)
        assert Driven("responses", LOOKS["whole"]).feed([stream]).wire == stream
        guilty = told(*looked, *message_at_1, output=(*output, call(WORD)))
        assert WORD.encode() not in delivered(guilty, "whole", Substituted("No."), DONE)


def end_of(stream: bytes) -> bytes:
    return stream[stream.rindex(b"event: ") :]


GUILTY: Final = (LOOKED, at("output_item.done", item=call("look", WORD)))
ENDED_AGAIN: Final = {
    "once more": end_of(told(output=(call("look", WORD),))),
    "twice more": end_of(told(output=(call("look", WORD),))) * 2,
    "with nothing": end_of(told()),
    "with another call": end_of(told(output=(call("look", WORD), call("look", call_id="d")))),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ENDED_AGAIN)
def test_a_stream_that_ends_again_while_its_end_waits_ends_once(name: str, ending: Ending) -> None:
    for whole in (told(*GUILTY, output=(call("look", WORD),)), told(*GUILTY)):
        again = whole + ENDED_AGAIN[name]
        wire = delivered(again, "whole", ending, DONE)
        assert WORD.encode() not in wire
        assert wire == delivered(whole, "whole", ending, DONE)
        assert Driven("responses", LOOKS["whole"]).feed([again]).wire == whole
