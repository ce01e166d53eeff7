"""The Model Context Protocol: a message pair between an agent and a tool server, as parts a judge can read.

What a result holds is told by its shape alone, not by the method it answers: a client reads it so, whatever stream
it comes on, and a result that reaches it by a resumed stream or a task is judged like any other. Everything a server
says of itself (its tools, its instructions, its lists) is somebody else's text.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from gateway.wire import jsonrpc
from gateway.wire.interface import Message, Operation, Reply, ReplyReader, RequestView, Undecodable
from gateway.wire.jsons import decode_whole
from gateway.wire.mcp_shapes import ACTS
from gateway.wire.parts import tool_definitions
from gateway.wire.requests import Kind
from gateway.wire.sse import SseDecoder
from gateway.wire.values import compact, laid_out, mapping, sequence, text, word
from policies.vocabulary.steps import Part, StepKind

NAME: Final = "mcp"

_LISTS: Final = ("resources", "resourceTemplates", "prompts")
_BLOCKS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("text", "image", "audio", "resource"), ("text",)),
    "resource_link": ("uri", "name", "title", "description", "text"),
}
"""Kinds of blocks, and which of their members are words."""

_LIMIT: Final = 64 << 20


def read_client(raw: bytes) -> jsonrpc.Message:
    """One message of a client. Raises `jsonrpc.Malformed`, for an act without an id too.

    Nobody could be told that such an act is stopped, and a lenient server may carry it out.
    """
    message = jsonrpc.read(raw)
    if message.kind == "notification" and message.method in ACTS:
        raise jsonrpc.Malformed(
            f"`{message.method}` without an id is not relayed: nobody could be told what became of it."
        )
    return message


class Mcp:
    """`gateway.wire.interface.Dialect` for MCP, over stdio and HTTP alike."""

    name = NAME

    def operation(self, method: str, path: str) -> Operation:  # noqa: ARG002 - the body says what a message is
        """Always `other`: an exchange carries its method's name instead."""
        return "other"

    def read_request(self, body: bytes, operation: Operation) -> RequestView:
        """A view of one cut: the message. Raises `Undecodable`."""
        try:
            message = jsonrpc.read(body)
        except jsonrpc.Malformed as error:
            raise Undecodable(str(error)) from error
        if message.method not in ACTS:
            return RequestView(operation=operation)
        only = Message(voice="assistant", digest=blake2b(body, digest_size=16).digest(), cut=0)
        return RequestView(operation=operation, messages=(only,), cuts=((0, len(body), False),))

    def parts(self, body: bytes, view: RequestView, cut: int) -> tuple[Part, ...]:
        """See `Dialect.parts`."""
        start, end, _ = view.cuts[cut]
        return self.parts_of(body[start:end], "message")

    def parts_of(self, value: bytes, kind: Kind) -> tuple[Part, ...]:  # noqa: ARG002 - there is one kind
        """What a message of a client does: nothing, or one act."""
        return tuple(request_parts(decode_whole(value)))

    def reply_reader(self, operation: Operation, *, stream: bool, choices: int = 1) -> ReplyReader:  # noqa: ARG002 - neither matters here
        """A reader of a server's answer: one message, or a stream of them of which the last is the answer."""
        return _Reader(stream=stream)

    def error_body(self, status: int, message: str, exchange_id: str, *, code: str | None = None) -> bytes:  # noqa: ARG002 - the status travels beside it
        """An error of ours that answers no request in particular."""
        return error_of(jsonrpc.REFUSED, message, exchange_id, code=code)


def error_of(
    number: int,
    message: str,
    exchange_id: str,
    *,
    code: str | None = None,
    id_token: bytes = b"null",
    more: Mapping[str, Any] = {},
) -> bytes:
    """An error of ours in answer to a request, with our own code and the exchange's id beside JSON-RPC's number."""
    told = (("stepwarden/exchange", exchange_id), ("stepwarden/reason", code))
    data = {**more, **{name: value for name, value in told if value}}
    return jsonrpc.error(id_token, number, message, data)


