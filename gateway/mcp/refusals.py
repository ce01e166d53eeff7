"""Refusals: what the gateway says no to on the way to a tool server."""

from gateway.refusals import Refused


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
