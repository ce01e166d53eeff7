"""Digests: the name of a revision is the hash of what it says."""

from typing import Any

import msgspec
from blake3 import blake3

_DIGEST_BYTES = 16


def digest(content: Any) -> str:
    """BLAKE3 over canonical JSON (sorted keys, no blanks), the first 16 bytes in hex.

    `content` is a Struct or what JSON can hold. Lone surrogates cannot be encoded and raise `UnicodeEncodeError`;
    TOML text has none.
    """
    return blake3(msgspec.json.encode(content, order="sorted")).hexdigest(length=_DIGEST_BYTES)
