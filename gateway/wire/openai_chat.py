"""OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat, and servers that speak it."""

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from gateway.wire import openai_envelope as envelope
from gateway.wire.chat_details import DETAILS, Piece, told
from gateway.wire.chat_parts import (
    QUOTED,
    QUOTING,
    REASONING,
    citations,
    details_parts,
    is_plain,
    message_parts,
    piece_text,
    voice_of,
)
from gateway.wire.endings import close_half_event
from gateway.wire.interface import Operation, Reply, ReplyReader, RequestView
from gateway.wire.parts import quoted, tool_definitions, total
from gateway.wire.paths import segments
from gateway.wire.replies import LARGEST_REPLY, JsonReply, StreamReply, event_bytes, members
from gateway.wire.requests import Kind, LeadPiece, RequestReader, decode_body, decode_request, lead_of, read_message
from gateway.wire.sse import Event
from gateway.wire.values import compact, count, mapping, number, off_list, sequence, word
from policies.vocabulary.steps import Part


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    messages: list[msgspec.Raw] | None = None
    tools: msgspec.Raw = msgspec.Raw()
    functions: msgspec.Raw = msgspec.Raw()
    max_tokens: Any = None
    max_completion_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    n: Any = None
    stream: Any = None
    user: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    service_tier: Any = None


class _Embeddings(msgspec.Struct, gc=False):
    """What is read of a request that carries no conversation; its input may be millions of numbers."""

    model: Any = None
    user: Any = None
    safety_identifier: Any = None


_REQUEST: Final = msgspec.json.Decoder(_Request)
_EMBEDDINGS: Final = msgspec.json.Decoder(_Embeddings)
_MOST_CHOICES: Final = 128


class OpenAIChat:
    """The Chat Completions wire format."""

    name = "openai_chat"

    def __init__(self) -> None:
        self._reader = RequestReader(b'"messages"', partial(read_message, voice_of=voice_of), message_parts)

    def operation(self, method: str, path: str) -> Operation:
        """What a request to this path is; compatible servers put prefixes of their own before it."""
        if method.upper() != "POST":
            return "other"
        found = segments(path)
        if found[-2:] == ("chat", "completions"):
            return "chat"
        if found[-1:] == ("embeddings",):
            return "embeddings"
        return "batch" if found == ("batches",) else "other"

    def read_request(self, body: bytes, operation: Operation) -> RequestView:
        """Read a decoded request body. Raises `Undecodable`, or `TooDeep`."""
        if operation not in ("chat", "embeddings"):
            return RequestView(operation=operation)
        if operation == "embeddings":
            return _read_embeddings(body)
        request = decode_request(_REQUEST.decode, body)
        found = self._reader.conversation(body, request.messages or (), _lead(request))
        limit = count(request.max_completion_tokens)
        return RequestView(
            operation=operation,
            model=word(request.model),
            stream=request.stream is True,
            max_tokens=count(request.max_tokens) if limit is None else limit,
            temperature=number(request.temperature),
            top_p=number(request.top_p),
            messages=found.messages,
            lead=found.lead,
            lead_cuts=found.lead_cuts,
            cuts=found.cuts,
            parts_read=found.parts_read,
            user_id=word(request.safety_identifier) or word(request.user),
            prompt_cache_key=word(request.prompt_cache_key),
            choices=_choices(request.n),
            off_list=off_list(request.service_tier),
        )

    def parts(self, body: bytes, view: RequestView, cut: int) -> tuple[Part, ...]:
        """What stands in one cut of this body. Never raises."""
        return self._reader.parts(body, view, cut, _split, self.parts_of)

    def parts_of(self, value: bytes, kind: Kind) -> tuple[Part, ...]:
        """What stands in one stored cut. Never raises."""
        if kind == "message":
            return total(message_parts, value, "user_input")
        return total(tool_definitions, value, "tool_definitions")

    def reply_reader(self, operation: Operation, *, stream: bool, choices: int = 1) -> ReplyReader:
        """A reader for the reply to such a request."""
        if operation == "chat" and stream:
            return _ChatStream(choices)
        return JsonReply(read_reply if operation == "chat" else envelope.read_other)

    def error_body(self, status: int, message: str, exchange_id: str, *, code: str | None = None) -> bytes:
        """An error of ours in OpenAI's envelope."""
        return envelope.error_body(status, message, exchange_id, code)


