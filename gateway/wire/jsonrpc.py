"""JSON-RPC 2.0 as MCP speaks it: one message, read as far as a relay has to know it, and messages of our own.

A message travels as the bytes it came in. Ids are kept as their JSON text: `1`, `1.0` and `"1"` are three ids, and
none of them is ever written anew.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from gateway.wire.mcp_shapes import misread
from gateway.wire.strict import ambiguity
from gateway.wire.values import mapping
from policies.errors import StepwardenError

Kind: TypeAlias = Literal["request", "notification", "result", "error"]

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
REFUSED: Final = -32000
"""The first of the codes that JSON-RPC leaves to implementations."""

_LONGEST_ID: Final = 256
_LONGEST_METHOD: Final = 128
_NULL: Final = b"null"
_NO_OBJECT: Final = {
    b"[": "A batch is not relayed; send its messages one by one.",
    b"{": "A number in it is beyond what JSON readers agree on.",
}
"""What is wrong with JSON that cannot be read as a message, by its first byte."""


class Malformed(StepwardenError):
    """Bytes that are not one JSON-RPC message."""

    status = 400

    def __init__(self, message: str, *, code: int = INVALID_REQUEST, id_token: bytes = _NULL) -> None:
        """`id_token`: the JSON text of the id, where it could be read."""
        super().__init__(message)
        self.code = code
        self.id_token = id_token

    def remedy(self) -> str:
        """What the sender should do."""
        return "Send one JSON-RPC 2.0 message, as UTF-8 JSON."


class _Envelope(msgspec.Struct, frozen=True):
    jsonrpc: Any = None
    id: msgspec.Raw = msgspec.Raw(b"")
    method: Any = None
    params: Any = None
    result: Any = msgspec.UNSET
    error: Any = msgspec.UNSET


_decode = msgspec.json.Decoder(_Envelope).decode
_read = msgspec.json.Decoder(dict[str, Any]).decode


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message: what it is, and the bytes that say so."""

    kind: Kind
    raw: bytes
    """As it came."""

    id_token: bytes = b""
    """JSON text of the id; empty for notifications."""

    method: str | None = None
    """Of requests and notifications."""

    params: Mapping[str, Any] = {}
    """Of requests and notifications, where they are an object."""

    @property
    def name(self) -> str | None:
        """What the request is about: the tool or prompt named, or the address of the resource."""
        found = self.params.get("uri" if self.method == "resources/read" else "name")
        return found if isinstance(found, str) else None

    @property
    def meta(self) -> Mapping[str, Any]:
        """`params._meta`."""
        return mapping(self.params.get("_meta"))

    @property
    def cancels(self) -> str | int | float | None:
        """Of `notifications/cancelled`: the id of the request that is not wanted any more."""
        found = self.params.get("requestId") if self.method == "notifications/cancelled" else None
        return found if isinstance(found, str | int | float) else None

    @property
    def progress_token(self) -> str | int | None:
        """What the sender wants progress to be reported under."""
        found = self.meta.get("progressToken")
        return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def read(raw: bytes) -> Message:
    """One message. Raises `Malformed` for anything else, batches included: later revisions have none."""
    try:
        found = _decode(raw)
    except RecursionError:
        raise Malformed("The message nests too deeply to be read.", code=PARSE_ERROR) from None
    except msgspec.ValidationError:
        raise Malformed(_NO_OBJECT.get(raw.lstrip()[:1], "Not an object.")) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed("The message is not JSON.", code=PARSE_ERROR) from None
    token = bytes(found.id).strip()
    if doubt := ambiguity(raw) or misread(_read(raw)):
        raise Malformed(f"The JSON of this message holds {doubt}.", id_token=_told(token))
    if found.jsonrpc != "2.0" or not _is_id(token):
        raise Malformed("Not a JSON-RPC 2.0 message with a usable id.")
    if found.method is not None:
        return _asking(found, token, raw)
    if not token or (found.result is msgspec.UNSET) == (found.error is msgspec.UNSET):
        raise Malformed("The message is neither a request nor an answer.", id_token=_told(token))
    return Message(kind="error" if found.result is msgspec.UNSET else "result", raw=raw, id_token=token)


def _asking(found: _Envelope, token: bytes, raw: bytes) -> Message:
    method: object = found.method
    if not isinstance(method, str) or not 0 < len(method) <= _LONGEST_METHOD or not method.isprintable():
        raise Malformed("The message names no method.", id_token=_told(token))
    if found.result is not msgspec.UNSET or found.error is not msgspec.UNSET:
        raise Malformed("The message is a request and an answer at once.", id_token=_told(token))
    if token == _NULL:
        raise Malformed("A request cannot have the id null.")
    params = mapping(found.params)
    return Message(kind="request" if token else "notification", raw=raw, id_token=token, method=method, params=params)


def _is_id(token: bytes) -> bool:
    """Whether a JSON text is a string or number, null, or absent."""
    return len(token) <= _LONGEST_ID and (
        not token or token == _NULL or token[:1] == b'"' or token[:1] in b"-0123456789"
    )


def _told(token: bytes) -> bytes:
    return token if token and _is_id(token) else _NULL


def id_key(token: bytes) -> str | int | float | None:
    """The value of an id, equal for every spelling of it."""
    try:
        return msgspec.json.decode(token, type=str | int | float | None)
    except (msgspec.DecodeError, ValueError):
        return None


def answers(found: Message, asked: Message) -> bool:
    """Whether an answer is to this request: of its id, however that is spelled, or of none that could be told."""
    return found.id_token == _NULL or id_key(found.id_token) == id_key(asked.id_token)


def error(id_token: bytes, code: int, message: str, data: Mapping[str, Any] | None = None) -> bytes:
    """An error of ours in answer to a request."""
    said = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id_token or _NULL, msgspec.json.encode(said))


def result(id_token: bytes, value: Mapping[str, Any]) -> bytes:
    """A result of ours in answer to a request."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id_token, msgspec.json.encode(value))


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    """A notification of ours."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})
