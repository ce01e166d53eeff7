"""Responses streams as a judge reads them: https://platform.openai.com/docs/api-reference/responses-streaming.

The wire says everything several times: as deltas, when a text is done, when its part and its item are, and once
more in the last event. Clients read one of these or the other, so all are read here.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateway.wire.blocks import Block, Doubtful, Touch, beside, close, grow, repeated
from gateway.wire.frames import Frame
from gateway.wire.gate import Entry, StreamGate
from gateway.wire.jsons import read_with
from gateway.wire.leaves import Step
from gateway.wire.parts import quoted
from gateway.wire.responses_deltas import Deltas
from gateway.wire.responses_indexes import Indexes
from gateway.wire.responses_items import ARGUMENTS, FRAME, Item, Key, check_end, given, is_spoken, kind_of, opens, same
from gateway.wire.responses_parts import annotations_of, brought, output_parts, piece_part
from gateway.wire.responses_said import said_by
from gateway.wire.responses_shapes import CARRIERS, EVENTS, SPOKEN_ITEM
from gateway.wire.shapes import misfit
from gateway.wire.values import count, mapping, sequence, text, word
from policies.trail import utf8
from policies.vocabulary.steps import Part, StepKind

BEGINS: Final = ("response.created", "response.in_progress", "response.queued")
ENDS: Final = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})
_TEXTS: Final = {
    "response.output_text": ("content", "text"),
    "response.refusal": ("content", "refusal"),
    "response.reasoning_text": ("content", "text"),
    "response.reasoning_summary_text": ("summary", "text"),
    "response.audio.transcript": ("content", "transcript"),
    "response.output_audio_transcript": ("content", "transcript"),
}
_CALLS: Final = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
}
"""By the stem of events that stream what a call is given: the type of its item, and the field that holds that."""

_PARTS: Final = ("response.content_part", "response.reasoning_summary_part", "response.reasoning_part")
_LISTS: Final = ("content", "summary")


class ResponsesReading(StreamGate):
    """Items and their parts, as their events come."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._items: dict[int, Item] = {}
        self._indexes = Indexes(strict=self._judges)
        self._displaced: list[Item] = []
        """Items whose index another one took."""
        self._owners: dict[str, Item] = {}
        """By the name that events call it by, the item that clients who go by names alone take it for."""
        self._shift = 0
        """What is added to the provider's sequence numbers."""
        self._last = -1
        """Sequence number of the last event that left."""
        self._joining = False
        """True until the first event of a further stream has come."""
        self._again = False
        self._response: dict[str, Any] = {}
        self._final: list[Item] | None = None
        """The items of the last event, in its order; None until it has come."""
        self._usage: Any = None

    def _misfit(self, frame: Frame, value: dict[str, Any]) -> str | None:
        name, kind = "" if frame.event is None else frame.event.name, event_kind(frame, value)
        if name in EVENTS and name != kind:
            return "two kinds of one event"
        if kind not in EVENTS:
            return None
        held = [value.get("item"), *sequence(mapping(value.get("response")).get("output"))]
        spoken = (misfit(item, SPOKEN_ITEM) for item in held if is_spoken(mapping(item)))
        return misfit(value, EVENTS[kind]) or next(filter(None, spoken), None)

    def _says_more(self, frame: Frame, value: dict[str, Any]) -> bool:
        kind = event_kind(frame, value)
        if kind in EVENTS or not any(value.get(name) for name in CARRIERS):
            return False
        item = self._item_at(value)
        # What an item that is judged as one piece grows by waits with it (`response.shell_call_command.delta`).
        if item is None or item.call is None or item.call.kind != "tool_call" or item.call.closed:
            return True
        return not kind.startswith(f"response.{item.fields.get('type')}")

    def _read(self, frame: Frame, value: dict[str, Any]) -> Entry | None:
        if self.paused:
            return None
        kind = event_kind(frame, value)
        if kind in ENDS and self._final is not None:
            return None  # behind the end nothing leaves
        if self._joining and type(value.get("sequence_number")) is int:
            self._joining = False
            self._shift = self._last + 1 - int(value["sequence_number"])
        if kind in BEGINS:
            self._identify(value)
            if self._again:
                self._shift -= 1
                return None
        return Entry(frame, value, tuple(self._touched(kind, value)))

    def _touched(self, kind: str, value: dict[str, Any]) -> list[Touch]:
        """What an event has to do with which blocks."""
        stem, _, tail = kind.rpartition(".")
        if stem in _CALLS:
            return self._read_call(value, stem, tail)
        if stem in _TEXTS:
            return self._read_text(value, stem, tail)
        if kind in ("response.output_item.added", "response.output_item.done"):
            return self._read_item(value, done=tail == "done")
        if stem in _PARTS:
            return self._read_part(value, stem, done=tail == "done")
        if kind in ENDS:
            return self._read_end(kind, value)
        return self._read_other(kind, value)

    def _read_other(self, kind: str, value: dict[str, Any]) -> list[Touch]:
        """A citation of a text, an error, or what happens to an item and says nothing of its own."""
        if kind == "response.output_text.annotation.added":
            return self._read_annotation(value)
        if kind == "error":
            self._check_growth(self._items.values())
            self._break_off()
        item = self._item_at(value)
        if item is not None and item.call is not None and item.call.need != "idle" and kind not in EVENTS:
            item.growth.take(kind, value)
        return self._beside_item(value)

    def _check_growth(self, items: Iterable[Item]) -> None:
        """Raise `Doubtful` where more was told of a call than it says, also where it never ended."""
        for item in items:
            item.growth.check(item.fields)

    def _beside_item(self, value: dict[str, Any]) -> list[Touch]:
        item = self._item_at(value)
        last = item.last if item is not None else None
        return [beside(last)] if last is not None else []

    def _identify(self, value: dict[str, Any]) -> None:
        response = mapping(value.get("response"))
        name = text(response.get("id"))
        if name and name not in self.response_ids:
            self.response_ids.append(name)
        if not self._response:
            self._response = response

    def _item(self, value: dict[str, Any], fields: dict[str, Any]) -> Item:
        index = self._indexes.take(value)
        if self._judges and index not in self._items and value.get("output_index") is None and self._is_amid_a_call():
            raise Doubtful("a call that begins within another")
        return self._item_of(index, fields)

    def _item_of(self, index: int, fields: dict[str, Any]) -> Item:
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = Item(fields, f"/output/{index}", late=self._turn(0).ending is not None)
            self._classify(item)
        return item

    def _displace(self, index: int, item: Item, fields: dict[str, Any]) -> Item:
        """Another item begins at the index of one: what streams of its texts goes on, for clients that go by names."""
        del self._items[index]  # for it is the last one now
        other = self._items[index] = Item(fields, item.pointer, late=item.late)
        other.texts, other.others, other.deltas = item.texts, item.others, item.deltas
        self._displaced.append(item)
        self._classify(other)
        return other

    def _is_displaced(self, item: Item, fields: dict[str, Any]) -> bool:
        """Whether a call begins where another item stands, as with Ollama and vLLM, and can be taken for none of it."""
        parts = read_with(output_parts, fields, "")[:1] if self._judges else []
        if not any(part.kind == "tool_call" for part in parts):
            return False
        block = item.call
        if block is None:
            return True
        if block.need == "idle" or block.kind != "tool_call" or not block.closed:
            return False
        return item.fields.get("call_id") not in (None, "", fields.get("call_id")) and block.is_object

    def _item_at(self, value: dict[str, Any]) -> Item | None:
        """The item that an event is about, where it has begun."""
        index = self._indexes.known(value)
        return None if index is None else self._items.get(index)

    def _is_amid_a_call(self) -> bool:
        """Whether clients that take all without an index for one item may find one call in the last and the next."""
        block = next(reversed(self._items.values())).call if self._items else None
        return block is not None and not block.closed and block.held_call and not block.is_object

    def _classify(self, item: Item) -> None:
        """An item gets its block at once, so that nothing of it leaves before there is something to see."""
        fields = item.fields
        if is_spoken(fields):
            kind = kind_of(fields)
            self._text_block(item, (kind, "summary" if kind == "reasoning" else "content", 0), "text")
            return
        parts = read_with(output_parts, fields, item.pointer)
        part = parts[0] if parts else Part(kind="model_text", pointer=item.pointer)
        item.call = self._block(part, whole=True)

    def _read_call(self, value: dict[str, Any], stem: str, tail: str) -> list[Touch]:
        kind, field = _CALLS[stem]
        item = self._item(value, {"type": kind})
        block = item.call
        if block is None or block.kind != "tool_call" or self._needs_another(block, {"type": kind}):
            if self._judges:
                raise Doubtful("arguments of a call where something else stands")
            return [] if block is None else [beside(block)]
        if tail == "delta":
            self._check_owner(item, block, value, delta=True)
            return [self._stream(item, block, value, stem)]
        said = text(value.get(field))
        if said:
            item.deltas.setdefault(block.number, Deltas(stem)).whole = True
        self._name(item, block, value)
        self._check_owner(item, block, value, delta=False)
        self._check_given(item, block, said)
        return [self._repeat(item, block, said, (field,))]

    def _take_name(self, item: Item, fields: dict[str, Any], *, done: bool) -> None:
        """An item goes by a name from its first event on, also by that of another that is over. Raises `Doubtful`."""
        name = text(fields.get("id"))
        if not name:
            return
        owner = self._owners.get(name, item)
        block = owner.call
        if owner is item or not done:
            self._owners[name] = item
        if owner is item or block is None or not block.held_call or is_spoken(fields):
            return
        if block.part.tool != word(fields.get("name")) if done else not (block.closed and block.is_object):
            raise Doubtful("a call under the name of another")

    def _check_owner(self, item: Item, block: Block, value: dict[str, Any], *, delta: bool) -> None:
        """Raise `Doubtful` where clients that go by names alone take arguments for those of another call."""
        name = text(value.get("item_id"))
        owner = self._owners.setdefault(name, item) if name else item
        if owner is item or block.need == "idle":
            return
        if delta or owner.call is None or owner.call.part.tool != block.part.tool:
            raise Doubtful("arguments under the name of another call")

    def _name(self, item: Item, block: Block, value: dict[str, Any]) -> None:
        """Arguments may come with the name of their tool."""
        name, known = value.get("name"), item.fields.get("name")
        if not name or name == known or block.need == "idle":
            return
        if known or block.closed:
            raise Doubtful("a call that is named twice")
        item.fields = {**item.fields, "name": name}
        if item.begun is not None:
            item.begun = item.fields
        block.part = read_with(output_parts, item.fields, item.pointer)[0]

    def _check_given(self, item: Item, block: Block, said: str) -> None:
        """Raise `Doubtful` where clients may put more together of a call than what streamed of it and what it ends as.

        Some providers stream something else than they end with: GitHub Copilot a ciphertext, LiteLLM the arguments of
        a function for the input of a custom tool. Each is judged then, under the name of the tool.
        """
        if self._differs(block, said) and (given(item.begun or {}) or not block.part.tool):
            raise Doubtful("a call whose arguments are given twice")

    def _differs(self, block: Block, said: str) -> bool:
        """Whether the arguments of a call came one by one as others than these."""
        return block.need != "idle" and bool(said and block.text) and not block.says(utf8(said))

    def _read_text(self, value: dict[str, Any], stem: str, tail: str) -> list[Touch]:
        holder, field = _TEXTS[stem]
        kind: StepKind = "reasoning" if "reasoning" in stem else "model_text"
        item = self._item(value, {"type": "reasoning" if kind == "reasoning" else "message", "role": "assistant"})
        place = count(value.get("summary_index" if holder == "summary" else "content_index")) or 0
        block = self._text_block(item, (kind, holder, place), field)
        if tail == "delta":
            return [self._stream(item, block, value, stem)]
        return [self._repeat(item, block, text(value.get(field)), (field,), closes=True)]

    def _stream(self, item: Item, block: Block, value: dict[str, Any], stem: str) -> Touch:
        """Add a delta to a block. Raises `Doubtful` where clients add it to another text."""
        said = text(value.get("delta"))
        if said and block.need != "idle":
            item.deltas.setdefault(block.number, Deltas(stem)).take(stem, text(value.get("item_id")))
        return grow(block, said, ("delta",))

    def _start(self, item: Item, block: Block, said: str, path: tuple[Step, ...]) -> Touch:
        """An event that begins a text may give of it; one that comes in its midst gives a text of its own."""
        return self._repeat(item, block, said, path) if block.text else grow(block, said, path)

    def _text_block(self, item: Item, key: Key, field: str) -> Block:
        block = item.texts.get(key)
        if block is None:
            kind, holder, place = key
            pointer = item.pointer if kind == "reasoning" else f"{item.pointer}/{holder}/{place}"
            part = Part(kind=kind, pointer=pointer, unread="audio" if field == "transcript" else None)
            block = item.texts[key] = self._block(part, whole=field == "transcript")
            block.sealed = kind == "reasoning"
        return block

    def _repeat(self, item: Item, block: Block, said: str, path: tuple[Step, ...], *, closes: bool = False) -> Touch:
        """An event that gives a whole text: of its own block where it repeats that, else of a block of its own."""
        if block.need == "idle":
            return beside(block)
        raw = utf8(said)
        if not block.text and not block.closed:
            block.text += raw
            block.stir()
        if block.says(raw):
            if closes:
                close(block)
            return repeated(block, path)
        if not raw:
            return beside(block)
        part = msgspec.structs.replace(block.part, text=said)
        other = self._another(item, part)
        if not other.closed:
            other.closed = True
            other.text += raw
        other.sealed = block.sealed
        return repeated(other, path)

    def _another(self, item: Item, part: Part) -> Block:
        """A whole piece that is judged by itself."""
        key = (part.kind, part.tool, part.call_id, part.pointer, part.text)
        block = item.others.get(key)
        if block is None:
            block = item.others[key] = self._block(part, whole=True)
        return block

    def _apart(self, item: Item, part: Part) -> Touch:
        """What an event has to do with such a piece, where it stands in no text of its own that could be changed."""
        block = self._another(item, part)
        block.closed = True
        return beside(block, closes=True)

    def _brought(self, item: Item, fields: dict[str, Any], part: Part, path: tuple[Step, ...]) -> list[Touch]:
        """What an event that holds a call has to do with what the provider's tool brought."""
        block = self._another(item, part)
        strings = [((*path, *where), utf8(said)) for where, said in brought(fields, part)]
        if not block.closed:
            block.closed = True
            block.text += b"\n".join([said for _, said in strings])
        touches: list[Touch] = []
        start = 0
        for where, said in strings:
            touches.append(Touch(block, start, start + len(said), where, closes=True))
            start += len(said) + 1
        return touches or [beside(block, closes=True)]

    def _read_part(self, value: dict[str, Any], stem: str, *, done: bool) -> list[Touch]:
        holder, thought = "summary" if "summary" in stem else "content", "reasoning" in stem
        item = self._item(value, {"type": "reasoning" if thought else "message", "role": "assistant"})
        place = count(value.get("summary_index" if holder == "summary" else "content_index")) or 0
        key: Key = ("reasoning" if thought else kind_of(item.fields), holder, place)
        piece = mapping(value.get("part"))
        found = said_by(piece)
        if found is None:
            return [self._textless(item, piece, key)]
        field, said = found
        block = self._text_block(item, key, field)
        touches = self._citations_of(item, piece, place, ("part",))
        if done:
            return [self._repeat(item, block, said, ("part", field), closes=True), *touches]
        begun = self._start(item, block, said, ("part", field)) if said else beside(block, opens=True)
        return [begun, *touches]

    def _textless(self, item: Item, piece: Any, where: Key) -> Touch:
        """What an event has to do with a piece that has no text of its own, or none that is known here."""
        kind, holder, place = where
        return self._apart(item, read_with(piece_part, piece, kind, f"{item.pointer}/{holder}/{place}"))

    def _read_annotation(self, value: dict[str, Any]) -> list[Touch]:
        item = self._item(value, {"type": "message", "role": "assistant"})
        place, number = count(value.get("content_index")) or 0, count(value.get("annotation_index")) or 0
        return [self._citation(item, value.get("annotation"), (place, number), ("annotation",))]

    def _citations_of(self, item: Item, piece: dict[str, Any], place: int, path: tuple[Step, ...]) -> list[Touch]:
        """What an event has to do with the citations of a text that it holds."""
        return [
            self._citation(item, citation, (place, number), (*path, "annotations", number))
            for number, citation in enumerate(annotations_of(piece))
        ]

    def _citation(self, item: Item, citation: Any, where: tuple[int, int], path: tuple[Step, ...]) -> Touch:
        pointer = f"{item.pointer}/content/{where[0]}/annotations/{where[1]}"
        return self._quoted(self._another(item, read_with(quoted, citation, pointer)), citation, path)

    def _read_item(self, value: dict[str, Any], *, done: bool) -> list[Touch]:
        fields = mapping(value.get("item"))
        if not fields:
            return self._beside_item(value)
        item = self._item(value, fields)
        index = self._indexes.known(value)
        if not done and index is not None and self._is_displaced(item, fields):
            item = self._displace(index, item, fields)
        self._take_name(item, fields, done=done)
        if done:
            return self._whole_item(item, fields, ("item",))
        if item.call is not None and is_spoken(fields):
            return self._texts_of(item, fields, ("item",), done=False) or [beside(item.call)]
        if item.call is not None and self._needs_another(item.call, fields):
            return self._stray(item, fields)
        if item.call is not None and item.call.need != "idle":
            self._begin(item, item.call, fields)
        begun = self._texts_of(item, fields, ("item",), done=False)
        if item.call is not None:  # some servers give an item whole from its beginning
            parts = read_with(output_parts, fields, item.pointer)[1:]
            begun = [touch for part in parts for touch in self._brought(item, fields, part, ("item",))]
            begun.append(opens(item.call, fields))
        return begun or [beside(block, opens=True) for block in item.blocks[:1]]

    def _needs_another(self, block: Block, fields: dict[str, Any]) -> bool:
        """Whether an event gives in the place of a block that nobody asked to see what somebody did."""
        parts = read_with(output_parts, fields, "") if self._judges and block.need == "idle" else []
        return any(self._need(part) != "idle" for part in parts[:1])

    def _begin(self, item: Item, block: Block, fields: dict[str, Any]) -> None:
        """Take over what an item that is judged as one piece begins as; its arguments may have come before."""
        known = item.begun or (item.fields if block.closed else None)
        if known not in (None, fields):
            raise Doubtful("an item that begins twice")
        if item.fields.get("type") != fields.get("type"):
            raise Doubtful("an item that becomes another one")
        if item.fields.get("name") and item.fields["name"] != fields.get("name"):
            raise Doubtful("a call that is named twice")
        item.begun = item.fields = fields
        parts = read_with(output_parts, fields, item.pointer)
        if parts and not block.closed:
            block.part = parts[0]

    def _whole_item(self, item: Item, fields: dict[str, Any], path: tuple[Step, ...]) -> list[Touch]:
        """An event that gives an item as it is in the end."""
        if item.call is not None:
            return self._whole_call(item, item.call, fields, path)
        touches = self._texts_of(item, fields, path, done=True)
        if item.over:  # nor is it looked through again
            return touches or [beside(block, closes=True) for block in (item.last,) if block is not None]
        item.over = True
        for block in item.texts.values():
            close(block)
        if item.fields.get("type") == "reasoning" and not any(block.text for block in item.texts.values()):
            self._mark_unread(item, fields)
        return touches or [beside(block, closes=True) for block in item.blocks]

    def _mark_unread(self, item: Item, fields: dict[str, Any]) -> None:
        """Reasoning that came encrypted is a piece that nobody can read, not one that says nothing."""
        unread = next((part.unread for part in read_with(output_parts, fields, item.pointer)), None)
        for block in item.blocks[:1]:
            block.part = msgspec.structs.replace(block.part, unread=unread)

    def _whole_call(self, item: Item, block: Block, fields: dict[str, Any], path: tuple[Step, ...]) -> list[Touch]:
        begun = item.begun if item.begun is not None else item.fields
        becomes = block.need != "idle" and begun.get("type", "") != fields.get("type", "")
        if becomes or self._needs_another(block, fields):
            return self._stray(item, fields) or [beside(block)]  # servers leave out items, and give others their place
        parts = read_with(output_parts, fields, item.pointer)
        field = next((name for name in ARGUMENTS if type(fields.get(name)) is str), None)
        said = text(fields.get(field)) if field else ""
        if block.need != "idle":
            check_end(begun, fields)
            item.growth.check(fields)
            if block.text and any(fields.get(name) and type(fields[name]) is not str for name in ARGUMENTS):
                raise Doubtful("a call whose arguments are given twice")
            self._check_given(item, block, said)
        # What the provider's tool brought stands beside the call.
        others = [touch for part in parts[1:] for touch in self._brought(item, fields, part, path)]
        again = block.closed
        if not again:
            item.fields = fields
            self._end_call(block, parts[0] if parts else block.part, said)
        apart = again or self._differs(block, said) or bool(block.text and not said and parts and parts[0].text)
        if parts and apart and not same(parts[0], block.part):
            return [self._apart(item, parts[0]), *others]
        if field and block.says(utf8(said)):
            return [repeated(block, (*path, field)), *others]
        return [beside(block, closes=True), *others]

    def _end_call(self, block: Block, part: Part, said: str) -> None:
        """A call is whole: given what streamed of it, else what it ends with."""
        block.closed = True
        block.part = part
        if block.text and (not said or self._differs(block, said)):
            block.part = msgspec.structs.replace(part, text=block.text.decode("utf-8", "surrogatepass"))
        if not block.text and block.need != "idle" and part.text == said:
            block.text += utf8(said)

    def _texts_of(self, item: Item, fields: dict[str, Any], path: tuple[Step, ...], *, done: bool) -> list[Touch]:
        """What an event that holds an item's texts has to do with their blocks."""
        touches: list[Touch] = []
        if item.call is not None and not is_spoken(fields):
            return touches
        if not is_spoken(fields):
            # The texts of what has no type are read below, as those of a message are.
            beyond = {key: fields[key] for key in fields if key not in FRAME and key not in _LISTS}
            touches += self._stray(item, fields if fields.get("type") else beyond)
        kind = kind_of(fields if fields.get("type") else item.fields)
        for holder in _LISTS:
            for place, piece in enumerate(sequence(fields.get(holder))):
                found = said_by(mapping(piece))
                if found is None:
                    touches.append(self._textless(item, piece, (kind, holder, place)))
                    continue
                field, said = found
                if holder == "content":
                    touches += self._citations_of(item, mapping(piece), place, (*path, holder, place))
                block = self._text_block(item, (kind, holder, place), field)
                where = (*path, holder, place, field)
                if done:
                    touches.append(self._repeat(item, block, said, where, closes=True))
                elif said:
                    touches.append(self._start(item, block, said, where))
        return touches

    def _stray(self, item: Item, fields: dict[str, Any]) -> list[Touch]:
        """Something else that a server gives in the place of an item: judged by itself, as far as it says more."""
        parts = read_with(output_parts, fields, item.pointer) if fields else []
        return [self._apart(item, part) for part in parts]

    def _read_end(self, kind: str, value: dict[str, Any]) -> list[Touch]:
        response = mapping(value.get("response"))
        if type(response.get("usage")) is dict:
            self._usage = response["usage"]
        touches: list[Touch] = []
        self._final = []
        items = [*self._items.values(), *self._displaced]
        named = {word(item.fields.get("id")): item for item in reversed(items)}
        for place, entry in enumerate(sequence(response.get("output"))):
            fields = mapping(entry)
            item = self._known_as(fields, place, named) or self._item_of(place, fields)
            self._final.append(item)
            touches += self._whole_item(item, fields, ("response", "output", place))
        self._check_growth(items)
        self._turn(0).over = True
        if kind == "response.failed":
            self._break_off()
        for item in items:
            if item.call is not None and not item.call.closed and self._differs(item.call, item.call.part.text):
                raise Doubtful("a call whose arguments are given twice")
            for block in item.blocks:
                close(block)
        return touches

    def _known_as(self, fields: dict[str, Any], place: int, named: dict[str | None, Item]) -> Item | None:
        """The item of this name, where servers leave gaps between those of the last event, or give two one index."""
        name = word(fields.get("id"))
        known = self._items.get(place)
        if not name or (known is not None and known.fields.get("id") == name):
            return known
        return named.get(name)


def event_kind(frame: Frame, value: dict[str, Any]) -> str:
    """What an event is: its type, or its name where it gives none."""
    return text(value.get("type")) or (frame.event.name if frame.event is not None else "")
