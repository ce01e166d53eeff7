"""A rejected turn ends well formed in every SDK, and the forbidden call is never in what it accumulates."""

import random
from collections.abc import Iterator
from itertools import takewhile

import anthropic
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sdks import Accumulate, accumulators, billed, calls, ending, texts
from streams import NAMES, NOTICE, WATCHED, Block, Decide, Driven, cut_at, events, read, streamed

from gateway.wire.blocks import Judgement, Window
from gateway.wire.edits import Replacement
from gateway.wire.gate import Answered, Ending, Failed, Needs, Refused, Substituted

WIRES = pytest.mark.parametrize("wire", NAMES)
FORBIDDEN = ("call", "call_2", "send_money", '{"to":', '"eve"}')
TURN = [
    ("thinking", "Hm", "m."),
    ("text", "I'll look", " it up."),
    ("call", "call_1", "read_file", '{"path":', '"a"}'),
    FORBIDDEN,
]
cuts = st.lists(st.integers(0, 8000), max_size=12)
Pair = tuple[dict[str, Accumulate], dict[str, Accumulate]]


@pytest.fixture(scope="module")
def sdks() -> Iterator[dict[str, Accumulate]]:
    with accumulators() as (streams, _):
        yield streams


def rejecting(tool: str, end: Ending) -> Decide:
    def decide(judgement: Judgement) -> Ending | None:
        return end if judgement.part.tool == tool else None

    return decide


def well_formed(wire: str, sent: bytes) -> None:
    """What no SDK checks: numbers without gaps, each index opened once and closed, one beginning, one end."""
    found = events(sent)
    if wire == "responses":
        assert [event["sequence_number"] for event in found] == list(range(len(found)))
        added = [event["output_index"] for event in found if event["type"] == "response.output_item.added"]
        done = [event["output_index"] for event in found if event["type"] == "response.output_item.done"]
        assert added == done == list(range(len(added)))
        assert [event["type"] for event in found].count("response.created") == 1
        last = found[-1]["response"]
        finished = [event["item"] for event in found if event["type"] == "response.output_item.done"]
        assert last["output"] == finished
        assert last["id"] == found[0]["response"]["id"]
    elif wire == "anthropic":
        kinds = [event["type"] for event in found if event["type"] != "ping"]
        assert kinds.count("message_start") == kinds.count("message_delta") == kinds.count("message_stop") == 1
        opened = [event["index"] for event in found if event["type"] == "content_block_start"]
        closed = [event["index"] for event in found if event["type"] == "content_block_stop"]
        assert opened == closed == list(range(len(opened)))
    else:
        assert found[-1] is None
        assert None not in found[:-1]
        assert len({event["id"] for event in found[:-1]}) == 1
        roles = [choice["index"] for event in found[:-1] for choice in event["choices"] if choice["delta"].get("role")]
        assert len(set(roles)) == len(roles)
        finishes = [
            choice["index"] for event in found[:-1] for choice in event["choices"] if choice.get("finish_reason")
        ]
        assert len(set(finishes)) == len(finishes)
    assert b"send_money" not in sent


@WIRES
@settings(deadline=None, max_examples=30)
@given(where=cuts)
def test_a_substituted_turn_is_a_normal_turn_without_calls(
    sdks: dict[str, Accumulate], wire: str, where: list[int]
) -> None:
    driven = Driven(wire).feed(cut_at(streamed(wire, TURN), where), rejecting("send_money", Substituted(NOTICE)))
    assert driven.gate.ended
    made = sdks[wire](driven.wire)
    assert calls(wire, made) == []
    assert "".join(texts(wire, made)).replace("\n", "") == "I'll look it up." + NOTICE
    assert ending(wire, made) == {"anthropic": "end_turn", "chat": "stop", "responses": "completed"}[wire]
    assert billed(wire, made) == (100, 10)
    well_formed(wire, driven.wire)


