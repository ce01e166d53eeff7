"""Reasoning that a Chat server tells in sections: https://openrouter.ai/docs/use-cases/reasoning-tokens."""

import json
from collections.abc import Sequence
from typing import Any, Final

import pytest
from streams import DIALECTS, Driven, read, rejecting
from test_one_choice import ALL, FIRST, LAST, WORD, refused, told

from gateway.wire.edits import PartEdit, Replacement, Uneditable, edit_reply
from gateway.wire.enforcing import enforcing
from gateway.wire.gate import Judgement, Needs, Refused, Window

WHOLE: Final = Needs(reasoning="whole")
Fields = dict[str, Any]


def text(said: str, index: int | None = 0, **more: Any) -> Fields:
    return {"type": "reasoning.text", "text": said, "format": "anthropic-claude-v1", "index": index, **more}


def summary(said: str, index: int = 0) -> Fields:
    return {"type": "reasoning.summary", "summary": said, "format": "openai-responses-v1", "index": index}


def sealed(data: str, index: int = 0) -> Fields:
    return {"type": "reasoning.encrypted", "data": data, "id": "rs_1", "format": "openai-responses-v1", "index": index}


SIGNATURE: Final = {"type": "reasoning.text", "signature": "EqQB", "format": "anthropic-claude-v1", "index": 0}


def details(*pieces: Fields, thought: str | None = None) -> Fields:
    """A delta, or a message, that tells reasoning in sections, and in one text beside them."""
    return {"content": "", "reasoning": thought, "reasoning_details": list(pieces)}


def mirrored(*pieces: str) -> list[Fields]:
    return [details(text(piece), thought=piece) for piece in pieces]


SAID: Final = {"content": "Here you are."}
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
}


@pytest.mark.parametrize("needs", [WHOLE, Needs(reasoning=Window(16)), ALL], ids=["whole", "window", "all"])
@pytest.mark.parametrize("name", SMUGGLED)
def test_what_a_section_says_is_judged(name: str, needs: Needs) -> None:
    assert LAST.encode() not in refused(SMUGGLED[name], needs, "reasoning")


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
    found = enforcing(DIALECTS.chat)
    assert found is not None
    assert found.doubt_of_reply(with_it) is not None


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
    "two sections that say the same": ([*mirrored("One."), details(text("One.", 1))], ["One.", "One."]),
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
    whole: Fields = {"role": "assistant", **SAID}
    pieces = [piece for delta in deltas for piece in delta["reasoning_details"]]
    if any(delta["reasoning"] for delta in deltas):
        whole["reasoning"] = "".join(delta["reasoning"] or "" for delta in deltas)
    parts = parts_of(document({**whole, "reasoning_details": pieces}))
    assert [part.text for part in parts if part.kind == "reasoning"] == thoughts


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
    found = enforcing(DIALECTS.chat)
    assert found is not None
    for pointer in ("/choices/0/message/reasoning", "/choices/0/message/reasoning_details/0"):
        assert WORD.encode() not in found.turns.end(body, Refused("No."), [pointer])


def test_other_words_of_a_document_are_changed_beside_sections() -> None:
    body = document({**details(text("Hm."), SIGNATURE, thought="Hm."), "content": "A key."})
    changed = json.loads(edit(body, "/choices/0/message/content", "A key.", "key"))
    assert changed == json.loads(body.replace(b"A key.", b"A *."))


def test_a_section_of_a_document_is_changed_unless_it_is_signed() -> None:
    body = document(details(text("A key.")))
    pointer = "/choices/0/message/reasoning_details/0"
    assert b"A *." in edit(body, pointer, "A key.", "key")
    with pytest.raises(Uneditable):
        edit(document(details(text("A key.", signature="EqQB"))), pointer, "A key.", "key")


def test_sections_go_back_to_the_provider_as_they_came() -> None:
    """It takes a thought whose signature is right of it, in a format it knows."""
    found = enforcing(DIALECTS.chat)
    assert found is not None
    whole = json.loads(found.turns.assemble(told(*mirrored("Let me", " see."), details(SIGNATURE), SAID)))
    assert whole["choices"][0]["message"]["reasoning_details"] == [{**text("Let me see."), "signature": "EqQB"}]


def test_a_thought_is_rejected_in_both_its_tellings() -> None:
    stream = told(*mirrored("Hm.", WORD), SAID)
    wire = Driven("chat", ALL).feed([stream], rejecting(WORD, Refused("No."), {"reasoning"})).wire
    assert WORD.encode() not in wire
    assert b"No." in wire


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
        at = judgement.part.text.find(word)
        return [] if at < 0 else [Replacement(at, at + len(word), "*")]

    return decide


def deltas_of(wire: bytes) -> list[Any]:
    found = [line[6:] for line in wire.splitlines() if line.startswith(b"data: {")]
    return [json.loads(data)["choices"][0]["delta"] for data in found]
