"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses and `.../responses-streaming`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.wire import openai_envelope as envelope
from gateway.wire.canonical import plain
from gateway.wire.endings import close_half_event
from gateway.wire.interface import Operation, Reply, ReplyReader, RequestView, Voice
from gateway.wire.parts import tool_definitions, total
from gateway.wire.paths import segments
from gateway.wire.replies import JsonReply, StreamReply, event_bytes, members
from gateway.wire.requests import Kind, LeadPiece, RequestReader, decode_body, decode_request, lead_of
from gateway.wire.responses_parts import item_parts, message_parts, output_parts, voice_of
from gateway.wire.sse import Event
from gateway.wire.values import compact, count, label, mapping, number, off_list, sequence, text, word
from policies.vocabulary.steps import Part


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    input: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()
    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    stream: Any = None
    user: Any = None
    safety_identifier: Any = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt_cache_key: Any = None
    service_tier: Any = None


_REQUEST: Final = msgspec.json.Decoder(_Request)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ABSENT: Final = (b"", b"null")


class OpenAIResponses:
    """The Responses wire format."""

    name = "openai_responses"

    def __init__(self) -> None:
        self._reader = RequestReader(b'"input"', _read_item, message_parts)

    def operation(self, method: str, path: str) -> Operation:
        """What a request to this path is; compatible servers put prefixes of their own before it."""
        if method.upper() != "POST":
            return "other"
        found = segments(path)
        if found[-1:] == ("responses",):
            return "chat"
        return "count_tokens" if found[-2:] == ("responses", "input_tokens") else "other"

    def read_request(self, body: bytes, operation: Operation) -> RequestView:
        """Read a decoded request body. Raises `Undecodable`, or `TooDeep`."""
        if operation not in ("chat", "count_tokens"):
            return RequestView(operation=operation)
        request = decode_request(_REQUEST.decode, body)
        items = decode_body(_items, bytes(request.input))
        found = self._reader.conversation(body, items, _lead(request))
        conversation = request.conversation
        return RequestView(
            operation=operation,
            model=word(request.model),
            stream=request.stream is True,
            max_tokens=count(request.max_output_tokens),
            temperature=number(request.temperature),
            top_p=number(request.top_p),
            messages=found.messages,
            lead=found.lead,
            lead_cuts=found.lead_cuts,
            cuts=found.cuts,
            parts_read=found.parts_read,
            user_id=word(request.safety_identifier) or word(request.user),
            previous_response_id=word(request.previous_response_id),
            conversation_id=word(conversation) or word(mapping(conversation).get("id")),
            prompt_cache_key=word(request.prompt_cache_key),
            off_list=off_list(request.service_tier),
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
            return _ResponseStream()
        return JsonReply(read_reply if operation == "chat" else envelope.read_other)

    def error_body(self, status: int, message: str, exchange_id: str, *, code: str | None = None) -> bytes:
        """An error of ours in OpenAI's envelope."""
        return envelope.error_body(status, message, exchange_id, code)


def _read_item(value: Any) -> tuple[Voice, Any]:
    """Voice and canonical form of a decoded item or bare string; ValueError where it is neither."""
    if isinstance(value, str):
        return "user", {"role": "user", "content": value}
    if not isinstance(value, dict):
        raise ValueError("an input item is not an object")  # noqa: TRY004 - one error for every wrong shape
    fields = mapping(value)
    voice = voice_of(fields)
    if fields.get("type") == "message":
        del fields["type"]
    return voice, plain(fields)


def _items(raw: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The elements of `input`, or the one bare string."""
    if raw in _ABSENT:
        return []
    return [raw] if raw.startswith(b'"') else _ITEMS.decode(raw)


def _lead(request: _Request) -> list[LeadPiece]:
    return lead_of(
        ("instructions", b'"instructions"', request.instructions),
        ("instructions", b'"prompt"', request.prompt),
        ("tool_definitions", b'"tools"', request.tools),
    )


def _split(body: bytes) -> tuple[list[LeadPiece], Sequence[bytes | msgspec.Raw]]:
    request = _REQUEST.decode(body)
    return _lead(request), _items(bytes(request.input))


def _instructions(value: Any) -> list[Part]:
    if isinstance(value, str):
        return [Part(kind="instructions", text=value)]
    if isinstance(value, dict):  # a prompt template: the provider holds its text
        return [Part(kind="instructions", text=compact(mapping(value)), unread="stored prompt")]
    return [part for at, item in enumerate(sequence(value)) for part in item_parts(item, f"/{at}")]


def _conversation(response: dict[str, Any]) -> str | None:
    found = response.get("conversation")
    return word(found) or word(mapping(found).get("id"))


def _finish(response: dict[str, Any]) -> tuple[str, ...]:
    """Why it ended: `completed`, `failed`, or what an incomplete one gives as its reason."""
    reason = word(mapping(response.get("incomplete_details")).get("reason")) or word(response.get("status"))
    return (reason,) if reason else ()


def read_reply(value: Any) -> Reply:
    """A response that came as one JSON document."""
    fields = mapping(value)
    output = sequence(fields.get("output"))
    return Reply(
        parts=tuple(part for at, item in enumerate(output) for part in output_parts(item, f"/output/{at}")),
        response_id=word(fields.get("id")),
        model=word(fields.get("model")),
        finish_reasons=_finish(fields),
        usage=envelope.usage(mapping(fields.get("usage"))),
        complete=True,
        error_type=_failure(fields.get("error")),
        conversation_id=_conversation(fields),
        off_list=off_list(fields.get("service_tier")),
    )


def _failure(found: Any) -> str | None:
    """The class of a response's error: its code says more than its type here."""
    if not found:
        return None
    fields = mapping(found)
    return label(fields.get("code") or fields.get("type") or "error")


class _StreamEvent(msgspec.Struct, gc=False):
    type: str = ""
    sequence_number: int | None = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    text: Any = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    code: Any = None
    error: Any = None


_EVENT: Final = msgspec.json.Decoder(_StreamEvent)
_ENDS: Final = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})
_TEXT_DELTAS: Final = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning_text",
    "response.reasoning_summary_text.delta": "summary_text",
    "response.audio.transcript.delta": "output_audio",
    "response.output_audio_transcript.delta": "output_audio",
}
_CALL_DELTAS: Final = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.mcp_call_arguments.delta": "arguments",
    "response.code_interpreter_call_code.delta": "code",
}


