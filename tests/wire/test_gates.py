"""A stream under judgement leaves as it came, or changed exactly as was decided, however it is cut."""

import json
import random
from typing import Any

import pytest
from corpus_words import exchanges, sse
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_json import GONE, SECRET, mutated, ranges_of
from streams import NAMES, WATCHED, Driven, cut_at, events, read, streamed

from gateway.wire import gate as gate_module
from gateway.wire.blocks import Judgement, Window
from gateway.wire.edits import Replacement, Uneditable
from gateway.wire.frames import Frames
from gateway.wire.gate import Answered, Ending, Failed, Fed, Needs, Refused, Substituted

EXCHANGES = exchanges()
EVERY = pytest.mark.parametrize("name", EXCHANGES)
WIRES = pytest.mark.parametrize("wire", NAMES)
LOOKS = {
    "idle": Needs(),
    "window": WATCHED,
    "wide window": Needs(text=Window(4096), tool_call="whole"),
    "whole": Needs(text="whole", reasoning="whole", tool_call="whole", server_side="whole"),
    "calls": Needs(tool_call="whole"),
    "text": Needs(text=Window(4)),
}
cuts = st.lists(st.integers(0, 30_000), max_size=25)


def corpus(name: str) -> bytes:
    return sse(EXCHANGES[name]["dialect"], EXCHANGES[name]["events"])


def without_pings(wire: bytes) -> bytes:
    return wire.replace(b'event: ping\ndata: {"type": "ping"}\n\n', b"")


@EVERY
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_what_is_let_pass_leaves_as_the_bytes_it_came_in(name: str, look: str, newline: bytes) -> None:
    wire = corpus(name)
    if look != "idle":  # a ping may overtake what is held
        wire = without_pings(wire)
    wire = wire.replace(b"\n", newline)
    for step in (1, 7, 400, len(wire)):
        driven = Driven(EXCHANGES[name]["dialect"], LOOKS[look]).feed(cut_at(wire, range(0, len(wire), step)))
        assert driven.wire == wire
        assert not driven.gate.changed


@given(st.sampled_from(sorted(EXCHANGES)), st.sampled_from(sorted(LOOKS)), cuts)
def test_cuts_anywhere_change_nothing(name: str, look: str, where: list[int]) -> None:
    wire = without_pings(corpus(name))
    driven = Driven(EXCHANGES[name]["dialect"], LOOKS[look]).feed(cut_at(wire, where))
    assert driven.wire == wire


@EVERY
def test_what_is_asked_is_what_the_reader_reads(name: str) -> None:
    spoken, wire = EXCHANGES[name]["dialect"], corpus(name)
    driven = Driven(spoken, LOOKS["whole"]).feed([wire])
    asked = {(judgement.part.pointer, judgement.part.text, judgement.part.tool) for judgement in driven.judged}
    reply = read(spoken, wire)
    if reply.error_type is not None:
        return  # what an error cuts off is not whole
    wanted = {(part.pointer, part.text, part.tool) for part in reply.parts if part.text or part.kind == "tool_call"}
    missing = {one for one in wanted if one not in asked}
    assert {pointer for pointer, _, _ in missing} <= {
        part.pointer for part in reply.parts if part.kind == "reasoning" and spoken == "responses"
    }


@EVERY
@pytest.mark.parametrize("look", ["window", "whole", "calls"])
def test_calls_are_held_until_the_turn_has_ended(name: str, look: str) -> None:
    driven = Driven(EXCHANGES[name]["dialect"], LOOKS[look])
    calls = [part for part in read(EXCHANGES[name]["dialect"], corpus(name)).parts if part.kind == "tool_call"]
    for event in corpus(name).split(b"\n\n"):
        over = driven.gate.over()
        driven.feed([event + b"\n\n"], finish=False)
        if not over and not driven.gate.over():
            seen = read(EXCHANGES[name]["dialect"], driven.wire).parts
            assert not [part for part in seen if part.kind == "tool_call" and not part.server_side]
    if driven.gate.ended:
        shown = [part for part in read(EXCHANGES[name]["dialect"], driven.wire).parts if part.kind == "tool_call"]
        assert shown == calls


