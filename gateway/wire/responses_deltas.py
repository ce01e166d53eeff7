"""The deltas of one text of a Responses stream, and whether all clients put the same together from them."""

from typing import Final

from gateway.wire.blocks import Doubtful
from gateway.wire.runs import Runs


class Deltas:
    """Deltas that came for one place, in a row: clients tell them apart by their kind, and by the item they name."""

    def __init__(self, stem: str) -> None:
        self._stem: Final = stem
        self._names: Final = Runs()
        self.whole = False
        """True once an event has given all of the text."""

    def take(self, stem: str, name: str) -> None:
        """Another delta. Raises `Doubtful` where for some client it goes on with something else than the last one."""
        if self.whole:
            raise Doubtful("more of a text behind its end")
        if stem != self._stem:
            raise Doubtful("two kinds of text in one place")
        self._names.take(name)
