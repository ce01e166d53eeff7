"""Whatever a Chat stream says of one text or call, clients show only what a clause let pass."""

import json
from typing import Any, Final

import pytest
from corpus_words import sse
from streams import Driven, read, rejecting

from gateway.wire.blocks import Window
from gateway.wire.gate import DOUBTFUL, Needs, Refused

WORD: Final = "heronry"
HALVES: Final = (WORD[:3], WORD[3:])
ALL: Final = Needs(text=Window(16), reasoning=Window(16), tool_call="whole", server_side="whole")
HEAD: Final = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(delta: dict[str, Any], index: int | None = 0, finish: str | None = None) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def told(*chunks: dict[str, Any]) -> bytes:
    """A stream of these chunks; a delta that is given without its chunk is the first choice's."""
    whole = [one if "choices" in one else chunk(one) for one in chunks]
    return sse("chat", [*whole, chunk({}, finish="stop"), "[DONE]"])


def part(given: str, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A piece of a call."""
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"index": index, **fields, "function": {**name, "arguments": given}}


def called(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": list(parts)}


def whole(word: str, call_id: str, index: int | None = 0, name: str = "look") -> dict[str, Any]:
    return part(json.dumps({"at": word}), index, id=call_id, name=name)


def refused(stream: bytes, needs: Needs, kind: str | None = None) -> bytes:
    """What leaves where a clause on such a kind of steps lets nothing say the word."""
    kinds = None if kind is None else {kind}
    return Driven("chat", needs).feed([stream], rejecting(WORD, Refused("No."), kinds)).wire


ODD: Final = {"type": "reference", "reference_ids": [1]}
FIRST, LAST = HALVES
SMUGGLED: Final[dict[str, bytes]] = {
    "strings around a list": told({"content": FIRST}, {"content": [{"type": "text", "text": "?"}]}, {"content": LAST}),
    "strings around what is no text": told({"content": FIRST}, {"content": [ODD]}, {"content": LAST}),
    "strings around a thought": told(
        {"content": FIRST}, {"content": [{"type": "thinking", "thinking": "?"}]}, {"content": LAST}
    ),
    "a thought in pieces": told(
        *({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": half}]}]} for half in HALVES)
    ),
    "reasoning around another name": told({"reasoning": FIRST}, {"reasoning_content": "?"}, {"reasoning": LAST}),
    "reasoning under two names at once": told(*({"reasoning_content": "?", "reasoning": half} for half in HALVES)),
    "a call whose id comes again behind another": told(
        called(part(FIRST, id="c", name="look")),
        called(part("?", 0, id="d")),
        called(part(LAST, 0, id="c")),
    ),
    "calls of one id": told(called(part(FIRST, id="c", name="look")), called(part(LAST, 1, id="c"))),
    "calls of two ids under one index": told(
        called(part(FIRST, id="c", name="look")), called(part("?", id="d", name="look")), called(part(LAST, id="c"))
    ),
    "a call under a negative index": told(
        called(part(FIRST, id="c", name="look"), part("?", 1, id="d", name="look")), called(part(LAST, -1))
    ),
    "a call under an index that stands for another place": told(
        called(part(FIRST, 5, id="c", name="look")), called(part(LAST, 0, id="d"))
    ),
    "a call with an index and without": told(
        called(part(FIRST, None, id="c", name="look")), called(part("?", 0)), called(part(LAST, None))
    ),
    "a choice under a negative index": told(
        {"role": "assistant"}, chunk({"content": FIRST}, 1), chunk({"content": LAST}, -1)
    ),
    "a choice that comes twice at once": told(
        {**HEAD, "choices": [*chunk({"content": "?"})["choices"], *chunk({"content": FIRST})["choices"]]},
        chunk({"content": LAST}, 1),
    ),
    "a choice under an index that stands for another place": told(chunk({"content": FIRST}, 3), {"content": LAST}),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_clients_may_put_together_is_judged(name: str) -> None:
    assert LAST.encode() not in refused(SMUGGLED[name], ALL)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_that_is_no_text_is_judged_beside_one_that_is(name: str) -> None:
    other = "reasoning" if name == "reasoning_content" else "reasoning_content"
    stream = told({name: [{"text": WORD}], other: "Hm."})
    assert WORD.encode() not in refused(stream, ALL)


def test_a_clause_on_reasoning_sees_thoughts_that_stand_in_the_content() -> None:
    """Mistral gives them so."""
    stream = told({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": WORD}]}]})
    assert WORD.encode() not in refused(stream, Needs(reasoning="whole"), "reasoning")


HONEST: Final[dict[str, tuple[bytes, list[str]]]] = {
    "calls of one index (Ollama)": (
        told(called(whole("a", "c")), called(whole("b", "d", name="find"))),
        ['look {"at": "a"}', 'find {"at": "b"}'],
    ),
    "calls of one index in one chunk (Dynamo)": (
        told(called(whole("a", "c"), whole("b", "d"))),
        ['look {"at": "a"}', 'look {"at": "b"}'],
    ),
    "calls without an index": (
        told(called(whole("a", "c", None)), called(whole("b", "d", None))),
        ['look {"at": "a"}', 'look {"at": "b"}'],
    ),
    "another id with every piece (vLLM)": (
        told(called(part("{", id="c", name="look")), called(part('"a":', id="d")), called(part("1}", id="e"))),
        ['look {"a":1}'],
    ),
    "calls whose indexes begin at one": (
        told(called(whole("a", "c", 1)), called(part(" ", 1)), called(whole("b", "d", 2))),
        ['look {"at": "a"} ', 'look {"at": "b"}'],
    ),
    "calls that take turns": (
        told(
            called(part("{", id="c", name="look"), part("{", 1, id="d", name="find")),
            called(part("}"), part("}", 1)),
        ),
        ["look {}", "find {}"],
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_servers_number_their_calls_in_many_ways(name: str) -> None:
    stream, calls = HONEST[name]
    driven = Driven("chat", ALL).feed([stream])
    assert driven.wire == stream
    assert [f"{one.part.tool} {one.part.text}" for one in driven.judged] == calls


@pytest.mark.parametrize("name", HONEST)
def test_calls_are_recorded_as_they_are_judged(name: str) -> None:
    stream, calls = HONEST[name]
    recorded = [part for part in read("chat", stream).parts if part.kind == "tool_call"]
    judged = [one.part for one in Driven("chat", ALL).feed([stream]).judged]
    assert [f"{part.tool} {part.text}" for part in recorded] == calls
    assert [(part.pointer, part.call_id) for part in recorded] == [(part.pointer, part.call_id) for part in judged]


def test_another_call_of_one_index_that_is_given_nothing_does_not_pass() -> None:
    """Who takes the last name for all that was given would do what nobody judged."""
    stream = told(called(whole("a", "c")), called(part("", id="d", name="find")))
    assert DOUBTFUL.encode() in refused(stream, ALL)


def test_calls_of_one_index_pass_where_no_clause_looks_at_calls() -> None:
    stream = told(called(whole("a", "c")), called(part("", id="d", name="find")))
    assert Driven("chat", Needs(text="whole")).feed([stream]).wire == stream


def test_mistrals_thoughts_and_references_pass_between_its_texts() -> None:
    thought = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}
    stream = told(thought, {"content": "It is so "}, {"content": [ODD]}, {"content": "and so."})
    driven = Driven("chat", Needs(text="whole", reasoning="whole")).feed([stream])
    assert driven.wire == stream
    assert "It is so and so." in [one.part.text for one in driven.judged]
