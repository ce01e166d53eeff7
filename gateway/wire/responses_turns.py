"""Whole turns of OpenAI Responses: https://platform.openai.com/docs/api-reference/responses."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from gateway.wire.frames import Frames
from gateway.wire.gate import Refused, Substituted
from gateway.wire.interface import RequestView
from gateway.wire.jsons import decode, encode, read_with
from gateway.wire.leaves import Step, Tree, array_of, replaced
from gateway.wire.replies import LARGEST_REPLY
from gateway.wire.responses_parts import output_parts
from gateway.wire.responses_said import message_item
from gateway.wire.totals import added
from gateway.wire.turns import Unanswerable, appended, only
from gateway.wire.values import count, mapping, text
from policies.vocabulary.steps import Part

_ENDS: Final = ("response.completed", "response.incomplete")
_PLAIN: Final = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
"""Calls whose result is a text."""

_Changes = list[tuple[tuple[Step, ...], Any]]


class ResponsesTurns:
    """Items under `output`; results are items of the next request's `input`.

    Where the provider keeps the history: a request with `conversation` is asked again with the results alone, for
    the conversation has its turn already. With `previous_response_id`, or with nothing, the turn is appended to
    `input` as it would be by a client that keeps its own history; a chain may then go on from the new response.
    Reasoning that only the provider could look up (`store: false`, nothing encrypted) is left out.
    """

    def end(self, reply: bytes, ending: Substituted | Refused, rejected: Collection[str]) -> bytes:
        """A response without its calls and what was rejected."""
        gone = only(rejected, "/output/")
        kept = [raw for at, (raw, part) in enumerate(_items(reply)) if at not in gone and not _is_call(part)]
        changes: _Changes = [(("incomplete_details",), None)]
        if isinstance(ending, Refused):
            failure = {"code": "invalid_prompt", "message": ending.notice}
            changes += [(("status",), "failed"), (("error",), failure)]
        else:
            name = text(mapping(decode(reply)).get("id")).replace("resp_", "msg_") or "msg_notice"
            kept.append(encode(message_item(name, 0, ending.notice)[0]))
            changes += [(("status",), "completed"), (("error",), None)]
        return replaced(reply, [*changes, (("output",), array_of(kept))])

    def merge(self, first: bytes, second: bytes) -> bytes:
        """One response of two. Its id is the first's, as in a stream; the history is kept under the second's."""
        before = [raw for raw, part in _items(first) if not _is_call(part)]
        one, other = mapping(decode(first)), mapping(decode(second))
        changes: _Changes = [
            (("id",), one.get("id")),
            (("output",), array_of([*before, *(raw for raw, _ in _items(second))])),
            (("usage",), added(one.get("usage"), other.get("usage"))),
        ]
        return replaced(second, changes)

    def assemble(self, stream: bytes) -> bytes:
        """The response of an event stream: its last event's, with the items that came if that repeats none."""
        items: dict[int, bytes] = {}
        for frame in Frames(LARGEST_REPLY).feed(stream):
            data = frame.event.data if frame.event is not None else b"null"
            event = mapping(decode(data))
            if event.get("type") == "response.output_item.done":
                tree = Tree(data)
                node = tree.root.at("item")
                if node is not None:
                    items[count(event.get("output_index")) or 0] = tree.token(node)
            elif event.get("type") in _ENDS:
                tree = Tree(data)
                node = tree.root.at("response")
                whole = tree.token(node) if node is not None else b"{}"
                if not mapping(event.get("response")).get("output"):
                    whole = replaced(whole, [(("output",), array_of([items[at] for at in sorted(items)]))])
                return whole
        raise Unanswerable("the provider's stream is not whole")

    def answer(self, body: bytes, view: RequestView, reply: bytes, notice: str) -> bytes:
        """The request with the turn and a result for each of its calls."""
        found = _items(reply)
        results = [_result(mapping(decode(raw)), notice) for raw, part in found if _is_call(part)]
        if not results:
            raise Unanswerable("this turn holds no call")
        if view.conversation_id is not None:
            return replaced(body, [(("input",), array_of(results))])
        asked = mapping(decode(body))
        stored = asked.get("store") is not False
        turn = [raw for raw, _ in found if stored or not _is_remembered_only(mapping(decode(raw)))]
        if isinstance(asked.get("input"), str):
            said = encode({"role": "user", "content": asked["input"]})
            return replaced(body, [(("input",), array_of([said, *turn, *results]))])
        return appended(body, view, "input", [*turn, *results])

    def owed(self, reply: bytes, notice: str) -> list[bytes]:
        """See `Turns.owed`: whoever goes on from a stored turn by its id has to bring a result for each call of it."""
        results: list[bytes] = []
        for raw, part in _items(reply):
            if _is_call(part):
                with suppress(Unanswerable):
                    results.append(_result(mapping(decode(raw)), notice))
        return results


def redirected(body: bytes, view: RequestView, successors: Mapping[str, str]) -> bytes:
    """A request that goes on from a response which the client knows under an earlier one's id.

    `successors` gives, by the id a client was shown, the id that holds the history (`ResponsesGate.response_ids`).
    """
    known = successors.get(view.previous_response_id or "")
    return body if known is None else replaced(body, [(("previous_response_id",), known)])


def settled(body: bytes, results: Sequence[bytes]) -> bytes:
    """A request that goes on from a turn with calls its client never saw: their results stand before what it says."""
    tree = Tree(body)
    node, said = tree.root.at("input"), mapping(decode(body)).get("input")
    given = [encode({"role": "user", "content": said})] if isinstance(said, str) else []
    if node is not None and isinstance(said, list):
        given = [tree.token(item) for item in node.items]
    return replaced(body, [(("input",), array_of([*results, *given]))])


def _items(reply: bytes) -> list[tuple[bytes, Part | None]]:
    """Each item of a response as it is written, with its first part."""
    tree = Tree(reply)
    holder = tree.root.at("output")
    tokens = [tree.token(node) for node in holder.items] if holder is not None else []
    parts = [read_with(output_parts, decode(token), f"/output/{at}") for at, token in enumerate(tokens)]
    return [(token, found[0] if found else None) for token, found in zip(tokens, parts, strict=True)]


def _is_call(part: Part | None) -> bool:
    return part is not None and part.kind == "tool_call" and not part.server_side


def _is_remembered_only(item: dict[str, Any]) -> bool:
    return item.get("type") == "reasoning" and not item.get("encrypted_content")


def _result(item: dict[str, Any], notice: str) -> bytes:
    kind, name = text(item.get("type")), item.get("call_id") or item.get("id")
    if not name:
        raise Unanswerable("a call without an id takes no result")
    if kind in _PLAIN:
        return encode({"type": _PLAIN[kind], "call_id": name, "output": notice})
    if kind == "shell_call":
        outcome = {"stdout": "", "stderr": notice, "outcome": {"type": "exit", "exit_code": 1}}
        return encode({"type": "shell_call_output", "call_id": name, "output": [outcome]})
    if kind == "apply_patch_call":
        return encode({"type": "apply_patch_call_output", "call_id": name, "status": "failed", "output": notice})
    if kind == "mcp_approval_request":
        answer = {"approval_request_id": item.get("id"), "approve": False, "reason": notice}
        return encode({"type": "mcp_approval_response", **answer})
    raise Unanswerable("a call of this kind takes no text for a result")