def spoken(text: str, seed: int) -> tuple[str, ...]:
    """A text in pieces as small as a model streams."""
    rng = random.Random(seed)
    pieces: list[str] = []
    while text:
        length = rng.randint(1, 6)
        pieces.append(text[:length])
        text = text[length:]
    return tuple(pieces)


def redact(judgement: Judgement) -> list[Replacement]:
    return [Replacement(start, end, GONE) for start, end in ranges_of(judgement.part.text)]


words = st.lists(st.sampled_from(["plain ", "words\n", "sk-", "Ω", "😀", "sk-Ω", SECRET, SECRET[:5], " "]), max_size=9)


@settings(max_examples=150)
@given(
    st.sampled_from(NAMES),
    words,
    words,
    st.integers(0, 1 << 30),
    cuts,
    st.sampled_from([None, 14, 15, 64]),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_no_part_of_a_secret_leaves_wherever_it_is_cut(
    wire: str, first: list[str], second: list[str], seed: int, where: list[int], size: int | None, newline: bytes
) -> None:
    assert len(SECRET.encode()) == 14
    texts = ["".join(first), "".join(second)]
    call = ("call", "call_1", "send", '{"to":', '"eve"}')
    blocks = [("text", *spoken(texts[0], seed)), call, ("text", *spoken(texts[1], seed + 1))]
    stream = streamed(wire, blocks).replace(b"\n", newline)
    needs = Needs(text="whole" if size is None else Window(size), tool_call="whole")
    driven = Driven(wire, needs).feed(cut_at(stream, where), redact)
    reply = read(wire, driven.wire)
    said = [part.text for part in reply.parts if part.kind == "model_text"]
    wanted = [text.replace(SECRET, GONE) for text in texts]
    assert "".join(said) == "".join(wanted) if wire != "chat" else said in ([], ["".join(texts).replace(SECRET, GONE)])
    assert reply.complete
    if SECRET not in "".join(texts):
        assert driven.wire == stream
    clean = read(wire, stream)
    assert (reply.usage, reply.finish_reasons, reply.response_id) == (
        clean.usage,
        clean.finish_reasons,
        clean.response_id,
    )
    assert SECRET.partition('"')[0] not in driven.wire.decode() or SECRET.partition('"')[0] in "".join(wanted)


@WIRES
def test_a_finding_without_its_end_stays_in_sight_however_far_it_goes_beyond_the_window(wire: str) -> None:
    pieces = ("So: ", "BEGIN ", *["secret "] * 40, "END", " and on.")

    def block(judgement: Judgement) -> list[Replacement]:
        text = judgement.part.text
        start, end = text.find("BEGIN"), text.find("END")
        return [] if start < 0 else [Replacement(start, len(text) if end < 0 else end + 3, GONE)]

    stream = streamed(wire, [("text", *pieces)])
    driven = Driven(wire, Needs(text=Window(8))).feed(cut_at(stream, range(0, len(stream), 40)), block)
    said = "".join(part.text for part in read(wire, driven.wire).parts)
    assert said == f"So: {GONE} and on."


@WIRES
def test_text_streams_on_behind_a_window(wire: str) -> None:
    stream = streamed(wire, [("text", *("word " for _ in range(40)))])
    head = b"word ".join(stream.split(b"word ")[:31])
    driven = Driven(wire, Needs(text=Window(20))).feed([head], finish=False)
    came, left = (sum(len(part.text) for part in read(wire, seen).parts) for seen in (head, driven.wire))
    assert came - 20 - len("word ") <= left <= came - 20


@WIRES
def test_a_window_is_asked_for_once_a_chunk_and_shows_what_has_left_before_it(wire: str) -> None:
    stream = streamed(wire, [("text", *("word " for _ in range(40)))])
    driven = Driven(wire, Needs(text=Window(20))).feed([stream[: len(stream) // 2], stream[len(stream) // 2 :]])
    assert len(driven.judged) <= 3
    for judgement in driven.judged[1:]:
        assert 0 < judgement.fresh <= 20
    assert driven.judged[-1].final


@WIRES
def test_arguments_of_a_call_are_redacted_wherever_they_are_repeated(wire: str) -> None:
    stream = streamed(wire, [("call", "c1", "send", '{"note":"my k', "ey ", 'is","to":1}')])

    def decide(judgement: Judgement) -> list[Replacement]:
        at = judgement.part.text.index("key")
        return [Replacement(at, at + 3, "[gone]")]

    driven = Driven(wire).feed([stream], decide)
    (call,) = read(wire, driven.wire).parts
    assert call.text == '{"note":"my [gone] is","to":1}'
    assert b"key " not in driven.wire
    assert driven.gate.ended


@given(st.binary(max_size=300), st.sampled_from([b"\n", b"\r\n", b"\r"]), cuts)
def test_frames_lose_no_byte(noise: bytes, newline: bytes, where: list[int]) -> None:
    wire = newline.join([b"\xef\xbb\xbfdata: 1", b"", noise, b"", b": c", b"", b"data: 2"])
    frames = Frames(1 << 20)
    out = [frame.raw for piece in cut_at(wire, where) for frame in frames.feed(piece)]
    assert b"".join(out) + frames.rest == wire


@given(st.sampled_from(NAMES), st.binary(), st.sampled_from(sorted(LOOKS)), cuts)
def test_any_bytes_pass_or_are_held(wire: str, data: bytes, look: str, where: list[int]) -> None:
    driven = Driven(wire, LOOKS[look]).feed(cut_at(data, where))
    assert data.startswith(driven.wire) or driven.gate.changed


swaps: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "a", "é", "text", "tool_use", "\ud83d"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "index", "delta", "choices", "item", "text", "content", "output_index", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
endings = st.sampled_from([Substituted("No."), Refused("No."), Failed("No."), Answered(), None])


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(EXCHANGES)),
    st.integers(1, 150),
    swaps,
    endings,
    st.integers(0, 6),
    st.sampled_from(sorted(LOOKS)),
)
def test_a_stream_with_anything_in_it_raises_nothing(
    name: str, at: int, swap: Any, ending: Ending | None, which: int, look: str
) -> None:
    wire = EXCHANGES[name]["dialect"]
    given_events = mutated(EXCHANGES[name]["events"], swap, [at])
    if not isinstance(given_events, list):
        return
    lines = [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in given_events]
    driven = Driven(wire, LOOKS[look])

    def decide(judgement: Judgement) -> Any:
        return ending if judgement.number == which else redact(judgement)

    driven.feed([line.encode("utf-8", "surrogatepass") for line in lines], decide)
    if driven.gate.paused:
        driven.gate.continue_with()
        driven.feed([corpus(name)], decide)
    driven.gate.keepalive()
    driven.gate.terminal_error("It broke off.")
    assert driven.gate.ended
    read(wire, driven.wire)


@settings(max_examples=150)
@given(st.sampled_from(NAMES), words, st.integers(0, 1 << 30), cuts, st.randoms(use_true_random=False))
def test_decisions_may_come_late_and_in_any_order(
    wire: str, said: list[str], seed: int, where: list[int], rng: random.Random
) -> None:
    text = "".join(said)
    blocks = [("text", *spoken(text, seed)), ("call", "c1", "one", "{}"), ("call", "c2", "two", '{"a":', "1}")]
    stream = streamed(wire, blocks)
    driven = Driven(wire, Needs(text=Window(14), tool_call="whole"))
    waiting: list[Judgement] = []

    def take(fed: Fed) -> None:
        driven.sent.append(fed.sent)
        waiting.extend(fed.asked)
        while waiting and rng.random() < 0.4:
            judgement = waiting.pop(rng.randrange(len(waiting)))
            take(driven.gate.decide(judgement, redact(judgement)))

    for piece in cut_at(stream, where):
        take(driven.gate.feed(piece))
    take(driven.gate.finish())
    while waiting:
        take(driven.gate.decide(waiting[0], redact(waiting.pop(0))))
    reply = read(wire, driven.wire)
    wanted = text.replace(SECRET, GONE)
    assert "".join(part.text for part in reply.parts if part.kind == "model_text") == wanted
    assert [part.tool for part in reply.parts if part.kind == "tool_call"] == ["one", "two"]
    assert driven.gate.ended
    assert SECRET in text or driven.wire == stream


@WIRES
def test_a_decision_that_cannot_be_made_leaves_the_question_open(wire: str) -> None:
    stream = streamed(wire, [("call", "c1", "pay", '{"card":4111}')])
    driven = Driven(wire)
    (asked,) = driven.gate.feed(stream).asked
    with pytest.raises(Uneditable, match="JSON"):
        driven.gate.decide(asked, [Replacement(8, 12, "[x]")])
    with pytest.raises(Uneditable, match="outside"):
        driven.gate.decide(asked, [Replacement(8, 99, "[x]")])
    assert driven.gate.holding
    assert driven.gate.decide(asked).sent
    assert driven.gate.decide(asked).sent == b""
    assert driven.gate.ended


@pytest.mark.parametrize("wire", ["anthropic", "responses"])
def test_signed_reasoning_is_let_pass_or_rejected_but_not_changed(wire: str) -> None:
    driven = Driven(wire, Needs(reasoning="whole"))
    (asked,) = driven.gate.feed(streamed(wire, [("thinking", "a ", "key")])).asked
    assert (asked.part.kind, asked.part.text) == ("reasoning", "a key")
    with pytest.raises(Uneditable):
        driven.gate.decide(asked, [Replacement(2, 5, "*")])


def test_reasoning_that_nobody_signed_is_changed_under_both_its_names() -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"role": "assistant"}, {"reasoning_content": "a ke", "reasoning": "a ke"}, {"reasoning": "y."}, {}]
    lines = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    lines[-1]["choices"] = [{"index": 0, "delta": {}, "finish_reason": "stop"}]

    def decide(judgement: Judgement) -> list[Replacement]:
        at = judgement.part.text.find("key")
        return [Replacement(at, at + 3, "*")] if at >= 0 else []

    driven = Driven("chat", Needs(reasoning=Window(3))).feed([sse("chat", [*lines, "[DONE]"])], decide)
    shown = [event["choices"][0]["delta"] for event in events(driven.wire) if event]
    assert shown == [{"role": "assistant"}, {"reasoning_content": "a *", "reasoning": "a *"}, {"reasoning": "."}, {}]