def rejection(message: jsonrpc.Message, notice: str, *, reason: str, exchange_id: str, stateless: bool) -> bytes:
    """What a client is told instead of a result: a failed tool call where it called a tool, else an error.

    A failed call goes to the model, which can go on from there; an error may end its turn. `stateless`: the revision
    of 2026-07-28 and later, whose results name their type.
    """
    if message.method != "tools/call":
        return error_of(jsonrpc.REFUSED, notice, exchange_id, code=reason, id_token=message.id_token)
    value: dict[str, Any] = {
        "content": [{"type": "text", "text": notice}],
        "isError": True,
        "_meta": {"stepwarden/reason": reason, "stepwarden/exchange": exchange_id},
    }
    return jsonrpc.result(message.id_token, {"resultType": "complete", **value} if stateless else value)


def request_parts(value: Any) -> Iterator[Part]:
    """The act in a decoded message of a client: calling a tool, or having the server fetch something."""
    fields = mapping(value)
    method, params = fields.get("method"), mapping(fields.get("params"))
    if method == "tools/call":
        given = params.get("arguments")
        yield Part(
            kind="tool_call",
            text=compact({} if given is None else given),
            pointer="/params/arguments",
            tool=word(params.get("name")),
        )
    elif method in ACTS:
        acted = {name: params[name] for name in ("name", "uri", "arguments") if name in params}
        yield Part(kind="tool_call", text=compact(acted), pointer="/params", tool=text(method))


def reply_parts(value: Any) -> list[Part]:
    """What a decoded answer of a server holds for whoever reads it."""
    fields = mapping(value)
    parts: list[Part] = []
    if "error" in fields:
        parts += _error(fields["error"])
    if "result" in fields:
        result = fields["result"]
        parts += _result(mapping(result)) if isinstance(result, dict) else _odd("tool_result", result, "/result")
    return parts


def _odd(kind: StepKind, value: Any, pointer: str) -> Iterator[Part]:
    """What stands where another type of value belongs: lenient clients show it as it is."""
    if words := "" if value is None else laid_out(value):
        yield Part(kind=kind, text=words, pointer=pointer)


def _error(value: Any) -> Iterator[Part]:
    """Clients show an error to the model: its message, or all of it."""
    if not isinstance(value, dict):
        yield from _odd("tool_result", value, "/error")
        return
    fields = dict(mapping(value))
    number = fields.pop("code", None)
    first = [fields.pop("message", None), fields.pop("data", None)]
    said = [*first, number if isinstance(number, str) else None, fields or None]
    yield from _odd("tool_result", "\n".join(laid_out(each) for each in said if each is not None), "/error")


def _result(fields: dict[str, Any]) -> Iterator[Part]:
    if "content" in fields or "structuredContent" in fields or "toolResult" in fields:
        yield _tool_result(fields)
    for where, item in _each(fields, "contents"):
        yield _block("retrieval", {"type": "resource", "resource": item}, where)
    for where, item in _each(fields, "messages"):
        if "content" not in mapping(item):
            yield from _odd("retrieval", item, where)
        for place, block in _each(mapping(item), "content", where):
            yield _block("retrieval", block, place)
    tools = fields.get("tools")
    yield from tool_definitions(tools, "/result/tools")
    if not isinstance(tools, list):
        yield from _odd("tool_definitions", tools, "/result/tools")
    for name in _LISTS:
        for where, item in _each(fields, name):
            yield Part(kind="retrieval", text=laid_out(item), pointer=where)
    for name in ("instructions", "description"):
        yield from _odd("retrieval", fields.get(name), f"/result/{name}")


def _each(fields: Mapping[str, Any], name: str, above: str = "/result") -> Iterator[tuple[str, Any]]:
    """The elements of an array, each with its pointer; lenient clients take what is no array for its one element."""
    value = fields.get(name)
    if isinstance(value, list):
        yield from ((f"{above}/{name}/{at}", item) for at, item in enumerate(sequence(value)))
    elif value is not None:
        yield f"{above}/{name}", value


