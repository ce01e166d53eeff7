"""The calls of one streamed choice: which of them a piece belongs to, for every client the same.

Clients tell calls apart by index, by id, or by where in a list the index points (the official SDK); others go on with
the last call until another id comes. Some servers (Ollama, NVIDIA Dynamo) give several whole calls one index; older
vLLM gives every piece of one call another id.
"""

from typing import Any

from gateway.wire.blocks import Block, Doubtful
from gateway.wire.listed import Listed
from gateway.wire.values import count, word


class Calls:
    """Calls that begin one after the other."""

    def __init__(self) -> None:
        self._at: dict[int, int] = {}
        """By index, the place of the call that goes on there."""
        self._listed = Listed()
        self._numbered = True
        self._ids: dict[str, int] = {}
        """The places of all ids that came."""
        self._named: dict[int, str] = {}
        """By place, the id that came last."""
        self._last = -1
        self._behind: list[int] = []
        """Calls that began where another one was."""

    def place(self, call: dict[str, Any], function: dict[str, Any], blocks: dict[int, Block]) -> int:
        """The call a piece belongs to. Raises `Doubtful` where clients would take it for a piece of another."""
        index = self._index(call.get("index"))
        name = word(call.get("id")) or ""
        at = self._at.get(index)
        other = at is not None and name not in ("", self._named[at])
        if at is None or (other and function.get("name") and blocks[at].part.tool is not None):
            at = self._begin(index, name, blocks)
        elif other and name in self._ids:
            raise Doubtful("a call that another one stands within")
        self._named[at] = name or self._named.get(at, "")
        if name:
            self._ids[name] = at
        return at

    def _index(self, given: Any) -> int:
        index = count(given)
        numbered = index is not None
        if (given is not None and not numbered) or (self._at and numbered != self._numbered):
            raise Doubtful("a call whose index is none")
        self._numbered = numbered
        index = index or 0
        if not self._listed.finds(index):
            raise Doubtful("a call that clients take for a piece of another")
        return index

    def _begin(self, index: int, name: str, blocks: dict[int, Block]) -> int:
        """Another call begins; one that some client joins it to has to be whole, so that what is joined is no JSON."""
        before = self._ids.get(name) if name else self._last
        for earlier in (self._at.get(index), before):
            joined = blocks[earlier] if earlier is not None and earlier >= 0 else None
            if joined is not None and not (joined.text.startswith(b"{") and joined.is_object):
                raise Doubtful("a call that clients take for a piece of another")
        place = self._last = max(index, self._last + 1)
        if index in self._at:
            self._behind.append(place)
        self._at[index] = place
        return place

    def end(self, blocks: dict[int, Block]) -> None:
        """The choice is over. Raises `Doubtful` where an earlier call's arguments are the only ones of two names."""
        if any(not blocks[place].text.strip() for place in self._behind):
            raise Doubtful("a call that clients take for a piece of another")