@pytest.mark.parametrize("look", ["window", "whole"])
def test_encrypted_reasoning_is_asked_for_as_what_nobody_can_read(look: str) -> None:
    found = {
        judgement.part.unread
        for name in ("responses-codex-turn", "anthropic-server-tools-and-citations")
        for judgement in Driven(EXCHANGES[name]["dialect"], LOOKS[look]).feed([corpus(name)]).judged
        if judgement.part.kind == "reasoning"
    }
    assert "encrypted" in found


def test_a_call_that_only_the_last_event_names_is_held_like_any_other() -> None:
    stream = streamed("responses", [("text", "Hi."), ("call", "c1", "pay", "{}")])
    hidden = [event for event in events(stream) if event.get("output_index") != 1]
    driven = Driven("responses", Needs(tool_call="whole"))
    fed = driven.gate.feed(sse("responses", hidden))
    assert [judgement.part.tool for judgement in fed.asked] == ["pay"]
    sent = fed.sent + driven.gate.reject(fed.asked[0], Substituted("No.")).sent
    assert b"pay" not in sent
    assert driven.gate.ended


def test_a_text_that_is_repeated_otherwise_is_judged_by_itself() -> None:
    stream = streamed("responses", [("text", "Hi.")]).replace(b'"text": "Hi."', b'"text": "Hi, key."')
    driven = Driven("responses", Needs(text=Window(4))).feed(
        [stream],
        lambda judgement: [Replacement(at, at + 3, "*") for at in [judgement.part.text.find("key")] if at >= 0],
    )
    assert b"key" not in driven.wire
    assert driven.wire.count(b"Hi, *.") == 4


