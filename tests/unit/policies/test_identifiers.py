"""Identifiers: each is told from any other number by what it must satisfy."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.identifiers import FINDERS, IdentifierType, find

ALL: frozenset[IdentifierType] = frozenset(FINDERS)


def found(text: str, *types: IdentifierType) -> list[tuple[str, str]]:
    data = text.encode()
    return [(kind, data[start:end].decode()) for kind, (start, end, _) in find(data, frozenset(types) or ALL)]


@pytest.mark.parametrize(
    "address",
    [
        "a@b.co",
        "first.last+tag@mail.example.org",
        "o'neil@example.ie",
        "UPPER_case-1@EXAMPLE.COM",
        "x@xn--bcher-kva.example",
        "jörg@müller.example",
        "user@sub.domain.museum",
    ],
)
def test_an_address_is_found_between_anything_that_frames_it(address: str) -> None:
    for text in (
        address,
        f"<{address}>",
        f'"{address}",',
        f"mailto:{address}?subject=x",
        f"Mail {address}.",
        f"({address})",
    ):
        assert found(text) == [("email", address)]


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png",
        "left-pad@1.3.0",
        "pkg@1.0.0-beta.dev",
        "git@github.com:org/repo.git",
        "https://user:pass@host.example/",
        "https://token@host.example/",
        "a@b",
        "@handle and name@",
        "a..b@c.example",
        "x" * 70 + "@example.com",
        "@pytest.fixture",
        "user@localhost",
    ],
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    assert found(text, "email") == []


IBANS = [
    "DE89370400440532013000",
    "GB29NWBK60161331926819",
    "FR1420041010050500013M02606",
    "CH9300762011623852957",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
]


@pytest.mark.parametrize("iban", IBANS)
def test_an_iban_is_found_whole_in_groups_and_in_small_letters(iban: str) -> None:
    groups = " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
    assert found(f"to {iban}.") == [("iban", iban)]
    assert found(f"IBAN: {groups} at once") == [("iban", groups)]
    assert found(f"{iban.lower()},{groups.replace(' ', '-')}") == [
        ("iban", iban.lower()),
        ("iban", groups.replace(" ", "-")),
    ]


@given(st.sampled_from(IBANS), st.data())
def test_an_iban_with_one_other_digit_is_none(iban: str, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from([at for at, char in enumerate(iban) if char.isdigit()]))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != iban[at]]))
    assert found(f"{iban[:at]}{other}{iban[at + 1 :]}", "iban") == []


@pytest.mark.parametrize(
    "text", ["DE8937040044053201300", "DE893704004405320130000", "XX89370400440532013000", "XDE89370400440532013000"]
)
def test_an_iban_has_its_countrys_length_and_stands_alone(text: str) -> None:
    assert found(text, "iban") == []


CARDS = [
    "4111111111111111",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
    "6304000000000000",
    "4000000000000000006",
]


@pytest.mark.parametrize("card", CARDS)
def test_a_card_is_found_as_one_number(card: str) -> None:
    for text in (card, f"card {card}, please", f'{{"card": {card}}}', f"{card}\n", f"12,{card},34"):
        assert found(text) == [("card", card)]


@pytest.mark.parametrize(
    "card",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "3056 930902 5904",
        "5 5 5 5 5 5 5 5 5 5 5 5 4 4 4 4",
    ],
)
def test_a_card_is_found_in_the_groups_that_are_printed(card: str) -> None:
    assert found(f"no {card} end") == [("card", card)]


def test_a_card_is_found_behind_a_number_that_stands_before_it() -> None:
    assert found("2024 4111 1111 1111 1111 2025", "card") == [("card", "4111 1111 1111 1111")]


@given(st.sampled_from(CARDS), st.data())
def test_a_card_with_one_other_digit_is_none(card: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(card) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != card[at]]))
    assert found(f"{card[:at]}{other}{card[at + 1 :]}", "card") == []


@pytest.mark.parametrize(
    "text",
    [
        "1764072633123",  # milliseconds
        "1764072633123456789",  # nanoseconds
        "0.4111111111111111",
        "4111111111111111.25",
        "4111111111111111-4111-4111",
        "id_4111111111111111",
        "a4111111111111111",
        "0000000000000000",
        "1234567890123456",
        "550e8400-e29b-41d4-a716-446655440000",
        "snowflake 1369248176954937405",
    ],
)
def test_a_number_that_is_no_card_is_none(text: str) -> None:
    assert found(text) == []


def test_of_random_numbers_few_pass_for_cards() -> None:
    drawn = random.Random(11)
    numbers = [str(drawn.randrange(10**15, 10**16)) for _ in range(2000)]
    assert len(found(" / ".join(numbers), "card")) < 0.04 * len(numbers)


@pytest.mark.parametrize("ssn", ["460-89-9847", "899-01-0001", "460 89 9847"])
def test_a_social_security_number_is_found_in_groups(ssn: str) -> None:
    assert found(f"it is {ssn}.") == [("ssn", ssn)]


def test_a_bare_social_security_number_needs_its_name() -> None:
    assert found('"ssn": "460899847"') == [("ssn", "460899847")]
    assert found("order 460899847") == []


@pytest.mark.parametrize(
    "text",
    [
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "460-00-3456",
        "460-12-0000",
        "078-05-1120",
        "1460-89-9847",
        "460-89-98471",
        "460-89-9847-1",
    ],
)
def test_a_number_no_person_has_is_none(text: str) -> None:
    assert found(text, "ssn") == []


@pytest.mark.parametrize(
    "address",
    [
        "106.31.73.20",
        "10.0.0.1",
        "2001:db8::8a2e:370:7334",
        "fe80::1",
        "6e40:4041:c617:e898:c11:40d2:c669:2eb4",
        "::ffff:1.2.3.4",
    ],
)
def test_an_address_of_the_internet_is_found(address: str) -> None:
    expected = [("ip", "1.2.3.4")] if address.startswith("::") else [("ip", address)]
    for text in (f"from {address}.", f"http://[{address}]/", f"ip={address},", f'"{address}"'):
        assert found(text, "ip") == expected


@pytest.mark.parametrize(
    "text",
    [
        "v1.2.3.4",
        "version 1.2.3.4",
        "version: 1.2.3.4",
        "package==1.2.3.4",
        "Chrome/120.0.6099.71",
        "lib-1.2.3.4.jar",
        "1.2.3.4-beta",
        "1.2.3.4.5",
        "256.1.1.1",
        "01.2.3.4",
        "127.0.0.1",
        "0.0.0.0",
        "std::abs a::b x::ab::cd",
        "10:22:07 and 2026-03-02T10:22:07",
        "aa:bb:cc:dd:ee:ff",
        "1.3.6.1.4.1.311",
    ],
)
def test_a_version_a_time_or_a_name_is_no_address(text: str) -> None:
    assert found(text, "ip") == []


@pytest.mark.parametrize(
    "number",
    [
        "+1 202-555-0143",
        "+442079460958",
        "+49 (0)30 901820",
        "(579)888-3058",
        "905-674-3793",
        "01632 960001",
        "01 23 45 67 89",
    ],
)
def test_a_telephone_number_is_found_by_its_shape(number: str) -> None:
    assert found(f"at {number}, please") == [("phone", number)]


def test_any_number_behind_the_word_is_one() -> None:
    assert found("Phone:\n60-56-85-91") == [("phone", "60-56-85-91")]
    assert found('"mobile": "787 063 12"') == [("phone", "787 063 12")]


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02",
        "call 2026-03-02",
        "20260302101112",
        "1764072633",
        "order 4417-22-901",
        "+12",
        "a+12345678",
        "1.234.567,89",
        "IMG_20260302_101112",
        "555 0143",
    ],
)
def test_a_date_an_id_or_an_amount_is_no_telephone_number(text: str) -> None:
    assert found(text, "phone") == []


def test_of_two_readings_the_more_certain_wins() -> None:
    assert found("phone 4111 1111 1111 1111") == [("card", "4111 1111 1111 1111")]
    assert found("call 460-89-9847") == [("ssn", "460-89-9847")]


@given(st.one_of(st.binary(max_size=120), st.text("+-.:@ 0123456789abDE", max_size=120).map(str.encode)))
def test_any_bytes_are_searched_and_places_are_disjoint_ranges_of_them(data: bytes) -> None:
    for types in (ALL, *(frozenset({kind}) for kind in FINDERS)):
        places = [place for _, place in find(data, types)]
        assert all(0 <= start < end <= len(data) for start, end, _ in places)
        assert all(first[1] <= second[0] for first, second in pairwise(places))
