"""Forward: everything travels but what belongs to one connection, the host, our own headers, and the gateway key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.refusals import BadFraming, ProviderKeyMissing
from gateway.stations.forward import request_headers, response_headers, with_provider_key
from gateway.stations.ingress import KEY_HEADERS, Presented, presented

KEY = "swk_" + "k" * 49
names = st.sampled_from([
    b"x-a", b"x-b", b"accept", b"cookie", b"anthropic-beta", b"content-length", b"connection", b"te", b"host",
    b"upgrade", b"expect", b"transfer-encoding", b"stepwarden-session", b"keep-alive",
])  # fmt: skip
values = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=12).map(str.encode)
NEVER = {b"host", b"connection", b"te", b"upgrade", b"expect", b"transfer-encoding", b"keep-alive"}


@given(st.lists(st.tuples(names, values), max_size=20))
def test_what_travels_keeps_its_order_and_its_doubles(headers: list[tuple[bytes, bytes]]) -> None:
    kept = request_headers(headers)
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    expected = [pair for pair in headers if pair[0] not in NEVER | named and not pair[0].startswith(b"stepwarden-")]
    assert kept == expected
    assert response_headers(kept) == [pair for pair in kept if pair[0] not in NEVER]


def test_names_of_answers_become_lower_case_and_values_stay() -> None:
    sent = [(b"Content-Type", b"Text/HTML"), (b"X-A", b"\xff\xfe")]
    assert response_headers(sent) == [(b"content-type", b"Text/HTML"), (b"x-a", b"\xff\xfe")]


def test_what_connection_names_stays_behind_in_both_directions() -> None:
    headers = [(b"connection", b"Close, X-Hop"), (b"x-hop", b"1"), (b"x-kept", b"1")]
    assert request_headers(headers) == [(b"x-kept", b"1")]
    assert response_headers([(b"Connection", b"x-hop"), *headers[1:]]) == [(b"x-kept", b"1")]


def test_bytes_that_are_no_utf8_are_refused_and_not_mangled() -> None:
    with pytest.raises(BadFraming):
        request_headers([(b"x-a", b"\xff")])
    assert request_headers([(b"x-a", "é".encode())]) == [(b"x-a", "é".encode())]


@pytest.mark.parametrize(
    ("headers", "slot"),
    [
        ([(b"stepwarden-key", KEY.encode())], b"stepwarden-key"),
        ([(b"x-api-key", KEY.encode())], b"x-api-key"),
        ([(b"authorization", b"Bearer " + KEY.encode())], b"authorization"),
        ([(b"authorization", b"bearer " + KEY.encode())], b"authorization"),
        ([(b"authorization", b"Bearer  " + KEY.encode())], b"authorization"),
        ([(b"authorization", b"Bearer\t" + KEY.encode())], b"authorization"),
        ([(b"authorization", KEY.encode())], b"authorization"),
        ([(b"api-key", KEY.encode())], b"api-key"),
        ([(b"x-goog-api-key", KEY.encode())], b"x-goog-api-key"),
        ([(b"x-api-key", b"sk-own"), (b"stepwarden-key", KEY.encode())], b"stepwarden-key"),
        ([(b"x-api-key", KEY.encode()), (b"stepwarden-key", KEY.encode())], b"stepwarden-key"),
    ],
)
def test_a_gateway_key_is_found_wherever_sdks_put_keys(headers: list[tuple[bytes, bytes]], slot: bytes) -> None:
    assert presented(headers) == Presented(KEY, slot)


@pytest.mark.parametrize(
    "headers",
    [[], [(b"x-api-key", b"sk-ant-1")], [(b"authorization", b"Bearer sk-1")], [(b"authorization", b"Basic swk_x")]],
)
def test_other_credentials_are_the_callers_own(headers: list[tuple[bytes, bytes]]) -> None:
    assert presented(headers) is None


def test_a_key_is_never_shown_by_its_repr() -> None:
    assert KEY not in repr(Presented(KEY, b"x-api-key"))


credentials = st.lists(
    st.sampled_from([
        (b"x-api-key", KEY.encode()),
        (b"x-api-key", b"sk-own"),
        (b"api-key", KEY.encode()),
        (b"x-goog-api-key", KEY.encode()),
        (b"x-goog-api-key", b"own-too"),
        (b"authorization", b"Bearer  " + KEY.encode()),
        (b"authorization", b"Bearer " + KEY.encode()),
        (b"authorization", b"Bearer own-login"),
        (b"stepwarden-key", KEY.encode()),
        (b"anthropic-version", b"2026-10-21"),
        (b"anthropic-version", b"2023-06-01"),
    ]),
    max_size=6,
)  # fmt: skip


@given(credentials, st.sampled_from(["anthropic", "openai", "raw"]), st.sampled_from([None, "sk-provider"]))
def test_no_mix_of_credentials_lets_a_gateway_key_out(
    headers: list[tuple[bytes, bytes]], dialect: str, provider_key: str | None
) -> None:
    shown = presented(headers)
    if shown is None:
        return
    try:
        sent = with_provider_key(request_headers(headers), shown, provider_key, dialect)
    except ProviderKeyMissing:
        assert provider_key is None
        return
    assert not [pair for pair in sent if b"swk_" in pair[1]]
    found = [pair for pair in sent if pair[0] == b"authorization" or pair[0] in KEY_HEADERS]
    assert found
    provided = [pair for pair in found if pair[1].endswith(b"sk-provider")]
    assert not provided or found == provided, "the provider's key never travels beside another"


@pytest.mark.parametrize(
    ("dialect", "version", "slot"),
    [
        ("anthropic", b"2023-06-01", b"x-api-key"),
        ("anthropic", b"2026-10-21", b"authorization"),
        ("anthropic", b"", b"x-api-key"),
        ("openai", b"", b"authorization"),
    ],
)
def test_the_providers_key_goes_where_that_version_looks(dialect: str, version: bytes, slot: bytes) -> None:
    headers = [(b"anthropic-version", version)] if version else []
    sent = with_provider_key(headers, Presented(KEY, b"stepwarden-key"), "sk-p", dialect)
    assert sent[-1] == (slot, b"sk-p" if slot == b"x-api-key" else b"Bearer sk-p")


def test_a_login_of_the_callers_own_stays_only_beside_a_key_in_its_own_header() -> None:
    own, ours = (b"x-api-key", b"sk-own"), KEY.encode()
    beside = [own, (b"stepwarden-key", ours)]
    assert with_provider_key(request_headers(beside), Presented(KEY, b"stepwarden-key"), "sk-p", "openai") == [own]
    instead = [own, (b"authorization", b"Bearer " + ours)]
    sent = with_provider_key(request_headers(instead), Presented(KEY, b"authorization"), "sk-p", "openai")
    assert sent == [(b"authorization", b"Bearer sk-p")]
