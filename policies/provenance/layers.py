"""Layers: what a source says once its encodings are undone, for values that stand nowhere in it as it is written.

A model decodes base64 or escapes as it reads, so an order may hide where no search of the raw text finds it.
"""

import re
from typing import Final

import msgspec

from policies.provenance.folding import Folded, folded
from policies.provenance.localiser import Passage
from policies.trail import utf8
from policies.views import View, views

_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_-]{16}|%[0-9A-Fa-f]{2}|\\[ux]|&#|=[0-9A-F]{2}")
"""Without any of these there is nothing to undo."""


class Layer(msgspec.Struct, frozen=True):
    """One decoded view of a source."""

    view: View
    folded: Folded

    def origin(self, text: str, start: int, end: int) -> tuple[int, int]:
        """The characters of the source's own text that characters of the decoded one came from."""
        said, data = self.view.text, utf8(text)
        first = len(utf8(said[:start]))
        low, high = self.view.origin(first, first + len(utf8(said[start:end])))
        left = len(data[:low].decode("utf-8", "surrogatepass"))
        return left, left + len(data[low:high].decode("utf-8", "surrogatepass"))

    def passage(self, text: str, found: Passage | None) -> Passage | None:
        """A passage of the decoded text, with its offsets in the source's own text."""
        if found is None:
            return None
        start, end = self.origin(text, found.start, found.end)
        first, last = self.origin(text, found.run_start, found.run_end)
        return msgspec.structs.replace(found, start=start, end=end, run_start=first, run_end=last)


def layers(text: str) -> tuple[Layer, ...]:
    """The decoded views of a source; none where nothing in it looks encoded."""
    if not _ENCODED.search(text):
        return ()
    return tuple([Layer(view, folded(view.text)) for view in views(text) if view.kind == "decoded"])
