"""A stream under judgement: bytes in, bytes out, and in between the pieces somebody has to decide on.

Events leave in the order they came. One that carries text which is not yet judged waits, and what came after
it waits behind it; keep-alives alone pass by. An event on which nothing was changed leaves as the very bytes it
came in. What a gate knows of its wire is in the dialects' own files; here is what waiting and deciding mean.

- `idle` blocks are looked at by no one.
- `Window(n)`: text passes except for its last n bytes, n being the longest run of bytes that one finding can
  span. So what has left can hold no part of a finding that is still to come, wherever the events were cut.
- `whole`: nothing of the block leaves before its end was judged. A turn's tool calls leave together, when the
  turn has ended and each was let pass: a call that has left cannot be taken back.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from gateway.wire.blocks import (
    Block,
    Doubtful,
    Judgement,
    Need,
    Source,
    Touch,
    Window,
    beside,
    boundary,
    close,
    repeated,
    rewritten,
    shared,
    touches_edit,
)
from gateway.wire.edits import Replacement, Uneditable, cut, replace_ranges
from gateway.wire.frames import Frame, Frames, Oversized, reframed
from gateway.wire.interface import Dialect
from gateway.wire.jsons import decode, encode, is_json, read_with
from gateway.wire.leaves import Step, replaced
from gateway.wire.replies import LARGEST_EVENT, LARGEST_REPLY
from gateway.wire.rows import Row
from gateway.wire.strict import repetition
from gateway.wire.values import compact, mapping
from policies.trail import utf8
from policies.vocabulary.steps import Part, StepKind

BROUGHT: Final[frozenset[StepKind]] = frozenset({"tool_result", "retrieval", "tool_definitions"})
"""What a reply holds of tools that the provider ran, beside their calls."""


DOUBTFUL: Final = "The provider's answer may be read otherwise than it was checked"


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy in force wants to see before the caller does."""

    text: Need = "idle"
    """What the model says, refusals and blocks nobody knows included."""

    reasoning: Need = "idle"
    tool_call: Literal["idle", "whole"] = "idle"
    """Calls the caller would run."""

    server_side: Literal["idle", "whole"] = "idle"
    """Calls the provider ran and what they brought: judged after the act, each by itself."""


class Substituted(msgspec.Struct, frozen=True):
    """The turn ends normally; instead of what was rejected it says this."""

    notice: str


class Refused(msgspec.Struct, frozen=True):
    """The turn ends with the dialect's own refusal."""

    notice: str


class Failed(msgspec.Struct, frozen=True):
    """The stream ends at once with the dialect's terminal error."""

    message: str
    code: str | None = None


class Answered(msgspec.Struct, frozen=True):
    """The turn does not end: what the provider says when asked again goes on in its place (`continue_with`)."""


TurnEnding: TypeAlias = Substituted | Refused | Answered
Ending: TypeAlias = TurnEnding | Failed


class Fed(msgspec.Struct, frozen=True):
    """What follows from bytes or from a decision."""

    sent: bytes
    """To be sent now."""

    asked: tuple[Judgement, ...] = ()
    """To be decided, in this order; each stays open until it is, or until its turn is rejected."""


class Entry(msgspec.Struct, frozen=True):
    """An event in the queue."""

    frame: Frame
    value: dict[str, Any]
    touches: tuple[Touch, ...] = ()
    unknown: bool = False
    """True for an event of a kind nobody knows, which is one piece: it goes with its block."""


