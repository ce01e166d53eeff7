"""Heads: what headers say about the body that follows, read in one look."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

BODILESS: Final = frozenset({204, 304})
"""Statuses of answers without a body, whatever their heads say (RFC 9112 section 6.3)."""

_REMEMBERED: Final = 256
_SHORT: Final = 200
"""Bytes of a media type that are kept."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """The headers that matter to a reader of the body; of equal names the first one counts."""

    media_type: str | None
    """`Content-Type` as sent, shortened."""

    kind: str
    """The same without parameters, in lower case; empty where there is none."""

    encoding: str | None
    """`Content-Encoding` as sent, shortened."""

    length: int | None
    """`Content-Length`; None for chunked bodies and for none at all."""

    request_id: str | None
    """The provider's name for this request."""

    @property
    def is_stream(self) -> bool:
        """Whether the body is server-sent events."""
        return self.kind == "text/event-stream"

    @property
    def is_page(self) -> bool:
        """Whether the body is meant for a browser."""
        return self.kind in {"text/html", "application/xhtml+xml"}


def head_of(headers: Sequence[tuple[bytes, bytes]]) -> Head:
    """Read the headers of a request or a response; names in lower case."""
    named = dict(reversed(headers))
    get = named.get
    media, encoding, length = get(b"content-type"), get(b"content-encoding"), get(b"content-length")
    request_id = get(b"request-id") or get(b"x-request-id")
    media_type, kind = _media_type(media[:_SHORT]) if media else (None, "")
    return Head(
        media_type,
        kind,
        encoding.decode("latin-1")[:100] if encoding else None,
        int(length) if length is not None and length.isdigit() else None,
        request_id.decode("latin-1")[:200] if request_id else None,
    )


@lru_cache(_REMEMBERED)
def _media_type(value: bytes) -> tuple[str, str]:
    """A media type as text, and without its parameters: most answers name one of a few."""
    text = value.decode("latin-1")
    return text, text.partition(";")[0].strip().lower()
