"""Answers about what was used."""

import msgspec


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """What some exchanges add up to; null is unknown."""

    exchanges: int
    failed: int
    """Without a whole answer, or with an error status."""

    stopped: int
    """Held, rejected, or their session ended."""

    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    unpriced: int
    duration_p50_ms: float | None
    duration_p95_ms: float | None
    first_token_p50_ms: float | None
    first_token_p95_ms: float | None


class ModelUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One model as one app used it."""

    app: str
    model: str
    """Empty where none was named."""

    sum: UsageSum
    slots: tuple[int, ...]
    """Exchanges in each slot."""


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """A span of time in slots of equal length."""

    since: str
    until: str
    slot_seconds: float
    total: UsageSum
    slots: tuple[UsageSum, ...]
    models: tuple[ModelUsage, ...]
    """Most used first."""