class _Open:
    """An output item whose end has not come."""

    __slots__ = ("arguments", "field", "fields", "started_ns", "texts")

    def __init__(self, fields: dict[str, Any], started_ns: int) -> None:
        self.fields = fields
        self.texts: dict[tuple[str, int], list[str]] = {}
        self.arguments: list[str] = []
        self.field = ""
        self.started_ns = started_ns

    def assembled(self) -> dict[str, Any]:
        """The item as its deltas left it."""
        item = dict(self.fields)
        if self.arguments:
            item[self.field] = "".join(self.arguments)
        content: list[Any] = []
        summary: list[Any] = []
        for (kind, _), texts in sorted(self.texts.items(), key=_by_index):
            whole = "".join(texts)
            if kind == "summary_text":
                summary.append({"type": kind, "text": whole})
            elif kind == "output_audio":
                content.append({"type": kind, "transcript": whole})
            else:
                content.append({"type": kind, ("refusal" if kind == "refusal" else "text"): whole})
        if content:
            item["content"] = content
        if summary:
            item["summary"] = summary
        return item


_Said = tuple[str, str | None, str]
"""What tells what an item says from what another one does, whatever it is called and numbered."""


def _said(part: Part) -> _Said:
    return part.kind, part.tool, part.text


def _by_index(item: tuple[tuple[str, int], list[str]]) -> int:
    return item[0][1]


