"""Messages streams under judgement: https://platform.claude.com/docs/en/build-with-claude/streaming."""

from typing import Any, Final

import msgspec

from gateway.wire.anthropic_parts import block_parts, cited, message_parts
from gateway.wire.anthropic_shapes import CARRIERS, EVENTS, TEXTS
from gateway.wire.blocks import Block, Doubtful, Source, Touch, beside, cannot_be_read, close, grow, stands
from gateway.wire.frames import Frame
from gateway.wire.gate import BROUGHT, Answered, Entry, Failed, Refused, StreamGate, Substituted, TurnEnding, changed
from gateway.wire.jsons import event, read_with
from gateway.wire.leaves import Step, Tree
from gateway.wire.runs import Runs
from gateway.wire.shapes import misfit
from gateway.wire.totals import added
from gateway.wire.values import count, label, mapping, sequence, text
from policies.vocabulary.steps import Part, StepKind

_WORDLESS: Final = frozenset({"signature_delta", "citations_delta", "compaction_delta"})
"""Deltas that may come without any text."""

_SAYING: Final[dict[str, StepKind]] = {
    "text": "model_text",
    "partial_json": "tool_call",
    "thinking": "reasoning",
    "content": "model_text",
}
"""What the text of a delta is to a judge, by where it stands."""

_KNOWN: Final = frozenset({"text_delta", "input_json_delta", "thinking_delta", "compaction_delta"})
_BLOCK_TEXTS: Final = {"text": "text", "thinking": "thinking", "compaction": "content"}
_BLOCK_EVENTS: Final = ("content_block_start", "content_block_delta", "content_block_stop")
_PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
_PINGS: Final = frozenset({b'{"type": "ping"}', b'{"type":"ping"}'})


