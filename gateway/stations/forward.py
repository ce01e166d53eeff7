"""Forward: the headers that travel on, in both directions.

Everything travels but what belongs to one connection (RFC 9110 section 7.6.1), the host, the caller's
gateway key, and `stepwarden-*`, which nobody but this gateway may set.
"""

from collections.abc import Iterable, Sequence

from gateway import cookies
from gateway.refusals import BadFraming, ProviderKeyMissing
from gateway.stations.ingress import KEY_HEADERS, Presented, header, is_gateway_key

Headers = list[tuple[bytes, bytes]]

_HOP = frozenset({
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"trailers",
    b"transfer-encoding",
    b"upgrade",
})  # fmt: skip
_NOT_ON_REQUESTS = _HOP | {b"host", b"expect"}

_BEARER_SINCE = b"2026-10-21"
"""Anthropic API version from which the vendor's clients send `Authorization: Bearer`."""


def request_headers(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The caller's headers as the provider gets them. Raises `BadFraming` for values that are not UTF-8."""
    named = dict(headers)
    dropped = _NOT_ON_REQUESTS | _named_by_connection(headers) if b"connection" in named else _NOT_ON_REQUESTS
    kept = [pair for pair in headers if pair[0] not in dropped and not pair[0].startswith(b"stepwarden-")]
    if not b"".join([value for _, value in kept]).isascii():
        for name, value in kept:
            _refuse_unless_utf8(name, value)
    return _without_ours(kept) if b"cookie" in named else kept


def _without_ours(headers: Headers) -> Headers:
    """A page on this machine may send the dashboard's cookie along; no provider gets to see it."""
    told = [(name, cookies.withheld(value) if name == b"cookie" else value) for name, value in headers]
    return [(name, value) for name, value in told if value is not None]


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """A response's headers without those of one connection, names in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _HOP | _named_by_connection(lowered) if b"connection" in dict(lowered) else _HOP
    return [pair for pair in lowered if pair[0] not in dropped]


def response_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The provider's headers as the caller gets them: `stepwarden-*` is ours alone to set."""
    kept = end_to_end(headers)
    if b"stepwarden-" in b" ".join([name for name, _ in kept]):
        return [pair for pair in kept if not pair[0].startswith(b"stepwarden-")]
    return kept


def with_header(headers: Headers, name: bytes, value: bytes) -> Headers:
    """The headers with this one set: in its place where it stood, else at the end."""
    if any(pair[0] == name for pair in headers):
        return [(name, value) if pair[0] == name else pair for pair in headers]
    return [*headers, (name, value)]


def with_provider_key(headers: Headers, shown: Presented, provider_key: str | None, dialect: str) -> Headers:
    """Put the provider's key where the caller's gateway key stood.

    A caller who showed its gateway key in `stepwarden-key` and holds a login of its own keeps that login.
    Raises `ProviderKeyMissing`.
    """
    own = [pair for pair in headers if _is_credential(pair) and not is_gateway_key(pair[1])]
    if own and shown.slot == b"stepwarden-key":
        return [pair for pair in headers if not _is_credential(pair) or pair in own]
    if not provider_key:
        raise ProviderKeyMissing("This gateway holds no key for the provider asked for.")
    slot = shown.slot if shown.slot != b"stepwarden-key" else _usual_slot(headers, dialect)
    value = provider_key.encode() if slot in KEY_HEADERS else b"Bearer " + provider_key.encode()
    return [*(pair for pair in headers if not _is_credential(pair)), (slot, value)]


def _usual_slot(headers: Headers, dialect: str) -> bytes:
    if dialect != "anthropic":
        return b"authorization"
    version = header(headers, b"anthropic-version") or b""
    return b"authorization" if version >= _BEARER_SINCE else b"x-api-key"


def _is_credential(pair: tuple[bytes, bytes]) -> bool:
    return pair[0] == b"authorization" or pair[0] in KEY_HEADERS


def _named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    return {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }  # fmt: skip


def _refuse_unless_utf8(name: bytes, value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise BadFraming(f"The header {name.decode('latin-1')} holds bytes that are not UTF-8.") from error
