"""Whole turns of Anthropic Messages: https://platform.claude.com/docs/en/api/messages."""

from collections.abc import Collection
from typing import Any

import msgspec

from gateway.wire.anthropic_parts import block_parts
from gateway.wire.frames import Frames
from gateway.wire.gate import Refused, Substituted
from gateway.wire.interface import RequestView
from gateway.wire.jsons import decode, encode, is_json, read_with
from gateway.wire.leaves import Step, Tree, array_of, replaced
from gateway.wire.replies import LARGEST_REPLY
from gateway.wire.totals import added
from gateway.wire.turns import Unanswerable, appended, only
from gateway.wire.values import count, mapping, sequence, text
from policies.vocabulary.steps import Part

_GROWING = {"text_delta": "text", "thinking_delta": "thinking", "compaction_delta": "content"}


class AnthropicTurns:
    """Blocks under `content`; results are blocks of the next `user` message."""

    def end(self, reply: bytes, ending: Substituted | Refused, rejected: Collection[str]) -> bytes:
        """A reply without its calls and what was rejected."""
        gone = only(rejected, "/content/")
        kept = [raw for at, (raw, part) in enumerate(_blocks(reply)) if at not in gone and not _is_call(part)]
        if ending.notice:
            kept.append(encode({"type": "text", "text": ending.notice}))
        changes: list[tuple[tuple[Step, ...], Any]] = [
            (("content",), array_of(kept)),
            (("stop_reason",), "refusal" if isinstance(ending, Refused) else "end_turn"),
            (("stop_sequence",), None),
        ]
        return replaced(reply, changes)

    def merge(self, first: bytes, second: bytes) -> bytes:
        """One message of two."""
        before = [raw for raw, part in _blocks(first) if not _is_call(part)]
        one, other = mapping(decode(first)), mapping(decode(second))
        changes: list[tuple[tuple[Step, ...], Any]] = [
            (("id",), encode(one.get("id"))),
            (("content",), array_of([*before, *(raw for raw, _ in _blocks(second))])),
            (("usage",), encode(added(one.get("usage"), other.get("usage")))),
        ]
        return replaced(second, changes)

    def assemble(self, stream: bytes) -> bytes:
        """The message of an event stream."""
        message: dict[str, Any] = {}
        blocks: dict[int, dict[str, Any]] = {}
        arguments: dict[int, str] = {}
        over = False
        for event in _events(stream):
            kind, index = event.get("type"), count(event.get("index")) or 0
            if kind == "message_start":
                message = dict(mapping(event.get("message")))
            elif kind == "content_block_start":
                blocks[index] = dict(mapping(event.get("content_block")))
            elif kind == "content_block_delta":
                _grow(blocks.setdefault(index, {}), mapping(event.get("delta")), arguments, index)
            elif kind == "message_delta":
                over = True
                said = {key: value for key, value in mapping(event.get("usage")).items() if value is not None}
                message |= {**mapping(event.get("delta")), "usage": {**mapping(message.get("usage")), **said}}
        if not over or not message:
            raise Unanswerable("the provider's stream is not whole")
        for index, given in arguments.items():
            if given:
                blocks[index]["input"] = msgspec.Raw(given.encode()) if is_json(given) else {}
        content = [*sequence(message.get("content")), *(blocks[index] for index in sorted(blocks))]
        return encode({**message, "content": content})

    def answer(self, body: bytes, view: RequestView, reply: bytes, notice: str) -> bytes:
        """The request with the turn and a result for each of its calls."""
        blocks = [(raw, part) for raw, part in _blocks(reply) if not _is_empty(part)]
        results: list[dict[str, Any]] = []
        for _, part in blocks:
            if not _is_call(part):
                continue
            if not part.call_id:
                raise Unanswerable("a call without an id takes no result")
            results.append({"type": "tool_result", "tool_use_id": part.call_id, "content": notice, "is_error": True})
        if not results:
            raise Unanswerable("this turn holds no call")
        turn = b'{"role":"assistant","content":' + array_of([raw for raw, _ in blocks]) + b"}"
        return appended(body, view, "messages", [turn, encode({"role": "user", "content": results})])

    def owed(self, reply: bytes, notice: str) -> list[bytes]:
        """See `Turns.owed`: nothing is kept on this wire."""
        del reply, notice
        return []


def _blocks(reply: bytes) -> list[tuple[bytes, Part]]:
    """Each block of a reply as it is written, with its first part."""
    tree = Tree(reply)
    holder = tree.root.at("content")
    tokens = [tree.token(node) for node in holder.items] if holder is not None else []
    return [
        (token, read_with(block_parts, decode(token), "model_text", f"/content/{at}")[0])
        for at, token in enumerate(tokens)
    ]


def _is_call(part: Part) -> bool:
    return part.kind == "tool_call" and not part.server_side


def _is_empty(part: Part) -> bool:
    """Whether this is a text block without text, which the API gives but does not take."""
    return part.kind == "model_text" and not part.text and part.unread is None


def _events(stream: bytes) -> list[dict[str, Any]]:
    frames = Frames(LARGEST_REPLY)
    return [mapping(decode(frame.event.data)) for frame in frames.feed(stream) if frame.event is not None]


def _grow(block: dict[str, Any], delta: dict[str, Any], arguments: dict[int, str], index: int) -> None:
    kind = text(delta.get("type"))
    if kind == "input_json_delta":
        arguments[index] = arguments.get(index, "") + text(delta.get("partial_json"))
    elif kind in _GROWING:
        field = _GROWING[kind]
        block[field] = text(block.get(field)) + text(delta.get(field))
    elif kind == "signature_delta":
        block["signature"] = delta.get("signature")
    elif kind == "citations_delta":
        block["citations"] = [*sequence(block.get("citations")), delta.get("citation")]
