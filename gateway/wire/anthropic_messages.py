"""Anthropic Messages: https://platform.claude.com/docs/en/api/messages and `.../messages-streaming`."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from gateway.wire.anthropic_parts import block_parts, message_parts, voice_of
from gateway.wire.endings import close_half_event
from gateway.wire.interface import Operation, Reply, ReplyReader, RequestView
from gateway.wire.parts import tool_definitions, total
from gateway.wire.paths import segments
from gateway.wire.replies import LARGEST_REPLY, JsonReply, StreamReply, event_bytes, members
from gateway.wire.requests import Kind, LeadPiece, RequestReader, decode_request, lead_of, read_message
from gateway.wire.sse import Event
from gateway.wire.values import count, label, mapping, number, off_list, sequence, text, word
from policies.vocabulary.steps import Part
from policies.vocabulary.usage import Usage

_OPERATIONS: Final[dict[tuple[str, ...], Operation]] = {
    ("messages",): "chat",
    ("messages", "count_tokens"): "count_tokens",
    ("messages", "batches"): "batch",
}
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SESSION: Final = re.compile(r"_session_([0-9A-Za-z-]{8,64})$")
"""Claude Code before it wrote JSON into `metadata.user_id`."""


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    messages: list[msgspec.Raw] | None = None
    system: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    stream: Any = None
    metadata: Any = None
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None


_REQUEST: Final = msgspec.json.Decoder(_Request)


class AnthropicMessages:
    """The Messages wire format."""

    name = "anthropic"

    def __init__(self) -> None:
        self._reader = RequestReader(b'"messages"', partial(read_message, voice_of=voice_of), message_parts)

    def operation(self, method: str, path: str) -> Operation:
        """What a request to this path is; `/messages` counts with and without `/v1`."""
        return _OPERATIONS.get(segments(path), "other") if method.upper() == "POST" else "other"

    def read_request(self, body: bytes, operation: Operation) -> RequestView:
        """Read a decoded request body. Raises `Undecodable`, or `TooDeep`."""
        if operation not in ("chat", "count_tokens"):
            return RequestView(operation=operation)
        request = decode_request(_REQUEST.decode, body)
        found = self._reader.conversation(body, request.messages or (), _lead(request))
        user_id = word(mapping(request.metadata).get("user_id"))
        session, person = _within(user_id)
        return RequestView(
            operation=operation,
            model=word(request.model),
            stream=request.stream is True,
            max_tokens=count(request.max_tokens),
            temperature=number(request.temperature),
            top_p=number(request.top_p),
            messages=found.messages,
            lead=found.lead,
            lead_cuts=found.lead_cuts,
            cuts=found.cuts,
            parts_read=found.parts_read,
            user_id=user_id,
            session_hint=session,
            end_user=person,
            off_list=off_list(request.service_tier, request.speed, request.inference_geo),
        )

    def parts(self, body: bytes, view: RequestView, cut: int) -> tuple[Part, ...]:
        """What stands in one cut of this body. Never raises."""
        return self._reader.parts(body, view, cut, _split, self.parts_of)

    def parts_of(self, value: bytes, kind: Kind) -> tuple[Part, ...]:
        """What stands in one stored cut. Never raises."""
        if kind == "tool_definitions":
            return total(tool_definitions, value, "tool_definitions")
        if kind == "instructions":
            return total(_instructions, value, "instructions")
        return total(message_parts, value, "user_input")

    def reply_reader(self, operation: Operation, *, stream: bool, choices: int = 1) -> ReplyReader:  # noqa: ARG002 - there is one
        """A reader for the reply to such a request."""
        if operation == "chat" and stream:
            return _MessageStream()
        return JsonReply(read_reply if operation == "chat" else read_other)

    def error_body(self, status: int, message: str, exchange_id: str, *, code: str | None = None) -> bytes:
        """An error of ours in Anthropic's envelope; `code` takes the place of the type that fits the status."""
        return msgspec.json.encode(_error(code or _ERROR_TYPES.get(status, "api_error"), message, exchange_id))


def _error(kind: str, message: str, exchange_id: str) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": kind, "message": message, "stepwarden": {"exchange": exchange_id}},
        "request_id": exchange_id,
    }


def _lead(request: _Request) -> list[LeadPiece]:
    return lead_of(("instructions", b'"system"', request.system), ("tool_definitions", b'"tools"', request.tools))