def test_a_message_that_came_in_the_first_event_is_judged_before_it_leaves() -> None:
    call = {"type": "tool_use", "id": "t", "name": "pay", "input": {"a": 1}}
    first, *rest = events(streamed("anthropic", []))
    first["message"]["content"] = [{"type": "text", "text": "Hi."}, call]
    driven = Driven("anthropic").feed(
        [sse("anthropic", [first, *rest])],
        lambda judgement: Substituted("No.") if judgement.part.tool == "pay" else None,
    )
    assert b"pay" not in driven.wire
    assert events(driven.wire)[-2]["delta"]["stop_reason"] == "end_turn"


RESULTS: dict[str, dict[str, Any]] = {
    "fetched": {
        "type": "web_fetch_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {
            "type": "web_fetch_result",
            "url": "https://x.test/",
            "content": {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a key b"}},
        },
    },
    "ran": {
        "type": "bash_code_execution_tool_result",
        "tool_use_id": "srvtoolu_2",
        "content": {"type": "bash_code_execution_result", "stdout": "a key b", "stderr": "", "return_code": 0},
    },
    "of an MCP server": {
        "type": "mcp_tool_result",
        "tool_use_id": "mcptoolu_1",
        "is_error": False,
        "content": [{"type": "text", "text": "none here"}, {"type": "text", "text": "a key b"}],
    },
}


