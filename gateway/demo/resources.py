"""The rest of the providers' APIs: models, files, batches, embeddings, token counts. Canned, and correct in shape."""

import base64
import struct
from collections.abc import Callable
from typing import Any, cast

import msgspec

from gateway.demo import obliging, render, render_anthropic
from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.asked import resource
from gateway.demo.turns import Setting, WireName

Json = dict[str, Any]

FILE = bytes(range(256)) * 64
"""What every file download yields: 16 KiB with every byte value."""

_AT = "2026-01-01T00:00:00Z"
_DIMENSIONS = 16


def dialect_of(request: SeenRequest) -> WireName:
    """Which vendor a request without a telling path means."""
    return "chat" if request.header("anthropic-version") is None else "anthropic"


def _anthropic_model(name: str) -> Json:
    return {"type": "model", "id": name, "display_name": name, "created_at": _AT, "lifecycle": "active"}


def _openai_model(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "demo"}


def _models(request: SeenRequest) -> Json:
    if dialect_of(request) == "anthropic":
        found = [_anthropic_model("claude-demo-1"), _anthropic_model("claude-demo-2")]
        return {"data": found, "has_more": False, "first_id": "claude-demo-1", "last_id": "claude-demo-2"}
    return {"object": "list", "data": [_openai_model("gpt-demo-1"), _openai_model("gpt-demo-2")]}


def _model(request: SeenRequest) -> Json:
    name = request.path.rpartition("/")[2]
    return _anthropic_model(name) if dialect_of(request) == "anthropic" else _openai_model(name)


def _embeddings(request: SeenRequest) -> Json:
    body = cast("Json", msgspec.json.decode(request.body))
    texts = cast("list[Any]", body["input"]) if isinstance(body["input"], list) else [body["input"]]
    vector = [index / _DIMENSIONS for index in range(_DIMENSIONS)]
    packed: Any = vector
    if body.get("encoding_format") == "base64":
        packed = base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *vector)).decode()
    data = [{"object": "embedding", "index": index, "embedding": packed} for index in range(len(texts))]
    usage = {"prompt_tokens": obliging.tokens(request.body), "total_tokens": obliging.tokens(request.body)}
    return {"object": "list", "data": data, "model": body.get("model", "demo"), "usage": usage}


def _count_tokens(request: SeenRequest) -> Json:
    return {"input_tokens": obliging.tokens(request.body)}


def _file(request: SeenRequest) -> Json:
    size = len(request.body)
    if dialect_of(request) == "anthropic":
        return {
            "id": "file_demo",
            "type": "file",
            "filename": "demo.bin",
            "mime_type": "application/octet-stream",
            "size_bytes": size,
            "created_at": _AT,
            "downloadable": True,
        }
    return {
        "id": "file-demo",
        "object": "file",
        "bytes": size,
        "created_at": 1_760_000_000,
        "filename": "demo.bin",
        "purpose": "user_data",
        "status": "processed",
    }


def _files(request: SeenRequest) -> Json:
    listed = {"data": [_file(request)], "has_more": False, "first_id": "file_demo", "last_id": "file_demo"}
    return listed if dialect_of(request) == "anthropic" else listed | {"object": "list"}


def _content(request: SeenRequest) -> Answer:
    del request
    return Answer(headers=((b"content-type", b"application/octet-stream"),), body=(FILE,))


def _batch(request: SeenRequest) -> Json:
    host = request.header("host") or "localhost"
    counts = {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0}
    if resource(request.path).startswith("messages/"):
        return {
            "id": "msgbatch_demo",
            "type": "message_batch",
            "processing_status": "ended",
            "request_counts": counts,
            "created_at": _AT,
            "ended_at": _AT,
            "expires_at": _AT,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"http://{host}/v1/messages/batches/msgbatch_demo/results",
        }
    return {
        "id": "batch_demo",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": "file-demo",
        "output_file_id": "file-demo",
        "completion_window": "24h",
        "status": "completed",
        "created_at": 1_760_000_000,
        "request_counts": {"total": 2, "completed": 2, "failed": 0},
    }


def _batches(request: SeenRequest) -> Json:
    return {"data": [_batch(request)], "has_more": False, "first_id": None, "last_id": None, "object": "list"}


def _results(request: SeenRequest) -> Answer:
    del request
    turn = obliging.Turn(text=obliging.TEXT)
    message = render_anthropic.document(turn, Setting(model="claude-demo-1"))
    lines = [{"custom_id": f"r{n}", "result": {"type": "succeeded", "message": message}} for n in range(2)]
    body = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return Answer(headers=((b"content-type", b"application/x-jsonl"),), body=(body,))


def _response(request: SeenRequest) -> Json:
    turn = obliging.Turn(text=obliging.TEXT, reply_id=request.path.rpartition("/")[2].removeprefix("resp_"))
    return render.document("responses", turn, Setting(model="gpt-demo-1"))


def _conversation(request: SeenRequest) -> Json:
    del request
    return {"id": "conv_demo", "object": "conversation", "created_at": 1_760_000_000, "metadata": {}}


def _empty(request: SeenRequest) -> Json:
    del request
    return {}


_Handler = Callable[[SeenRequest], Json | Answer]

_EXACT: dict[tuple[str, str], _Handler] = {
    ("GET", "models"): _models,
    ("POST", "embeddings"): _embeddings,
    ("POST", "messages/count_tokens"): _count_tokens,
    ("POST", "responses/input_tokens"): lambda request: _count_tokens(request) | {"object": "response.input_tokens"},
    ("POST", "files"): _file,
    ("GET", "files"): _files,
    ("POST", "messages/batches"): _batch,
    ("GET", "messages/batches"): _batches,
    ("POST", "batches"): _batch,
    ("GET", "batches"): _batches,
    ("POST", "conversations"): _conversation,
    ("HEAD", ""): _empty,
    ("GET", ""): _empty,
    ("HEAD", "api/hello"): _empty,
    ("GET", "api/hello"): _empty,
}

_UNDER: tuple[tuple[str, str, str, _Handler], ...] = (
    ("GET", "files/", "/content", _content),
    ("GET", "files/", "", _file),
    ("GET", "messages/batches/", "/results", _results),
    ("GET", "messages/batches/", "", _batch),
    ("GET", "batches/", "", _batch),
    ("GET", "models/", "", _model),
    ("GET", "responses/", "", _response),
)


def _found(request: SeenRequest) -> _Handler | None:
    path = resource(request.path)
    exact = _EXACT.get((request.method, path))
    if exact is not None:
        return exact
    for method, start, end, handler in _UNDER:
        if method == request.method and path.startswith(start) and path.endswith(end):
            return handler
    return None


def answer(request: SeenRequest) -> Answer:
    """The canned answer of this path, or the provider's 404."""
    handler = _found(request)
    if handler is None or request.header("upgrade") is not None:
        return render.error(dialect_of(request), 404, "not_found_error", f"no such path: {request.path}")
    try:
        made = handler(request)
    except (msgspec.DecodeError, KeyError, TypeError):
        return render.error(dialect_of(request), 400, "invalid_request_error", "the body could not be read")
    return made if isinstance(made, Answer) else render.json_answer(made, headers=render.marks(dialect_of(request)))
