"""Blocks: pieces of a reply that are judged each by itself, and what events have to do with them."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from gateway.wire.edits import PartEdit, Read, Replacement, edited
from gateway.wire.jsons import decode
from gateway.wire.leaves import Step
from policies.trail import utf8
from policies.vocabulary.steps import Part, StepKind

if TYPE_CHECKING:
    from gateway.wire.rows import Row


class Doubtful(Exception):
    """An event that some client may read otherwise than it is judged; the message says what is doubtful."""


class Window(msgspec.Struct, frozen=True):
    """Text is held back by as many bytes as one finding can span."""

    size: int


Need: TypeAlias = Literal["idle", "whole"] | Window


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A piece that waits for a decision."""

    number: int
    part: Part
    """As the reply's reader gives it; of text that streams by, only the stretch that can still matter."""

    fresh: int = 0
    """First byte of the part's text that has not left; those before are there to be looked at."""

    before: str = ""
    """The end of what the turn said before the part, where its beginning is asked about: clients put both in a row."""

    final: bool = True
    """False where the block goes on: then ranges near the end may be found again, longer, in the next judgement."""

    choice: int = 0
    """Which of several replies it belongs to."""


class Source(msgspec.Struct, frozen=True):
    """A JSON value that stands whole in one event, and how the text of a block is read from it."""

    json: bytes
    read: Read
    pointer: str
    """Of the part among those `read` gives."""

    def edited(self, ranges: Iterable[Replacement]) -> bytes:
        """The value with ranges of the text replaced where its strings stand. Raises `Uneditable`."""
        return edited(self.json, self.read, [PartEdit(pointer=self.pointer, ranges=tuple(ranges))])


class Block:
    """A piece of a reply that is judged by itself."""

    def __init__(
        self, part: Part, need: Need, choice: int, number: int, *, held_call: bool, stirred: "dict[int, Block]"
    ) -> None:
        """`stirred` is where it enters itself whenever there may be something new to ask."""
        self.part = part
        self.number = number
        """Of those of its stream, in the order they began."""
        self.need: Need = need
        self.choice = choice
        self.held_call = held_call
        """True for a call that leaves only with its turn."""
        self.text = bytearray()
        self.first = 0
        """Bytes of the first piece of the text that came."""
        self.settled = 0
        """Bytes of the text that may leave."""
        self.sent = 0
        """Bytes of the text that have left."""
        self.opened = False
        """True once an event of this block has left."""
        self._closed = False
        self._stirred = stirred
        self.decided = need == "idle"
        self.dropped = False
        self.sealed = False
        """True where a signature covers the text."""
        self.edits: list[Replacement] = []
        self.shared: list[tuple[Block, int]] = []
        """Blocks whose text begins with so many bytes of this one: what carries those waits for them too."""
        self.source: Source | None = None
        """The JSON that the text was read from, where it is no string of its own."""
        self.asked: Judgement | None = None
        self.asked_from = 0
        self.asked_length = -1
        self.judged = False
        """True once the last of it was asked about and let pass."""
        self.row: Row | None = None
        """The texts of its turn that clients put it in a row with."""
        self.followed = False
        """True once the turn went on with something else than another text."""
        self.covered = 0
        """Bytes that were asked about, and hold nothing that goes with more of the text before it than went."""

    @property
    def closed(self) -> bool:
        """Whether no more of it can come."""
        return self._closed

    @closed.setter
    def closed(self, closed: bool) -> None:
        self._closed = closed
        self.stir()

    @property
    def ripe(self) -> bool:
        """Whether there is more to be asked about than was."""
        if self.decided or self.judged or self.asked is not None:
            return False
        return self._closed or (len(self.text) > self.asked_length and self.need != "whole")

    def stir(self) -> None:
        """Some of it is new: a gate looks at no block again and again."""
        if not self.decided:
            self._stirred[self.number] = self

    @property
    def kind(self) -> StepKind:
        """What it is to a judge."""
        return self.part.kind

    @property
    def is_object(self) -> bool:
        """Whether what a call is given is an object: what comes behind that can be no more of it."""
        return type(decode(bytes(self.text) or utf8(self.part.text))) is dict

    def says(self, raw: bytes) -> bool:
        """Whether this is all of its text, compared where it lies: it may be long, and many events may repeat it."""
        return len(self.text) == len(raw) and self.text.startswith(raw)


