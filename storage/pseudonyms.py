"""Pseudonyms: what stands for a name in files and in the audit log: a keyed hash, the same each time.

Whoever holds `seal.key` can tell whether a name is meant, which is what lets an end user's sessions be found again;
nobody else can.
"""

from typing import Final, Literal, TypeAlias, final

from blake3 import blake3

from storage.seal import derive
from storage.secret import Secret

Named: TypeAlias = Literal["session", "user", "app", "scope", "words"]

SIZE: Final = 16


@final
class Pseudonyms:
    """All of one data directory. Safe from any thread."""

    def __init__(self, seal_key: Secret) -> None:
        self._key = derive(seal_key, "pseudonyms").reveal()

    def of(self, kind: Named, *names: str) -> bytes:
        """16 bytes for a name; names of several parts differ where any part does."""
        parts = [name.encode("utf-8", "surrogatepass") for name in (kind, *names)]
        text = b"".join([b"%d:%s" % (len(part), part) for part in parts])
        return blake3(text, key=self._key).digest(length=SIZE)
