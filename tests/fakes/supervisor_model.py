"""A supervisor's model on a real socket: Messages and Chat Completions, counting every call and token it is asked for.

It answers as the scripted model would, or misbehaves in one of the ways models and their providers do.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import msgspec

from supervisors.models.interface import Prompt
from supervisors.models.scripted import answer

Json = dict[str, Any]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it came."""

    path: str
    headers: Mapping[str, str]
    document: Json

    @property
    def prompt(self) -> Prompt:
        """What was asked, read back from the wire."""
        if self.path.endswith("/messages"):
            system = "".join(block["text"] for block in self.document["system"])
            *history, question = [block["text"] for block in self.document["messages"][0]["content"]]
            schema = self.document.get("output_config", {}).get("format", {}).get("schema")
        else:
            system, question = [message["content"] for message in self.document["messages"]]
            history, schema = [], self.document.get("response_format", {}).get("json_schema", {}).get("schema")
        limits = [self.document.get(name) for name in ("max_tokens", "max_completion_tokens")]
        most = next(limit for limit in limits if limit is not None)
        return Prompt(
            system=system, history=tuple(history), question=question, schema=schema, most_tokens=most, revision=""
        )

    @property
    def wants(self) -> str:
        """`word` or `critique`."""
        return "word" if self.prompt.schema is None else "critique"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One answer."""

    text: str = ""
    stop: str = "end"
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    """Exactly these bytes instead of a document."""

    counted: bool = True
    """Whether usage stands in the document."""

    spent: tuple[int, int] | None = None
    """Input and output as it says, instead of what it took."""


Mind = Callable[[Asked], Said]


def sound(asked: Asked) -> Said:
    """What the scripted model says."""
    return Said(text=answer(asked.prompt))


def stopping(asked: Asked) -> Said:
    """Everything is a violation; quotes the beginning of what is asked about."""
    return opining(asked, label="violation", score=95)


def opining(asked: Asked, *, label: str, score: int) -> Said:
    """The same opinion of every clause."""
    if asked.wants == "word":
        return Said(text=label)
    lines = asked.prompt.question.splitlines()
    name = next(line.removeprefix("about: ") for line in lines if line.startswith("about: "))
    text = next(after[:8] for mark, after in pairwise(lines) if mark.startswith("<<data ") and f" step={name} " in mark)
    quotes = [] if label == "ok" else [{"step": name, "text": text}]
    clauses = [
        line.removeprefix("clause: ") for line in asked.prompt.system.splitlines() if line.startswith("clause: ")
    ]
    opinion = {"label": label, "score": score, "quotes": quotes, "feedback": "So.", "first_bad_step": None}
    return Said(text=json.dumps({"opinions": [{"clause": each, **opinion} for each in clauses], "blamed": []}))


def always(said: Said) -> Mind:
    """One answer, whatever is asked."""
    return lambda _: said


class Endpoint:
    """Listens on loopback; `mind` decides what becomes of each call."""

    def __init__(self, mind: Mind) -> None:
        self.mind = mind
        self.calls: list[Asked] = []
        self.tokens: list[tuple[int, int]] = []
        """Input and output of every call whose answer says what it took."""
        self.took_ns: list[int] = []
        """Of every call: from its last byte read to the first byte of its answer written."""
        self.over = threading.Event()
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                read_ns = time.monotonic_ns()
                asked = Asked(path=self.path, headers=dict(self.headers), document=json.loads(body))
                endpoint.serve(self, asked, read_ns)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # whoever left does not hear the rest

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def serve(self, handler: BaseHTTPRequestHandler, asked: Asked, read_ns: int) -> None:
        with self._lock:
            self.calls.append(asked)
        said = self.mind(asked)
        spent = said.spent or (len(json.dumps(asked.document)) // 4, max(len(said.text) // 4, 1))
        body = said.body if said.body is not None else json.dumps(_document(asked, said, spent)).encode()
        if said.status == 200 and said.body is None:
            with self._lock:
                self.tokens.append(spent)
        with self._lock:
            self.took_ns.append(time.monotonic_ns() - read_ns)
        with suppress(OSError):
            handler.send_response(said.status)
            for name, value in {"content-type": "application/json", **said.headers}.items():
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

    def stall(self, _: Asked) -> Said:
        """A mind that says nothing until the end."""
        self.over.wait(60)
        return Said(text="ok")

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


def _document(asked: Asked, said: Said, spent: tuple[int, int]) -> Json:
    if said.status != 200:
        return {"type": "error", "error": {"type": "api_error", "message": "no"}}
    if asked.path.endswith("/messages"):
        stops = {"end": "end_turn", "length": "max_tokens", "refused": "refusal"}
        usage = {"input_tokens": spent[0], "output_tokens": spent[1]} if said.counted else {}
        content = [{"type": "text", "text": said.text}]
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked.document["model"],
            "content": content,
            "stop_reason": stops[said.stop],
            "usage": usage,
        }
    stops = {"end": "stop", "length": "length", "refused": "content_filter"}
    choice = {"index": 0, "message": {"role": "assistant", "content": said.text}, "finish_reason": stops[said.stop]}
    usage = {"prompt_tokens": spent[0], "completion_tokens": spent[1]} if said.counted else None
    return {
        "id": "c",
        "object": "chat.completion",
        "model": asked.document["model"],
        "choices": [choice],
        "usage": usage,
    }


@contextmanager
def running_model(mind: Mind = sound) -> Iterator[Endpoint]:
    endpoint = Endpoint(mind)
    try:
        yield endpoint
    finally:
        endpoint.close()