class Turn:
    """One reply of a stream: there are several where several choices were asked for."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.over = False
        """True once the provider said how it ended."""
        self.ending: TurnEnding | None = None
        self.ended = False
        """True once its end has left."""
        self._clear = 0
        """So many of the first blocks hold no call back. What is decided stays so, and no block is looked at twice."""

    @property
    def released(self) -> bool:
        """Whether its tool calls may leave."""
        if not self.over:
            return False
        while self._clear < len(self.blocks):
            block = self.blocks[self._clear]
            if block.held_call and not block.decided:
                return False
            self._clear += 1
        return True


class StreamGate(ABC):
    """One client's stream; feed it what the provider sends, send on what it returns, and decide what it asks.

    Never raises for what a provider sent. An event too large to be looked into ends the stream as an error.
    """

    def __init__(self, dialect: Dialect, needs: Needs, exchange_id: str) -> None:
        self._dialect = dialect
        self._needs = needs
        self._judges = needs != Needs()
        self._exchange_id = exchange_id
        self._frames = Frames(LARGEST_EVENT)
        self._queue: deque[Entry] = deque()
        self._passed = 0
        """So many of the first event's touches let it leave."""
        self._turns: dict[int, Turn] = {}
        self._open: dict[int, Block] = {}
        self._stirred: dict[int, Block] = {}
        """Blocks of which something is new, by number: those that were given up or asked about go unasked."""
        self._rejections: list[TurnEnding] = []
        """How turns of this stream end that were rejected."""
        self._rows: dict[tuple[int, StepKind], Row] = {}
        """Texts of each choice that clients put in a row; those of a follow-up go on from the first answer's."""
        self._waiting: set[Row] = set()
        """Those whose last text is whole, and those with texts that were let pass but for their ends."""
        self._begun = 0
        """How many blocks there have been."""
        self._judgements = 0
        self._held = 0
        self._opening = b""
        """The event that began the reply, as it left."""
        self.ended = False
        """True once the stream's end has left: nothing may follow."""
        self.paused = False
        """True where the provider's turn is over and was taken back: `continue_with` the next, or `reject` it."""
        self.changed = False
        """True once anything left otherwise than it came, or did not leave."""
        self.doubted = False
        """True where it ended because a client may read what came otherwise than it was judged."""
        self.response_ids: list[str] = []
        """Ids of the provider's responses behind this one, where later requests may go on from an id alone: the
        client knows the first, the last holds the history."""

    # What a caller does

    def feed(self, data: bytes) -> Fed:
        """Take the next decoded bytes of the provider's stream."""
        try:
            frames = self._frames.feed(data)
        except Oversized:
            return Fed(self._fail(Failed("An event of the provider's answer is too large to be checked.")))
        return self._take_all(frames)

    def finish(self) -> Fed:
        """The provider's stream has ended, whether it was complete or not.

        A turn that was rejected is ended now if it has not been. Where the provider broke off otherwise, send
        `terminal_error`; what is still held then never leaves.
        """
        fed = self._take_all([frame for frame in self._frames.finish() if _is_whole(frame)])
        return fed if self.ended else Fed(fed.sent + self._finish(), fed.asked)

    def decide(self, judgement: Judgement, ranges: Iterable[Replacement] = (), *, reach: int = 0) -> Fed:
        """Let a piece pass, with ranges of its text replaced. Raises `Uneditable`, and then has decided nothing.

        `reach`: bytes that go with them from the end of what stands `before` the piece. A judgement that was overtaken
        by a rejection of its turn is ignored.
        """
        block = self._open.get(judgement.number)
        if block is None:
            return Fed(b"")
        wanted = tuple(ranges)
        if wanted:
            _check(block, judgement, wanted)
        taken = _reached(block, reach) if reach else []
        del self._open[judgement.number]
        block.asked = None
        self._settle(block, judgement, wanted)
        if block.row is not None:
            block.row.take(block, taken)
            self._let_go(block.row)
        block.stir()
        return self._go_on()

    def reject(self, judgement: Judgement, ending: Ending) -> Fed:
        """Reject a piece, and with it all of its turn that has not left. The turn then ends as `ending` says.

        Its end leaves when the provider's own has come, so that usage is what the provider said; `Failed` at once.
        """
        if judgement.number not in self._open:
            return Fed(b"")
        if isinstance(ending, Failed):
            return Fed(self._fail(ending))
        turn = self._turn(judgement.choice)
        turn.ending = ending
        self._rejections.append(ending)
        self.changed = True
        for block in turn.blocks:
            if not block.decided or not block.opened:
                self._give_up(block)
        self._drop_rest(turn)
        return self._go_on()

    def end_paused(self, ending: Ending) -> Fed:
        """End a stream that is `paused` after all: the provider could not be asked again, or not in time."""
        if not self.paused or self.ended or isinstance(ending, Answered):
            return Fed(b"")
        if isinstance(ending, Failed):
            return Fed(self._fail(ending))
        self.paused = False
        return Fed(self._end_after_pause(ending))

    def continue_with(self) -> None:
        """The next bytes are those of another stream, the answer to the follow-up; the client sees one reply go on."""
        self._frames = Frames(LARGEST_EVENT)
        self._queue.clear()
        self._passed = 0
        self._turns.clear()
        self._open.clear()
        self._stirred.clear()
        self._rejections.clear()
        self._held = 0
        self.paused = False
        self.changed = True
        self._begin_again()

    @abstractmethod
    def keepalive(self) -> bytes:
        """An event that says nothing and that clients count as life. Empty where none can be sent yet."""

    def terminal_error(self, message: str) -> bytes:
        """What ends a stream the provider did not finish, as an error its SDKs raise."""
        if self.ended:
            return b""
        self.ended = True
        reader = self._dialect.reply_reader("chat", stream=True)
        reader.feed(self._opening, 0)
        reader.feed(self._last_seen(), 0)
        return reader.terminal_error(message, self._exchange_id)

    def over(self, choice: int = 0) -> bool:
        """Whether the provider has said how this reply ends: all that belongs to it has been asked for by then."""
        turn = self._turns.get(choice)
        return turn is not None and turn.over

    @property
    def holding(self) -> bool:
        """Whether anything waits for a decision, so that the client needs keep-alives."""
        return bool(self._queue) or self.paused

    # What a wire knows

    @abstractmethod
    def _read(self, frame: Frame, value: dict[str, Any]) -> Entry | None:
        """What an event has to do with which blocks; None where it does not leave. Marks turns that are over."""

    @abstractmethod
    def _misfit(self, frame: Frame, value: dict[str, Any]) -> str | None:
        """What in an event some client may read otherwise than `_read` does; None where nothing is."""

    @abstractmethod
    def _says_more(self, frame: Frame, value: dict[str, Any]) -> bool:
        """Whether an event that `_read` makes nothing of may say something to a client."""

    @abstractmethod
    def _render(self, entry: Entry) -> bytes:
        """An event whose time has come, as it leaves."""

    @abstractmethod
    def _finish(self) -> bytes:
        """Ends of rejected turns that the provider never ended."""

    @abstractmethod
    def _end_after_pause(self, ending: Substituted | Refused) -> bytes:
        """The end of a reply whose follow-up did not come."""

    @abstractmethod
    def _begin_again(self) -> None:
        """Keep what the client has seen, forget the stream that is over."""

    @abstractmethod
    def _error(self, failed: Failed) -> bytes:
        """The dialect's terminal error."""

    def _last_seen(self) -> bytes:
        """An event that tells a reader how far the client's stream has come."""
        return b""

    def _is_keepalive(self, frame: Frame) -> bool:
        """Whether an event only says that the connection lives."""
        return frame.event is None

    def _drop_rest(self, turn: Turn) -> None:  # noqa: B027 - most wires end one block before the next begins
        """Drop what has not left of blocks that go on beside a rejected one."""

    # Waiting and deciding

    def _take_all(self, frames: Sequence[Frame]) -> Fed:
        sent: list[bytes] = []
        for frame in frames:
            if self.ended:
                sent.append(self._behind(frame))
                continue
            if self._is_keepalive(frame):
                sent.append(frame.raw)
                continue
            try:
                entry = self._entry(frame)
            except RecursionError:
                sent.append(self._fail(Failed("An event of the provider's answer nests too deeply to be checked.")))
                continue
            except Doubtful as doubt:
                self.doubted = True
                sent.append(self._fail(Failed(f"{DOUBTFUL}: {doubt}.")))
                continue
            if entry is None:
                self.changed = True
                continue
            self._held += len(frame.raw)
            self._queue.append(entry)
            self._follow(entry)
            if any(touch.block.need != "idle" for touch in entry.touches):
                continue
            sent.append(self._flush())
        if self._held > LARGEST_REPLY:
            return Fed(b"".join(sent) + self._fail(Failed("The provider's answer is too large to be checked.")))
        fed = self._go_on()
        return Fed(b"".join([*sent, fed.sent]), fed.asked)

    def _entry(self, frame: Frame) -> Entry | None:
        """An event that is no keep-alive. Raises `Doubtful` where clients may read it otherwise, `RecursionError`."""
        data = b"" if frame.event is None else frame.event.data
        value = _value(data)
        said = data.strip()
        if not self._judges or self.paused or not said or said.startswith(b"[DONE]"):
            return self._read(frame, mapping(value))
        if type(value) is not dict:
            return self._of_unknown_kind(frame, data.decode("utf-8", "replace"), "not an object")
        value = mapping(value)  # pyright: ignore[reportUnknownArgumentType] - JSON keys are strings
        if doubt := repetition(data, value) or self._misfit(frame, value):
            raise Doubtful(doubt)
        if self._says_more(frame, value):
            return self._of_unknown_kind(frame, read_with(compact, value), "unknown event")
        return self._read(frame, value)

    def _of_unknown_kind(self, frame: Frame, said: str, why: str) -> Entry:
        """An event that no reader here knows but that says something: all of it is one piece."""
        block = self._block(Part(kind="model_text", text=said, unread=why), whole=True)
        block.closed = True
        return Entry(frame, {}, (beside(block, closes=True),), unknown=True)

    def _quoted(self, block: Block, value: Any, path: tuple[Step, ...]) -> Touch:
        """What an event has to do with a block that is a JSON value of its own, such as a citation."""
        if not block.closed:
            block.closed = True
            block.source = Source(encode(value), _as_text, "")
            block.text += block.part.text.encode()
        return repeated(block, path)

    def _behind(self, frame: Frame) -> bytes:
        """An event behind the end: blank lines, comments and another end mark pass where the end was the provider's."""
        idle = frame.event is None or frame.event.data.startswith(b"[DONE]")
        return frame.raw if idle and not self.changed else b""

    def _go_on(self) -> Fed:
        """Send what may leave, and ask for what is ripe."""
        stirred = sorted(self._stirred.values(), key=_began)
        self._stirred.clear()
        ripe = [block for block in stirred if block.ripe]
        asked = tuple([judgement for block in ripe if (judgement := self._ask(block)) is not None])
        return Fed(self._flush(), asked)

    def _flush(self) -> bytes:
        queue = self._queue
        sent: list[bytes] = []
        while queue and not self.ended and self._may_go(queue[0]):
            entry = queue.popleft()
            self._held -= len(entry.frame.raw)
            gone = entry.unknown and all(touch.block.dropped for touch in entry.touches)
            rendered = b"" if gone else self._render(entry)
            if rendered is not entry.frame.raw:
                self.changed = True
            for touch in entry.touches:
                touch.block.opened = touch.block.opened or bool(rendered)
                touch.block.sent = max(touch.block.sent, touch.end)
            sent.append(rendered)
        return b"".join(sent)

    def _may_go(self, first: Entry) -> bool:
        """Whether the first event may leave. What once may stays so, and no touch of it is looked at again."""
        touches = first.touches
        while self._passed < len(touches):
            if not all(map(self._may_leave, shared(touches[self._passed]))):
                return False
            self._passed += 1
        self._passed = 0
        return True

    def _may_leave(self, touch: Touch) -> bool:
        block = touch.block
        if block.dropped or block.need == "idle":
            return True
        if block.held_call:
            return self._turn(block.choice).released
        if block.decided:
            return True
        least = max(touch.end, block.first or 1) if touch.opens else touch.end
        return block.need != "whole" and not touch.closes and least <= block.settled

    def _ask(self, block: Block) -> Judgement | None:
        if block.decided:
            return None
        length = len(block.text)
        part = block.part
        start = 0
        if isinstance(block.need, Window):
            if not block.closed and length <= max(block.asked_length, 0):
                return None
            start = boundary(block.text, max(min(block.settled, length) - block.need.size, 0))
            part = msgspec.structs.replace(part, text=block.text[start:].decode("utf-8", "surrogatepass"))
        elif not block.closed:
            return None
        if not length and part.kind != "tool_call" and part.unread is None and not part.text:
            block.decided = True  # there is nothing to judge
            if block.row is not None:
                self._let_go(block.row)
            return None
        self._judgements += 1
        block.asked_from, block.asked_length = start, length
        block.asked = Judgement(
            number=self._judgements,
            part=part,
            before="" if start or block.row is None else block.row.before(block),
            fresh=max(block.settled - start, 0),
            final=block.closed,
            choice=block.choice,
        )
        self._open[self._judgements] = block
        return block.asked

    def _settle(self, block: Block, judgement: Judgement, ranges: Sequence[Replacement]) -> None:
        """Take over a decision: what it covers may leave, as far as nothing to come can change it."""
        length = block.asked_length
        safe = block.covered = length
        base = block.asked_from
        if judgement.final and block.row is not None and isinstance(block.need, Window):
            safe = max(boundary(block.text, length - block.need.size), block.settled)
        elif isinstance(block.need, Window) and not judgement.final:
            # A finding that reaches the end of what has come may go on beyond the window (a key block without its end
            # mark): it stays in sight from its beginning on.
            growing = min([base + found.start for found in ranges if base + found.end >= length], default=length)
            safe = max(boundary(block.text, min(length - block.need.size, growing)), block.settled)
        for found in sorted(ranges, key=_start):
            start = boundary(block.text, base + found.start)
            end = boundary(block.text, base + found.end, up=True)
            start = max(start, block.settled, block.edits[-1].end if block.edits else 0)
            if start < end and (judgement.final or start < safe):
                block.edits.append(Replacement(start, end, found.text))
        block.settled = safe
        block.judged = judgement.final
        block.decided = judgement.final and block.row is None

    def _follow(self, entry: Entry) -> None:
        """Let go of texts whose turn goes on with something else than the next of them, or is over."""
        touched = {touch.block.row for touch in entry.touches if touch.block.row is not None}
        self._waiting |= {row for row in touched if row.rests}
        for row in tuple(self._waiting):
            if self._turn(row.choice).over:
                self._let_go(row)
            elif row not in touched:
                row.followed()
                self._let_go(row)

    def _let_go(self, row: Row) -> None:
        """Settle the ends of texts that need not wait any more."""
        row.let_go(over=self._turn(row.choice).over)
        (self._waiting.add if row.waits else self._waiting.discard)(row)

    def _break_off(self) -> None:
        """The provider reports an error: what has come of each block is all there will be, and is judged as it is."""
        for turn in self._turns.values():
            turn.over = True
            for block in turn.blocks:
                close(block)

    def _give_up(self, block: Block) -> None:
        """Drop what has not left of a block; of one that the client has seen begin, only the rest of its text."""
        if block.asked is not None:
            self._open.pop(block.asked.number, None)
            block.asked = None
        block.decided = True
        block.dropped = block.source is not None or not block.opened
        if not block.dropped:
            block.edits = cut(block.edits, block.sent, LARGEST_REPLY << 3)

    def _block(self, part: Part, choice: int = 0, *, whole: bool = False) -> Block:
        """A new block of a turn. `whole`: not to be let pass piece by piece."""
        held_call = part.kind == "tool_call" and not part.server_side
        need = self._need(part)
        if whole and need != "idle":
            need = "whole"
        self._begun += 1
        held_call = held_call and need != "idle"
        block = Block(part, need, choice, self._begun, held_call=held_call, stirred=self._stirred)
        turn = self._turn(choice)
        if turn.over and need != "idle":
            raise Doubtful("more of a turn behind its end")
        turn.blocks.append(block)
        if isinstance(need, Window):
            self._rows.setdefault((choice, part.kind), Row(choice)).join(block)
        if turn.ending is not None:
            block.decided = block.dropped = True
        return block

    def _need(self, part: Part) -> Need:
        """What the policy in force wants to see of such a part."""
        if part.server_side or part.kind in BROUGHT:
            return self._needs.server_side
        if part.kind == "tool_call":
            return self._needs.tool_call
        return self._needs.reasoning if part.kind == "reasoning" else self._needs.text

    def _turn(self, choice: int) -> Turn:
        turn = self._turns.get(choice)
        if turn is None:
            turn = self._turns[choice] = Turn()
        return turn

    def _fail(self, failed: Failed) -> bytes:
        if self.ended:
            return b""
        self._queue.clear()
        self._open.clear()
        self._stirred.clear()
        self.changed = True
        error = self._error(failed)
        self.ended = True
        return error

    def _changes(self, entry: Entry) -> list[tuple[tuple[Step, ...], Any]]:
        """The texts of an event that leave otherwise than they came."""
        return [
            (touch.path, rewritten(touch))
            for touch in entry.touches
            if touch.path is not None and touch.block.edits and touches_edit(touch)
        ]