def with_result(block: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    """A reply that says something, brings the result of a tool the provider ran, and says something more."""
    told = [*events(streamed("anthropic", [("text", "Looking."), ("text", "?"), ("text", "Done.")]))]
    (start,) = [at for at, event in enumerate(told) if event["type"] == "content_block_start" and event["index"] == 1]
    told[start]["content_block"] = block
    told[start + 1 : start + 2] = [{"type": "content_block_delta", "index": 1, "delta": delta} for delta in deltas]
    return sse("anthropic", told)


@pytest.mark.parametrize("name", RESULTS)
def test_what_a_providers_own_tool_brought_is_redacted_where_its_words_stand(name: str) -> None:
    stream = with_result(RESULTS[name])
    wanted = stream.replace(b"a key b", b"a * b")
    assert wanted != stream
    for step in (1, 40, len(stream)):
        pieces = cut_at(stream, range(0, len(stream), step))
        driven = Driven("anthropic").feed(pieces, lambda judgement: redact_word(judgement, "key"))
        assert driven.wire == wanted
        assert Driven("anthropic").feed(pieces).wire == stream


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_grows_behind_its_beginning_is_judged_whole(name: str) -> None:
    stream = with_result(RESULTS[name], {"type": "text_delta", "text": " and a word"})
    seen = [judgement.part for judgement in Driven("anthropic").feed([stream]).judged]
    (result,) = [part.text for part in seen if part.kind == "tool_result"]
    assert "a key b" in result
    assert result.endswith(" and a word")
    for word in ("key", "word"):
        driven = Driven("anthropic").feed([stream], lambda judgement, word=word: change_or_refuse(judgement, word))
        assert word.encode() not in driven.wire


def change_or_refuse(judgement: Judgement, word: str) -> "list[Replacement] | Substituted":
    """A range of what streamed in cannot be changed in the value it grew from: then the result does not pass."""
    return redact_word(judgement, word) if word == "key" or word not in judgement.part.text else Substituted("No.")


def test_a_result_that_the_provider_signed_is_not_changed() -> None:
    found = {"type": "web_search_result", "title": "a key b", "url": "https://x.test/", "encrypted_content": "Eo8A"}
    stream = with_result({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]})
    with pytest.raises(Uneditable):
        Driven("anthropic").feed([stream], lambda judgement: redact_word(judgement, "key"))


