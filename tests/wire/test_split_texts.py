"""A turn that says its words in several texts: clients put them in a row, so they are judged in a row."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from streams import NOTICE, Driven, Reaching, by_event, cut_at, events, read, streamed

from gateway.wire.blocks import Judgement, Window
from gateway.wire.edits import Replacement, Uneditable
from gateway.wire.gate import Answered, Needs

SECRET = "sk-Ω-0123-😀x"
SIZE = len(SECRET.encode())
GONE = "[gone]"
WIRES = pytest.mark.parametrize("wire", ["anthropic", "responses"])

shreds = st.lists(
    st.sampled_from(["a ", "sk-", "Ω", "-0123-", SECRET, SECRET[:4], SECRET[4:8], SECRET[8:], "😀x", ""]), max_size=5
)
cuts = st.lists(st.integers(0, 4000), max_size=12)


def redact(judgement: Judgement) -> Reaching | None:
    """What a clause on the secret makes of a piece behind what stands before it."""
    lead = len(judgement.before.encode())
    text = judgement.before.encode() + judgement.part.text.encode()
    found: list[tuple[int, int]] = []
    at = text.find(SECRET.encode())
    while at >= 0:
        found.append((at, at + SIZE))
        at = text.find(SECRET.encode(), at + SIZE)
    mine = [(start, end) for start, end in found if end > lead]
    if not mine:
        return None
    ranges = [Replacement(max(start - lead, 0), end - lead, GONE) for start, end in mine]
    return Reaching(ranges, max(lead - mine[0][0], 0))


def said(wire: str, driven: Driven, kind: str = "model_text") -> str:
    return "".join(part.text for part in read(wire, driven.wire).parts if part.kind == kind)


@WIRES
@settings(max_examples=200)
@example(texts=[[SECRET[:4], SECRET[4:8]], [], [SECRET[8:]]], where=[], size=SIZE)
@given(texts=st.lists(shreds, min_size=1, max_size=5), where=cuts, size=st.sampled_from([SIZE, SIZE + 1, 40]))
def test_no_secret_leaves_in_texts_that_stand_in_a_row(
    wire: str, texts: list[list[str]], where: list[int], size: int
) -> None:
    stream = streamed(wire, [("text", *pieces) for pieces in texts])
    driven = Driven(wire, Needs(text=Window(size), tool_call="whole")).feed(cut_at(stream, where), redact)
    whole = "".join("".join(pieces) for pieces in texts)
    assert said(wire, driven) == whole.replace(SECRET, GONE)
    assert (driven.wire == stream) == (SECRET not in whole)
    assert read(wire, driven.wire).complete


@WIRES
@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_what_began_in_a_text_that_has_left_ends_the_turn(wire: str, cut: int) -> None:
    call = ("call", "call_1", "look", '{"at": "it"}')
    stream = streamed(wire, [("text", f"So: {SECRET[:cut]}"), call, ("text", f"{SECRET[cut:]} and on.")])
    driven = Driven(wire, Needs(text=Window(SIZE))).feed(by_event(stream), redact)
    assert said(wire, driven) == f"So: {SECRET[:cut]}{NOTICE}"


@WIRES
def test_a_text_goes_on_from_an_answer_that_was_given_before_its_own(wire: str) -> None:
    needs = Needs(text=Window(SIZE), tool_call="whole")
    call = ("call", "call_1", "look", '{"at": "it"}')

    def decide(judgement: Judgement) -> Answered | Reaching | None:
        return Answered() if judgement.part.kind == "tool_call" else redact(judgement)

    driven = Driven(wire, needs).feed(by_event(streamed(wire, [("text", SECRET[:5]), call])), decide)
    assert driven.gate.paused
    driven.gate.continue_with()
    driven.feed(by_event(streamed(wire, [("text", SECRET[5:], " and on.")], number=2)), decide)
    assert said(wire, driven) == f"{SECRET[:5]}{NOTICE}"


@WIRES
@pytest.mark.parametrize("length", range(SIZE - 8, 3 * SIZE))
def test_what_began_before_a_text_goes_however_much_of_that_has_come(wire: str, length: int) -> None:
    piece = f"{SECRET[4:]}{'.' * length}"
    stream = streamed(wire, [("text", f"So: {SECRET[:4]}"), ("text", piece, *[" word"] * 20)])
    driven = Driven(wire, Needs(text=Window(2 * SIZE))).feed(by_event(stream), redact)
    assert said(wire, driven) == f"So: {GONE}{'.' * length}{' word' * 20}"


def framed(judgement: Judgement) -> Reaching | None:
    """What a clause on all between two marks makes of a piece, the second of which may be still to come."""
    lead, text = len(judgement.before), judgement.before + judgement.part.text
    start, end = text.find("BEGIN"), text.find("END")
    end = len(text) if end < 0 else end + 3
    if start < 0 or end <= lead:
        return None
    return Reaching([Replacement(max(start - lead, 0), end - lead, GONE)], max(lead - start, 0))


@WIRES
def test_a_finding_without_its_end_goes_on_in_the_next_text(wire: str) -> None:
    texts = [("text", "So: ", "BEGIN ", *["secret "] * 3), ("text", "secret ", "END", " and on.")]
    driven = Driven(wire, Needs(text=Window(16))).feed(by_event(streamed(wire, texts)), framed)
    assert said(wire, driven) == f"So: {GONE}{GONE} and on."


@WIRES
def test_a_finding_that_grows_over_a_seam_keeps_the_text_before_it(wire: str) -> None:
    texts = [("text", "So: BEG"), ("text", "IN ", *["secret "] * 6, "END", " and on.")]
    driven = Driven(wire, Needs(text=Window(8))).feed(by_event(streamed(wire, texts)), framed)
    assert said(wire, driven) == f"So: {GONE} and on."


@WIRES
def test_only_the_beginning_of_a_text_is_asked_about_behind_what_stands_before_it(wire: str) -> None:
    stream = by_event(streamed(wire, [("text", "One "), ("text", *[f"{number:03} " for number in range(40)])]))
    driven = Driven(wire, Needs(text=Window(16))).feed(stream)
    seen = {judgement.part.text.startswith("000"): judgement.before for judgement in driven.judged[1:]}
    assert seen == {True: "One ", False: ""}


@WIRES
def test_what_has_left_of_a_text_ends_the_turn_where_it_should_have_gone(wire: str) -> None:
    stream = streamed(wire, [("text", f"So: {SECRET[:9]}"), ("text", f"{SECRET[9:]} and on.")])
    driven = Driven(wire, Needs(text=Window(SIZE // 2))).feed(by_event(stream), redact)
    assert said(wire, driven).endswith(NOTICE)
    assert SECRET not in said(wire, driven)


@WIRES
def test_a_text_that_is_not_decided_yet_cannot_be_reached_into(wire: str) -> None:
    gate = Driven(wire, Needs(text=Window(SIZE))).gate
    first, second = gate.feed(streamed(wire, [("text", "One "), ("text", "two.")])).asked
    with pytest.raises(Uneditable):
        gate.decide(second, [Replacement(0, 1, GONE)], reach=1)
    assert gate.decide(first).sent + gate.decide(second, [Replacement(0, 1, GONE)], reach=1).sent
    assert gate.ended


def test_a_signed_thought_cannot_be_reached_into() -> None:
    gate = Driven("anthropic", Needs(reasoning=Window(SIZE))).gate
    first, second = gate.feed(streamed("anthropic", [("thinking", "One "), ("thinking", "two.")])).asked
    gate.decide(first)
    with pytest.raises(Uneditable):
        gate.decide(second, reach=1)


@WIRES
def test_what_went_with_a_rejected_call_is_before_nothing(wire: str) -> None:
    needs = Needs(text=Window(SIZE), tool_call="whole")
    call = ("call", "call_1", "look", '{"at": "it"}')

    def decide(judgement: Judgement) -> Answered | Reaching | None:
        return Answered() if judgement.part.kind == "tool_call" else redact(judgement)

    driven = Driven(wire, needs).feed([streamed(wire, [call, ("text", SECRET[:5])])], decide)
    driven.gate.continue_with()
    driven.feed(by_event(streamed(wire, [("text", SECRET[5:], " and on.")], number=2)), decide)
    assert said(wire, driven) == f"{SECRET[5:]} and on."


@WIRES
@pytest.mark.parametrize("next_one", [("call", "call_1", "look", '{"at":', '"it"}'), ("thinking", "Well.", "Now.")])
def test_a_text_waits_for_nothing_but_another_text(wire: str, next_one: tuple[str, ...]) -> None:
    stream = by_event(streamed(wire, [("text", "One ", "two."), next_one]))
    begun = next(at for at, event in enumerate(stream) if next_one[2 if next_one[0] == "call" else 1].encode() in event)
    driven = Driven(wire, Needs(text=Window(64))).feed(stream[: begun + 1], finish=False)
    assert said(wire, driven) == "One two."
    assert driven.wire == b"".join(stream[: begun + 1])


@WIRES
def test_the_last_text_waits_for_the_end_of_its_turn_and_no_longer(wire: str) -> None:
    stream = by_event(streamed(wire, [("text", "One "), ("text", "two.")]))
    driven = Driven(wire, Needs(text=Window(64)))
    over = next(at for at, event in enumerate(stream) if b"message_delta" in event or b"response.completed" in event)
    driven.feed(stream[:over], finish=False)
    assert said(wire, driven) == ""
    driven.feed(stream[over : over + 1], finish=False)
    assert said(wire, driven) == "One two."


@WIRES
def test_short_texts_together_let_the_one_before_them_go(wire: str) -> None:
    stream = by_event(streamed(wire, [("text", "One "), *[("text", "0123456789")] * 3]))
    over = next(at for at, event in enumerate(stream) if b"message_delta" in event or b"response.completed" in event)
    driven = Driven(wire, Needs(text=Window(16))).feed(stream[:over], finish=False)
    assert said(wire, driven) == "One 0123456789"  # of 34 bytes 16 are held, and with them all that came with one


@WIRES
@pytest.mark.parametrize(("own", "shown"), [((5, 8), "abcYj"), ((2, 4), "abXYj"), ((0, 2), "XcYj"), ((2, 8), "abXYj")])
def test_what_goes_of_a_text_beside_what_went_of_it_already(wire: str, own: tuple[int, int], shown: str) -> None:
    driven = Driven(wire, Needs(text=Window(SIZE)))
    first, second = driven.gate.feed(streamed(wire, [("text", "abcdefgh"), ("text", "ij")])).asked
    driven.sent.append(driven.gate.decide(first, [Replacement(*own, "X")]).sent)
    driven.sent.append(driven.gate.decide(second, [Replacement(0, 1, "Y")], reach=5).sent)
    assert said(wire, driven) == shown


@WIRES
def test_a_long_text_lets_the_one_before_it_go(wire: str) -> None:
    stream = by_event(streamed(wire, [("text", "One "), ("text", *["word "] * 40)]))
    driven = Driven(wire, Needs(text=Window(20))).feed(stream[:-10], finish=False)
    assert said(wire, driven).startswith("One word word word")
    assert driven.gate.holding


def test_choices_are_read_each_by_itself() -> None:
    one, other = streamed("chat", [("text", SECRET[:5])]), streamed("chat", [("text", SECRET[5:])], index=1)
    end = b"data: [DONE]\n\n"
    stream = one.removesuffix(end) + other
    driven = Driven("chat", Needs(text=Window(SIZE))).feed(by_event(stream), redact)
    assert driven.wire == stream


@WIRES
def test_every_seam_is_asked_about_once_the_text_before_it_is_there(wire: str) -> None:
    driven = Driven(wire, Needs(text=Window(8))).feed(by_event(streamed(wire, [("text", "One"), ("text", "two")])))
    asked = [(judgement.before, judgement.part.text) for judgement in driven.judged]
    assert ("One", "two") in asked
    assert asked[0][0] == ""
    assert events(driven.wire)
