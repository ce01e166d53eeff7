"""The deltas of one text of a Responses stream, and whether all clients put the same together from them."""

from typing import Final

from gateway.wire.gate import Doubtful


class Deltas:
    """Deltas that came for one place, in a row: clients tell them apart by their kind, and by the item they name."""

    def __init__(self, stem: str) -> None:
        self._stem: Final = stem
        self._name = ""
        self._names: set[int] = set()
        """Hashes of the names that came: some providers (GitHub Copilot) give each event another, and long ones."""
        self.whole = False
        """True once an event has given all of the text."""

    def take(self, stem: str, name: str) -> None:
        """Another delta. Raises `Doubtful` where for some client it goes on with something else than the last one."""
        if self.whole:
            raise Doubtful("more of a text behind its end")
        if stem != self._stem:
            raise Doubtful("two kinds of text in one place")
        if name != self._name and hash(name) in self._names:
            raise Doubtful("a text that another one stands within")
        self._name = name
        self._names.add(hash(name))
