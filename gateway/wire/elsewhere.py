"""Whether a request asks for more than its own bytes hold: media, files, stored conversations, server-side tools.

A token is at least a byte only for text that stands in the body. An image is billed by its size in pixels, a
file or a stored prompt by what it holds, a server-side search by what it finds; none of that shows in the body.
Looks at bytes, not at JSON, and errs towards yes.
"""

import re
from typing import Final

from gateway.wire.interface import RequestView

_SIGNS: Final = re.compile(
    rb'"(?:file_id|file_url|image_url|container|mcp_servers|vector_store_ids|web_search_options|prompt)"\s*:'
    rb'|"type"\s*:\s*"(?:image|document|file|url|audio|video|input_(?!text)|item_reference|computer|web_|code_|mcp|tool_search|search_'
    rb"|container|shell|apply_patch)"
    rb"|\\u00[4-7]"
)
"""Keys and types, and ASCII letters written as escapes: no serialiser does that, and they could spell the former."""


def asks_beyond_its_bytes(body: bytes, view: RequestView) -> bool:
    """Whether the decoded `body` may cost more than its length and its `max_tokens` tell."""
    stored = view.previous_response_id is not None or view.conversation_id is not None
    return stored or _SIGNS.search(body) is not None
