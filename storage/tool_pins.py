"""Tool pins: what each tool server's tools were when they were last accepted, in `ledger.db`.

A tool is accepted as it is first seen; whoever wants to see it before anybody calls it names the tools that may be
called in the configuration. A later change waits for a person. Definitions are sealed like what holds ask.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final, final

from policies.vocabulary.audit import GATEWAY, Entry, ToolApproved, ToolChanged, ToolPinned
from policies.vocabulary.holds import Review
from policies.vocabulary.pins import Defined, Listing, Pinned, ToolPin
from storage.aliases import Aliases
from storage.errors import PinNotFound
from storage.ledger import Ledger, Statement
from storage.seal import Sealer, derive
from storage.secret import Secret

_COLUMNS: Final = "server, tool, definition, proposal, seen_ns, approved_by"
_MOST: Final = 4096
"""Tools of one server that are kept; what a server lists beyond them counts as changed."""

_SPOKEN_OF: Final = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)+")
"""Words that look like the name of a tool: parts joined by `_` or `-`."""


@final
class ToolPins:
    """Every tool of every server. Safe from any thread."""

    def __init__(self, ledger: Ledger, seal_key: Secret) -> None:
        self._ledger = ledger
        self._aliases = Aliases(ledger)
        self._sealer = Sealer(derive(seal_key, "tool-pins"))
        self._known: dict[tuple[str, str], tuple[bytes, bytes | None]] = {
            (server, tool): (fingerprint, proposed)
            for server, tool, fingerprint, proposed in ledger.read(
                "SELECT server, tool, fingerprint, proposed FROM tool_pin"
            )
        }
        """What the table holds of fingerprints: every call asks."""

    def is_changed(self, server: str, tool: str) -> bool:
        """Whether a tool is not what was accepted."""
        return self._known.get((server, tool), (b"", None))[1] is not None

    def see(self, listing: Listing, at_ns: int) -> Pinned:
        """Pin what is new of a listing, note what has changed, and say so. Raises `StorageFailed`."""
        changed: list[str] = []
        work: list[Statement] = []
        entries: list[Entry] = []
        with self._ledger.lock:
            fresh: dict[tuple[str, str], tuple[bytes, bytes | None]] = {}
            count = sum(server == listing.server for server, _ in self._known)
            for each in listing.tools:
                key = (listing.server, each.tool)
                known = fresh.get(key) or self._known.get(key)
                if known is None and count + len(fresh) >= _MOST:
                    changed.append(each.tool)
                    continue
                after = (each.fingerprint, None) if known is None else _after(known, each.fingerprint)
                if after[1] is not None:
                    changed.append(each.tool)
                if after != known:
                    fresh[key] = after
                    work.append(self._statement(listing, each, new=known is None, same=after[1] is None, at_ns=at_ns))
                    entries += _entries(listing, each, new=known is None, same=after[1] is None)
            if work:
                self._ledger.write(work, entries=entries)
                self._known |= fresh
        return Pinned(changed=tuple(changed), shadowing=tuple(self._shadowing(listing)))

    def approve(self, server: str, tool: str, review: Review, at_ns: int) -> ToolPin:
        """Accept a tool as it is now. Raises `PinNotFound` where it is unknown, or as it was."""
        with self._ledger.lock:
            known = self._known.get((server, tool))
            if known is None or known[1] is None:
                raise PinNotFound(server, tool)
            alias, named = self._aliases.of("person", review.by) if review.by else (None, [])
            query = (
                "UPDATE tool_pin SET fingerprint = proposed, definition = proposal, proposed = NULL, proposal = NULL, "
                "seen_ns = ?, approved_by = ? WHERE server = ? AND tool = ?"
            )
            entry = ToolApproved(actor=review.actor, server=server, fingerprint=_text(known[1]), by=alias)
            work = [*named, (query, (at_ns, review.by or review.actor, server, tool))]
            self._ledger.write(work, entries=[entry])
            self._known[server, tool] = (known[1], None)
        return next(pin for pin in self.list() if (pin.server, pin.tool) == (server, tool))

    def list(self) -> list[ToolPin]:
        """All of them, by server and name."""
        rows = self._ledger.read(f"SELECT {_COLUMNS} FROM tool_pin ORDER BY server, tool")  # noqa: S608 - our names
        return [self._pin(row) for row in rows]

    def _pin(self, row: tuple[Any, ...]) -> ToolPin:
        server, tool, definition, proposal, seen_ns, approved_by = row
        return ToolPin(
            server=server,
            tool=tool,
            state="pinned" if proposal is None else "changed",
            definition=self._open(definition, server, tool),
            proposed=None if proposal is None else self._open(proposal, server, tool),
            seen_ns=seen_ns,
            approved_by=approved_by,
        )

    def _statement(self, listing: Listing, each: Defined, *, new: bool, same: bool, at_ns: int) -> Statement:
        server, tool = listing.server, each.tool
        sealed = self._sealer.seal(each.definition.encode("utf-8", "surrogatepass"), _place(server, tool))
        if new:
            query = "INSERT INTO tool_pin (server, tool, fingerprint, definition, seen_ns) VALUES (?, ?, ?, ?, ?)"
            return query, (server, tool, each.fingerprint, sealed, at_ns)
        if same:
            query = "UPDATE tool_pin SET proposed = NULL, proposal = NULL, seen_ns = ? WHERE server = ? AND tool = ?"
            return query, (at_ns, server, tool)
        query = "UPDATE tool_pin SET proposed = ?, proposal = ?, seen_ns = ? WHERE server = ? AND tool = ?"
        return query, (each.fingerprint, sealed, at_ns, server, tool)

    def _open(self, sealed: bytes, server: str, tool: str) -> str:
        return self._sealer.open(sealed, _place(server, tool)).decode("utf-8", "replace")

    def _shadowing(self, listing: Listing) -> Iterable[tuple[str, str]]:
        """Tools that could be taken for another server's, and those that tell the model about one."""
        beside = set(listing.beside)
        owners = {tool: server for server, tool in self._known if server in beside}
        for each in listing.tools:
            if each.tool in owners:
                yield each.tool, owners[each.tool]
                continue
            spoken_of = {word for word in _SPOKEN_OF.findall(each.definition) if word in owners}
            for word in sorted(spoken_of)[:1]:
                yield each.tool, owners[word]


def _after(known: tuple[bytes, bytes | None], fingerprint: bytes) -> tuple[bytes, bytes | None]:
    return (known[0], None if known[0] == fingerprint else fingerprint)


def _entries(listing: Listing, each: Defined, *, new: bool, same: bool) -> list[Entry]:
    told = {"server": listing.server, "fingerprint": _text(each.fingerprint), "exchange": listing.exchange_id}
    if new:
        return [ToolPinned(actor=GATEWAY, tenant=listing.app, **told)]
    return [] if same else [ToolChanged(actor=GATEWAY, tenant=listing.app, **told)]


def _text(fingerprint: bytes) -> str:
    return b64encode(fingerprint).decode()


def _place(server: str, tool: str) -> bytes:
    return f"{server}\0{tool}".encode("utf-8", "surrogatepass")