def _split(body: bytes) -> tuple[list[LeadPiece], Sequence[bytes | msgspec.Raw]]:
    request = _REQUEST.decode(body)
    return _lead(request), request.messages or ()


def _within(user_id: str | None) -> tuple[str | None, str | None]:
    """The session and the person that Claude Code names in one id; None twice for any other id."""
    if user_id is None:
        return None, None
    if user_id.startswith("{"):
        try:
            named = mapping(msgspec.json.decode(user_id))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None, None
        return word(named.get("session_id")), word(named.get("account_uuid")) or word(named.get("device_id"))
    found = _SESSION.search(user_id)
    return (found.group(1), user_id[: found.start()] or None) if found else (None, None)


def _instructions(value: Any) -> list[Part]:
    if isinstance(value, str):
        return [Part(kind="instructions", text=value)]
    return [part for at, block in enumerate(sequence(value)) for part in block_parts(block, "instructions", f"/{at}")]


def read_other(value: Any) -> Reply:
    """A reply that is no turn (a token count, a batch): only whether it is an error, and its id."""
    fields = mapping(value)
    return Reply(complete=True, error_type=_error_type(fields), response_id=word(fields.get("id")))


def read_reply(value: Any) -> Reply:
    """A Messages reply that came as one JSON document."""
    fields = mapping(value)
    stop, counts = word(fields.get("stop_reason")), mapping(fields.get("usage"))
    return Reply(
        parts=tuple(message_parts(fields, "assistant")),
        response_id=word(fields.get("id")),
        model=word(fields.get("model")),
        finish_reasons=(stop,) if stop else (),
        usage=usage(counts),
        complete=True,
        error_type=_error_type(fields),
        off_list=_off_list(counts),
    )


def _error_type(fields: dict[str, Any]) -> str | None:
    if fields.get("type") != "error" and "error" not in fields:
        return None
    return label(mapping(fields.get("error")).get("type") or "error")


def _off_list(counts: dict[str, Any]) -> bool:
    return off_list(counts.get("service_tier"), counts.get("speed"), counts.get("inference_geo"))


def usage(counts: dict[str, Any], *, estimated: bool = False) -> Usage:
    """Anthropic's counts under our meaning: its input is without what the cache held or took."""
    if not counts:
        return Usage(estimated=estimated)
    get = counts.get
    fresh = count(get("input_tokens"))
    read = count(get("cache_read_input_tokens"))
    written = count(get("cache_creation_input_tokens"))
    lifetimes, details = mapping(get("cache_creation")), mapping(get("output_tokens_details"))
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=count(get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=count(lifetimes.get("ephemeral_1h_input_tokens")) if lifetimes else None,
        reasoning_tokens=count(details.get("thinking_tokens")) if details else None,
        estimated=estimated,
    )


class _Delta(msgspec.Struct, gc=False):
    type: str | None = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    content: str | None = None
    citation: Any = None
    stop_reason: str | None = None


class _StreamEvent(msgspec.Struct, gc=False):
    type: str | None = ""
    index: int | None = 0
    delta: _Delta | None = None
    content_block: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_EVENT: Final = msgspec.json.Decoder(_StreamEvent)


class _Open:
    """A content block whose end has not come."""

    __slots__ = ("arguments", "fields", "started_ns", "texts", "unread")

    def __init__(self, fields: dict[str, Any], started_ns: int) -> None:
        self.fields = fields
        self.texts: list[str] = []
        self.arguments: list[str] = []
        self.started_ns = started_ns
        self.unread: str | None = None


