"""Responses streams under judgement, as they leave: whatever is changed is changed everywhere it is said.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any

import msgspec

from gateway.wire.frames import Frame, reframed
from gateway.wire.gate import Answered, Entry, Failed, Refused, Substituted, TurnEnding, changed
from gateway.wire.jsons import decode, event
from gateway.wire.leaves import Step, Tree, replaced
from gateway.wire.responses_indexes import Indexes
from gateway.wire.responses_reading import BEGINS, ENDS, ResponsesReading, event_kind
from gateway.wire.responses_said import message_item
from gateway.wire.totals import added
from gateway.wire.values import mapping

_Changes = list[tuple[tuple[Step, ...], Any]]


class ResponsesGate(ResponsesReading):
    """Items and their parts; `sequence_number` and `output_index` go on without gaps whatever is taken out."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._places: dict[int, int] = {}
        """By output index, the index the client knows."""
        self._next = 0
        self._moved = False
        """True once output indexes are not the provider's."""
        self._kept: list[bytes] = []
        """Items of earlier streams, as they left."""
        self._done: dict[int, bytes] = {}
        """Items of this stream as they left, for servers whose last event does not repeat them."""
        self._unfinished: set[int] = set()
        """Items the client has seen begin and not end."""
        self._before: Any = None

    def keepalive(self) -> bytes:
        """Another `response.in_progress`; nothing before the first event, for until then the headers can wait."""
        if self.ended or not self._response or self._last < 0:
            return b""
        return self._own("response.in_progress", {"response": {**self._response, "status": "in_progress"}})

    def _own(self, kind: str, fields: dict[str, Any]) -> bytes:
        """An event of ours, with the next sequence number."""
        self._last += 1
        self._shift += 1
        return event({"type": kind, "sequence_number": self._last, **fields}, kind)

    def _last_seen(self) -> bytes:
        return event({"type": "seen", "sequence_number": self._last}, "seen")

    def _render(self, entry: Entry) -> bytes:
        value = entry.value
        kind = event_kind(entry.frame, value)
        if kind in ENDS:
            return self._render_end(entry)
        index, item = self._indexes.known(value), self._item_at(value)
        if item is not None and self._turn(0).ending is not None and item.gone:
            self._shift -= 1
            self._moved = True
            return b""
        if any(touch.block.dropped for touch in entry.touches):
            self._shift -= 1
            return b""
        changes = self._text_changes(entry)
        if index is not None and item is not None:
            place = self._place(index)
            if place != index and value.get("output_index") is not None:
                changes.append((("output_index",), place))
        if kind == "response.output_item.added" and index is not None and item is not None:
            self._unfinished.add(index)
        if kind == "response.output_item.done" and index is not None:
            self._unfinished.discard(index)
            if value.get("item") and self._needs.tool_call != "idle":
                self._done[self._place(index)] = _item_of(entry.frame, changes)
        if kind in BEGINS and not self._opening:
            self._opening = entry.frame.raw
        self.ended = self.ended or kind == "error"
        return changed(entry.frame, [*changes, *self._number(value)])

    def _text_changes(self, entry: Entry) -> _Changes:
        """Changed texts; token probabilities beside one go, for they repeat it."""
        changes = self._changes(entry)
        echoes: _Changes = []
        for path, _ in changes:
            holder: Any = entry.value
            for step in path[:-1]:
                holder = holder[step]
            if mapping(holder).get("logprobs"):
                echoes.append(((*path[:-1], "logprobs"), []))
        return [*changes, *echoes]

    def _place(self, index: int) -> int:
        place = self._places.get(index)
        if place is None:
            place = self._places[index] = self._next if self._moved else index
            self._next = max(self._next, place + 1)
        return place

    def _number(self, value: dict[str, Any]) -> _Changes:
        """The change of an event's sequence number."""
        given = value.get("sequence_number")
        if type(given) is not int:
            return []
        self._last = given + self._shift
        return [(("sequence_number",), self._last)] if self._shift else []

    def _render_end(self, entry: Entry) -> bytes:
        """The last event, which repeats the whole output."""
        turn = self._turn(0)
        turn.ended = True
        ending = turn.ending
        texts = self._text_changes(entry)
        if ending is None and not self._again:
            self.ended = True
            return changed(entry.frame, [*texts, *self._number(entry.value)])
        data = entry.frame.event.data if entry.frame.event is not None else b"{}"
        data = replaced(data, texts) if texts else data
        output = [*self._kept, *self._output(data)]
        if isinstance(ending, Answered):
            self._pause(output)
            return b""
        self.ended = True
        return self._rewritten_end(entry, data, output, ending)

    def _rewritten_end(
        self, entry: Entry, data: bytes, output: list[bytes], ending: Substituted | Refused | None
    ) -> bytes:
        said = b""
        changes: _Changes = []
        if isinstance(ending, Substituted):
            said, item = self._say(ending.notice)
            output = [*output, item]
            changes = _status("completed", None)
        elif isinstance(ending, Refused):
            changes = _status("failed", {"code": "invalid_prompt", "message": ending.notice})
        changes.append((("response", "output"), b"[" + b",".join(output) + b"]"))
        if self.response_ids:
            changes.append((("response", "id"), self.response_ids[0]))
        if self._before is not None:
            changes.append((("response", "usage"), added(self._before, self._usage)))
        changes += self._number(entry.value)
        end = replaced(data, changes)
        if ending is None:
            return said + reframed(entry.frame, end)
        name = b"response.failed" if isinstance(ending, Refused) else b"response.completed"
        return said + b"event: " + name + b"\ndata: " + end.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n"

    def _output(self, data: bytes) -> list[bytes]:
        """The items of this stream that left, as JSON texts."""
        tree = Tree(data)
        holder = tree.root.at("response", "output")
        given = holder.items if holder is not None else []
        if given:
            return [tree.token(node) for node, item in zip(given, self._final or (), strict=True) if item.stays]
        return [item for _, item in sorted(self._done.items())]

    def _say(self, notice: str) -> tuple[bytes, bytes]:
        """Our words as a message item: its events, and the item."""
        place = self._next
        self._next += 1
        item, events = message_item(f"msg_{self._exchange_id}", place, notice)
        return b"".join(self._own(kind, fields) for kind, fields in events), msgspec.json.encode(item)

    def _pause(self, output: list[bytes]) -> None:
        self._kept = output
        self._before = added(self._before, self._usage)
        self._usage = None
        self.paused = True

    def _finish(self) -> bytes:
        """The end of a rejected response whose own end never came."""
        turn = self._turn(0)
        ending: TurnEnding | None = turn.ending
        if ending is None or turn.ended:
            return b""
        turn.ended = True
        if self._unfinished:  # a half item can neither be ended well nor be followed by others
            broken = "The provider's answer ended before it was complete."
            return self._fail(Failed(broken if isinstance(ending, Answered) else ending.notice))
        output = [*self._kept, *[item for _, item in sorted(self._done.items())]]
        if isinstance(ending, Answered):
            self._pause(output)
            return b""
        return self._whole_end(ending, output)

    def _whole_end(self, ending: Substituted | Refused, output: list[bytes]) -> bytes:
        response: dict[str, Any] = {**self._response, "usage": added(self._before, self._usage)}
        said = b""
        self.ended = True
        if isinstance(ending, Substituted):
            said, item = self._say(ending.notice)
            response |= {"status": "completed", "output": [msgspec.Raw(one) for one in (*output, item)]}
            return said + self._own("response.completed", {"response": response})
        failure = {"code": "invalid_prompt", "message": ending.notice}
        response |= {"status": "failed", "error": failure, "output": [msgspec.Raw(one) for one in output]}
        return self._own("response.failed", {"response": response})

    def _end_after_pause(self, ending: Substituted | Refused) -> bytes:
        return self._whole_end(ending, self._kept)

    def _begin_again(self) -> None:
        self._items.clear()
        self._indexes = Indexes(strict=self._judges)
        self._displaced.clear()
        self._owners.clear()
        self._places.clear()
        self._done.clear()
        self._final = None
        self._joining = True
        self._again = True
        self._moved = True

    def _error(self, failed: Failed) -> bytes:
        body = self._dialect.error_body(400, failed.message, self._exchange_id, code=failed.code)
        response: dict[str, Any] = {"id": f"resp_{self._exchange_id}", "object": "response", **self._response}
        failure = {"code": "invalid_prompt", "message": failed.message}
        response |= {"status": "failed", "error": failure, "output": []}
        error = mapping(mapping(decode(body)).get("error"))
        return self._own("response.failed", {"response": response, "error": error})


def _status(status: str, failure: dict[str, str] | None) -> _Changes:
    """The last event's type and its response's status."""
    return [
        (("type",), f"response.{status}"),
        (("response", "status"), status),
        (("response", "error"), failure),
        (("response", "incomplete_details"), None),
    ]


def _item_of(frame: Frame, changes: _Changes) -> bytes:
    """The item of an event as it leaves."""
    data = frame.event.data if frame.event is not None else b"{}"
    tree = Tree(replaced(data, changes) if changes else data)
    node = tree.root.at("item")
    return tree.token(node) if node is not None else b"null"
