"""Whole turns: ended otherwise than the provider did, put together from a stream, and answered in its place.

What is not ours stays as it is written: blocks are carried over as the JSON texts they came in, for a thinking
block is worth nothing with a byte changed.
"""

import re
from collections.abc import Collection
from typing import Final, Protocol

from gateway.wire.gate import Refused, Substituted
from gateway.wire.interface import RequestView
from gateway.wire.jsons import decode
from gateway.wire.leaves import Tree, overridden, replaced
from gateway.wire.totals import added
from gateway.wire.values import mapping
from policies.errors import StepwardenError

_CLOSES: Final = re.compile(rb"\s*\]")


class Unanswerable(StepwardenError):
    """The calls of this turn cannot be answered in the caller's place."""

    status = 400

    def remedy(self) -> str:
        """What is left to do."""
        return "End the turn with a notice or a refusal instead."


class Turns(Protocol):
    """What one wire knows of whole turns. All take and give decoded JSON; `ValueError` where a reply is none."""

    def end(self, reply: bytes, ending: Substituted | Refused, rejected: Collection[str]) -> bytes:
        """A reply without the parts at the pointers in `rejected` and without any call the caller would run.

        `Substituted`: the turn ends normally and says the notice; `Refused`: it ends with the wire's own refusal.
        Usage stays. Of several choices only those with a rejected part are touched.
        """
        ...

    def merge(self, first: bytes, second: bytes) -> bytes:
        """One reply of two, the second being the provider's answer after the first's calls were answered.

        What the first said comes first, its calls are gone, its id is the reply's, and usage is the sum.
        """
        ...

    def assemble(self, stream: bytes) -> bytes:
        """The JSON document that a whole event stream of the provider comes to.

        Raises `Unanswerable` where the stream is not whole.
        """
        ...

    def answer(self, body: bytes, view: RequestView, reply: bytes, notice: str) -> bytes:
        """The request that asks again: the original's bytes with the turn appended, and a result for each call of it.

        The turn is as the provider proposed it; each result says only `notice`. Nothing else in the body changes.
        Raises `Unanswerable` where a call of this turn takes no such result, or the body was not cut.
        """
        ...

    def owed(self, reply: bytes, notice: str) -> list[bytes]:
        """What a provider that keeps this turn waits for where its calls were shown to nobody: a result for each.

        Each says `notice`, as an item of the wire. Of calls that take no such result there is none.
        """
        ...


def summed(first: bytes, second: bytes) -> bytes:
    """The second reply, whose usage is what both were billed; every wire has it in the same place."""
    usage = added(mapping(decode(first)).get("usage"), mapping(decode(second)).get("usage"))
    return second if usage is None else replaced(second, [(("usage",), usage)])


def appended(body: bytes, view: RequestView, key: str, items: list[bytes]) -> bytes:
    """The body with elements added to the end of the array under this top-level key. Raises `Unanswerable`."""
    end = _last_end(body, view, b'"' + key.encode() + b'"')
    if end is None:
        raise Unanswerable("where the conversation ends in this request is not known")
    return body[:end] + b"," + b",".join(items) + body[end:]


def _last_end(body: bytes, view: RequestView, key: bytes) -> int | None:
    """Where the conversation's last message ends: by its cut where nothing else can be meant, else by reading."""
    if not view.messages:
        return None
    if view.cuts and body.count(key) == 1 and b"\\u" not in body:
        _, end, _ = view.cuts[view.messages[-1].cut]
        return end if _CLOSES.match(body, end) else None
    try:
        node = Tree(body).root.at(key[1:-1].decode())
    except ValueError:
        return None
    if node is None or not node.items or overridden(node):
        return None
    return node.items[-1].end


def only(pointers: Collection[str], prefix: str) -> set[int]:
    """The numbers that stand behind `prefix` in these pointers."""
    found: set[int] = set()
    for pointer in pointers:
        number = pointer.removeprefix(prefix).partition("/")[0]
        if pointer.startswith(prefix) and number.isdecimal():
            found.add(int(number))
    return found
