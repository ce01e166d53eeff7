"""Whatever a Messages stream says within one block, clients show only what a clause on its kind of step let pass."""

from typing import Any, Final

import pytest
from corpus_words import sse
from streams import Driven, events, rejecting, streamed

from gateway.wire.blocks import Window
from gateway.wire.gate import DOUBTFUL, Needs, Refused

WORD: Final = "heronry"
HALVES: Final = (WORD[:3], WORD[3:])
ONLY: Final[dict[str, Needs]] = {
    "model_text": Needs(text=Window(16)),
    "reasoning": Needs(reasoning="whole"),
    "tool_call": Needs(tool_call="whole"),
    "tool_result": Needs(server_side="whole"),
}
ALL: Final = Needs(text=Window(16), reasoning=Window(16), tool_call="whole", server_side="whole")
HEAD, *END = events(streamed("anthropic", []))


def start(kind: str, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(field: str, said: str, index: int | None = 0) -> dict[str, Any]:
    kind = {"partial_json": "input_json_delta", "content": "compaction_delta"}.get(field, f"{field}_delta")
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: said}}


def stop(index: int | None = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def told(*between: dict[str, Any], content: tuple[Any, ...] = ()) -> bytes:
    """A stream of these events, whose first one holds this content."""
    return sse("anthropic", [{**HEAD, "message": {**HEAD["message"], "content": [*content]}}, *between, *END])


def refused(stream: bytes, needs: Needs, kind: str | None = None) -> bytes:
    """What leaves where a clause on such a kind of steps lets nothing say the word."""
    kinds = None if kind is None else {kind}
    return Driven("anthropic", needs).feed([stream], rejecting(WORD, Refused("No."), kinds)).wire


TEXT: Final = start("text", text="")
THOUGHT: Final = start("thinking", thinking="", signature="")
CALL: Final = start("tool_use", id="c", name="look", input={})
BEGUN: Final[dict[str, dict[str, Any]]] = {
    "a text": TEXT,
    "reasoning": THOUGHT,
    "reasoning that nobody reads": start("redacted_thinking", data="x"),
    "a call": CALL,
    "a call of the provider's": start("server_tool_use", id="s", name="web_search", input={}),
    "a result": start("web_search_tool_result", tool_use_id="s", content=[]),
    "what nobody knows": start("novelty"),
}
FIELDS: Final = {"model_text": "text", "reasoning": "thinking", "tool_call": "partial_json"}


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("name", [name for name in BEGUN if name != "a call of the provider's"])
def test_a_clause_on_one_kind_sees_it_also_where_a_block_of_another_kind_began(name: str, kind: str) -> None:
    stream = told(BEGUN[name], delta(FIELDS[kind], WORD), stop())
    assert WORD.encode() not in refused(stream, ONLY[kind], kind)


SMUGGLED: Final[dict[str, bytes]] = {
    f"{name} within {begun}": told(BEGUN[begun], delta(own, HALVES[0]), between, delta(own, HALVES[1]), stop())
    for begun, own, name, between in (
        ("a text", "text", "reasoning", delta("thinking", "?")),
        ("a text", "text", "arguments", delta("partial_json", "?")),
        ("a text", "text", "a summary", delta("content", "?")),
        ("reasoning", "thinking", "a text", delta("text", "?")),
        ("a call", "partial_json", "a text", delta("text", "?")),
    )
} | {
    "a text that goes on behind what the first event holds": told(
        delta("text", HALVES[1]), stop(), content=({"type": "text", "text": HALVES[0]},)
    ),
    "a text that goes on under a place the client gave another": told(
        start("text", 5, text=HALVES[0]), delta("text", HALVES[1]), stop(), stop(5)
    ),
    "a text that goes on without an index": told(
        TEXT, start("text", 1, text=HALVES[0]), delta("text", HALVES[1], None), stop(), stop(1)
    ),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_clients_may_put_together_is_judged(name: str) -> None:
    assert HALVES[1].encode() not in refused(SMUGGLED[name], ALL)


def test_a_call_that_goes_on_under_a_negative_index_is_judged_where_texts_are_not() -> None:
    called = start("tool_use", 1, id="c", name="look", input={})
    stream = told(TEXT, stop(), called, delta("partial_json", WORD, -1), stop(1))
    assert WORD.encode() not in refused(stream, ONLY["tool_call"])


def test_a_block_that_begins_twice_does_not_pass() -> None:
    stream = told(TEXT, delta("text", HALVES[0]), TEXT, delta("text", HALVES[1]), stop())
    assert DOUBTFUL.encode() in refused(stream, ALL)


@pytest.mark.parametrize("name", ["a text", "a call", "reasoning"])
def test_a_block_that_its_server_does_not_end_ends_with_the_turn(name: str) -> None:
    """Some servers leave `content_block_stop` out."""
    said = delta({"a text": "text", "a call": "partial_json", "reasoning": "thinking"}[name], '{"at": 1}')
    stream = told(BEGUN[name], said)
    driven = Driven("anthropic", ALL).feed([stream])
    assert driven.wire == stream
    assert [one.part.text for one in driven.judged if one.final] == ['{"at": 1}']


def test_a_server_may_leave_the_index_of_its_only_block_out() -> None:
    stream = told(start("text", None, text=""), delta("text", "Hi.", None), stop(None))
    assert Driven("anthropic", ALL).feed([stream]).wire == stream


def test_a_call_given_whole_and_again_passes_where_no_clause_looks_at_calls() -> None:
    stream = told(start("tool_use", id="c", name="look", input={"at": 1}), delta("partial_json", '{"at": 1}'), stop())
    assert Driven("anthropic", ONLY["model_text"]).feed([stream]).wire == stream
    assert DOUBTFUL.encode() in Driven("anthropic", ALL).feed([stream]).wire


def test_a_reply_begins_once_also_where_its_beginning_waits() -> None:
    held = {"type": "tool_use", "id": "c", "name": "look", "input": {}}
    again = {**HEAD, "message": {**HEAD["message"], "content": [{"type": "text", "text": WORD}]}}
    driven = Driven("anthropic", ONLY["tool_call"]).feed([told(again, content=(held,))])
    assert driven.gate.ended
    assert WORD.encode() not in driven.wire


def test_a_reply_begins_also_behind_what_nobody_knows() -> None:
    stream = sse("anthropic", [{"type": "novelty", "text": "Hi."}, HEAD, TEXT, delta("text", "Hi."), stop(), *END])
    assert Driven("anthropic", ALL).feed([stream]).wire == stream
    assert WORD.encode() not in refused(stream.replace(b"Hi.", WORD.encode()), ALL)


def test_each_block_is_judged_to_its_end_also_where_some_began_while_the_first_event_waited() -> None:
    first = [start("text", 1, text=""), delta("text", "One.", 1), stop(1)]
    second = [start("text", 2, text=""), delta("text", "Two.", 2), stop(2)]
    stream = told(*first, *second, content=({"type": "text", "text": "Hi."},))
    half = stream.index(b"event: content_block_stop")
    driven = Driven("anthropic", ALL).feed([stream[:half], stream[half:]])
    assert [one.part.text for one in driven.judged if one.final] == ["Hi.", "One.", "Two."]
    assert driven.wire == stream


def test_an_input_in_a_delta_does_not_pass() -> None:
    given = {**delta("text", "Hi."), "delta": {"type": "text_delta", "text": "Hi.", "input": WORD}}
    assert WORD.encode() not in refused(told(start("text", text=""), given, stop()), ALL)
    ended = {**END[0], "delta": {**END[0]["delta"], "input": WORD}}
    assert WORD.encode() not in refused(sse("anthropic", [HEAD, TEXT, stop(), ended, *END[1:]]), ALL)


def test_what_a_text_is_given_beside_its_words_is_judged() -> None:
    """Tolerant clients show what they find in a block, whatever its kind."""
    stream = told(start("text", text="", input=WORD), stop())
    assert WORD.encode() not in refused(stream, ALL)