def test_an_event_that_is_too_large_ends_the_stream_as_an_error() -> None:
    for wire in NAMES:
        driven = Driven(wire).feed([b"data: " + b"x" * (9 << 20)])
        assert driven.gate.ended
        assert b"too large to be checked" in driven.wire
        assert len(driven.wire) < 2000


@WIRES
def test_what_is_held_beyond_all_measure_ends_the_stream_as_an_error(
    wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "LARGEST_REPLY", 4000)
    pieces = ['{"to": "', *["mallory" * 20] * 40, '"}']
    driven = Driven(wire).feed([streamed(wire, [("call", "call_1", "send_money", *pieces)])])
    assert driven.gate.ended
    assert b"too large to be checked" in driven.wire
    assert b"mallory" not in driven.wire


@WIRES
def test_a_stream_that_breaks_off_ends_as_an_error_with_the_next_number(wire: str) -> None:
    stream = streamed(wire, [("text", "Hello ", "there"), ("call", "c1", "pay", "{}")])
    driven = Driven(wire).feed([stream[: stream.rindex(b"c1") + 40]])
    assert not driven.gate.ended
    end = driven.gate.terminal_error("It broke off.")
    assert b"It broke off." in end
    assert b"pay" not in driven.wire
    if wire == "responses":
        found = events(driven.wire + end)
        assert [event["sequence_number"] for event in found] == list(range(len(found)))
        assert found[-1]["response"]["id"] == "resp_1"


@WIRES
def test_a_changed_event_keeps_its_other_lines(wire: str) -> None:
    stream = streamed(wire, [("text", "a key", " b")]).replace(b"data: ", b": why\r\nid: 7\r\ndata: \r\ndata: ")
    driven = Driven(wire, Needs(text=Window(3))).feed([stream], lambda judgement: redact_word(judgement, "key"))
    assert read(wire, driven.wire).parts[0].text == "a * b"
    lines, before = driven.wire.split(b"\n"), stream.split(b"\n")
    kept = [line for line in before if line != b"data: \r"]
    assert len(lines) > len(kept) - 1
    assert driven.wire.count(b": why\r\nid: 7\r\n") == stream.count(b": why\r\nid: 7\r\n")


def redact_word(judgement: Judgement, word: str) -> list[Replacement]:
    at = judgement.part.text.find(word)
    return [Replacement(at, at + len(word), "*")] if at >= 0 else []


def test_a_reply_that_has_not_begun_is_kept_alive_where_that_can_be() -> None:
    alive = {wire: Driven(wire).gate.keepalive() for wire in NAMES}
    assert alive == {"anthropic": b'event: ping\ndata: {"type": "ping"}\n\n', "chat": b"", "responses": b""}


def test_a_ping_passes_what_is_held() -> None:
    stream = streamed("anthropic", [("call", "c1", "pay", "{}")])
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    driven = Driven("anthropic", Needs(tool_call="whole"))
    head, tail = stream[: stream.index(b"event: message_delta")], stream[stream.index(b"event: message_delta") :]
    held = driven.gate.feed(head)
    assert b"pay" not in held.sent
    assert driven.gate.feed(ping).sent == ping
    assert driven.gate.feed(b": still here\n\n").sent == b": still here\n\n"
    sent = held.sent + driven.gate.feed(tail).sent + driven.gate.decide(held.asked[0]).sent
    assert sent == stream


