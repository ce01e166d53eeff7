"""Values are found again however they were wrapped, grouped or decorated on their way."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.provenance.atoms import DESTINATIONS, MOST_ATOMS, Atom, atoms
from policies.provenance.folding import fold, folded, tight, tightened
from policies.provenance.matching import places, tight_places


def only(value: str | float) -> Atom:
    (atom,) = atoms(value)
    return atom


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Anna.B@Post.example", "email"),
        ("https://www.x.example/a?b=1", "url"),
        ("DE44500105175407324931", "account"),
        ("GB29 NWBK 6016 1331 9268 19", "account"),
        ("+1 415-555-2911", "phone"),
        ("@teafan", "handle"),
        ("report_8765309", "id"),
        ("new_password", "id"),
        ("bill-2023.txt", "path"),
        ("/etc/passwd", "path"),
        ("2026-03-01", "date"),
        (1250.5, "number"),
        ("Fred", "name"),
    ],
)
def test_every_kind_of_value_is_told_apart(value: str | float, kind: str) -> None:
    assert only(value).kind == kind


@pytest.mark.parametrize("value", [None, True, "", 3, float("nan"), float("inf"), 1e300])
def test_values_that_prove_nothing_are_not_traced(value: float | str | bool | None) -> None:  # noqa: FBT001 - a value
    assert atoms(value) == []


def test_destinations_inside_a_long_text_are_found() -> None:
    text = "Hi, send it to a@b.example or call +43 660 555 0192, see www.c.example/x." + " word" * 40
    assert {atom.kind for atom in atoms(text)} & DESTINATIONS == {"email", "phone", "url"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("anna@post.example", "Write to ANNA@Post.example."),
        ("https://x.example/a", "see <http://www.x.example/a/>"),
        ("x.example/some/path", "all of x.example is ours"),
        ("the red house", "in The Red\n   House we"),
        (1250.0, "pay 1,250.00 now"),
        (98.7, "total 98.70"),
        (12345.67, "zahle 12.345,67 Euro"),
        (12345.67, "CHF 12'345.67"),
        (12345.67, "payer 12\u00a0345,67 euros"),
        (12000, "12.000 EUR"),
        (12000, "12 000,00 EUR"),
    ],
)
def test_a_value_is_found_in_any_usual_spelling(value: str | float, text: str) -> None:
    assert all(places(atom, folded(text)) for atom in atoms(value)) or atoms(value) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x.example", "notx.example and x.example.evil.test and a@x.example"),
        ("report_12", "report_123"),
        (1250, "11250 and 1250.75"),
    ],
)
def test_a_longer_value_is_another_value(value: str | float, text: str) -> None:
    assert not places(only(value), folded(text))


def test_a_grouped_or_wrapped_account_is_found_by_letters_and_digits() -> None:
    text = "pay to US13 3000 0001 2121-\n  2121 212 today"
    ((start, end),) = tight_places(only("US133000000121212121212"), tightened(text))
    assert text[start:end] == "US13 3000 0001 2121-\n  2121 212"


@given(st.text(max_size=200))
def test_folding_maps_every_position_back(text: str) -> None:
    whole = folded(text)
    assert whole.text == fold(text)
    for at, char in enumerate(whole.text):
        origin = whole.origin(at)
        assert 0 <= origin < len(text)
        assert char == " " or fold(text[origin]) == char


@given(st.text(alphabet="abc12", min_size=6, max_size=20), st.text(max_size=40), st.text(max_size=40))
def test_a_place_is_exactly_the_value(core: str, before: str, after: str) -> None:
    value = f"id_{core}9"
    text = f"{before} {value} {after}"
    assert (len(before) + 1, len(before) + 1 + len(value)) in places(only(value), folded(text))


@given(st.text(max_size=500))
def test_no_value_is_refused(value: str) -> None:
    assert len(atoms(value)) <= MOST_ATOMS + 1


@pytest.mark.parametrize("pattern", ["a-", "a.", "a_", "a@", "1", "/", "a/", ".com", "+1 ", "http://"])
def test_hostile_values_take_linear_time(pattern: str) -> None:
    def seconds(size: int) -> float:
        value = pattern * (size // len(pattern))
        began = time.process_time()
        atoms(value)
        return time.process_time() - began

    small = min(seconds(4_000) for _ in range(3))
    large = min(seconds(32_000) for _ in range(2))
    assert large < 40 * small + 0.05


@given(st.text())
def test_letters_and_digits_alone_are_the_same_with_the_way_back_and_without(text: str) -> None:
    assert tight(text) == tightened(text).text


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("call (415) 555-2911 now", "phone", "(415) 555-2911"),
        ("call x(415) 555-2911 now", "phone", "415) 555-2911"),
        ("at 2026-03-02 10:00:05.", "date", "2026-03-02 10:00:05"),
        ("(2026-03-02 10:00)", "date", "2026-03-02 10:00"),
        ("to GB29 NWBK 6016 1331 9268 19, now", "account", "gb29 nwbk 6016 1331 9268 19"),
    ],
)
def test_a_value_written_with_spaces_is_one_value_whatever_it_stands_behind(text: str, kind: str, found: str) -> None:
    assert found in [atom.text for atom in atoms(text) if atom.kind == kind]


@given(st.lists(st.sampled_from(["a@b.example", "x_1", "4417", "+1 415-555-2911", "(", "/a/b", "word", "10:00"])))
def test_what_is_said_twice_says_nothing_new(said: list[str]) -> None:
    once, twice = (
        {atom.text for atom in atoms(text) if atom.kind not in {"name", "phrase"}}
        for text in (" ".join(said), f"{' '.join(said)} ; {' '.join(said)}")
    )
    assert once == twice