@WIRES
@settings(deadline=None, max_examples=30)
@given(where=cuts)
def test_a_refused_turn_says_so_in_the_wires_own_word(sdks: dict[str, Accumulate], wire: str, where: list[int]) -> None:
    driven = Driven(wire).feed(cut_at(streamed(wire, TURN), where), rejecting("send_money", Refused(NOTICE)))
    made = sdks[wire](driven.wire)
    assert calls(wire, made) == []
    assert ending(wire, made) == {"anthropic": "refusal", "chat": "content_filter", "responses": "failed"}[wire]
    assert billed(wire, made) == (100, 10)
    if wire == "responses":
        assert made["error"] == {"code": "invalid_prompt", "message": NOTICE}
    well_formed(wire, driven.wire)


@WIRES
def test_a_failed_stream_raises_our_message(sdks: dict[str, Accumulate], wire: str) -> None:
    driven = Driven(wire).feed(
        [streamed(wire, TURN)], rejecting("send_money", Failed("Stopped.", "action_not_allowed"))
    )
    error = anthropic.APIStatusError if wire == "anthropic" else openai.APIError
    with pytest.raises(error, match="Stopped"):
        sdks[wire](driven.wire)
    assert driven.gate.ended
    assert b"send_money" not in driven.wire
    if wire == "responses":
        last = events(driven.wire)[-1]
        assert last["sequence_number"] == len(events(driven.wire)) - 1
        assert last["response"]["error"]["code"] == "invalid_prompt"


@WIRES
def test_the_first_of_two_calls_takes_the_second_with_it(sdks: dict[str, Accumulate], wire: str) -> None:
    turn = [FORBIDDEN, ("call", "call_3", "read_file", "{}"), ("text", "Done.")]
    driven = Driven(wire).feed([streamed(wire, turn)], rejecting("send_money", Substituted(NOTICE)))
    made = sdks[wire](driven.wire)
    assert calls(wire, made) == []
    assert "".join(texts(wire, made)).endswith(NOTICE)
    well_formed(wire, driven.wire)


@WIRES
@settings(deadline=None, max_examples=30)
@given(where=cuts, more=cuts, second=st.sampled_from(["text", "call", "both"]))
def test_an_answered_turn_goes_on_as_one_reply(
    sdks: dict[str, Accumulate], wire: str, where: list[int], more: list[int], second: str
) -> None:
    blocks = [("text", "Then ", "not.")] if second != "call" else []
    blocks += [("call", "call_9", "list_files", '{"x":', "1}")] if second != "text" else []
    driven = Driven(wire).feed(cut_at(streamed(wire, TURN), where), rejecting("send_money", Answered()))
    assert driven.gate.paused
    assert not driven.gate.ended
    driven.sent.append(driven.gate.keepalive())
    driven.gate.continue_with()
    driven.feed(cut_at(streamed(wire, blocks, number=2, tokens=7), more))
    assert driven.gate.ended
    made = sdks[wire](driven.wire)
    assert calls(wire, made) == (["list_files"] if second != "text" else [])
    said = "I'll look it up." + ("Then not." if second != "call" else "")
    assert "".join(texts(wire, made)).replace("\n", "") == said
    assert billed(wire, made) == (300, 17)
    stops = {"anthropic": ("tool_use", "end_turn"), "chat": ("tool_calls", "stop"), "responses": ("completed",) * 2}
    assert ending(wire, made) == stops[wire][second == "text"]
    well_formed(wire, driven.wire)


@WIRES
def test_a_reply_may_be_answered_twice_and_then_ended(sdks: dict[str, Accumulate], wire: str) -> None:
    driven = Driven(wire)
    for number in (1, 2):
        driven.feed([streamed(wire, TURN, number=number)], rejecting("send_money", Answered()))
        assert driven.gate.paused
        driven.gate.continue_with()
    driven.feed([streamed(wire, TURN, number=3)], rejecting("send_money", Substituted(NOTICE)))
    made = sdks[wire](driven.wire)
    assert calls(wire, made) == []
    assert "".join(texts(wire, made)).replace("\n", "") == "I'll look it up." * 3 + NOTICE
    assert billed(wire, made) == (600, 30)
    well_formed(wire, driven.wire)


