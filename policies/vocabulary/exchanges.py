"""Exchanges: one HTTP request and its response, as facts and as bytes."""

from typing import Literal, TypeAlias

import msgspec

from policies.vocabulary.judgements import Judged
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Step
from policies.vocabulary.usage import Usage
from policies.vocabulary.verdicts import VerdictName

Outcome: TypeAlias = Literal[
    "complete",
    "client_aborted",
    "upstream_unreachable",
    "upstream_reset",
    "truncated",
    "timed_out",
    "refused",
    "not_an_answer",
]
"""How an exchange ended.

`complete` all bytes relayed, whatever their status; `client_aborted` the caller left; `upstream_unreachable`
no connection; `upstream_reset` the connection broke in mid-answer; `truncated` a stream ended without its
terminal event; `timed_out` our deadline passed; `refused` the gateway said no; `not_an_answer` HTML or
nothing under status 200, or bytes that are no HTTP answer.
"""

Cut: TypeAlias = tuple[int, int, bool]
"""(start, end, chained): a byte range of a body that is stored by itself; chained ranges are conversation messages."""


class Body(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One body exactly as it crossed the wire."""

    raw: bytes | None
    """The bytes, still content-encoded if they came so; None where they were too large to keep."""

    length: int
    """Bytes on the wire, transfer encoding removed."""

    sha256: bytes | None = None
    """32 bytes over the wire bytes; None means: compute it from `raw`."""

    cuts: tuple[Cut, ...] = ()
    """Ascending, disjoint byte ranges of `raw` that repeat from request to request."""

    media_type: str | None = None
    content_encoding: str | None = None


class Exchange(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The facts of one exchange; times are wall clock, Unix epoch, nanoseconds, UTC."""

    exchange_id: str
    """ULID, minted at ingress; sorts by arrival."""

    join: Join | None = None
    """None for exchanges that carry no steps (models, files, uploads)."""

    app: str
    key_id: str | None = None

    provider: str
    dialect: str
    operation: str
    """`chat`, `embeddings`, `count_tokens`, `batch`, or `other`."""

    method: str
    path: str
    """Path and query as sent to the provider, undecoded."""

    stream: bool = False
    """True where the reply was server-sent events."""

    outcome: Outcome
    status: int | None = None
    """HTTP status the caller received; None where it left first."""

    upstream_status: int | None = None
    error_type: str | None = None
    """Low-cardinality class of what went wrong: the provider's error type, or ours."""

    note: str | None = None
    """One sentence for operators: what was unusual about this exchange. Never content, never a secret."""

    started_ns: int
    upstream_started_ns: int | None = None
    first_byte_ns: int | None = None
    """When the first byte of the response body arrived from the provider."""

    first_token_ns: int | None = None
    """When the first model output arrived (streams)."""

    ended_ns: int

    model_requested: str | None = None
    model: str | None = None
    """Model name in the reply."""

    response_id: str | None = None
    provider_request_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None

    usage: Usage = Usage()
    cost_micro_usd: int | None = None
    """Millionths of a US dollar; None where the model or a count is unknown."""

    price_version: str | None = None

    client: str | None = None
    """The caller's user agent, as sent."""

    retry: int = 0
    """The caller's own retry counter (`x-stainless-retry-count`)."""

    server_span_id: bytes
    client_span_id: bytes
    parent_span_id: bytes | None = None
    """The caller's span from `traceparent`, 8 bytes."""

    tags: tuple[tuple[str, str], ...] = ()
    """From the `stepwarden-tags` header."""

    verdict: VerdictName = "allow"
    """The strongest of its steps."""

    in_place_of: str | None = None
    """Of a request of ours: the caller's exchange in whose place the provider was asked again."""
    blind: bytes = b""
    """16 random bytes under which the audit log commits to the bodies: without this row its commitments say nothing."""


class Recording(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All that is stored of one exchange, handed from the data plane to the keeper in one piece."""

    exchange: Exchange
    request: Body
    response: Body
    steps: tuple[Step, ...] = ()

    state: bytes | None = None
    """16 bytes: joining state at the end of the request's messages (`gateway/stations/thread.py`)."""

    reply_fingerprint: bytes | None = None
    """16 bytes over the text and calls of each choice of the reply, joined: tells twin conversations apart."""

    end_user: str | None = None
    """The end user as the client named it, on whose behalf it asks; the store keeps a keyed hash of it and no more."""

    judged: Judged | None = None
    """What clauses said of it; None where no policy was in force for its app."""
