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


class Foreign(Refused):
    """A web page asks, or somebody under a name this gateway does not have."""

    status = 403
    code = "foreign_origin"

    def remedy(self) -> str:
        """How to be let in."""
        return "Use the address the gateway listens on, or add the name to `allowed_hosts` in [gateway]."


class Withdrawn(Refused):
    """Its own caller cancelled a call while a person was waited for."""

    code = "cancelled"
    outcome = "client_aborted"

    def remedy(self) -> str:
        """Nothing: it is what the caller wanted."""
        return ""
