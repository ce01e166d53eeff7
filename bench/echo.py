"""The floor of any Python gateway: a bare ASGI function that reads the body and answers by itself.

No upstream, no parsing, no recording: whatever a gateway costs above this is its own. Streams come in the same
pace and shape as from the bench's provider.

    python -m bench.echo --port 9001
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import uvicorn

from bench.payloads import Events, dialect_of, orders, reply

Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    pieces: list[bytes] = []
    more = True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(pieces)
    dialect = dialect_of(scope["raw_path"])
    wanted = orders(body)
    if wanted is None:
        answer = reply(dialect, body)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await _play(send, Events(dialect), *wanted)


async def _play(send: Send, events: Events, chunks: int, pace: float) -> None:
    began = time.monotonic()
    for sent in range(chunks):
        if sent:
            await asyncio.sleep(began + sent * pace - time.monotonic())
        done = sent == chunks - 1
        data = (b"" if sent else events.first) + events.delta(time.monotonic_ns()) + (events.last if done else b"")
        await send({"type": "http.response.body", "body": data, "more_body": not done})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="error", access_log=False,
        lifespan="off",
    )  # fmt: skip


if __name__ == "__main__":
    main()
