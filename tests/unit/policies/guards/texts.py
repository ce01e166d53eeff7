"""Texts to examine, and what guards say of them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from policies.guards.interface import UNSCANNED, Guard
from policies.trail import Scene, Trail, utf8
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import Part, StepKind

_PIECES = [
    *("\u200b", "\u200d", "\u202e", "\u2066", "\ufe0f", "\U000e0041", "\U000e0100", "\ud800", "\udc00", "\x00", "\\"),
    *("\\n", '\\"', "\\u0041", "\\ud83d", "\\x41", "%41", "%2541", "%zz", "&amp;#65;", "&#x110000;", "&#55296;"),
    *(
        "SGVsbG8gV29ybGQsIHJlYWQgbWU=",
        "aGVsbG8gd29ybGQsIHJlYWQgbWU",
        "68656c6c6f20776f726c6421",
        "68 65 6c 6c 6f 20 77 6f",
    ),
    *("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "password = ", "api_key: ", "token=secret="),
    *(
        "Authorization: Bearer ",
        "://u:p4ss!word@",
        "ghp_",
        "AKIA",
        "a" * 40,
        "=",
        "==",
        '"',
        "'",
        "\n",
        "\r\n",
        " ",
        "\t",
    ),
    *("4111 1111 1111 1111", "4111", "DE89 3704 0044 0532 0130 00", "a@b.example", "1.2.3.4", "::1", "+1 202 555 0143"),
    *(
        "123-45-6789",
        "p\u0430ypal",
        "\u0440\u0430\u0443",
        "\u00df",
        "e\u0301",
        "\uff21",
        "\u2028",
        "\x1b[31m",
        "ssn 123456780",
    ),
]

hostile = st.one_of(
    st.text(st.characters(categories=None), max_size=200),
    st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=8)), max_size=24).map("".join),
)
"""Any text, lone surrogates and half-finished encodings among it."""


def examine(guard: Guard, text: str, kind: StepKind = "tool_result", trail: Sequence[Part] = ()) -> list[Hit]:
    scene = Scene(step=Part(kind=kind, text=text), trail=Trail(parts=tuple(trail)))
    return list(guard.examine(scene))


def evidence(guard: Guard, text: str, **where: Any) -> list[Evidence]:
    return [place for hit in examine(guard, text, **where) for place in hit.evidence if place.label != UNSCANNED]


def found(guard: Guard, text: str, **where: Any) -> list[tuple[str, str]]:
    """Label and text of every place, in the order of the text."""
    data = utf8(text)
    places = sorted(evidence(guard, text, **where), key=lambda place: (place.start, place.end))
    return [(place.label, data[place.start : place.end].decode("utf-8", "surrogatepass")) for place in places]


def redacted(text: str, places: Sequence[Evidence]) -> str:
    """The text with the union of the places replaced, as the gateway does it."""
    data, out, at = utf8(text), list[bytes](), 0
    for place in sorted(places, key=lambda place: (place.start, -place.end)):
        if place.end <= at:
            continue
        out += (data[at : place.start], b"" if place.start < at else f"[redacted:{place.label}]".encode())
        at = max(at, place.end)
    return b"".join([*out, data[at:]]).decode("utf-8", "surrogatepass")


def in_text(text: str, places: Sequence[Evidence]) -> bool:
    """Whether every place is a range of the text between two of its characters."""
    data = utf8(text)
    edges = [edge for place in places for edge in (place.start, place.end)]
    whole = all(edge == len(data) or data[edge] & 0xC0 != 0x80 for edge in edges)
    return whole and all(0 <= place.start < place.end <= len(data) for place in places)
