"""Cookies: the dashboard's is read where it opens something, and travels no further."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import cookies
from gateway.stations.forward import request_headers

others = st.lists(st.text(st.characters(codec="ascii", exclude_characters=";\r\n\x00"), max_size=12), max_size=4)


@given(others, others, st.sampled_from([cookies.SECURE, cookies.PLAIN]))
def test_no_provider_sees_our_cookie_and_all_others_travel(before: list[str], after: list[str], name: str) -> None:
    foreign = [
        each for each in (*before, *after) if each.partition("=")[0].strip() not in {"stepwarden", cookies.SECURE}
    ]
    split = len(before)
    sent = ";".join([*foreign[:split], f" {name}=secret", *foreign[split:]]).encode()
    headers = request_headers([(b"accept", b"*/*"), (b"cookie", sent), (b"x-a", b"1")])
    assert b"secret" not in b"".join(value for _, value in headers)
    kept = next((value for header, value in headers if header == b"cookie"), b"")
    assert kept.strip() == ";".join(foreign).encode().strip()


def test_a_header_without_our_cookie_travels_byte_for_byte() -> None:
    odd = b" a=1;;  b = 2; stepwardens=3 ;"
    assert request_headers([(b"cookie", odd)]) == [(b"cookie", odd)]


def test_the_token_is_read_by_the_name_that_fits_the_address_alone() -> None:
    headers = [(b"cookie", b"a=1; stepwarden=plain; __Host-stepwarden=secure")]
    assert cookies.token(headers, secure=True) == "secure"
    assert cookies.token(headers, secure=False) == "plain"
    assert cookies.token([], secure=True) is None


def test_two_cookies_of_one_name_are_none() -> None:
    headers = [(b"cookie", b"stepwarden=mine; stepwarden=planted")]
    assert cookies.token(headers, secure=False) is None


def test_a_cookie_is_for_this_host_and_for_no_script() -> None:
    assert cookies.given("t", secure=True, seconds=9) == (
        "__Host-stepwarden=t; Path=/; Max-Age=9; HttpOnly; SameSite=Strict; Secure"
    )
    assert "Secure" not in cookies.given("t", secure=False, seconds=9)