@WIRES
def test_half_characters_pass_as_they_came_and_can_stand_beside_a_change(wire: str) -> None:
    turn = [("text", "a \ue001", "\ue002 key", " \ue001."), ("call", "c1", "pay", '{"a":"\ue001"}')]
    stream = streamed(wire, turn)
    for stands_for, half in (("\ue001", b"\\ud83d"), ("\ue002", b"\\ude00")):
        stream = stream.replace(stands_for.encode(), half)
    needs = Needs(text=Window(3), tool_call="whole")
    assert Driven(wire, needs).feed([stream]).wire == stream
    driven = Driven(wire, needs).feed([stream], lambda judgement: redact_bytes(judgement, b"key"))
    assert b"key" not in driven.wire
    assert driven.wire.count(b"\\ud83d") == stream.count(b"\\ud83d") or wire == "responses"
    assert driven.gate.ended


def redact_bytes(judgement: Judgement, word: bytes) -> list[Replacement]:
    at = judgement.part.text.encode("utf-8", "surrogatepass").find(word)
    return [Replacement(at, at + len(word), "*")] if at >= 0 else []


@WIRES
@pytest.mark.parametrize("depth", [300, 1100, 50_000])
def test_an_event_that_nests_deeply_is_read_or_ends_the_stream(wire: str, depth: int) -> None:
    stream = streamed(wire, [("text", "Hi."), ("call", "c1", "pay", "{}")])
    deep = b'"extra": ' + b'{"a":' * depth + b"1" + b"}" * depth + b", "
    at = stream.index(b'"pay"')
    at = stream.rindex(b"data: {", 0, at) + len(b"data: {")
    wire_bytes = stream[:at] + deep + stream[at:]
    driven = Driven(wire).feed([wire_bytes], lambda judgement: redact_bytes(judgement, b"Hi"))
    assert driven.gate.ended
    assert (b"too deeply" in driven.wire) == (depth > 1000)
    assert (b"pay" in driven.wire) == (depth < 1000)


def test_a_call_with_half_a_character_in_its_input_is_held_like_any_other() -> None:
    first, *rest = events(streamed("anthropic", []))
    block = {"type": "tool_use", "id": "t", "name": "pay", "input": {"a": "HALF"}}
    begun = {"type": "content_block_start", "index": 0, "content_block": block}
    ended = {"type": "content_block_stop", "index": 0}
    stream = sse("anthropic", [first, begun, ended, *rest]).replace(b"HALF", b"\\ud83d")
    driven = Driven("anthropic", Needs(tool_call="whole"))
    fed = driven.gate.feed(stream)
    assert [judgement.part.tool for judgement in fed.asked] == ["pay"]
    assert b"pay" not in fed.sent + driven.gate.reject(fed.asked[0], Substituted("No.")).sent


@pytest.mark.parametrize("look", ["window", "whole"])
@pytest.mark.parametrize("field", ["text", "thinking", "content"])
def test_a_delta_of_a_kind_nobody_knows_is_judged_by_the_text_its_reader_reads(look: str, field: str) -> None:
    delta = json.dumps({"type": "content_block_delta", "index": 0, "delta": {"type": "later_delta", field: SECRET}})
    stream = streamed("anthropic", [("text", "Well, ", "then.")]).replace(
        b"event: content_block_stop",
        b"event: content_block_delta\ndata: " + delta.encode() + b"\n\nevent: content_block_stop",
        1,
    )
    driven = Driven("anthropic", LOOKS[look]).feed([stream], redact)
    assert SECRET in "".join(part.text for part in read("anthropic", stream).parts)
    assert delta.encode() not in driven.wire
    assert "".join(part.text for part in read("anthropic", driven.wire).parts) == f"Well, then.{GONE}"


def test_a_delta_without_readable_text_is_held_and_asked_for_as_what_nobody_can_read() -> None:
    odd = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"later_delta","said":"heron"}}\n\n'
    begun, mark, rest = streamed("anthropic", [("text", "Well, ", "then.")]).partition(b"event: content_block_stop")
    driven = Driven("anthropic", LOOKS["window"]).feed([begun, odd], finish=False)
    assert b"heron" not in driven.wire
    driven.feed([mark + rest])
    assert [judgement.part.unread for judgement in driven.judged if judgement.final] == ["unknown delta later_delta"]
    assert driven.wire == begun + odd + mark + rest
