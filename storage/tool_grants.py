"""Tool grants: the tokens of tool servers, sealed, in `ledger.db`. An entry says when one came or went, never what."""

from typing import Final, final

import msgspec

from policies.vocabulary.audit import GATEWAY, ToolServerAuthorised, ToolServerWithdrawn
from policies.vocabulary.grants import Grant, How
from policies.vocabulary.holds import Review
from storage.aliases import Aliases
from storage.errors import ContentDamaged, GrantNotFound
from storage.ledger import Ledger, Statement
from storage.seal import Sealer, derive
from storage.secret import Secret

_KEEP: Final = (
    "INSERT INTO tool_grant (server, content, at_ns) VALUES (?1, ?2, ?3) "
    "ON CONFLICT (server) DO UPDATE SET content = ?2, at_ns = ?3"
)


@final
class ToolGrants:
    """At most one grant a tool server. Safe from any thread."""

    def __init__(self, ledger: Ledger, seal_key: Secret) -> None:
        self._ledger = ledger
        self._aliases = Aliases(ledger)
        self._sealer = Sealer(derive(seal_key, "tool-grants"))

    def of(self, server: str) -> Grant | None:
        """What a server's authorization server gave. Raises `ContentDamaged`, `StorageFailed`."""
        rows = self._ledger.read("SELECT content FROM tool_grant WHERE server = ?", (server,))
        if not rows:
            return None
        try:
            return msgspec.msgpack.decode(self._sealer.open(rows[0][0], server.encode()), type=Grant)
        except msgspec.DecodeError:
            raise ContentDamaged("a grant cannot be read") from None

    def keep(self, server: str, grant: Grant, at_ns: int, *, how: How, review: Review | None = None) -> None:
        """Keep a grant in place of the one before; `review`: whose login it was. Raises `StorageFailed`."""
        with self._ledger.lock:
            alias, named = self._named(review)
            sealed = self._sealer.seal(msgspec.msgpack.encode(grant), server.encode())
            actor = GATEWAY if review is None else review.actor
            entry = ToolServerAuthorised(actor=actor, server=server, how=how, by=alias)
            self._ledger.write([*named, (_KEEP, (server, sealed, at_ns))], entries=[entry])

    def forget(self, server: str, review: Review) -> None:
        """Destroy a grant. Raises `GrantNotFound`, `StorageFailed`."""
        with self._ledger.lock:
            if not self._ledger.read("SELECT 1 FROM tool_grant WHERE server = ?", (server,)):
                raise GrantNotFound(server)
            alias, named = self._named(review)
            entry = ToolServerWithdrawn(actor=review.actor, server=server, by=alias)
            self._ledger.write([*named, ("DELETE FROM tool_grant WHERE server = ?", (server,))], entries=[entry])

    def _named(self, review: Review | None) -> tuple[str | None, list[Statement]]:
        return self._aliases.of("person", review.by) if review is not None and review.by else (None, [])
