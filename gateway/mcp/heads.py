"""Heads of MCP over HTTP: the revision spoken, and headers that repeat what the body says.

Whoever stands between a client and a server may route or refuse by the headers alone; a header that says another
thing than the body would lead it astray, so such a message goes no further.
"""

import re
from base64 import b64decode, b64encode
from typing import Final

from gateway.mcp.refusals import Mismatched, WrongRevision
from gateway.stations.ingress import Headers
from gateway.wire.jsonrpc import Message
from gateway.wire.mcp import ACTS

VERSION: Final = b"mcp-protocol-version"
SESSION: Final = b"mcp-session-id"
METHOD: Final = b"mcp-method"
NAME: Final = b"mcp-name"

STATELESS: Final = "2026-07-28"
"""The first revision without sessions, whose headers repeat the body."""

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
_REVISION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
"""What may name a revision. Which ones there are its server knows, and says so by the protocol's own error."""
_WRAPPED: Final = re.compile(r"=\?base64\?(.*)\?=")


def revision(headers: Headers) -> str | None:
    """The revision a request names, whatever that is; None where it names none."""
    return next((value.decode("latin-1").strip() for name, value in headers if name == VERSION), None)


def check(headers: Headers, message: Message | None) -> None:
    """Hold the headers of a request against the message it brings, if any. Raises `Mismatched` or `WrongRevision`."""
    spoken = _once(headers, VERSION)
    if spoken is not None and not _REVISION.fullmatch(spoken):
        raise WrongRevision("This is no revision of the Model Context Protocol.", spoken)
    if message is None:
        return
    method, name = _once(headers, METHOD), _once(headers, NAME)
    if method is not None and method != message.method:
        raise Mismatched("The header Mcp-Method names another method than the body.")
    about = message.name if message.method in ACTS else None
    if name is not None and _unwrapped(name) != about:
        raise Mismatched("The header Mcp-Name names another thing than the body.")
    said = message.meta.get(VERSION_KEY)
    if said is not None and said != spoken:
        raise Mismatched("The header MCP-Protocol-Version names another revision than the body.")
    if spoken is None or spoken < STATELESS or message.kind != "request":
        return
    if method is None or (name is None and about is not None):
        raise Mismatched("This revision wants Mcp-Method, and Mcp-Name where the body names something.")


def _once(headers: Headers, wanted: bytes) -> str | None:
    """A header that must not come twice. Raises `Mismatched`."""
    found = [value for name, value in headers if name == wanted]
    if len(found) > 1:
        raise Mismatched(f"The header {wanted.decode()} is there more than once.")
    return found[0].decode("latin-1").strip() if found else None


def _unwrapped(value: str) -> str | None:
    """A value as it was before it was made fit for a header; None where it is wrapped badly."""
    wrapped = _WRAPPED.fullmatch(value)
    if wrapped is None:
        return value
    try:
        raw = b64decode(wrapped[1], validate=True)
        return raw.decode() if b64encode(raw).decode() == wrapped[1] else None
    except ValueError:
        return None
