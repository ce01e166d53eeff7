"""Reasoning that one choice of a Chat stream tells in pieces (`chat_details.py`), under judgement."""

from collections.abc import Callable, Hashable, Sequence
from typing import Final

from gateway.wire.blocks import Block, Doubtful, Touch, close, grow
from gateway.wire.chat_details import Piece, word_goes_on
from gateway.wire.leaves import Step
from gateway.wire.runs import Runs
from policies.trail import utf8


class Sections:
    """What clients put together of pieces, as far as it says more than the thought beside them.

    They take all pieces in a row, those of one section or those of one form; or from each delta its pieces, and its
    thought where it has none (OpenRouter's `ai-sdk-provider`), or the other way round.
    """

    def __init__(self, begin: Callable[[int | None], Block]) -> None:
        """`begin` makes the block of a section by its place, or of all pieces."""
        self._begin: Final = begin
        self._runs: Final = Runs()
        self._ways: Final[set[str]] = set()
        """How deltas were told of which pieces and thought are not the same."""
        self._length = 0
        """Bytes that all pieces say."""
        self._thought: Block | None = None
        self._whole: Block | None = None
        """All that the pieces say; None for as long as the thought has said the same."""
        self._first: Final[dict[str, Hashable]] = {}
        """The section and the form of the first piece: what is told in them begins all that is."""
        self._ended: Final[dict[str, int]] = {}
        """Where those end."""
        self._named: Final[dict[Hashable, Block]] = {}
        self._known: Final[dict[Hashable, tuple[int, str]]] = {}
        """By section, its place and its form."""
        self.blocks: Final[list[Block]] = []

    def take(
        self, pieces: Sequence[Piece], thought: Touch | None, path: tuple[Step, ...], *, sealed: bool
    ) -> list[Touch]:
        """What a delta has to do with the blocks. Raises `Doubtful` where some client takes others together.

        `sealed`: its pieces say nothing, and clients that read those read no thought beside them.
        """
        said = utf8("".join([piece.said for piece in pieces]))
        alike = _says(thought, said)
        self._check(pieces)
        if not alike and (pieces or thought is not None):
            self._go(_way(pieces, thought, sealed=sealed))
        if thought is not None and thought.path is not None:
            self._thought = thought.block
        if self._whole is None and not (said and alike and thought is not None and thought.start == self._length):
            self._tell_apart(said)
        return [touch for piece in pieces for touch in self._piece(piece, (*path, piece.at))]

    def _check(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._runs.take(f"section {piece.section!r}", f"form {piece.form}", f"id {piece.name}")

    def _go(self, way: str) -> None:
        self._ways.add(way)
        if len(self._ways) > 1:
            raise Doubtful("a thought that is told in two ways")

    def _tell_apart(self, said: bytes) -> None:
        """The pieces say something else than the thought from here on, or no more of it while it goes on."""
        if said or (self._thought is not None and word_goes_on(self._thought.text, self._length)):
            self._whole = self._until(self._length, None)

    def _piece(self, piece: Piece, path: tuple[Step, ...]) -> list[Touch]:
        start = self._length
        self._length += len(utf8(piece.said))
        touches = [] if self._whole is None else [grow(self._whole, piece.said, path)]
        place, form = self._known.setdefault(piece.section, (len(self._known), piece.form))
        if form != piece.form:
            raise Doubtful("a section in two forms")
        if {None, 0} <= self._known.keys():
            raise Doubtful("a section that some take for the first")  # many read no index as 0
        for key, name in (("section", piece.section), ("form", piece.form)):
            if self._first.setdefault(key, name) == name:
                continue
            self._end_first(key, start)
            block = self._named.get((key, name)) or self._named.setdefault((key, name), self._block(place))
            touches.append(grow(block, piece.said, path))
        return touches

    def _end_first(self, key: str, at: int) -> None:
        """Others came: what was told until here is a text of its own, judged by itself where a word goes on."""
        told = self._whole or self._thought
        if key not in self._ended and at not in self._ended.values() and told and word_goes_on(told.text, at):
            close(self._until(at, 0))
        self._ended.setdefault(key, at)

    def _until(self, at: int, place: int | None) -> Block:
        """A block that begins with what was told until here, also where another block has said it until now."""
        told = self._whole or self._thought
        block = self._block(place)
        if at and told is not None:
            grow(block, told.text[:at].decode("utf-8", "surrogatepass"), None)
            told.shared.append((block, at))
        return block

    def _block(self, place: int | None) -> Block:
        block = self._begin(place)
        self.blocks.append(block)
        return block


def _way(pieces: Sequence[Piece], thought: Touch | None, *, sealed: bool) -> str:
    """How a delta tells what its pieces and its thought do not both say."""
    if not pieces:
        return "beside what is sealed" if sealed else "in one text"
    return "in pieces" if thought is None else "in another text"


def _says(thought: Touch | None, said: bytes) -> bool:
    """Whether a delta's thought says this, as a text."""
    if thought is None or thought.path is None or thought.end - thought.start != len(said):
        return False
    return thought.block.text.startswith(said, thought.start)
