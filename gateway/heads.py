"""Heads: what headers say about the body that follows, read in one look."""

from collections.abc import Sequence

import msgspec


class Head(msgspec.Struct, frozen=True):
    """The headers that matter to a reader of the body; of equal names the first one counts."""

    media_type: str | None
    """`Content-Type` as sent, shortened."""

    encoding: str | None
    """`Content-Encoding` as sent, shortened."""

    length: int | None
    """`Content-Length`; None for chunked bodies and for none at all."""

    request_id: str | None
    """The provider's name for this request."""

    @property
    def is_stream(self) -> bool:
        """Whether the body is server-sent events."""
        return self._is("text/event-stream")

    @property
    def is_page(self) -> bool:
        """Whether the body is meant for a browser."""
        return self._is("text/html") or self._is("application/xhtml+xml")

    def _is(self, media_type: str) -> bool:
        return self.media_type is not None and self.media_type.partition(";")[0].strip().lower() == media_type


def head_of(headers: Sequence[tuple[bytes, bytes]]) -> Head:
    """Read the headers of a request or a response; names in lower case."""
    named = dict(reversed(headers))
    length = named.get(b"content-length")
    return Head(
        _text(named.get(b"content-type"), 200),
        _text(named.get(b"content-encoding"), 100),
        int(length) if length is not None and length.isdigit() else None,
        _text(named.get(b"request-id") or named.get(b"x-request-id"), 200),
    )


def _text(value: bytes | None, limit: int) -> str | None:
    return value.decode("latin-1")[:limit] if value else None
