"""Whole turns of Chat Completions: https://platform.openai.com/docs/api-reference/chat."""

from collections.abc import Collection, Iterator
from typing import Any

from gateway.wire.chat_details import DETAILS
from gateway.wire.chat_parts import REASONING
from gateway.wire.frames import Frames
from gateway.wire.gate import Refused, Substituted
from gateway.wire.interface import RequestView
from gateway.wire.jsons import decode, encode
from gateway.wire.leaves import Node, Step, Tree, members, object_of, replaced
from gateway.wire.replies import LARGEST_REPLY
from gateway.wire.totals import added
from gateway.wire.turns import Unanswerable, appended, only
from gateway.wire.values import count, mapping, sequence, text, word

_CALLS = ("tool_calls", "function_call")
_ONCE = frozenset({"role", "type", "id", "name", "index", "format"})
"""Fields that come whole, wherever they come."""

_RETURNED = ("role", "content", "refusal", "reasoning_content", "reasoning", DETAILS, *_CALLS)
"""What of a reply's message is sent back: the rest (`annotations`, `audio`) is for reading only."""

_THOUGHTS = (*REASONING, DETAILS)
"""What tells of one thought: who may not read it under one name may not under another."""

_Changes = list[tuple[tuple[Step, ...], Any]]


class ChatTurns:
    """One message a choice; results are messages of role `tool`."""

    def end(self, reply: bytes, ending: Substituted | Refused, rejected: Collection[str]) -> bytes:
        """A reply whose choices with something rejected end without it."""
        changes: _Changes = []
        beside = {pointer[1:].partition("/")[0] for pointer in rejected if not pointer.startswith("/choices/")}
        changes += [((key,), []) for key in sorted(beside)]
        touched = only(rejected, "/choices/")
        if beside:
            touched.add(0)
        tree = Tree(reply)
        for place, index, message in _messages(tree):
            if index not in touched:
                continue
            gone = {pointer.rpartition("/message/")[2].partition("/")[0] for pointer in rejected}
            gone.update(_THOUGHTS if gone.intersection(_THOUGHTS) else ())
            fields = {key: raw for key, raw in members(tree, message).items() if key not in (*_CALLS, *gone)}
            content = decode(fields.get("content", b"null"))
            if ending.notice:
                fields["content"] = encode(_joined(content, ending.notice))
            reason = "content_filter" if isinstance(ending, Refused) else "stop"
            changes += [
                (("choices", place, "message"), object_of(fields)),
                (("choices", place, "finish_reason"), reason),
            ]
            if mapping(decode(reply))["choices"][place].get("logprobs"):
                changes.append((("choices", place, "logprobs"), None))
        return replaced(reply, changes)

    def merge(self, first: bytes, second: bytes) -> bytes:
        """One completion of two, of one choice each."""
        one, other = mapping(decode(first)), mapping(decode(second))
        before = mapping(mapping((sequence(one.get("choices")) or [{}])[0]).get("message"))
        after = mapping(mapping((sequence(other.get("choices")) or [{}])[0]).get("message"))
        changes: _Changes = [(("id",), one.get("id")), (("usage",), added(one.get("usage"), other.get("usage")))]
        for key in ("content", "reasoning_content", "reasoning"):
            said = before.get(key)
            if said:
                changes.append((("choices", 0, "message", key), _joined(said, after.get(key))))
        return replaced(second, changes)

    def assemble(self, stream: bytes) -> bytes:
        """The completion of a stream of chunks."""
        whole: dict[str, Any] = {}
        choices: dict[int, dict[str, Any]] = {}
        for frame in Frames(LARGEST_REPLY).feed(stream):
            chunk = mapping(decode(frame.event.data)) if frame.event is not None else {}
            for key in ("id", "created", "model", "usage"):
                whole[key] = chunk.get(key) or whole.get(key)
            for item in sequence(chunk.get("choices")):
                given = mapping(item)
                index = count(given.get("index")) or 0
                choice = choices.setdefault(index, {"index": index, "message": {}, "finish_reason": None})
                choice["message"] = _grown(choice["message"], mapping(given.get("delta")))
                choice["finish_reason"] = given.get("finish_reason") or choice["finish_reason"]
        if not choices or not all(choice["finish_reason"] for choice in choices.values()):
            raise Unanswerable("the provider's stream is not whole")
        for choice in choices.values():
            for call in sequence(choice["message"].get("tool_calls")):
                call.pop("index", None)
        return encode({**whole, "object": "chat.completion", "choices": [choices[at] for at in sorted(choices)]})

    def answer(self, body: bytes, view: RequestView, reply: bytes, notice: str) -> bytes:
        """The request with the turn and a result for each of its calls."""
        tree = Tree(reply)
        messages = [message for _, _, message in _messages(tree)]
        if view.choices > 1 or len(messages) != 1:
            raise Unanswerable("several choices cannot be gone on with at once")
        fields = members(tree, messages[0])
        turn = {key: fields[key] for key in _RETURNED if key in fields and (fields[key] != b"null" or key == "content")}
        turn = {"role": b'"assistant"', **turn}
        items = [object_of(turn), *_results(mapping(decode(tree.token(messages[0]))), notice)]
        return appended(body, view, "messages", items)

    def owed(self, reply: bytes, notice: str) -> list[bytes]:
        """See `Turns.owed`: nothing is kept on this wire."""
        del reply, notice
        return []


