"""The section `[limits]`: bounds on what one caller, provider or queue may cost."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.config.units import Bytes, Seconds


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what one caller, provider or queue may cost. Bytes and seconds."""

    body_bytes: Bytes = 32 << 20
    """Largest request body on paths that carry steps; other bodies stream through."""

    header_bytes: Bytes = 64 << 10
    """Largest request head."""

    header_count: Annotated[int, Meta(ge=10, le=10_000)] = 100
    """Most header lines of a request."""

    header_seconds: Seconds = 10.0
    """How long a request head may take to arrive."""

    body_seconds: Seconds = 30.0
    """Longest silence while a request body arrives."""

    connect_seconds: Seconds = 10.0
    """How long a connection to a provider may take."""

    idle_seconds: Seconds = 600.0
    """Longest silence of a provider, before or between bytes."""

    keepalive_seconds: Seconds = 75.0
    """How long an idle connection of a caller stays open."""

    drain_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    """How long open streams may go on after SIGTERM."""

    hold_seconds: Seconds = 240.0
    """How long a step that needs a person waits before it counts as rejected."""

    in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 1024
    """Exchanges at once, a worker; the next one is answered 503 with Retry-After."""

    decoded_bytes: Bytes = 64 << 20
    """Largest body after content decoding."""

    ratio: Annotated[int, Meta(ge=2, le=100_000)] = 100
    """Largest factor by which content decoding may swell a body."""

    queue_exchanges: Annotated[int, Meta(ge=16, le=1_000_000)] = 8192
    """Finished exchanges that may wait for the recorder; beyond it they are dropped, counted and logged."""

    queue_bytes: Bytes = 64 << 20
    """The same, in bytes of bodies. Reported spans have as much room of their own; beyond it they are answered 429."""