def _read_embeddings(body: bytes) -> RequestView:
    request = decode_body(_EMBEDDINGS.decode, body)
    user_id = word(request.safety_identifier) or word(request.user)
    return RequestView(operation="embeddings", model=word(request.model), user_id=user_id)


def _choices(n: Any) -> int:
    """How many choices are asked for; the most there can be where the provider may read `n` otherwise than we do."""
    if n is None:
        return 1
    asked = count(n)
    return _MOST_CHOICES if asked is None else max(1, asked)


def _lead(request: _Request) -> list[LeadPiece]:
    if not (len(request.tools) or len(request.functions)):
        return []
    return lead_of(
        ("tool_definitions", b'"tools"', request.tools), ("tool_definitions", b'"functions"', request.functions)
    )


def _split(body: bytes) -> tuple[list[LeadPiece], Sequence[bytes | msgspec.Raw]]:
    request = _REQUEST.decode(body)
    return _lead(request), request.messages or ()


def read_reply(value: Any) -> Reply:
    """A completion that came as one JSON document."""
    fields = mapping(value)
    parts: list[Part] = []
    finishes: list[str] = []
    for at, item in enumerate(sequence(fields.get("choices"))):
        choice = mapping(item)
        index = count(choice.get("index"))
        number_of = at if index is None else index
        parts += message_parts(choice.get("message"), f"/choices/{number_of}/message", "assistant")
        if reason := word(choice.get("finish_reason")):
            finishes.append(reason)
    return Reply(
        parts=tuple(parts) if QUOTING.isdisjoint(fields) else (*parts, *citations(fields, "")),
        response_id=word(fields.get("id")),
        model=word(fields.get("model")),
        finish_reasons=tuple(finishes),
        usage=envelope.usage(mapping(fields.get("usage"))),
        complete=True,
        error_type=envelope.error_type(fields["error"]) if "error" in fields else None,
        off_list=off_list(fields.get("service_tier")),
    )


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: _Function | None = None

    @property
    def said(self) -> _Function:
        """What it calls, and with what: some servers leave the other kind empty beside it."""
        nothing = _Function()
        return next((each for each in (self.function, self.custom) if each not in (None, nothing)), None) or nothing


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    audio: Any = None
    annotations: Any = None
    citations: Any = None
    search_results: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    annotations: Any = None
    citations: Any = None
    search_results: Any = None
    service_tier: Any = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)


class _Growing:
    """A piece of a choice that grows by deltas: a text, or a call with its name and id."""

    __slots__ = ("call_id", "ended_ns", "started_ns", "texts", "tool", "unread")

    def __init__(self, started_ns: int) -> None:
        self.texts: list[str] = []
        self.unread: str | None = None
        self.tool: str | None = None
        self.call_id: str | None = None
        self.started_ns = started_ns
        self.ended_ns = started_ns


class _Message:
    """The pieces of one choice, in the order they began."""

    __slots__ = ("calls", "details", "finish", "last_call", "last_place", "named", "pieces", "quoted", "sections")

    def __init__(self) -> None:
        self.pieces: dict[str, _Growing] = {}
        self.quoted: dict[str, dict[str, Part]] = {}
        """Sources by the name they came under, each by its text."""
        self.finish: str | None = None
        self.last_call = -1
        self.last_place = -1
        self.calls: dict[int, str] = {}
        """By index, the piece of the call that goes on there."""
        self.named: dict[str, int] = {}
        """The indexes of calls by their ids."""
        self.details: list[Piece] = []
        """Reasoning that is told in pieces."""
        self.sections: dict[Hashable, int] = {}
        """The places of its sections."""

    def piece(self, key: str, at_ns: int) -> _Growing:
        found = self.pieces.get(key)
        if found is None:
            found = self.pieces[key] = _Growing(at_ns)
        found.ended_ns = at_ns
        return found

    def thought(self) -> str | None:
        """Reasoning that is told in one text, as far as it has come."""
        return next(("".join(self.pieces[key].texts) for key in REASONING if key in self.pieces), None)

    def call_key(self, call: _Call) -> str:
        """The piece a delta belongs to, also where a server leaves the index out, or gives one to several calls.

        Ollama does the latter; `chat_calls.Calls` tells calls apart alike.
        """
        index = self._index_of(call)
        key = self.calls.get(index)
        if key is None or self._is_another(call, self.pieces.get(key)):
            self.last_place = max(index, self.last_place + 1)
            key = self.calls[index] = f"tool_calls/{self.last_place}"
        self.last_call = index
        return key

    def _index_of(self, call: _Call) -> int:
        if call.index is not None:
            index = call.index
        elif call.id:
            index = self.named.get(call.id, len(self.named))
        else:
            index = max(self.last_call, 0)
        if call.id:
            self.named.setdefault(call.id, index)
        return index

    @staticmethod
    def _is_another(call: _Call, there: _Growing | None) -> bool:
        """Whether a delta begins a call where another one goes on; older vLLM gives each piece of one another id."""
        return there is not None and bool(there.tool and call.said.name and call.id) and call.id != there.call_id