class AnthropicGate(StreamGate):
    """Blocks come one after the other, each index is opened once, and usage is cumulative."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._blocks: dict[int, Block] = {}
        self._runs: dict[int, Runs] = {}
        self._places: dict[int, int] = {}
        """Index of each block as the client knows it."""
        self._cited: dict[int, int] = {}
        """Number of the last citation that came, by block."""
        self._next = 0
        self._shown: set[int] = set()
        """Blocks the client has seen begin and not end."""
        self._usage: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        """What earlier streams of this reply were billed."""
        self._heard = False
        """True once the provider has begun a reply."""

    def keepalive(self) -> bytes:
        """A `ping`."""
        return b"" if self.ended else _PING

    def _is_keepalive(self, frame: Frame) -> bool:
        return frame.event is None or (frame.event.name == "ping" and frame.event.data.strip() in _PINGS)

    def _misfit(self, frame: Frame, value: dict[str, Any]) -> str | None:
        name, kind = "" if frame.event is None else frame.event.name, kind_of(frame, value)
        if name in EVENTS and name != kind:
            return "two kinds of one event"
        if kind not in EVENTS:
            return None
        return misfit(value, EVENTS[kind]) or (self._misplaced(kind, value) if kind in _BLOCK_EVENTS else None)

    def _misplaced(self, kind: str, value: dict[str, Any]) -> str | None:
        """Why clients may take an event for one about another block than the gate does; None where they do not."""
        given = value.get("index")
        index = count(given)
        if index is None and (given is not None or any(self._blocks)):
            return "a block whose index is none"
        block = self._blocks.get(index or 0)
        if kind == "content_block_start":
            return "a block that begins twice" if block is not None and not block.closed else None
        return "a piece of a block that has not begun" if kind == "content_block_delta" and block is None else None

    def _says_more(self, frame: Frame, value: dict[str, Any]) -> bool:
        return kind_of(frame, value) not in EVENTS and any(value.get(name) for name in CARRIERS)

    def _read(self, frame: Frame, value: dict[str, Any]) -> Entry | None:
        if self.paused:
            return None
        kind = kind_of(frame, value)
        if kind == "message_start" and self._heard:
            self._usage = mapping(mapping(value.get("message")).get("usage"))
            return None
        return Entry(frame, value, self._touched(frame, kind, value))

    def _touched(self, frame: Frame, kind: str, value: dict[str, Any]) -> tuple[Touch, ...]:
        """What an event has to do with which blocks."""
        index = count(value.get("index")) or 0
        if kind == "content_block_delta":
            return self._delta(index, mapping(value.get("delta")))
        if kind == "content_block_start":
            return self._start(frame, index, mapping(value.get("content_block")))
        if kind == "content_block_stop":
            return self._stop(index)
        if kind == "message_start":
            message = mapping(value.get("message"))
            self._usage = mapping(message.get("usage"))
            self._heard = True
            return self._whole_blocks(message)
        if kind == "message_delta":
            said = {key: counts for key, counts in mapping(value.get("usage")).items() if counts is not None}
            self._usage = {**self._usage, **said}
        if kind in ("message_delta", "message_stop"):
            self._turn(0).over = True
        elif kind == "error":
            self._break_off()
        return self._end_open() if kind == "message_stop" else ()

    def _end_open(self) -> tuple[Touch, ...]:
        """The turn is over: blocks that the provider did not end are what they are."""
        left = [block for block in self._blocks.values() if not block.closed]
        for block in left:
            close(block)
        return tuple([beside(block, closes=True) for block in left])

    def _whole_blocks(self, message: dict[str, Any]) -> tuple[Touch, ...]:
        """Blocks that stand in the first event, as some servers send a reply they did not stream."""
        parts = read_with(message_parts, message, "assistant")
        return tuple([beside(self._whole(part), closes=True) for part in parts])

    def _start(self, frame: Frame, index: int, fields: dict[str, Any]) -> tuple[Touch, ...]:
        part, *others = read_with(block_parts, fields, "model_text", f"/content/{index}")
        field = _BLOCK_TEXTS.get(text(fields.get("type"))) if part.unread is None else None
        block = self._blocks[index] = self._block(part, whole=field is None and part.kind != "tool_call")
        self._runs[index] = Runs()
        block.sealed = part.kind == "reasoning"
        citations = sequence(fields.get("citations")) if field == "text" else []
        touches = [self._cite(index, one, ("content_block", "citations", at)) for at, one in enumerate(citations)]
        touches += [beside(self._whole(other), closes=True) for other in others[len(citations) :]]
        if field and (said := text(fields.get(field))):
            return (grow(block, said, ("content_block", field)), *touches)
        if block.kind in BROUGHT and part.text and block.need != "idle":
            return (stands(block, _source(frame, index, part), ("content_block",)), *touches)
        if part.unread is not None and part.text:  # what grows from here goes on from there
            return (grow(block, part.text, None), *touches)
        return (beside(block, opens=True), *touches)

    def _whole(self, part: Part) -> Block:
        """A piece that stands whole in the event that brings it."""
        block = self._block(part, whole=True)
        block.closed = True
        return block

    def _cite(self, index: int, citation: Any, path: tuple[Step, ...]) -> Touch:
        """A citation of a text: a piece of its own, as the reader has it."""
        number = self._cited[index] = self._cited.get(index, -1) + 1
        return self._quoted(
            self._block(read_with(cited, citation, f"/content/{index}", number), whole=True), citation, path
        )

    def _delta(self, index: int, delta: dict[str, Any]) -> tuple[Touch, ...]:
        kind = text(delta.get("type"))
        block = self._blocks.get(index)
        if block is None:  # its start never came, and nothing is judged
            return ()
        if kind == "signature_delta" and block.kind == "reasoning" and not block.text:
            block.part = msgspec.structs.replace(block.part, unread="encrypted")
        citation = delta.get("citation")
        cites = (self._cite(index, citation, ("delta", "citation")),) if citation else ()
        field = next((name for name in TEXTS if text(delta.get(name))), None)
        if field is None:
            if kind not in _WORDLESS and not _says_nothing(delta):
                cannot_be_read(block, f"unknown delta {label(kind)}")
            return (beside(block), *cites)
        return (self._said(index, block, kind, field, text(delta.get(field))), *cites)

    def _said(self, index: int, block: Block, kind: str, field: str, said: str) -> Touch:
        """A delta that says something. Raises `Doubtful` where clients differ in what they make of it."""
        if self._strays(block, kind, _SAYING[field]):
            raise Doubtful("a text of another kind than its block")
        is_call = block.kind == "tool_call"
        if block.need != "idle":
            self._runs[index].take(f"{kind}()", field)
            if is_call and not block.text and block.part.text not in ("", "{}"):
                raise Doubtful("a call whose arguments are given twice")
            if is_call != (field == "partial_json"):
                cannot_be_read(block, f"unknown delta {label(kind)}")
        return grow(block, said, ("delta", field))

    def _strays(self, block: Block, kind: str, own: StepKind) -> bool:
        """Whether a delta says what clients may take for another kind of step than its block is judged as."""
        if own == block.kind:
            return False
        if block.need == "idle":
            return self._need(Part(kind=own)) != "idle"
        return kind in _KNOWN and block.kind not in BROUGHT

    def _stop(self, index: int) -> tuple[Touch, ...]:
        block = self._blocks.get(index)
        if block is None:
            return ()
        close(block)
        return (beside(block, closes=True),)

    def _render(self, entry: Entry) -> bytes:
        kind = kind_of(entry.frame, entry.value)
        if kind.startswith("content_block"):
            return self._render_block(entry, kind)
        if kind == "message_start":
            self._opening = entry.frame.raw
            if any(touch.block.dropped for touch in entry.touches):
                return changed(entry.frame, [(("message", "content"), [])])
            self._next = len(sequence(mapping(entry.value.get("message")).get("content")))
        elif kind == "message_delta":
            return self._render_end(entry)
        elif kind == "message_stop":
            lead = self._close(self._turn(0).ending) if not self._turn(0).ended else b""
            if self.paused:
                return b""
            self.ended = True
            return lead or entry.frame.raw
        elif kind == "error":
            self.ended = True
        return entry.frame.raw

    def _render_block(self, entry: Entry, kind: str) -> bytes:
        index = count(entry.value.get("index")) or 0
        if any(touch.block.dropped for touch in entry.touches):
            return b""
        if kind == "content_block_start":
            self._places[index] = self._next
            self._next += 1
            self._shown.add(self._places[index])
        place = self._places.get(index, index)
        if kind == "content_block_stop":
            self._shown.discard(place)
        changes: list[tuple[tuple[Step, ...], Any]] = [*self._changes(entry)]
        if place != index:
            changes.append((("index",), place))
        return changed(entry.frame, changes)

    def _render_end(self, entry: Entry) -> bytes:
        """The event that says how the turn ended."""
        turn = self._turn(0)
        turn.ended = True
        usage = mapping(entry.value.get("usage"))
        changes: list[tuple[tuple[Step, ...], Any]] = []
        if self._before:
            changes.append((("usage",), {**usage, **self._billed()}))
        ending = turn.ending
        if ending is None:
            return changed(entry.frame, changes)
        if isinstance(ending, Answered):
            self._pause()
            return b""
        changes += [(("delta", "stop_reason"), _reason(ending)), (("delta", "stop_sequence"), None)]
        return self._say(ending) + changed(entry.frame, changes)

    def _billed(self) -> dict[str, Any]:
        return added(self._before, self._usage)

    def _pause(self) -> None:
        self._before = self._billed()
        self._usage = {}
        self.paused = True

    def _say(self, ending: Substituted | Refused) -> bytes:
        """Our words as a block of text, behind whatever the client has seen begin."""
        said = b"".join(self._stopped(place) for place in sorted(self._shown))
        self._shown.clear()
        if not ending.notice:
            return said
        place = self._next
        self._next += 1
        start = {"type": "content_block_start", "index": place, "content_block": {"type": "text", "text": ""}}
        delta = {
            "type": "content_block_delta",
            "index": place,
            "delta": {"type": "text_delta", "text": ending.notice},
        }
        return said + event(start, "content_block_start") + event(delta, "content_block_delta") + self._stopped(place)

    def _stopped(self, place: int) -> bytes:
        return event({"type": "content_block_stop", "index": place}, "content_block_stop")

    def _close(self, ending: TurnEnding | None) -> bytes:
        """The end of a rejected turn whose own end never came."""
        turn = self._turn(0)
        if ending is None or turn.ended:
            return b""
        turn.ended = True
        if isinstance(ending, Answered):
            self._pause()
            return b""
        return self._whole_end(ending)

    def _whole_end(self, ending: Substituted | Refused) -> bytes:
        said = self._say(ending)
        delta = {"stop_reason": _reason(ending), "stop_sequence": None}
        usage = self._billed() if self._before else self._usage
        end = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0, **usage}}
        self.ended = True
        return said + event(end, "message_delta") + event({"type": "message_stop"}, "message_stop")

    def _finish(self) -> bytes:
        return self._close(self._turn(0).ending) if self._opening else b""

    def _end_after_pause(self, ending: Substituted | Refused) -> bytes:
        return self._whole_end(ending)

    def _begin_again(self) -> None:
        self._blocks.clear()
        self._runs.clear()
        self._places.clear()
        self._cited.clear()

    def _error(self, failed: Failed) -> bytes:
        body = self._dialect.error_body(400, failed.message, self._exchange_id, code=failed.code)
        return b"event: error\ndata: " + body + b"\n\n"


def _source(frame: Frame, index: int, part: Part) -> Source:
    """The block that an event begins with all its text, as it stands there."""
    tree = Tree(b"{}" if frame.event is None else frame.event.data)
    node = tree.root.at("content_block")
    standing = b"{}" if node is None else tree.token(node)
    return Source(standing, lambda value: block_parts(value, "model_text", f"/content/{index}"), part.pointer)


def kind_of(frame: Frame, value: dict[str, Any]) -> str:
    """What an event is: by its data, or by its name, which some clients go by alone."""
    return text(value.get("type")) or (frame.event.name if frame.event is not None else "")


def _says_nothing(delta: dict[str, Any]) -> bool:
    """Whether a delta has a place for text, and no text in it."""
    return any(type(delta.get(name)) is str for name in TEXTS)


def _reason(ending: Substituted | Refused) -> str:
    return "refusal" if isinstance(ending, Refused) else "end_turn"