def _results(message: dict[str, Any], notice: str) -> Iterator[bytes]:
    calls, legacy = sequence(message.get("tool_calls")), mapping(message.get("function_call"))
    for call in calls:
        name = word(mapping(call).get("id"))
        if name is None:
            raise Unanswerable("a call without an id takes no result")
        yield encode({"role": "tool", "tool_call_id": name, "content": notice})
    if legacy:
        yield encode({"role": "function", "name": text(legacy.get("name")), "content": notice})
    if not calls and not legacy:
        raise Unanswerable("this turn holds no call")


def _messages(tree: Tree) -> Iterator[tuple[int, int, Node]]:
    """Each choice's place, index and message."""
    choices = tree.root.at("choices")
    for place, choice in enumerate(choices.items if choices is not None else []):
        message, index = choice.at("message"), choice.at("index")
        if message is not None and message.kind == "object":
            number = count(decode(tree.token(index))) if index is not None else None
            yield place, place if number is None else number, message


def _joined(before: Any, after: Any) -> Any:
    """Two contents, the second behind an empty line."""
    if isinstance(before, list):
        pieces: list[Any] = [*sequence(before), *([{"type": "text", "text": after}] if after else [])]
        return pieces
    if not before or not isinstance(after, str):
        return after or before
    return f"{before}\n\n{after}"


def _grown(whole: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """A message with a delta added: texts grow, lists are told apart by `index`."""
    for key, value in delta.items():
        known = whole.get(key)
        if known is None or (key in _ONCE and not known):
            whole[key] = _indexed([], sequence(value)) if isinstance(value, list) else value
        elif key in _ONCE or value is None:
            continue
        elif isinstance(known, str) and isinstance(value, str):
            whole[key] = known + value
        elif isinstance(known, dict) and isinstance(value, dict):
            whole[key] = _grown(mapping(known), mapping(value))
        elif isinstance(known, list) and isinstance(value, list):
            whole[key] = _indexed(sequence(known), sequence(value))
    return whole


def _indexed(known: list[Any], more: list[Any]) -> list[Any]:
    for item in more:
        index = mapping(item).get("index")
        same = next((one for one in known if index is not None and mapping(one).get("index") == index), None)
        if same is None:
            known.append(dict(mapping(item)) if isinstance(item, dict) else item)
        else:
            _grown(same, mapping(item))
    return known