@WIRES
@pytest.mark.parametrize("end", [Substituted(NOTICE), Refused(NOTICE), Failed("Stopped.")])
def test_a_paused_reply_can_still_be_ended(sdks: dict[str, Accumulate], wire: str, end: Ending) -> None:
    driven = Driven(wire).feed([streamed(wire, TURN)], rejecting("send_money", Answered()))
    driven.take(driven.gate.end_paused(end), lambda _: None)
    assert driven.gate.ended
    if isinstance(end, Failed):
        with pytest.raises((anthropic.APIStatusError, openai.APIError)):
            sdks[wire](driven.wire)
        return
    made = sdks[wire](driven.wire)
    assert calls(wire, made) == []
    assert billed(wire, made) == (100, 10)
    well_formed(wire, driven.wire)


@WIRES
@pytest.mark.parametrize("end", [Substituted(NOTICE), Refused(NOTICE)])
def test_a_rejected_turn_that_the_provider_never_ends_is_ended_by_us(
    sdks: dict[str, Accumulate], wire: str, end: Ending
) -> None:
    needs = Needs(text=Window(8), tool_call="whole")
    stream = streamed(wire, [("text", "So far all ", "is going ", "well, the secret ", "is out ", "now."), FORBIDDEN])
    head = stream[: stream.index(b"is out") + 60]

    def decide(judgement: Judgement) -> Ending | None:
        return end if "secret" in judgement.part.text else None

    driven = Driven(wire, needs).feed(cut_at(head, range(0, len(head), 50)), decide)
    assert driven.gate.ended
    if wire == "responses":  # an item that the provider left half cannot end well
        with pytest.raises(openai.APIError, match="notice"):
            sdks[wire](driven.wire)
        return
    made = sdks[wire](driven.wire)
    assert "secret" not in "".join(texts(wire, made))
    assert "So far all " in "".join(texts(wire, made))
    well_formed(wire, driven.wire)


@WIRES
@settings(deadline=None, max_examples=30)
@given(where=cuts)
def test_text_that_is_rejected_midway_is_cut_and_the_turn_ends(
    sdks: dict[str, Accumulate], wire: str, where: list[int]
) -> None:
    def decide(judgement: Judgement) -> Ending | None:
        return Substituted(NOTICE) if "secret" in judgement.part.text else None

    turn = [("text", "All ", "is ", "well, the secret ", "is out ", "now."), FORBIDDEN, ("text", "More.")]
    driven = Driven(wire, Needs(text=Window(8), tool_call="whole")).feed(cut_at(streamed(wire, turn), where), decide)
    made = sdks[wire](driven.wire)
    said = "".join(texts(wire, made))
    assert "secret" not in said
    assert said.endswith(NOTICE)
    assert calls(wire, made) == []
    assert "" not in texts(wire, made)
    well_formed(wire, driven.wire)


@WIRES
@settings(deadline=None, max_examples=30)
@given(where=cuts, seed=st.integers(0, 99))
def test_keepalives_between_any_two_events_are_harmless(
    sdks: dict[str, Accumulate], wire: str, where: list[int], seed: int
) -> None:
    rng = random.Random(seed)
    driven = Driven(wire, WATCHED)
    for piece in cut_at(streamed(wire, TURN), where):
        driven.feed([piece], finish=False)
        if rng.random() < 0.5 and driven.wire:
            driven.sent.append(driven.gate.keepalive())
    driven.feed([])
    made = sdks[wire](driven.wire)
    assert calls(wire, made) == ["read_file", "send_money"]
    assert billed(wire, made) == (100, 10)
    well_formed(wire, driven.wire.replace(b"send_money", b"x"))