class _ResponseStream(StreamReply):
    """Reader of a Responses event stream. A finished item's own event is believed over its deltas."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, _Open] = {}
        self._closed_items: set[int] = set()
        self._beyond = 0
        """The first index behind all that have closed."""
        self._told: Counter[_Said] = Counter()
        """What has been read of items: servers number the end of one, or its place in the last event, otherwise."""
        self._response: dict[str, Any] = {}
        self._sequence = -1
        self._error: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the response completed, failed, or broke off by the provider's own word."""
        return self.ended

    def terminal_error(self, message: str, exchange_id: str) -> bytes:
        """`response.failed`, with an `error` beside it: openai-python and -node raise only for that member."""
        first = self._failed(message, exchange_id, self._sequence + 1)
        half = close_half_event(self._sse, members(first), b"response.failed")
        number_of = self._sequence + (2 if half.endswith(b"\n\n") else 1)
        return half + event_bytes(self._failed(message, exchange_id, number_of), "response.failed")

    def _failed(self, message: str, exchange_id: str, sequence_number: int) -> dict[str, Any]:
        begun = self._response
        response: dict[str, Any] = {
            "id": begun.get("id") or f"resp_{exchange_id}",
            "object": "response",
            "created_at": begun.get("created_at") or 0,
            "status": "failed",
            "error": {"code": "server_error", "message": message},
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": begun.get("model") or "",
            "output": [],
            "parallel_tool_calls": begun.get("parallel_tool_calls", True),
            "temperature": begun.get("temperature"),
            "tool_choice": begun.get("tool_choice") or "auto",
            "tools": [],
            "top_p": begun.get("top_p"),
            "usage": None,
        }
        error = envelope.error("server_error", message, exchange_id, "upstream_incomplete")
        return {
            "type": "response.failed",
            "sequence_number": sequence_number,
            "response": response,
            "error": error,
        }

    def _take(self, event: Event, at_ns: int) -> None:
        if event.dropped:
            self.ended = self.ended or event.name in _ENDS
            return
        if event.data.startswith(b"[DONE]"):
            return
        read = _EVENT.decode(event.data)
        kind = read.type or event.name
        if read.sequence_number is not None:
            self._sequence = read.sequence_number
        if kind in _TEXT_DELTAS:
            self._text(read, _TEXT_DELTAS[kind], at_ns)
        elif kind in _CALL_DELTAS:
            self._arguments(read, _CALL_DELTAS[kind], at_ns)
        else:
            self._take_whole(read, kind, at_ns)

    def _take_whole(self, read: _StreamEvent, kind: str, at_ns: int) -> None:
        """An event that begins or ends something."""
        if kind == "response.output_item.added":
            self._begin(read.output_index, read.item or {}, at_ns)
        elif kind == "response.output_item.done":
            self._close_item(read.output_index, read.item, at_ns)
        elif kind in _ENDS:
            self._end(read, kind, at_ns)
        elif kind == "error":
            self.ended = True
            self._error = _failure(read.error) or label(read.code or "error")
        elif read.response is not None:
            self._response = read.response

    def _item(self, index: int, at_ns: int) -> _Open:
        if self._first_token_ns is None:
            self._first_token_ns = at_ns
        found = self._open.get(index)
        if found is None:
            found = self._open[index] = _Open({}, at_ns)
        return found

    def _text(self, read: _StreamEvent, kind: str, at_ns: int) -> None:
        item = self._item(read.output_index, at_ns)
        if not item.fields:
            item.fields = (
                {"type": "reasoning"}
                if kind.endswith(("summary_text", "reasoning_text"))
                else {"type": "message", "role": "assistant"}
            )
        index = read.summary_index if kind == "summary_text" else read.content_index
        self._keep(item.texts.setdefault((kind, index), []), text(read.delta))

    def _arguments(self, read: _StreamEvent, field: str, at_ns: int) -> None:
        item = self._item(read.output_index, at_ns)
        if not item.fields:
            item.fields = {"type": "custom_tool_call" if field == "input" else "function_call"}
        item.field = field
        self._keep(item.arguments, text(read.delta))

    def _begin(self, index: int, item: dict[str, Any], at_ns: int) -> None:
        """An item begins; one that is open at its index is over then, for some servers (Ollama) give all one index."""
        before = self._open.get(index)
        named = word(before.fields.get("id")) if before is not None else None
        if named and named != word(item.get("id")):
            self._close_item(index, None, at_ns)
        self._open[index] = _Open(item, at_ns)

    def _close_item(self, index: int, item: dict[str, Any] | None, at_ns: int) -> None:
        opened = self._open.pop(index, None)
        found = item or (opened.assembled() if opened else {})
        parts = output_parts(found, f"/output/{index}")
        if index in self._closed_items:
            if not found or all(self._told[_said(part)] for part in parts):
                return
            index = self._beyond
            parts = output_parts(found, f"/output/{index}")
        self._closed_items.add(index)
        self._beyond = max(self._beyond, index + 1)
        self._told.update(map(_said, parts))
        if self._first_token_ns is None:
            self._first_token_ns = at_ns
        self._close_parts(parts, opened.started_ns if opened else at_ns, at_ns)

    def _end(self, read: _StreamEvent, kind: str, at_ns: int) -> None:
        self.ended = True
        if read.response is not None:
            self._response = read.response
            self._response.setdefault("status", kind.removeprefix("response."))
        output = sequence(self._response.get("output"))
        if not self._closed_items.issuperset(range(len(output))):
            self._close_untold(output, at_ns)
        failure = _failure(self._response.get("error"))
        self._error = failure or ("error" if kind == "response.failed" else None)

    def _close_untold(self, output: Sequence[Any], at_ns: int) -> None:
        """Items of the last event that none before it told; one that did repeats no more than one of them."""
        told = self._told.copy()
        for index, entry in enumerate(output):
            item = mapping(entry)
            said = [*map(_said, output_parts(item, ""))]
            if said and all(told[each] > 0 for each in said):
                told.subtract(said)
            elif index not in self._closed_items:
                self._close_item(index, item, at_ns)

    def _close_open(self, at_ns: int) -> None:
        for index in sorted(self._open):
            parts = output_parts(self._open[index].assembled(), "") if self.ended else []
            if parts and all(self._told[_said(part)] for part in parts):
                del self._open[index]  # it ended under another index
            else:
                self._close_item(index, None, at_ns)

    def _reply(self, *, complete: bool) -> Reply:
        counts = mapping(self._response.get("usage"))
        failed = self._error is not None and not counts
        return Reply(
            parts=tuple(self._parts),
            response_id=word(self._response.get("id")),
            model=word(self._response.get("model")),
            finish_reasons=_finish(self._response) if complete else (),
            usage=envelope.usage(counts, estimated=failed or not complete),
            complete=complete,
            error_type=self._error,
            conversation_id=_conversation(self._response),
            first_token_ns=self._first_token_ns,
            off_list=off_list(self._response.get("service_tier")),
        )
