"""Views: whatever way a text is written, it is read, and what is read there is traced back to its bytes."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.guards.interface import SCANNED_BYTES
from policies.trail import utf8
from policies.views import AROUND, SEAM, View, fold, unscanned, views
from policies.views.runs import ESCAPES, escaped
from tests.unit.policies.guards.texts import hostile

MESSAGE = "Tell nobody that 42 ducks left."


def wrapped(message: str) -> str:
    encoded = base64.b64encode(message.encode()).decode()
    return "\n".join(encoded[at : at + 20] for at in range(0, len(encoded), 20))


def spaced(message: str) -> str:
    encoded = base64.b64encode(message.encode()).decode()
    return " ".join(encoded[at : at + 5] for at in range(0, len(encoded), 5))


ENCODINGS: dict[str, Callable[[str], str]] = {
    "base64": lambda message: base64.b64encode(message.encode()).decode(),
    "base64 without padding": lambda message: base64.b64encode(message.encode()).decode().rstrip("="),
    "base64 for URLs": lambda message: base64.urlsafe_b64encode(message.encode()).decode(),
    "base64 in lines": wrapped,
    "base64 in groups": spaced,
    "base64 of UTF-16": lambda message: base64.b64encode(message.encode("utf-16-le")).decode(),
    "hex": lambda message: message.encode().hex(),
    "hex in capitals": lambda message: message.encode().hex().upper(),
    "hex in pairs": lambda message: message.encode().hex(" "),
    "hex as numbers": lambda message: ", ".join(f"0x{byte:02x}" for byte in message.encode()),
    "percent": lambda message: "".join(f"%{byte:02X}" for byte in message.encode()),
    "percent twice": lambda message: "".join(f"%25{byte:02X}" for byte in message.encode()),
    "references": lambda message: "".join(f"&#{ord(char)};" for char in message),
    "references in hex": lambda message: "".join(f"&#x{ord(char):x};" for char in message),
    "references twice": lambda message: "".join(f"&amp;#{ord(char)};" for char in message),
    "JSON escapes": lambda message: "".join(f"\\u{ord(char):04x}" for char in message),
    "Python escapes": lambda message: "".join(f"\\x{byte:02x}" for byte in message.encode()),
    "long escapes": lambda message: "".join(f"\\U{ord(char):08x}" for char in message),
    "octal escapes": lambda message: "".join(f"\\{byte:03o}" for byte in message.encode()),
    "octal escapes of printf": lambda message: "".join(f"\\0{byte:03o}" for byte in message.encode()),
    "references without ends": lambda message: "".join(f"&#{ord(char)}" for char in message),
    "braced escapes": lambda message: "".join(f"\\u{{{ord(char):x}}}" for char in message),
    "tag characters": lambda message: "".join(chr(0xE0000 + ord(char)) for char in message),
    "variation selectors": lambda message: "".join(
        chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in message.encode()
    ),
}
encodings = st.sampled_from(sorted(ENCODINGS))
one_piece = st.sampled_from(["base64", "base64 for URLs", "hex", "percent", "references", "JSON escapes"])


def showing(text: str, message: str) -> list[tuple[View, int, int]]:
    """Every view that shows a message, and where."""
    wanted = utf8(message)
    return [(view, at, at + len(wanted)) for view in views(text) if (at := view.data.find(wanted)) >= 0]


def slices(text: str, message: str) -> list[str]:
    """What the text holds where a view shows the message."""
    data = utf8(text)
    places = [view.origin(start, end) for view, start, end in showing(text, message)]
    return [data[start:end].decode("utf-8", "surrogatepass") for start, end in places]


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoded_message_is_read_and_traced_to_the_run_that_holds_it(name: str) -> None:
    run = ENCODINGS[name](MESSAGE)
    assert slices(f"Note ({run}), é and more.", MESSAGE) == [run]


@given(st.lists(one_piece, min_size=2, max_size=3))
def test_encodings_on_top_of_each_other_are_undone(names: list[str]) -> None:
    run = MESSAGE
    for name in names:
        run = ENCODINGS[name](run)
    assert run in slices(f"see: {run} .", MESSAGE)


def test_a_fourth_encoding_stays_closed() -> None:
    run = MESSAGE
    for _ in range(4):
        run = ENCODINGS["base64"](run)
    assert slices(run, MESSAGE) == []


@given(encodings, st.text("abc é.", max_size=40), st.text("abc é.", max_size=40))
def test_what_stands_around_a_run_stays_where_it_was(name: str, before: str, after: str) -> None:
    run = ENCODINGS[name](MESSAGE)
    text = f"{before} ({run}) {after}"
    view, start, end = showing(text, MESSAGE)[0]
    assert view.text[: len(before)] == before
    assert view.origin(0, len(utf8(before)) + 2)[0] == 0
    assert view.origin(start, len(view.data)) == (len(utf8(f"{before} (")), len(utf8(text)))
    assert view.fresh(start, end)


def test_a_run_in_a_path_is_found_though_the_path_could_be_part_of_it() -> None:
    run = ENCODINGS["base64"]("all the customers of this year").rstrip("=")
    (shown,) = slices(f"GET https://host.example/v1/c/{run} now", "all the customers of this year")
    assert run in shown


def test_only_the_touched_escape_is_meant_where_escapes_stand_apart() -> None:
    text = "AK%49A and %2F"
    view = views(text)[1]
    assert view.text == "AKIA and /"
    assert [view.origin(0, 2), view.origin(2, 3), view.origin(0, 4)] == [(0, 2), (2, 5), (0, 6)]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("\u0440\u0430ssword", "password"),
        ("\uff50\uff41ss", "pass"),
        ("p\u200ba\u2060ss\ufe0f", "pass"),
        ("\U0001d429\U0001d41a\U0001d42c\U0001d42c", "pass"),
        ("p\u0336a\u0336ss", "pass"),
        ("\u202epass\u202c", "pass"),
        ("\u0664\u0661\u0661\u0661", "4111"),
        ("a\u00a0b \u2026", "a b ..."),
    ],
)
def test_disguises_are_taken_off(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert [view.text for view in views(text) if view.kind == "folded"] == [folded]


@pytest.mark.parametrize("text", ["Straße, déjà vu", "你好世界", "नमस्ते", "שלום", "emoji 🎉"])
def test_ordinary_letters_of_any_language_are_read_once(text: str) -> None:
    assert [view.kind for view in views(text)] == ["raw"]


def test_a_disguised_word_is_traced_to_its_own_letters() -> None:
    text = "ключ: p\u0430ss\u200bword конец"
    (view,) = [view for view in views(text) if view.kind == "folded"]
    at = view.data.index(b"password")
    assert view.origin(at, at + 8) == (len(utf8("ключ: ")), len(utf8("ключ: p\u0430ss\u200bword")))


def test_quotes_and_line_ends_inside_strings_are_read_in_place() -> None:
    text = '{"env": "A=1\\nB=\\"two\\""}'
    unquoted = views(text)[1]
    assert (unquoted.kind, unquoted.text) == ("unquoted", '{"env": "A=1 \nB= "two ""}')
    assert unquoted.origin(12, 14) == (12, 14)
    assert unquoted.fresh(14, 15)
    assert not unquoted.fresh(1, 6)


def test_colours_of_a_terminal_do_not_touch_what_they_colour() -> None:
    assert views("\x1b[93msk-1\x1b[0m")[1].text == "     sk-1    "


def test_what_is_coloured_in_the_midst_of_a_word_is_read_as_one() -> None:
    text = "a sk-\x1b[1;31msecret\x1b[0m-1 b"
    (view,) = [view for view in views(text) if view.kind == "decoded"]
    at = view.data.index(b"sk-secret-1")
    assert view.origin(at, at + 11) == (2, len(text) - 2)
    assert view.fresh(at, at + 11)
    assert not view.fresh(at - 1, at)


def test_far_from_anything_encoded_nothing_is_shown_twice() -> None:
    run = ENCODINGS["base64"](MESSAGE)
    text = f"{'x ' * 2000}{run}{' y' * 2000} {run}{' z' * 2000}"
    view = views(text)[1]
    assert len(view.data) <= 2 * (len(MESSAGE) + 2 * AROUND) + len(SEAM)
    assert view.data.count(SEAM) == 1
    second = view.data.rindex(MESSAGE.encode())
    assert view.origin(second, second + 3) == (text.rindex(run), text.rindex(run) + len(run))


PLAIN = [
    "The agent reads a file, then it answers: no. It costs 12% of 40 & more; see https://shop.example/orders?id=7.",
    '{"id": "550e8400-e29b-41d4-a716-446655440000", "sha": "da39a3ee5e6b4b0d3255bfef95601890afd80709", "n": 1.5e-7}',
    "internationalization_of_everything /usr/local/lib/python3/site-packages 20260302T101112Z",
]


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_has_one_view(text: str) -> None:
    assert [view.kind for view in views(text)] == ["raw"]


@settings(deadline=None, max_examples=60)
@given(hostile)
def test_any_text_is_read_and_every_range_of_every_view_is_a_range_of_the_text(text: str) -> None:
    size = len(utf8(text))
    for view in views(text):
        assert view.text == view.data.decode("utf-8", "surrogatepass")
        last = 0
        for at in range(len(view.data)):
            start, end = view.origin(at, at + 1)
            assert 0 <= start < end <= size
            assert start >= last
            last = start
        assert view.origin(0, len(view.data))[1] <= size
    assert views(text)[0].data == utf8(text)


@settings(deadline=None)
@given(hostile)
def test_views_are_bounded(text: str) -> None:
    made = views(text)[1:]
    assert sum(len(view.data) for view in made if view.kind != "unquoted") <= 2 * len(utf8(text)) + 4096
    assert all(view.depth <= 3 for view in made)


def test_what_lies_behind_the_scanned_bytes_is_told() -> None:
    text = "é" * (SCANNED_BYTES // 2) + "x" + "é"
    shown = views("a" + text)[0]
    assert len(shown.data) == SCANNED_BYTES - 1  # a character is not cut in half
    (hit,) = unscanned("a" + text)
    assert (hit.score, hit.state) == (50, "unsure")
    assert [(each.label, each.start, each.end) for each in hit.evidence] == [
        ("unscanned_tail", SCANNED_BYTES - 1, len(utf8(text)) + 1)
    ]
    assert unscanned("short") == ()


def test_encodings_too_rich_to_read_are_told() -> None:
    text = ("x" * 200 + " %5Cu0026%2365%3B ") * 100  # percent-encoded escapes of references: three times the text
    shown = views(text)
    assert sum(len(view.data) for view in shown[1:] if view.kind != "unquoted") <= 2 * len(text) + 4096
    (hit,) = unscanned(text)
    assert (hit.state, hit.evidence[0].start, hit.evidence[0].end) == ("unsure", 0, len(text))
    assert unscanned(text[:2000]) == ()


OPENINGS = [
    *("\\", "\\\\", '"', "n", "u0041", "x41", "/", "U0001F600", "u{41}", "%", "25", "41", "&", "amp;", "#65;", "lt;"),
    *('\\\\"', "\\\\n", "\ufe0f\ufe0f", "\U000e0041\U000e0042", "\U000e0100\U000e0101", " "),
]


@given(st.one_of(hostile, st.lists(st.sampled_from(OPENINGS), max_size=12).map("".join)).map(utf8))
def test_every_escape_is_found_by_how_it_opens(data: bytes) -> None:
    assert [match.span() for match in escaped(data)] == [match.span() for match in ESCAPES.finditer(data)]
