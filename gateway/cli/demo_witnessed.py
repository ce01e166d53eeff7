"""The demo's act at a tool server: the same letter and the same call, where they are seen themselves."""

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
from rich.text import Text

from gateway.cli.narrator import Narrator
from gateway.demo.bank import NAME, Bank

if TYPE_CHECKING:
    from gateway.cli.running import RunningGateway

_SECONDS = 20.0
_SHOWN = 100


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    read: bool
    """Whether the letter reached the client."""

    reason: str | None
    """Why the call that the letter asks for was stopped."""

    reached: tuple[str, ...]
    """Tools whose calls reached the server."""

    @property
    def kept(self) -> bool:
        """Whether the letter came and its order did not go on."""
        return self.read and self.reason is not None and self.reached == ("read_file",)


def play(narrator: Narrator, gateway: "RunningGateway", bank: Bank) -> Witnessed:
    """Read the letter and follow its order through the gateway, as an MCP client does."""
    narrator.act(
        "The same letter at a tool server behind the gateway (MCP)",
        f"client     {gateway.url}/mcp/{NAME}: written by us; letter and call are those of the recorded run",
    )
    with httpx.Client(base_url=gateway.url, timeout=_SECONDS, trust_env=False) as client:
        letter = _called(client, "read_file", {"file_path": "landlord-notices.txt"})
        order = _called(client, bank.order.name, msgspec.json.decode(bank.order.arguments))
    reason = order.get("_meta", {}).get("stepwarden/reason")
    narrator.show(
        Text(f"  read_file                      witnessed, result passed: {_words(letter)}"),
        Text(f"  {bank.order.name:<30} stopped before the server saw it: {reason}", "bold"),
        Text(f"  the server was asked for       {', '.join(bank.called)}"),
    )
    return Witnessed(read=bank.letter in _whole(letter), reason=reason, reached=tuple(bank.called))


def _called(client: httpx.Client, tool: str, arguments: Any) -> dict[str, Any]:
    """The result of one call."""
    params = {"name": tool, "arguments": arguments, "_meta": {"stepwarden/session": "demo-bank"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return client.post(f"/mcp/{NAME}", json=message).json().get("result", {})


def _whole(result: dict[str, Any]) -> str:
    return "".join(str(block.get("text", "")) for block in result.get("content", ()))


def _words(result: dict[str, Any]) -> str:
    return f"{' '.join(_whole(result).split())[:_SHOWN]} ..."