class Touch(msgspec.Struct, frozen=True):
    """What an event has to do with a block: the bytes of its text it carries, and where."""

    block: Block
    start: int
    end: int
    path: tuple[Step, ...] | None = None
    """Where in the event's JSON that text stands; None where it carries none."""

    closes: bool = False
    """True where the event says that the block is whole."""

    opens: bool = False
    """True where the event begins the block: it leaves with the first of its text, for no client likes empty ones."""


def grow(block: Block, text: str, path: tuple[Step, ...] | None) -> Touch:
    """Add streamed text to a block; returns what the event that brought it has to do with it.

    Raises `Doubtful` where the block has ended: it was judged as what it was by then.
    """
    start = len(block.text)
    if block.closed and text and block.need != "idle":
        raise Doubtful("more of a text behind its end")
    if block.need != "idle":
        block.text += utf8(text)
        block.first = block.first or len(block.text)
        block.stir()
    return Touch(block, start, len(block.text), path)


def cannot_be_read(block: Block, why: str) -> None:
    """A piece says something in a way nobody here knows: what has not left of its block waits for the end."""
    block.part = msgspec.structs.replace(block.part, unread=block.part.unread or why)
    if block.need != "idle":
        block.need = "whole"


def close(block: Block) -> None:
    """A block is whole: what has streamed by is its text."""
    if not block.closed:
        block.closed = True
        if block.text:
            block.part = msgspec.structs.replace(block.part, text=block.text.decode("utf-8", "surrogatepass"))


def stands(block: Block, source: Source, path: tuple[Step, ...]) -> Touch:
    """Take over the text of a block from the value in the event that begins it; it may grow from there on."""
    touch = grow(block, block.part.text, path)
    block.source = source
    return touch


def beside(block: Block, *, closes: bool = False, opens: bool = False) -> Touch:
    """What an event without text has to do with a block: it stands at this place of it."""
    return Touch(block, len(block.text), len(block.text), None, closes, opens)


def repeated(block: Block, path: tuple[Step, ...]) -> Touch:
    """What an event has to do with a block whose whole text it repeats."""
    return Touch(block, 0, len(block.text), path, closes=True)


def rewritten(touch: Touch) -> Any:
    """The text an event carries, as it leaves; as JSON bytes where it was written from a value."""
    block = touch.block
    if block.source is None:
        return changed_text(touch)
    return block.source.edited(block.edits)


def shared(touch: Touch) -> list[Touch]:
    """The touch, and the same of blocks that begin with its block's text, and of those that begin with theirs."""
    found = [touch]
    for block, end in touch.block.shared:
        if touch.start < end:
            found += shared(Touch(block, touch.start, min(touch.end, end)))
    return found


def touches_edit(touch: Touch) -> bool:
    """Whether a change falls into the text an event carries."""
    edits = touch.block.edits
    at = _first_edit(touch)
    return at < len(edits) and edits[at].start < touch.end


def changed_text(touch: Touch) -> str:
    """The text an event carries, as it leaves: a replacement stands where the range it replaces began."""
    text, at = touch.block.text, touch.start
    pieces: list[bytes] = []
    for edit in islice(touch.block.edits, _first_edit(touch), None):
        if edit.start >= touch.end:
            break
        pieces.append(bytes(text[at : max(edit.start, at)]))
        if edit.start >= touch.start:
            pieces.append(utf8(edit.text))
        at = min(edit.end, touch.end)
    pieces.append(bytes(text[at : touch.end]))
    return b"".join(pieces).decode("utf-8", "surrogatepass")


def _first_edit(touch: Touch) -> int:
    """Of a block's edits, in order and disjoint, the first that ends behind where the touch begins."""
    return bisect_right(touch.block.edits, touch.start, key=_end)


def _end(edit: Replacement) -> int:
    return edit.end


def boundary(text: bytearray, offset: int, *, up: bool = False) -> int:
    """The offset itself, or the nearest one before (after) it that cuts no character."""
    offset = max(0, min(offset, len(text)))
    while 0 < offset < len(text) and text[offset] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8 continuation bytes
        offset += 1 if up else -1
    return offset