def changed(frame: Frame, changes: Sequence[tuple[Sequence[Step], Any]]) -> bytes:
    """The frame with values of its JSON replaced; the very same bytes where there are none."""
    if not changes or frame.event is None:
        return frame.raw
    return reframed(frame, replaced(frame.event.data, changes))


def _as_text(value: Any) -> list[Part]:
    return [Part(kind="model_text", text=compact(value))]


def _began(block: Block) -> int:
    return block.number


def _reached(block: Block, reach: int) -> list[tuple[Block, int]]:
    """The texts before a block that so many bytes stand in, each with where they begin. Raises `Uneditable`."""
    if block.row is None:
        raise Uneditable("this text began before what can still be changed")
    return block.row.reached(block, reach)


def _check(block: Block, judgement: Judgement, ranges: Sequence[Replacement]) -> None:
    """Raise `Uneditable` where these ranges of a block cannot be changed."""
    if block.sealed or block.part.unread is not None:
        raise Uneditable("this text is signed, or is not all there is to it")
    text = judgement.part.text
    length = len(utf8(text))
    if any(not 0 <= found.start <= found.end <= length for found in ranges):
        raise Uneditable("the range lies outside of the text")
    if block.source is not None:
        block.source.edited(ranges)
        return
    if length != len(block.text) - block.asked_from and judgement.final:
        raise Uneditable("the text did not come as text")
    if block.kind == "tool_call" and is_json(text) and not is_json(replace_ranges(text, ranges)):
        raise Uneditable("the arguments would no longer be JSON")


def _value(data: bytes) -> Any:
    """An event's JSON; None where its data is none. Raises `RecursionError`."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError):
        return decode(data)


def _start(found: Replacement) -> int:
    return found.start


def _is_whole(frame: Frame) -> bool:
    """Whether an event that broke off is one all the same: its JSON is whole, or it is the `[DONE]` mark."""
    if frame.event is None:
        return True
    return frame.event.data.startswith(b"[DONE]") or is_json(frame.event.data.decode("utf-8", "replace"))
