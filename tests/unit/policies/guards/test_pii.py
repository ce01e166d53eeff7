"""The `pii` guard."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.guards.interface import SCANNED_BYTES, BadGuard
from policies.guards.pii import PiiGuard, PiiSpec
from tests.unit.policies.guards.texts import evidence, examine, found, hostile, in_text, redacted


def guard(**fields: Any) -> PiiGuard:
    return PiiGuard(PiiSpec(**fields))


GUARD = guard()
TEXT = (
    "Mail ann@example.org, pay DE89 3704 0044 0532 0130 00 or 4111 1111 1111 1111; SSN 460-89-9847, "
    "from 106.31.73.20, call +1 202-555-0143 or 905-674-3793."
)


def test_each_type_is_a_hit_of_its_own_with_its_score() -> None:
    told = {(hit.evidence[0].label, hit.score, hit.state, len(hit.evidence)) for hit in examine(GUARD, TEXT)}
    assert told == {
        ("email", 90, "violation", 1),
        ("iban", 90, "violation", 1),
        ("card", 90, "violation", 1),
        ("ssn", 90, "violation", 1),
        ("ip", 75, "violation", 1),
        ("phone", 75, "violation", 1),
        ("phone", 50, "unsure", 1),
    }


def test_only_the_types_asked_for_are_reported() -> None:
    assert found(guard(types=("iban", "email")), TEXT) == [
        ("email", "ann@example.org"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
    ]


def test_own_domains_and_allowed_values_are_not_reported() -> None:
    text = "ann@example.org bob@mail.example.org eve@badexample.org 4111-1111-1111-1111"
    assert [value for _, value in found(guard(allow_domains=("Example.org",)), text)] == [
        "eve@badexample.org",
        "4111-1111-1111-1111",
    ]
    assert [value for _, value in found(guard(allow=("EVE@badexample.org", "4111 1111 1111 1111")), text)] == [
        "ann@example.org",
        "bob@mail.example.org",
    ]


@pytest.mark.parametrize("domain", ["@example.org", "*.example.org", "https://example.org", "a b"])
def test_a_domain_that_is_none_is_refused(domain: str) -> None:
    with pytest.raises(BadGuard, match="is no domain"):
        guard(allow_domains=(domain,))


def test_few_values_can_be_let_pass_however_often_they_stand_there() -> None:
    built = guard(at_least=3)
    assert found(built, "a@example.org b@example.org A@example.org a@example.org") == []
    assert len(found(built, "a@example.org b@example.org c@example.org a@example.org")) == 4


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(b"to ann@example.org").decode(),
        "ann%40example.org",
        "ann&#64;example.org",
        "ann\\u0040example.org",
        "\uff41nn@example.org",
        "an\u200bn@example.org",
        b"to ann@example.org".hex(),
    ],
)
def test_an_address_is_found_in_every_writing(written: str) -> None:
    assert found(GUARD, f'{{"note": "{written}"}}') == [("email", written)]


def test_digits_of_any_script_make_a_card() -> None:
    card = "4111111111111111"
    assert found(GUARD, "".join(chr(0x660 + int(digit)) for digit in card)) != []
    assert found(GUARD, "".join(chr(0xFF10 + int(digit)) for digit in card)) != []


def test_a_line_end_in_a_json_string_is_no_letter_of_an_address() -> None:
    assert found(GUARD, '{"to": "x\\nann@example.org\\n"}') == [("email", "ann@example.org")]


def test_evidence_counts_bytes_of_utf8() -> None:
    assert found(GUARD, "é\U0001f600 ann@example.org \ud800") == [("email", "ann@example.org")]


def test_a_note_never_holds_what_was_found() -> None:
    assert all("ann@" not in hit.note and "4111" not in hit.note for hit in examine(GUARD, TEXT))


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "550e8400-e29b-41d4-a716-446655440000", "ts": 1764072633123}',
        '{"sha": "da39a3ee5e6b4b0d3255bfef95601890afd80709", "snowflake": 1369248176954937405}',
        '{"order": 4417229011, "total": 12345.67, "version": "1.22.333.4444", "at": "2026-03-02T10:22:07.123456Z"}',
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "pip install requests==2.31.0.1 'urllib3>=1.26.0.2'; see RFC 4291, ISBN 978-3-16-148410-0",
        "GET /v1/items?page=2&size=100 HTTP/1.1 200 5123 0.0123",
    ],
)
def test_ordinary_numbers_are_nobodys(text: str) -> None:
    assert found(GUARD, text) == []


def test_the_window_holds_the_longest_address() -> None:
    assert GUARD.window is not None
    address = f"{'a' * 64}@{'.'.join(['b' * 60] * 4)}.org"
    assert found(GUARD, address) == [("email", address)]
    assert GUARD.window > len(address)


def test_a_tail_that_is_not_scanned_is_told() -> None:
    text = "x " * (SCANNED_BYTES // 2) + "ann@example.org"
    assert found(GUARD, text) == []
    assert [(hit.state, hit.score) for hit in examine(GUARD, text)] == [("unsure", 50)]
    assert [hit.state for hit in examine(guard(at_least=2), text)] == ["unsure"]


@given(hostile)
@settings(deadline=None, max_examples=120)
def test_any_text_is_examined_and_evidence_is_a_range_of_it(text: str) -> None:
    assert in_text(text, evidence(GUARD, text))


@given(hostile, st.sampled_from(["ann@example.org", "DE89370400440532013000", "4111-1111-1111-1111"]), hostile)
@settings(deadline=None, max_examples=120)
def test_once_redacted_nothing_is_found(before: str, value: str, after: str) -> None:
    text = f"{before} / {value} / {after}"
    first = evidence(GUARD, text)
    assert first
    assert found(GUARD, redacted(text, first)) == []
