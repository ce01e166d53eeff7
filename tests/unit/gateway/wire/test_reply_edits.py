"""Changes of a reply that is one document: each part's own, and what goes over the seam of two."""

import pytest

from gateway.wire.edits import PartEdit, Replacement, Uneditable
from gateway.wire.reply_edits import ReplyEdits
from policies.vocabulary.steps import Part


def text(said: str, pointer: str) -> Part:
    return Part(kind="model_text", text=said, pointer=pointer)


ONE, TWO = text("the sécr", "/content/0"), text("et is out", "/content/3")
SEAM = [Replacement(0, 2, "[gone]")]


def made(*parts: Part, own: tuple[Replacement, ...] = (), reach: int = 5) -> dict[str, list[tuple[int, int, str]]]:
    """The edits by pointer, where the last part's first bytes go with so many before them."""
    edits = ReplyEdits(parts)
    if own:
        edits.add(0, own)
    edits.add(len(parts) - 1, SEAM, reach)
    return {each.pointer: [(one.start, one.end, one.text) for one in each.ranges] for each in edits.made()}


def test_what_stands_before_goes_with_the_beginning_of_a_text() -> None:
    assert made(ONE, TWO) == {"/content/3": [(0, 2, "[gone]")], "/content/0": [(4, 9, "")]}
    assert made(ONE, TWO, reach=0) == {"/content/3": [(0, 2, "[gone]")]}
    assert made(ONE, text("e", "/content/2"), TWO, reach=3) == {
        "/content/3": [(0, 2, "[gone]")],
        "/content/2": [(0, 1, "")],
        "/content/0": [(7, 9, "")],
    }


@pytest.mark.parametrize(
    "between",
    [
        Part(kind="tool_call", text="{}", pointer="/content/1"),
        Part(kind="reasoning", text="Hm, so.", pointer="/content/1"),
        text('{"cited_text": "x"}', "/content/0/citations/0"),
        Part(kind="model_text", text='{"a": "block"}', pointer="/content/1", unread="unknown block a"),
    ],
)
def test_only_texts_of_the_same_kind_stand_in_a_row(between: Part) -> None:
    assert made(ONE, between, TWO) == {"/content/3": [(0, 2, "[gone]")], "/content/0": [(4, 9, "")]}


def test_the_texts_of_another_choice_stay() -> None:
    first, other, own = (
        text("abc", f"/choices/{choice}/message/content/{at}") for choice, at in ((0, 0), (1, 0), (0, 1))
    )
    assert set(made(first, other, own, reach=2)) == {first.pointer, own.pointer}


@pytest.mark.parametrize(
    ("own", "ranges"),
    [
        (Replacement(0, 3, "A"), [(0, 3, "A"), (4, 9, "")]),
        (Replacement(0, 6, "A"), [(0, 6, "A"), (6, 9, "")]),
        (Replacement(0, 9, "A"), [(0, 9, "A")]),
        (Replacement(5, 8, "A"), [(4, 9, "")]),
    ],
)
def test_what_goes_of_a_text_already_goes_once(own: Replacement, ranges: list[tuple[int, int, str]]) -> None:
    assert made(ONE, TWO, own=(own,))["/content/0"] == ranges


def test_what_begins_before_the_reply_cannot_be_taken_out() -> None:
    edits = ReplyEdits([ONE, TWO])
    edits.add(1, SEAM, 10)
    with pytest.raises(Uneditable):
        edits.made()
    assert edits.parts == [TWO, ONE]


def test_a_part_that_is_not_changed_is_not_named() -> None:
    edits = ReplyEdits([ONE, TWO])
    assert (edits.parts, edits.made()) == ([], [])
    edits.add(1, SEAM)
    assert edits.parts == [TWO]
    assert edits.made() == [PartEdit(pointer="/content/3", ranges=tuple(SEAM))]