class _MessageStream(StreamReply):
    """Reader of a Messages event stream."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, _Open] = {}
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._final = False
        self._stop: str | None = None
        self._error: str | None = None

    @property
    def complete(self) -> bool:
        """Whether `message_stop` or an `error` event came."""
        return self.ended

    def terminal_error(self, message: str, exchange_id: str) -> bytes:
        """An `error` event, which every SDK raises."""
        error = _error("api_error", message, exchange_id)
        return close_half_event(self._sse, members(error), b"error") + event_bytes(error, "error")

    def _take(self, event: Event, at_ns: int) -> None:
        if event.dropped:
            self.ended = self.ended or event.name == "message_stop"
            return
        read = _EVENT.decode(event.data)
        kind, index = read.type or event.name, read.index or 0
        if kind == "content_block_delta":
            self._delta(index, read.delta, at_ns)
        elif kind == "content_block_start":
            self._open[index] = _Open(read.content_block or {}, at_ns)
        elif kind == "content_block_stop":
            self._close_block(index, at_ns)
        elif kind == "message_start":
            self._begin(read.message or {}, at_ns)
            self._usage.update(_said(mapping(self._message.get("usage"))))
        elif kind == "message_delta":
            self._stop = (read.delta.stop_reason if read.delta else None) or self._stop
            self._usage.update(_said(read.usage or {}))
            self._final = self._final or bool(read.usage)
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error" or event.name == "error":
            self.ended = True
            self._error = label(mapping(read.error).get("type") or "error")

    def _begin(self, message: dict[str, Any], at_ns: int) -> None:
        """The first event; some servers put into it a reply, or its beginning, that they do not stream."""
        self._message = message
        said = message_parts(message, "assistant")
        if not said:
            return
        if self._first_token_ns is None:
            self._first_token_ns = at_ns
        self._kept += sum(len(part.text) for part in said)
        self._close_parts(said, at_ns, at_ns)

    def _delta(self, index: int, delta: _Delta | None, at_ns: int) -> None:
        if delta is None:
            return
        if self._first_token_ns is None:
            self._first_token_ns = at_ns
        block = self._open.get(index)
        if block is None:  # a delta of a block whose start never came is still what the model said
            block = self._open[index] = _Open(dict(_TYPE_OF_DELTA.get(delta.type or "", {})), at_ns)
        if delta.citation:
            block.fields["citations"] = [*sequence(block.fields.get("citations")), delta.citation]
        if delta.text is not None:
            texts, piece = block.texts, delta.text
        elif delta.partial_json is not None:
            texts, piece = block.arguments, delta.partial_json
        elif delta.thinking is not None:
            texts, piece = block.texts, delta.thinking
        elif delta.content is not None:
            texts, piece = block.texts, delta.content
        else:
            _note(block, delta)
            return
        self._kept += len(piece)
        if self._kept <= LARGEST_REPLY:
            texts.append(piece)

    def _close_block(self, index: int, at_ns: int) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return
        if self._first_token_ns is None:
            self._first_token_ns = at_ns
        field = _TEXT_FIELD.get(text(block.fields.get("type")))
        if field is not None:
            block.fields[field] = text(block.fields.get(field)) + "".join(block.texts)
        parts = block_parts(block.fields, "model_text", f"/content/{index}")
        arguments = "".join(block.arguments)
        if arguments and parts and (parts[0].kind == "tool_call" or not parts[0].text):
            parts[0] = msgspec.structs.replace(parts[0], text=arguments)
        if block.unread:
            parts = [msgspec.structs.replace(part, unread=part.unread or block.unread) for part in parts]
        self._close_parts(parts, block.started_ns, at_ns)

    def _close_open(self, at_ns: int) -> None:
        for index in sorted(self._open):
            self._close_block(index, at_ns)

    def _reply(self, *, complete: bool) -> Reply:
        return Reply(
            parts=tuple(self._parts),
            response_id=word(self._message.get("id")),
            model=word(self._message.get("model")),
            finish_reasons=(self._stop,) if self._stop else (),
            usage=usage(self._usage, estimated=not self._final and (not complete or self._error is not None)),
            complete=complete,
            error_type=self._error,
            first_token_ns=self._first_token_ns,
            off_list=_off_list(self._usage),
        )


def _note(block: _Open, delta: _Delta) -> None:
    """A delta without text."""
    if delta.signature is not None:
        block.fields["signature"] = delta.signature
    elif delta.type not in ("citations_delta", "compaction_delta"):
        block.unread = f"unknown delta {label(delta.type)}"


_TEXT_FIELD: Final = {"text": "text", "thinking": "thinking", "compaction": "content"}
_TYPE_OF_DELTA: Final[dict[str, dict[str, Any]]] = {
    "text_delta": {"type": "text"},
    "thinking_delta": {"type": "thinking"},
    "signature_delta": {"type": "thinking"},
    "input_json_delta": {"type": "tool_use"},
    "compaction_delta": {"type": "compaction"},
}


def _said(counts: dict[str, Any]) -> dict[str, Any]:
    """The counts a provider gave; null says nothing new."""
    return {key: value for key, value in counts.items() if value is not None}
