"""Where MCP has names that decide what a message says: servers and clients in Go and .NET take `Name` for `name`.

Whoever sends one name as it is and once more in other letters has a call judged that its reader does not make. Below
arguments, structures and schemas the names are a tool's own.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.wire.shapes import ANY, Shape, a_list, an_object, either, misnamed

_HELD: Final = an_object({"uri": ANY, "text": ANY, "blob": ANY})
_BLOCK: Final = an_object(
    {"type": ANY, "text": ANY, "resource": _HELD, **dict.fromkeys(("uri", "name", "title", "description"), ANY)}
)
_TOLD: Final = an_object({"role": ANY, "content": either(_BLOCK, a_list(_BLOCK))})
_LISTED: Final = a_list(an_object(dict.fromkeys(("name", "uri", "uriTemplate", "title", "description"), ANY)))
_RESULT: Final = an_object(
    {
        "content": a_list(_BLOCK),
        "contents": a_list(_HELD),
        "messages": a_list(_TOLD),
        "tools": _LISTED,
        "resources": _LISTED,
        "resourceTemplates": _LISTED,
        "prompts": _LISTED,
        **dict.fromkeys(("structuredContent", "toolResult", "isError", "instructions", "description"), ANY),
    }
)
_ERROR: Final = an_object({"code": ANY, "message": ANY, "data": ANY})
_ENVELOPE: Final[dict[str, Shape]] = {"jsonrpc": ANY, "id": ANY, "method": ANY}
_ASKS: Final = an_object({**_ENVELOPE, "params": ANY, "result": ANY, "error": ANY})
_ACTS: Final = an_object(
    {**_ENVELOPE, "params": an_object({"name": ANY, "uri": ANY, "arguments": ANY}), "result": ANY, "error": ANY}
)
_ANSWERS: Final = an_object({**_ENVELOPE, "params": ANY, "result": _RESULT, "error": _ERROR})

ACTS: Final = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}
"""Methods by which a client has a server do something, and the member of `params` that says what."""


def misread(value: Mapping[str, Any]) -> str | None:
    """What in this decoded message its reader may take for another than is read here; None where nothing is."""
    method = value.get("method")
    return misnamed(value, _ANSWERS if method is None else _ACTS if method in ACTS else _ASKS)
