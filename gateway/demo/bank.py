"""A bank as a tool server: it hands out the recorded letter, and notes which calls reach it."""

from typing import Any, Final

import msgspec

from gateway.demo.answers import Answer, SeenRequest
from gateway.demo.guarded import FORBIDDEN
from gateway.demo.playback import RecordedCall, Run

NAME: Final = "bank"
_KIND: Final = ((b"content-type", b"application/json"),)
_ORDER: Final = "<INFORMATION>"


class Bank:
    """The script of a server that speaks MCP over HTTP: `gateway.demo.background.BackgroundProvider` runs it."""

    def __init__(self, run: Run) -> None:
        """`run`: the recorded one in which the letter's order was followed."""
        self.letter = next(message.content for message in run.messages if _ORDER in message.content)
        self.order: RecordedCall = next(
            call for message in run.messages for call in message.calls if call.name == FORBIDDEN
        )
        self.called: list[str] = []
        """Tools that were called, as far as a call reached this server."""

    def __call__(self, seen: SeenRequest) -> Answer:
        """The answer to one call."""
        message: dict[str, Any] = msgspec.json.decode(seen.body)
        tool = str(message["params"]["name"])
        self.called.append(tool)
        said = self.letter if tool == "read_file" else "Done."
        result = {"content": [{"type": "text", "text": said}]}
        return Answer(
            headers=_KIND, body=(msgspec.json.encode({"jsonrpc": "2.0", "id": message["id"], "result": result}),)
        )
