"""Answers about the gateway itself."""

import msgspec

from storage.rows import StoreStats


class ProviderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as configured."""

    name: str
    dialect: str
    base_url: str
    key_present: bool
    """Whether the gateway holds a key of its own for this provider; never the key."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway and its store in sum."""

    version: str
    serving: bool
    """False where no gateway runs and a command reads the data directory itself."""

    started_at: str | None
    listening: str | None
    workers: int
    providers: tuple[ProviderStatus, ...]
    counters: dict[str, int]
    """Since start: exchanges in flight, recorded and dropped, queue depths."""

    failing: str | None
    """What keeps it from recording or from publishing its audit log; what waits for that is not lost."""

    store: StoreStats
