"""Server-sent events: how one is written, and how a stream of them is answered."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from litestar.response import Stream

from gateway.api.problems import SAFE_HEADERS

EVENTS: Final = "text/event-stream"

_encode: Final = msgspec.json.Encoder().encode


def event(name: str, data: object, identity: str | None = None) -> bytes:
    """One event; JSON escapes every control character, so that no content can start another."""
    line = b"" if identity is None else b"id: %s\n" % identity.encode()
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), line, _encode(data))


def streamed(events: AsyncIterator[bytes]) -> Stream:
    """The answer that hands them on as they come."""
    return Stream(events, media_type=EVENTS, headers=SAFE_HEADERS)
