"""Usage: tokens as a provider billed them, under one meaning for all providers."""

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Token counts of one exchange; None where the provider did not say (never 0 for unknown).

    The sums follow OpenTelemetry GenAI: `input_tokens` includes cached tokens and
    `output_tokens` includes reasoning. Anthropic reports input without cache, so its
    reader adds the three (semantic-conventions-genai, docs/gen-ai/client-inference.md).
    """

    input_tokens: int | None = None
    """All input tokens, cached ones included."""

    output_tokens: int | None = None
    """All output tokens, reasoning included."""

    cache_read_tokens: int | None = None
    """Input tokens read from the provider's prompt cache."""

    cache_write_tokens: int | None = None
    """Input tokens written to the provider's prompt cache, any lifetime."""

    cache_write_1h_tokens: int | None = None
    """The part of `cache_write_tokens` written with a one-hour lifetime (Anthropic)."""

    reasoning_tokens: int | None = None
    """Output tokens spent on reasoning, where the provider splits them out."""

    estimated: bool = False
    """True where the stream ended before the provider's own final count arrived."""
