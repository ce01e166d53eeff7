"""Reasoning that a Chat server tells in sections: https://openrouter.ai/docs/use-cases/reasoning-tokens."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import pytest
from streams import DIALECTS, Driven, by_event, events, read, rejecting
from test_lenient_readers import acting
from test_one_choice import ALL, FIRST, LAST, WORD, chunk, refused, told

from gateway.wire.blocks import Judgement, Window
from gateway.wire.edits import PartEdit, Replacement, Uneditable, edit_reply
from gateway.wire.gate import Failed, Needs, Refused
from policies.vocabulary.steps import Part

WHOLE: Final = Needs(reasoning="whole")
Fields = dict[str, Any]


def text(said: str, index: int | None = 0, **more: Any) -> Fields:
    return {"type": "reasoning.text", "text": said, "format": "anthropic-claude-v1", "index": index, **more}


def summary(said: str, index: int = 0) -> Fields:
    return {"type": "reasoning.summary", "summary": said, "format": "openai-responses-v1", "index": index}


def sealed(data: str, index: int = 0) -> Fields:
    return {"type": "reasoning.encrypted", "data": data, "id": "rs_1", "format": "openai-responses-v1", "index": index}


SEALED: Final = {"type": "reasoning.encrypted", "data": "gAAA", "index": None, "id": None, "format": None}
SIGNATURE: Final = {"type": "reasoning.text", "signature": "EqQB", "format": "anthropic-claude-v1", "index": 0}


def details(*pieces: Fields, thought: str | None = None) -> Fields:
    """A delta, or a message, that tells reasoning in sections, and in one text beside them."""
    return {"content": "", "reasoning": thought, "reasoning_details": list(pieces)}


def mirrored(*pieces: str) -> list[Fields]:
    return [details(text(piece), thought=piece) for piece in pieces]


def section(said: str) -> Fields:
    """A delta of a second section."""
    return details(text(said, 1), thought=said)


SAID: Final = {"content": "Here you are."}
NAMED: Final = ((FIRST, "a"), ("?", "b"), (LAST, "a"))
SMUGGLED: Final[dict[str, bytes]] = {
    "in sections alone": told(details(text(FIRST)), details(text(LAST)), SAID),
    "in nothing else": told({"reasoning_details": [text(FIRST)]}, {"reasoning_details": [text(LAST)]}, SAID),
    "in a part of the thought": told(details(text(FIRST), thought=f"{FIRST}?"), *mirrored(LAST), SAID),
    "in a summary alone": told(details(summary(FIRST)), details(summary(LAST)), SAID),
    "in a second section": told(*mirrored("Hm."), details(text(FIRST, 1)), details(text(LAST, 1)), SAID),
    "behind what the thought said too": told(*mirrored("Hm.", FIRST), details(text(LAST)), SAID),
    "around what only the thought says": told(*mirrored(FIRST), {"reasoning": "?"}, *mirrored(LAST), SAID),
    "beside another thought": told(details(text(FIRST), thought="?"), details(text(LAST), thought="?"), SAID),
    "ahead of the thought": told(details(text(FIRST)), *mirrored(LAST), SAID),
    "across another section": told(details(text(FIRST)), details(text("?", 1)), details(text(LAST)), SAID),
    "without an index": told(details(text(FIRST, None)), details(text(LAST, None)), SAID),
    "in two sections of one delta": told(
        details(text(FIRST, 1), text("?", 0), thought=f"{FIRST}?"), details(text(LAST, 1), thought=LAST), SAID
    ),
    "in one whole piece": told(details(text(WORD), text("?", 1)), SAID),
    "in two sections in a row": told(details(text(FIRST)), details(text(LAST, 1)), SAID),
    "in two sections of one delta in a row": told(details(text(FIRST), text(LAST, 1)), SAID),
    "in a thought, and in what others than it say": told({"reasoning": FIRST}, details(text(LAST), thought="?"), SAID),
    "in a thought and then in sections": told({"reasoning": FIRST}, details(text(LAST)), SAID),
    "in sections and then in a thought": told(details(text(FIRST)), {"reasoning": LAST}, SAID),
    "in texts around a summary": told(details(text(FIRST)), details(summary("?")), details(text(LAST)), SAID),
    "in sections, and in a thought beside others": told(details(text(FIRST)), details(text("?"), thought=LAST), SAID),
    "in a text behind a summary of one section": told(details(summary("?")), details(text(WORD)), SAID),
    "in a thought around what is sealed": told(
        {"reasoning": FIRST}, {"reasoning": "?", "reasoning_details": [SIGNATURE]}, {"reasoning": LAST}, SAID
    ),
    "in the first section and in none": told(
        details(text(FIRST, None)), details(text("?", 1)), details(text(LAST)), SAID
    ),
    "in one form around another": told(details(text(FIRST)), details(summary("?", 1)), details(text(LAST, 2)), SAID),
    "behind a thought that is no text": told(
        {"reasoning": [{"type": "text", "text": FIRST}], "reasoning_details": [text(FIRST)]}, details(text(LAST)), SAID
    ),
    "in pieces of no name": told(details(text(FIRST)), details(text("?", 1, id="a")), details(text(LAST, 2)), SAID),
    "in pieces of one name": told(*(details(text(said, id=name)) for said, name in NAMED), SAID),
}


@pytest.mark.parametrize("needs", [WHOLE, Needs(reasoning=Window(16)), ALL], ids=["whole", "window", "all"])
@pytest.mark.parametrize("name", SMUGGLED)
def test_what_a_section_says_is_judged(name: str, needs: Needs) -> None:
    assert LAST.encode() not in refused(SMUGGLED[name], needs, "reasoning")


BESIDE: Final[dict[str, list[Fields]]] = {
    "a section that ends within a word of the thought": [*mirrored(WORD), section(f"s{' and so on' * 4}")],
    "one that begins within a word of it": [*mirrored("my"), section(WORD)],
    "one that ends within a word of another alphabet": [*mirrored(WORD), section("ы")],
    "one that ends within a word of a third alphabet": [*mirrored(WORD), section("ד")],
    "a summary of one section that ends within a word of the next one's": [
        details(text("my")),
        details(summary(WORD)),
        details(summary("s", 1)),
    ],
    "summaries of two sections that begin within a word of a text": [
        details(text("my")),
        *(details(summary(half, index)) for index, half in enumerate((FIRST, LAST), 1)),
    ],
    "one without a number behind others and before the first": [
        *(details(text(said, index)) for said, index in (("my", 1), (FIRST, None), (LAST, 0))),
    ],
    "one that ends before an underscore": [*mirrored(WORD), section("_s")],
    "one that ends within another word than the thought's": [*mirrored(WORD), details(text("_s", 1), thought="s")],
    "one that ends within a word of all": [details(text(WORD)), details(text("s", 1))],
    "a summary that begins within a word of a text": [details(text("my")), details(summary(WORD, 1))],
    "one that begins with a number and goes on without": [
        *(details(text(said, index)) for said, index in (("my", 1), (FIRST, 0), (LAST, None))),
    ],
    "two of which one ends within a word of one delta": [details(text(WORD), text("s", 1), thought=f"{WORD}s")],
}


@pytest.mark.parametrize("needs", [WHOLE, Needs(reasoning=Window(16)), ALL], ids=["whole", "window", "all"])
@pytest.mark.parametrize("name", BESIDE)
def test_a_word_is_judged_also_where_others_make_another_one_of_it(name: str, needs: Needs) -> None:
    """Some clients show sections by themselves, others in a row."""
    stream = told(*BESIDE[name], SAID)
    for ending in (Refused("No."), Failed("No.")):
        wire = (
            Driven("chat", needs).feed([stream], lambda one, ending=ending: ending if is_said(one.part) else None).wire
        )
        assert LAST.encode() not in wire
    assert any(map(is_said, read("chat", stream).parts))
    assert any(map(is_said, parts_of(document(message_of(BESIDE[name])))))


@pytest.mark.parametrize("name", BESIDE)
def test_a_word_is_taken_out_also_where_others_make_another_one_of_it(name: str) -> None:
    for needs in (WHOLE, Needs(reasoning=Window(16))):
        wire = Driven("chat", needs).feed([told(*BESIDE[name], SAID)], hiding(rf"\b{WORD}\b")).wire
        assert not any(LAST in json.dumps(delta.get("reasoning_details")) for delta in deltas_of(wire))


def test_a_thought_does_not_stand_in_for_sections_that_were_taken_out() -> None:
    """Clients that read a thought where they find no sections would put it behind what they had of those."""
    deltas = [details(text(FIRST), thought="?"), details(text(" key"), thought=LAST)]
    driven = Driven("chat", WHOLE).feed([told(*deltas, SAID)], hiding("key"))
    assert [delta.get("reasoning") for delta in deltas_of(driven.wire)] == ["?", None, None]


def is_said(part: Part) -> bool:
    return re.search(rf"\b{WORD}\b", part.text) is not None


@pytest.mark.parametrize(
    "pieces",
    [
        [text(FIRST), text(LAST, 1)],
        [text(FIRST), text("?", 1), text(LAST)],
        [text(FIRST, None), text("?", 1), text(LAST)],
        [text(FIRST), summary("?", 1), text(LAST, 2)],
        [text(FIRST), summary("?"), text("?", 1), text(LAST)],
        [text(said, id=name) for said, name in NAMED],
    ],
)
def test_what_sections_of_a_document_say_is_judged_however_they_are_put_together(pieces: list[Fields]) -> None:
    assert any(WORD in part.text for part in parts_of(document({**SAID, "reasoning_details": pieces})))


ODD: Final[dict[str, Any]] = {
    "a list of what it says": details({"type": "reasoning.text", "text": [WORD], "index": 0}),
    "two texts in one piece": details({**text("Hm."), "summary": WORD}),
    "what it says under another name": details({**text("Hm."), "content": WORD}),
    "no list": {"reasoning_details": {"0": text(WORD)}},
    "a text": {"reasoning_details": WORD},
    "an index that is none": details({**text("Hm."), "index": "0"}, text(WORD)),
    "a name in other letters": {"Reasoning_Details": [text(WORD)]},
}


@pytest.mark.parametrize("name", ODD)
def test_sections_that_clients_may_read_otherwise_do_not_pass(name: str) -> None:
    assert WORD.encode() not in refused(told(ODD[name], SAID), ALL, "nothing")
    with_it = document({"content": "Hi.", **{key: value for key, value in ODD[name].items() if key != "content"}})
    assert acting("chat").doubt_of_reply(with_it) is not None


HONEST: Final[dict[str, tuple[list[Fields], list[str]]]] = {
    "a thought that is signed in the end": ([*mirrored("Let me", " see."), details(SIGNATURE)], ["Let me see."]),
    "a summary, and what is sealed": (
        [details(summary(piece), thought=piece) for piece in ("**Look**", " here")] + [details(sealed("gAAA"))],
        ["**Look** here"],
    ),
    "what is sealed alone": ([details(sealed("gAAA"))], []),
    "two sections": (
        [*mirrored("One."), details(text("Two.", 1), thought="Two."), details(text(" Three.", 1), thought=" Three.")],
        ["One.Two. Three.", "Two. Three."],
    ),
    "two sections, the second in pieces that end within words": (
        [*mirrored("One."), section("Tw"), section("o.")],
        ["One.Two.", "Two."],
    ),
    "two sections that say the same": (
        [*mirrored("One."), details(text("One.", 1))],
        ["One.", "One.One.", "One."],
    ),
    "two sections alone": ([details(text("One.")), details(text("Two.", 1))], ["One.Two.", "Two."]),
    "several summaries of one index": (
        [details(summary(said), thought=said) for said in ("One.", "Two.")],
        ["One.Two."],
    ),
    "a text and what is sealed, of no index": (
        [
            details(
                {"type": "reasoning.text", "text": "Hm.", "index": None, "id": None, "format": None},
                SEALED,
                thought="Hm.",
            )
        ],
        ["Hm."],
    ),
    "pieces each of another name": ([details(text(said, id=said)) for said in ("One.", "Two.")], ["One.Two."]),
    "a section that ends within a word": ([*mirrored("On"), details(thought="e.")], ["One.", "On"]),
    "sections alone": ([details(text("Let me")), details(text(" see."))], ["Let me see."]),
    "empty ones": ([details(thought="Let me"), details(thought=" see.")], ["Let me see."]),
}


@pytest.mark.parametrize("needs", [Needs(), WHOLE, ALL], ids=["nothing", "whole", "all"])
@pytest.mark.parametrize("name", HONEST)
def test_what_honest_servers_stream_leaves_as_it_came(name: str, needs: Needs) -> None:
    deltas, _ = HONEST[name]
    stream = told(*deltas, SAID)
    assert Driven("chat", needs).feed([stream]).wire == stream


@pytest.mark.parametrize("name", HONEST)
def test_a_thought_is_judged_and_recorded_once(name: str) -> None:
    deltas, thoughts = HONEST[name]
    stream = told(*deltas, SAID)
    recorded = [part for part in read("chat", stream).parts if part.kind == "reasoning"]
    judged = [one.part for one in Driven("chat", WHOLE).feed([stream]).judged]
    assert [part.text for part in recorded] == thoughts
    assert [(part.text, part.pointer) for part in judged] == [(part.text, part.pointer) for part in recorded]


@pytest.mark.parametrize("name", HONEST)
def test_a_document_tells_what_its_stream_told(name: str) -> None:
    deltas, thoughts = HONEST[name]
    parts = parts_of(document(message_of(deltas)))
    assert [part.text for part in parts if part.kind == "reasoning"] == thoughts


def test_a_section_that_is_all_of_its_form_is_judged_once() -> None:
    stream = told(*mirrored("On"), details(summary("e.", 1), thought="e."), SAID)
    judged = [one.part.text for one in Driven("chat", WHOLE).feed([stream]).judged]
    assert judged.count("On") == 1


def test_what_is_told_behind_the_end_of_a_choice_is_recorded_by_itself() -> None:
    ended = chunk({}, finish="stop")
    parts = read("chat", told(details(text("One.")), ended, details(text("Two.")))).parts
    assert [part.text for part in parts] == ["One.", "Two."]


def test_a_section_leaves_as_soon_as_it_is_judged_though_the_thought_goes_on() -> None:
    """One that ends within a word is whole where the next one begins."""
    stream = told(*mirrored("On"), section("e."), *[section(" And so on.")] * 4, SAID)
    driven = Driven("chat", Needs(reasoning=Window(8))).feed(by_event(stream)[:4], finish=False)
    assert deltas_of(driven.wire)[:2] == [*mirrored("On"), section("e.")]


@pytest.mark.parametrize("index", [[1], {"at": 1}, True, 1.5, "1"])
def test_sections_are_read_whatever_their_numbers_are(index: Any) -> None:
    message = details({**text("Let me"), "index": index}, text(" see."))
    assert "Let me see." in [part.text for part in parts_of(document(message))]
    assert "Let me see." in [part.text for part in read("chat", told(message, SAID)).parts]


def test_a_changed_thought_leaves_without_its_sections() -> None:
    """They say what was taken out, and their signature would be wrong of anything else."""
    stream = told(*mirrored("A ke", "y here."), details(SIGNATURE), SAID)
    driven = Driven("chat", Needs(reasoning=Window(3))).feed([stream], hiding("key"))
    assert deltas_of(driven.wire) == [
        {"content": "", "reasoning": "A *"},
        {"content": "", "reasoning": " here."},
        {"content": "Here you are."},
        {},
    ]


def test_a_changed_section_does_not_leave() -> None:
    stream = told(details(text("A key.")), details(text(" So."), SIGNATURE), SAID)
    driven = Driven("chat", WHOLE).feed([stream], hiding("key"))
    assert deltas_of(driven.wire) == [{"content": "Here you are."}, {}]


def test_sections_leave_where_only_words_were_changed() -> None:
    stream = told(*mirrored("Hm."), details(SIGNATURE), {"content": "A key."})
    wire = Driven("chat", ALL).feed([stream], hiding("key")).wire
    assert b"key" not in wire
    assert [delta["reasoning_details"] for delta in deltas_of(wire)[:2]] == [[text("Hm.")], [SIGNATURE]]


def test_sections_of_a_rejected_thought_do_not_leave_in_a_document() -> None:
    body = document(details(text(WORD), thought=WORD))
    for field in ("reasoning", "reasoning_details", "reasoning_details/0"):
        pointer = f"/choices/0/message/{field}"
        assert WORD.encode() not in acting("chat").turns.end(body, Refused("No."), [pointer])


def test_other_words_of_a_document_are_changed_beside_sections() -> None:
    body = document({**details(text("Hm."), SIGNATURE, thought="Hm."), "content": "A key."})
    changed = json.loads(edit(body, "/choices/0/message/content", "A key.", "key"))
    assert changed == json.loads(body.replace(b"A key.", b"A *."))


def test_a_section_of_a_document_is_changed_unless_it_is_signed() -> None:
    body = document(details(text("A key.")))
    pointer = "/choices/0/message/reasoning_details"
    assert b"A *." in edit(body, pointer, "A key.", "key")
    with pytest.raises(Uneditable):
        edit(document(details(text("A key.", signature="EqQB"))), pointer, "A key.", "key")


def test_sections_go_back_to_the_provider_as_they_came() -> None:
    """It takes a thought whose signature is right of it, in a format it knows."""
    whole = json.loads(acting("chat").turns.assemble(told(*mirrored("Let me", " see."), details(SIGNATURE), SAID)))
    assert whole["choices"][0]["message"]["reasoning_details"] == [{**text("Let me see."), "signature": "EqQB"}]


def test_a_thought_is_rejected_in_both_its_tellings() -> None:
    stream = told(*mirrored("Hm.", WORD), SAID)
    wire = Driven("chat", ALL).feed([stream], rejecting(WORD, Refused("No."), {"reasoning"})).wire
    assert WORD.encode() not in wire
    assert b"No." in wire


def message_of(deltas: Sequence[Fields]) -> Fields:
    """What a document says where a stream says this."""
    pieces = [piece for delta in deltas for piece in delta["reasoning_details"]]
    thoughts = [delta["reasoning"] for delta in deltas if delta["reasoning"]]
    return {**SAID, "reasoning_details": pieces, **({"reasoning": "".join(thoughts)} if thoughts else {})}


def document(message: Fields) -> bytes:
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]
    return json.dumps({"id": "x", "object": "chat.completion", "choices": choices}).encode()


def parts_of(body: bytes) -> Sequence[Any]:
    reader = DIALECTS.chat.reply_reader("chat", stream=False)
    reader.feed(body, 0)
    return reader.close(0).parts


def edit(body: bytes, pointer: str, said: str, word: str) -> bytes:
    start = said.index(word)
    ranges = (Replacement(start, start + len(word), "*"),)
    return edit_reply(DIALECTS.chat, body, [PartEdit(pointer=pointer, ranges=ranges)])


def hiding(word: str) -> Any:
    def decide(judgement: Judgement) -> list[Replacement]:
        said = judgement.part.text
        places = [(len(said[: one.start()].encode()), len(one[0].encode())) for one in re.finditer(word, said)]
        return [Replacement(at, at + length, "*") for at, length in places]

    return decide


def deltas_of(wire: bytes) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in events(wire) if chunk is not None and "choices" in chunk]