def test_one_choice_of_two_is_rejected_and_the_other_is_not(sdks: dict[str, Accumulate]) -> None:
    first = streamed("chat", [("text", "One."), FORBIDDEN]).split(b"\n\n")[:-3]
    other = streamed("chat", [("text", "Two."), ("call", "c", "read_file", "{}")], index=1).split(b"\n\n")
    mixed = [line for pair in zip(first, other, strict=False) for line in pair] + other[len(first) :]
    driven = Driven("chat").feed([b"\n\n".join(mixed)], rejecting("send_money", Substituted(NOTICE)))
    made = sdks["chat"](driven.wire)
    assert texts("chat", made) == [f"One.\n\n{NOTICE}", "Two."]
    assert [choice["finish_reason"] for choice in made["choices"]] == ["stop", "tool_calls"]
    assert calls("chat", made) == ["read_file"]
    well_formed("chat", driven.wire)


@WIRES
def test_redacted_text_is_the_same_in_everything_an_sdk_keeps(sdks: dict[str, Accumulate], wire: str) -> None:
    def decide(judgement: Judgement) -> list[Replacement]:
        at = judgement.part.text.find("hunter2")
        return [Replacement(at, at + 7, "[gone]")] if at >= 0 else []

    turn = [("text", "It is hun", "ter", "2, yes."), ("call", "c", "note", '{"a":"hunt', 'er2"}')]
    driven = Driven(wire, Needs(text=Window(7), tool_call="whole")).feed([streamed(wire, turn)], decide)
    made = sdks[wire](driven.wire)
    assert "".join(texts(wire, made)) == "It is [gone], yes."
    assert b"hunter2" not in driven.wire
    assert read(wire, driven.wire).parts[-1].text == '{"a":"[gone]"}'
    well_formed(wire, driven.wire)


OTHERS = [
    ("text", "Some", " words."),
    ("text", "More."),
    ("thinking", "Hm", "m."),
    ("call", "call_7", "read_file", '{"a":', "1}"),
    ("call", "call_8", "list_files", "{}"),
]
turns = st.lists(st.sampled_from(OTHERS), max_size=5, unique=True)
looks = st.sampled_from(
    [
        Needs(tool_call="whole"),
        Needs(text=Window(4), tool_call="whole"),
        Needs(text=Window(400), reasoning=Window(4), tool_call="whole"),
        Needs(text="whole", reasoning="whole", tool_call="whole"),
    ]
)


@WIRES
@settings(deadline=None, max_examples=60)
@given(before=turns, after=turns, second=turns, look=looks, where=cuts, end=st.sampled_from([0, 1, 2]))
def test_any_turn_with_a_rejected_call_ends_well(
    sdks: dict[str, Accumulate],
    wire: str,
    before: list[Block],
    after: list[Block],
    second: list[Block],
    look: Needs,
    where: list[int],
    end: int,
) -> None:
    after = [block for block in after if block not in before]
    ended = (Substituted(NOTICE), Refused(NOTICE), Answered())[end]
    stream = streamed(wire, [*before, FORBIDDEN, *after])
    driven = Driven(wire, look).feed(cut_at(stream, where), rejecting("send_money", ended))
    assert driven.gate.paused == isinstance(ended, Answered)
    if driven.gate.paused:
        driven.gate.continue_with()
        driven.feed(cut_at(streamed(wire, second, number=2, tokens=5), where))
    assert driven.gate.ended
    made = sdks[wire](driven.wire)
    again = second if isinstance(ended, Answered) else []
    assert calls(wire, made) == [block[2] for block in again if block[0] == "call"]
    assert billed(wire, made) == ((300, 15) if isinstance(ended, Answered) else (100, 10))
    said = "".join(texts(wire, made)).replace("\n", "")
    led = list(takewhile(lambda block: block[0] != "call", before))  # what stands behind a held call goes with it
    wanted = "".join("".join(block[1:]) for block in (*led, *again) if block[0] == "text")
    if not isinstance(ended, Answered) and not (wire == "responses" and isinstance(ended, Refused)):
        wanted += NOTICE
    assert said == wanted
    well_formed(wire, driven.wire)
