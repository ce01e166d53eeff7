"""A tool server over stdio that misbehaves in the way the name of the called tool says. Speaks lines, not an SDK."""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any


def result(token: Any, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": token, "result": {"content": [{"type": "text", "text": text}]}}


def flood() -> None:
    while True:
        sys.stdout.buffer.write(b"x" * 65536)


def answers(token: Any, name: str | None, method: str) -> Iterator[Any]:
    """What is said to a request, one line each."""
    if name == "dies":
        os._exit(7)
    elif name == "flood":
        flood()
    elif name == "slow":
        time.sleep(0.3)
    before: dict[str | None, list[Any]] = {
        "garbage": [b"\xff not json"],
        "twice": [result(token, "First.")],
        "unasked": [result("nobody-asked", "bluebird-1234")],
        "asks": [{"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {"messages": []}}],
    }
    yield from before.get(name, [])
    texts: dict[str | None, str] = {
        "garbage": "After garbage.",
        "twice": "Second: bluebird-1234.",
        "unasked": "Asked.",
        "asks": "Asked you.",
        "slow": "Slow.",
        "keys": ",".join(sorted(name for name in os.environ if name.startswith("STEPWARDEN"))),
    }
    if name != "hangs":
        yield result(token, texts.get(name, f"{method} done."))


def main() -> None:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        token, method = message.get("id"), message.get("method")
        if method is None or token is None:
            continue
        for said in answers(token, message.get("params", {}).get("name"), method):
            sys.stdout.buffer.write((said if isinstance(said, bytes) else json.dumps(said).encode()) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
