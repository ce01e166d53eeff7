"""What a dialect knows: its paths, its requests, its replies and the shape of its errors.

A dialect never touches a socket and never changes bytes. It reads a copy and reports; unknown fields,
blocks, events and headers are carried as they are because nothing here is written back. Readers are
total: any bytes at all give a view, an `Undecodable` for a request, or an unfinished `Reply`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Cut
from policies.vocabulary.steps import Part
from policies.vocabulary.usage import Usage

Operation: TypeAlias = Literal["chat", "embeddings", "count_tokens", "batch", "other"]
"""`chat` is any call that answers with a turn: Messages, Chat Completions or Responses."""

Voice: TypeAlias = Literal["system", "user", "assistant", "tool"]


class Undecodable(StepwardenError):
    """A request body this dialect cannot read; it is relayed all the same, for the provider to judge."""

    status = 400


class TooDeep(Undecodable):
    """Nesting beyond what the parser bears (about 1,000 levels); the gateway refuses these."""


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One element of the conversation a request carries."""

    voice: Voice
    """Who speaks, across dialects: `tool` for results, also where the wire says `user` (Anthropic)."""

    digest: bytes
    """16 bytes, equal for messages that mean the same to a reader: ignores `cache_control` and key order."""

    cut: int
    """Index into `RequestView.cuts`."""


class RequestView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A request as far as the gateway reads it. Field names follow OpenTelemetry, not any one wire."""

    operation: Operation
    model: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None

    messages: tuple[Message, ...] = ()
    """The conversation in order, without instructions held in a top-level field."""

    lead: bytes = b""
    """16 bytes over instructions and tool definitions (canonical, no `cache_control`); empty where there are none."""

    lead_cuts: tuple[tuple[Literal["instructions", "tool_definitions"], int], ...] = ()
    """What stands before the conversation, with the index of its cut."""

    cuts: tuple[Cut, ...] = ()
    """Byte ranges of the decoded body, ascending, disjoint: instructions and tools (unchained), messages (chained)."""

    user_id: str | None = None
    """Anthropic `metadata.user_id`, OpenAI `safety_identifier` or `user`."""

    session_hint: str | None = None
    """A session id found inside the body (Claude Code writes JSON with `session_id` into `metadata.user_id`)."""

    end_user: str | None = None
    """The person in `user_id`, where that names a session too."""

    previous_response_id: str | None = None
    conversation_id: str | None = None
    prompt_cache_key: str | None = None

    choices: int = 1
    """How many replies are asked for at once; each may be as long as `max_tokens`."""

    off_list: bool = False
    """True where it asks for what is billed otherwise than its model is listed: another tier, speed or region."""

    parts_read: Mapping[int, tuple[Part, ...]] = {}
    """By cut, the parts of messages that had to be decoded anyway; `Dialect.parts` gives them without reading again."""


class Reply(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A reply as far as it has been read."""

    parts: tuple[Part, ...] = ()
    response_id: str | None = None
    model: str | None = None
    finish_reasons: tuple[str, ...] = ()
    usage: Usage = Usage()
    complete: bool = False
    """True once the dialect's own end was seen: a whole JSON document, or the stream's terminal event."""

    error_type: str | None = None
    """Set where the provider reported an error, in the body or as an event."""

    conversation_id: str | None = None
    first_token_ns: int | None = None
    off_list: bool = False
    """True where the provider says that it bills this otherwise than the model is listed."""


class ReplyReader(Protocol):
    """Reads one reply from a copy of its bytes, cut anywhere."""

    def feed(self, data: bytes, at_ns: int) -> Sequence[Part]:
        """Take the next decoded bytes; return the parts whose blocks they closed. Never raises."""
        ...

    def close(self, at_ns: int) -> Reply:
        """No more bytes will come; parts left open are closed as they are. Idempotent."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the dialect's own end was seen."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the stream's terminal event was seen, after which nothing counts; costs nothing to ask.

        A reply may be complete before it has ended: a chat stream whose choices all finished still brings its usage.
        Never true for a reply whose end is the end of its bytes.
        """
        ...

    def terminal_error(self, message: str, exchange_id: str) -> bytes:
        """The bytes that end this unfinished stream as an error its SDKs raise. Empty for JSON replies.

        Where the stream stopped inside an event, that event is first closed as the same error (`endings.py`
        says how), so that the half JSON is no client's decoding error; then the error follows as an event of
        its own. Continues `sequence_number` and ids where the dialect has them. Call it before `close`.
        """
        ...


class Dialect(Protocol):
    """One wire format."""

    name: str

    def operation(self, method: str, path: str) -> Operation:
        """What a request to this path (after the provider's prefix, without query) is.

        Path variants that servers tend to treat alike (`//v1/messages`, a trailing slash, percent-encoding,
        case) count as the canonical path, so that no spelling goes unrecorded.
        """
        ...

    def read_request(self, body: bytes, operation: Operation) -> RequestView:
        """Read a decoded request body. Raises `Undecodable`, or `TooDeep`."""
        ...

    def parts(self, body: bytes, view: RequestView, cut: int) -> tuple[Part, ...]:
        """What stands in one cut of this body, as parts with pointers inside the cut. Never raises."""
        ...

    def parts_of(self, value: bytes, kind: Literal["instructions", "tool_definitions", "message"]) -> tuple[Part, ...]:
        """The same for one stored cut by itself. Never raises."""
        ...

    def reply_reader(self, operation: Operation, *, stream: bool, choices: int = 1) -> ReplyReader:
        """A reader for the reply to such a request; `stream` says the reply is server-sent events.

        `choices` is how many were asked for: on a wire that has them, a stream is not complete with fewer.
        """
        ...

    def error_body(self, status: int, message: str, exchange_id: str, *, code: str | None = None) -> bytes:
        """An error of ours in this dialect's own JSON envelope, its `type` fit for the status."""
        ...