class _ChatStream(StreamReply):
    """Reader of a stream of completion chunks. A choice's parts close with its finish reason."""

    def __init__(self, choices: int) -> None:
        super().__init__()
        self._choices = choices
        self._messages: dict[int, _Message] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._usage: dict[str, Any] = {}
        self._tier: Any = None
        self._error: str | None = None

    @property
    def complete(self) -> bool:
        """Whether `[DONE]` or an error came, or all choices asked for have finished: some servers send no `[DONE]`."""
        if self.ended:
            return True
        finished = len(self._messages) >= self._choices and all(found.finish for found in self._messages.values())
        return finished and not self._sse.pending.strip()

    def terminal_error(self, message: str, exchange_id: str) -> bytes:
        """An error chunk, which every SDK raises. No `[DONE]` follows: to some clients that means all is well."""
        error = {"error": envelope.error("server_error", message, exchange_id, "upstream_incomplete")}
        return close_half_event(self._sse, members(error)) + event_bytes(error)

    def _wait(self, tail: bytearray) -> None:
        """Some servers close right behind `[DONE]`, without the blank line."""
        if bytes(tail).strip() == b"data: [DONE]":
            self.ended = True

    def _take(self, event: Event, at_ns: int) -> None:
        data = event.data
        if data.startswith(b"[DONE]"):
            self.ended = True
            return
        if event.dropped:
            return
        chunk = _CHUNK.decode(data)
        if self._id is None:
            self._id = chunk.id
        if not self._model:
            self._model = chunk.model
        if chunk.usage:
            self._usage = mapping(chunk.usage)
        if chunk.service_tier is not None:
            self._tier = chunk.service_tier
        if chunk.error:
            self.ended = True
            self._error = envelope.error_type(chunk.error)
        for choice in chunk.choices or ():
            self._choice(choice, at_ns)
        if chunk.annotations or chunk.citations or chunk.search_results:
            self._citations(self._message(0), chunk, 0, at_ns)

    def _message(self, index: int) -> _Message:
        message = self._messages.get(index)
        if message is None:
            message = self._messages[index] = _Message()
        return message

    def _citations(self, message: _Message, holder: _Delta | _Chunk, index: int, at_ns: int) -> None:
        """Citations beside a text; some servers repeat them all in every chunk."""
        for key in QUOTED:
            known = message.quoted.setdefault(key, {})
            for citation in sequence(getattr(holder, key)):
                part = quoted(citation, f"/choices/{index}/message/{key}/{len(known)}")
                if part.text not in known:
                    known[part.text] = part
                    self._close_parts([part], at_ns, at_ns)

    def _choice(self, choice: _Choice, at_ns: int) -> None:
        index = choice.index or 0
        message = self._message(index)
        delta = choice.delta
        if delta is not None:
            self._delta(message, delta, at_ns)
            if delta.annotations or delta.citations or delta.search_results:
                self._citations(message, delta, index, at_ns)
        if choice.finish_reason:
            message.finish = choice.finish_reason
            self._close_message(index, message)

    def _delta(self, message: _Message, delta: _Delta, at_ns: int) -> None:
        if delta.content:
            self._text(message, "content", delta.content, at_ns)
        if delta.reasoning_content:
            self._text(message, REASONING[0], delta.reasoning_content, at_ns)
        elif delta.reasoning:
            self._text(message, REASONING[1], delta.reasoning, at_ns)
        if delta.reasoning_details:
            self._details(message, delta.reasoning_details, at_ns)
        if delta.refusal:
            self._text(message, "refusal", delta.refusal, at_ns)
        if delta.function_call is not None:
            self._call(message, "function_call", delta.function_call, None, at_ns)
        for call in delta.tool_calls or ():
            self._call(message, message.call_key(call), call.said, call.id, at_ns)
        if delta.audio:
            self._text(message, "audio", mapping(delta.audio).get("transcript") or "", at_ns)

    def _text(self, message: _Message, key: str, content: Any, at_ns: int) -> None:
        if self._first_token_ns is None:
            self._first_token_ns = at_ns
        found = message.pieces.get(key) or message.piece(key, at_ns)
        found.ended_ns = at_ns
        piece = content if type(content) is str else _joined(content)
        if type(content) is not str and not _is_read(content):
            found.unread = "not a text"
        self._kept += len(piece)
        if self._kept <= LARGEST_REPLY:
            found.texts.append(piece)

    def _details(self, message: _Message, details: Any, at_ns: int) -> None:
        for piece in told(details):
            at = message.sections.setdefault(piece.section, len(message.sections))
            self._text(message, DETAILS, piece.said, at_ns)
            if self._kept <= LARGEST_REPLY:
                message.details.append(piece._replace(at=at))

    def _call(self, message: _Message, key: str, found: _Function, call_id: str | None, at_ns: int) -> None:
        self._token(at_ns)
        call = message.piece(key, at_ns)
        call.tool = call.tool or found.name
        call.call_id = call.call_id or call_id
        self._keep(call.texts, found.arguments or found.input or "")

    def _token(self, at_ns: int) -> None:
        if self._first_token_ns is None:
            self._first_token_ns = at_ns

    def _close_message(self, index: int, message: _Message) -> None:
        pointer = f"/choices/{index}/message"
        for key, found in sorted(message.pieces.items(), key=_place):
            if key == DETAILS:
                parts = details_parts(message.details, message.thought(), pointer)
            else:
                parts = [_grown(key, found, f"{pointer}/{key}")]
            self._close_parts(parts, found.started_ns, found.ended_ns)
        message.pieces.clear()
        message.details.clear()

    def _close_open(self, at_ns: int) -> None:  # noqa: ARG002 - a piece ended with its last delta
        for index, message in sorted(self._messages.items()):
            self._close_message(index, message)

    def _reply(self, *, complete: bool) -> Reply:
        finishes = (message.finish for _, message in sorted(self._messages.items()))
        failed = self._error is not None and not self._usage
        return Reply(
            parts=tuple(self._parts),
            response_id=self._id,
            model=self._model,
            finish_reasons=tuple(finish for finish in finishes if finish),
            usage=envelope.usage(self._usage, estimated=failed or not complete),
            complete=complete,
            error_type=self._error,
            first_token_ns=self._first_token_ns,
            off_list=off_list(self._tier),
        )


_ORDER: Final = (*REASONING, DETAILS, "content", "refusal", "audio", "function_call", "tool_calls")


def _place(item: tuple[str, _Growing]) -> tuple[int, int]:
    """Where a piece stands in a message that is written at once."""
    field, _, index = item[0].partition("/")
    return _ORDER.index(field), int(index or 0)


def _grown(key: str, found: _Growing, pointer: str) -> Part:
    whole = "".join(found.texts)
    if key in REASONING:
        return Part(kind="reasoning", text=whole, pointer=pointer, unread=found.unread)
    if key in ("content", "refusal"):
        return Part(kind="model_text", text=whole, pointer=pointer, unread=found.unread)
    if key == "audio":
        return Part(kind="model_text", text=whole, pointer=pointer, unread="audio")
    return Part(kind="tool_call", text=whole, pointer=pointer, tool=found.tool, call_id=found.call_id)


def _joined(content: Any) -> str:
    """Text of a delta that did not come as one: a list of pieces (some compatible servers), or what nobody knows."""
    return "".join(map(piece_text, sequence(content))) if type(content) is list else compact(content)


def _is_read(content: Any) -> bool:
    return type(content) is list and all(is_plain(piece) for piece in sequence(content))