def _tool_result(fields: dict[str, Any]) -> Part:
    """One result is one step: its blocks, and what it holds as a structure, for a client may read either."""
    blocks = [_block("tool_result", block, "") for _, block in _each(fields, "content")]
    words = [laid_out(fields[name]) for name in ("structuredContent", "toolResult") if fields.get(name) is not None]
    words += [block.text for block in blocks if block.text]  # often the same as JSON: what is plain comes first
    return Part(
        kind="tool_result",
        text="\n".join(words),
        pointer="/result",
        unread=next((block.unread for block in blocks if block.unread), None),
    )


def told(raw: bytes) -> str:
    """The text of a tool's result as a client is likely to show it to its model: that of its blocks, if any."""
    fields = mapping(mapping(decode_whole(raw)).get("result"))
    blocks = [_block("tool_result", block, "").text for _, block in _each(fields, "content")]
    return "\n".join(filter(None, blocks)) or compact(fields.get("structuredContent") or "")


def _block(kind: Any, value: Any, pointer: str) -> Part:
    """One block of content. Kinds this version does not know are kept as JSON and marked as not understood."""
    if isinstance(value, str):
        return Part(kind=kind, text=value, pointer=pointer)
    block = mapping(value)
    what = text(block.get("type"))
    if what not in _BLOCKS:
        return Part(kind=kind, text=laid_out(value), pointer=pointer, unread="unknown block")
    held = block.get("resource")
    words = [held] if not isinstance(held, dict) else [mapping(held).get(name) for name in ("uri", "text")]
    # Many clients take the words of whatever block has any, an image among them.
    words += [block.get(name) for name in _BLOCKS[what]]
    unread = what if what in ("image", "audio") else "file" if "blob" in mapping(held) else None
    said = "\n".join(laid_out(each) for each in words if each is not None and each != "")
    return Part(kind=kind, text=said, pointer=pointer, unread=unread)


class _Reader:
    """Reads a server's answer from its bytes."""

    ended = False

    def __init__(self, *, stream: bool) -> None:
        self._decoder = SseDecoder(_LIMIT) if stream else None
        self._pieces: list[bytes] = []
        self._reply: Reply | None = None
        self._answer: bytes | None = None

    @property
    def complete(self) -> bool:
        """Whether an answer was seen."""
        return self._answer is not None or (self._decoder is None and self._whole() is not None)

    def _whole(self) -> Any:
        return decode_whole(b"".join(self._pieces))

    def feed(self, data: bytes, at_ns: int) -> Sequence[Part]:  # noqa: ARG002 - parts are read when all is there
        """Take bytes."""
        if self._decoder is None:
            self._pieces.append(data)
            return ()
        for event in self._decoder.feed(data):
            if is_answer(event.data):
                self._answer = event.data
        return ()

    def close(self, at_ns: int) -> Reply:  # noqa: ARG002 - blocks have no times here
        """What was answered."""
        if self._reply is None:
            value = (
                self._whole() if self._answer is None and self._decoder is None else decode_whole(self._answer or b"")
            )
            self._reply = reply_of(value)
        return self._reply

    def terminal_error(self, message: str, exchange_id: str) -> bytes:  # noqa: ARG002 - whoever relays knows the id
        """Nothing: an error has to name the request it answers."""
        return b""


def reply_of(value: Any) -> Reply:
    """A decoded answer as a reply: its parts, and whether it is a failure."""
    fields = mapping(value)
    failed = "error" in fields
    tool_failed = mapping(fields.get("result")).get("isError") is True
    return Reply(
        parts=tuple(reply_parts(fields)),
        complete=failed or "result" in fields,
        error_type="jsonrpc_error" if failed else "tool_error" if tool_failed else None,
    )


class _Shape(msgspec.Struct):
    jsonrpc: Any = None
    method: Any = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


def is_answer(raw: bytes) -> bool:
    """Whether a message answers a request."""
    try:
        found = msgspec.json.decode(raw, type=_Shape)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return found.jsonrpc == "2.0" and found.method is None and bool(bytes(found.result) or bytes(found.error))
