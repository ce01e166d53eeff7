"""Rows: texts of one turn that clients put in a row, so that a finding may stand over the seam of two.

The end of a text is kept back until so much has come behind it as one finding can span, the turn goes on with
something else than a text, or it is over: in practice until the very next event.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from gateway.wire.blocks import Block, Window, boundary
from gateway.wire.edits import Uneditable, cut


class Row:
    """Texts in the order they began."""

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self._blocks: list[Block] = []
        self._clear = 0
        """So many of the first need not wait for what follows them. What is decided stays so."""

    def join(self, block: Block) -> None:
        """Another text begins."""
        block.row = self
        self._blocks.append(block)

    @property
    def rests(self) -> bool:
        """Whether its last text is whole."""
        return self._blocks[-1].closed

    @property
    def waits(self) -> bool:
        """Whether a text that was let pass waits for what follows it."""
        return any(block.judged and not block.decided for block in islice(self._blocks, self._clear, None))

    def followed(self) -> None:
        """The turn goes on with something else than the next of them."""
        self._blocks[-1].followed = self.rests

    def before(self, block: Block) -> str:
        """The end of what was said before a text that streams by: what a finding in it can begin with."""
        most = 2 * block.need.size if isinstance(block.need, Window) else 0
        found = b""
        for earlier in self._earlier(block):
            if len(found) >= most:
                break
            found = bytes(earlier.text[boundary(earlier.text, len(earlier.text) - most) :]) + found
        return found.decode("utf-8", "surrogatepass")

    def reached(self, block: Block, reach: int) -> list[tuple[Block, int]]:
        """The texts before a block that so many bytes stand in, each with where they begin. Raises `Uneditable`."""
        found: list[tuple[Block, int]] = []
        for earlier in self._earlier(block):
            if not reach:
                break
            start = max(len(earlier.text) - reach, 0)
            reach -= len(earlier.text) - start
            if _is_cut(earlier, start):
                continue
            if not earlier.judged or earlier.sealed or earlier.settled > start:
                raise Uneditable("this text began before what can still be changed")
            found.append((earlier, start))
        if reach:
            raise Uneditable("this text began before what can still be changed")
        return found

    def take(self, block: Block, taken: Sequence[tuple[Block, int]]) -> None:
        """Take out of the texts before a block what goes with its first bytes, once those do."""
        if taken and not (block.edits and block.edits[0].start == 0):
            block.covered = 0  # it may still grow, and goes out as a whole or not at all
        else:
            for earlier, start in taken:
                earlier.edits = cut(earlier.edits, start, len(earlier.text))

    def let_go(self, *, over: bool) -> None:
        """Settle the ends of texts, as far as nothing that is to come can go on with them. `over`: the turn is."""
        behind = None if over else 0
        for block in islice(reversed(self._blocks), len(self._blocks) - self._clear):
            if block.followed:
                behind = None
            if not (block.judged or block.decided):
                behind = block.covered
                continue
            if not block.decided:
                _settle(block, behind)
            behind = None if behind is None else behind + len(block.text)
        while self._clear < len(self._blocks) and self._blocks[self._clear].decided:
            self._clear += 1

    def _earlier(self, block: Block) -> Iterator[Block]:
        """The texts that stand before a block, the last of them first."""
        return (
            each for each in reversed(self._blocks) if each.number < block.number and each.text and not each.dropped
        )


def _settle(block: Block, behind: int | None) -> None:
    """Let a text that was judged go, but for what a finding may begin with that ends beyond so many bytes behind it."""
    size = block.need.size if isinstance(block.need, Window) else 0
    held = 0 if behind is None else max(size - behind, 0)
    block.settled = max(block.settled, boundary(block.text, len(block.text) - held))
    block.decided = not held


def _is_cut(block: Block, start: int) -> bool:
    """Whether the end of a text goes already: a finding reached it, and goes on behind it."""
    return bool(block.edits) and block.edits[-1].start <= start and block.edits[-1].end == len(block.text)
