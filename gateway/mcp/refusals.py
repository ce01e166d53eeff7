"""Refusals: what the gateway says no to on the way to a tool server."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.refusals import Refused
from gateway.wire import mcp
from gateway.wire.jsonrpc import REFUSED

REVISIONS: Final = ("2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26")
"""Those that are spoken over HTTP; later ones as far as they are alike."""


class Mismatched(Refused):
    """A header says another thing than the body, or the same thing twice."""

    code = "header_mismatch"


class WrongRevision(Refused):
    """What can name no protocol revision."""

    code = "unsupported_revision"

    def __init__(self, message: str, named: str = "") -> None:
        super().__init__(message)
        self.named = named

    def remedy(self) -> str:
        """What is spoken."""
        return f"Speak one of {', '.join(REVISIONS)}."


class NoSuchServer(Refused):
    """No MCP server of this name can be reached by this caller over HTTP."""

    status = 404
    code = "unknown_server"

    def remedy(self) -> str:
        """Who knows."""
        return "Ask the operator which [mcp.NAME] tables there are; one with a `command` is run by `stepwarden mcp`."


class NotSpoken(Refused):
    """A method of HTTP that this protocol does not use."""

    status = 405
    code = "method_not_allowed"
    headers = ((b"allow", b"GET, POST, DELETE"),)


class Withdrawn(Refused):
    """Its own caller cancelled a call while a person was waited for."""

    code = "cancelled"
    outcome = "client_aborted"

    def remedy(self) -> str:
        """Nothing: it is what the caller wanted."""
        return ""


_NUMBERS: Final[Mapping[type[Refused], int]] = {Mismatched: -32020, WrongRevision: -32022}
"""Those that the protocol itself has a number for."""


def told(refused: Refused, exchange_id: str, id_token: bytes = b"null") -> bytes:
    """A refusal of the gateway in JSON-RPC's shape, in answer to a request."""
    number = _NUMBERS.get(type(refused), REFUSED)
    wrong = isinstance(refused, WrongRevision)
    more: dict[str, Any] = {"supported": REVISIONS, "requested": refused.named} if wrong else {}
    return mcp.error_of(number, refused.told, exchange_id, code=refused.code, id_token=id_token, more=more)
