"""Overlays: lines added to an app's instructions, and descriptions put in place of its tools', in a request's bytes.

Everything else stays as the app wrote it, to the byte. The same body with the same overlay gives the same bytes each
time, so that prompt caches hold from turn to turn. Where the lines go:

| wire | the app has instructions | it has none |
|---|---|---|
| Messages | behind the text of `system`, or a last block of it: whatever was cached before it still is | a `system` |
| Chat | behind the first message's text, where that is of the system or developer | a first system message |
| Responses | behind `instructions`, which no history at the provider takes up | `instructions` |

No `cache_control` is added, moved or taken away.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from gateway.wire.interface import Dialect, RequestView, Undecodable
from gateway.wire.jsons import encode
from gateway.wire.leaves import Node, Patch, Tree, decoded, overridden, patched, spelled
from policies.errors import StepwardenError

HEAD: Final = "Further instructions, from the operator of this system:"
"""What stands before the lines."""

_KEY: Final[Mapping[str, bytes]] = {"anthropic": b"system", "openai_responses": b"instructions"}
_BLANK: Final = b" \t\r\n"

LARGEST_READ: Final = 16 << 10
"""Bytes of a body up to which a value that the dialect did not cut out is looked for among all others, in steps."""

_OWN_TOOLS: Final = frozenset({None, "custom", "function"})
"""Types of tools that an app describes; what a provider brings describes itself."""


class Unplaced(StepwardenError):
    """An overlay cannot be put into this request; its bytes go on as they came."""

    status = 400

    def __init__(self, why: str) -> None:
        """`why`: a low-cardinality word for the record."""
        super().__init__(f"instructions cannot be added: {why}")
        self.why = why

    def remedy(self) -> str:
        """What is left to do."""
        return "Let the app send its instructions as a text, or as blocks of text."


class Overlay(msgspec.Struct, frozen=True):
    """What a revision adds to the requests of an app."""

    lines: tuple[str, ...] = ()
    """Items, in order."""

    tools: Mapping[str, str] = {}
    """Descriptions, by the name of the tool."""

    parameters: str = ""
    """Digest of the parameters these are of."""

    @property
    def text(self) -> str:
        """The lines as a model reads them."""
        return "\n".join([HEAD, *[f"- {' '.join(line.split())}" for line in self.lines]])

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.lines or self.tools)


def overlaid(dialect: Dialect, body: bytes, view: RequestView, overlay: Overlay) -> bytes:
    """A request's decoded body with the overlay. Raises `Unplaced`, and then nothing is added."""
    patches: list[Patch] = []
    if overlay.tools:
        patches += _tools(body, view, overlay.tools)
    if overlay.lines:
        patches.append(_lines(dialect.name, body, view, overlay.text))
    after = patched(body, patches)
    if overlay.lines:
        _prove(dialect, view, after, overlay.text)
    return after


def _prove(dialect: Dialect, view: RequestView, after: bytes, text: str) -> None:
    """Raise `Unplaced` where the lines would not be read as instructions: a look-alike stood in their place."""
    try:
        seen = dialect.read_request(after, view.operation)
    except Undecodable as error:
        raise Unplaced("not_understood") from error
    leading = [cut for kind, cut in seen.lead_cuts if kind == "instructions"]
    leading += [message.cut for message in seen.messages[:1] if message.voice == "system"]
    said = [part.text for cut in leading for part in dialect.parts(after, seen, cut)]
    if not any(each.endswith(text) for each in said):
        raise Unplaced("not_where_it_is_read")


def _lines(wire: str, body: bytes, view: RequestView, text: str) -> Patch:
    if wire == "openai_chat":
        return _first_message(body, view, text)
    key = _KEY.get(wire)
    if key is None:
        raise Unplaced("no_instructions_on_this_wire")
    found = lead(body, view, key)
    if found is not None:
        return _behind(body, *found, text, blocks=wire == "anthropic")
    if wire == "openai_responses" and _has_key(body, b"prompt"):
        raise Unplaced("stored_prompt")  # whether these would stand beside its text or in its place, nobody says
    return _in_front(body, b'"' + key + b'":' + encode(text))


def lead(body: bytes, view: RequestView, key: bytes) -> tuple[int, int] | None:
    """Where the value of a top-level key stands; None where there is no such key. Raises `Unplaced`.

    Bodies are long and are read over and over, so their values are not read one by one for this: where the dialect
    found what instructions say, the value stands around that, and whether there is the key at all a decoder tells.
    """
    cuts = [view.cuts[at] for kind, at in view.lead_cuts if kind == "instructions"] if view.cuts else []
    found = [(start, end) for start, end, _ in cuts if body[start : start + 1] != b"{"]
    if len(found) == 1:
        return found[0]
    blocks = _around(body, cuts[0][0], cuts[-1][1]) if cuts and not found else None
    if blocks is not None:
        return blocks
    if not cuts and not (_has_key(body, key) and _has_member(body, key)):
        return None
    if len(body) > LARGEST_READ:
        raise Unplaced("too_large_to_place")
    node = _tree(body).root.at(key.decode())
    if node is not None and overridden(node):
        raise Unplaced("a_name_twice")
    return None if node is None else (node.start, node.end)


def _around(body: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the array stands whose first element begins, and whose last ends, there; None where it holds others."""
    opens, closes = body.rfind(b"[", 0, start), body.find(b"]", end)
    if min(opens, closes) < 0 or body[opens + 1 : start].strip(_BLANK) or body[end:closes].strip(_BLANK):
        return None
    return opens, closes + 1


def _has_member(body: bytes, key: bytes) -> bool:
    """Whether the body itself has a key, and not only something within it."""
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Unplaced("not_understood") from error
    return key.decode() in members


def _has_key(body: bytes, key: bytes) -> bool:
    """Whether an object of the body has this key. Inside a string its quotes would be escaped."""
    return re.search(rb'"' + key + rb'"\s*:', body) is not None


def _behind(body: bytes, start: int, end: int, text: str, *, blocks: bool) -> Patch:
    """The text behind what instructions say: in the string, or as one more block."""
    raw = body[start:end]
    if raw == b"null":
        return start, end, encode(text)
    if raw.startswith(b'"'):
        return end - 1, end - 1, _continued(raw, text)
    if raw.startswith(b"[") and blocks:
        return _one_more(body, end, encode({"type": "text", "text": text}), empty=not raw[1:-1].strip())
    raise Unplaced("instructions_of_another_shape")


def _continued(token: bytes, text: str) -> bytes:
    return spelled(text if token == b'""' else f"\n\n{text}")


def _one_more(body: bytes, end: int, item: bytes, *, empty: bool) -> Patch:
    """One more element, behind the last of the array that ends here."""
    inside = len(body[: end - 1].rstrip())
    return inside, inside, item if empty else b"," + item


def _in_front(body: bytes, member: bytes) -> Patch:
    """One more member of the body, before all others."""
    at = body.index(b"{") + 1
    empty = body[at:].lstrip().startswith(b"}")
    return at, at, member if empty else member + b","


def _first_message(body: bytes, view: RequestView, text: str) -> Patch:
    if not view.messages or not view.cuts:
        raise Unplaced("messages_not_found")
    start, end, _ = view.cuts[view.messages[0].cut]
    if view.messages[0].voice != "system":
        return start, start, encode({"role": "system", "content": text}) + b","
    content = _tree(body[start:end]).root.at("content")
    if content is None or overridden(content):
        raise Unplaced("instructions_of_another_shape")
    if content.kind == "string":
        at = start + content.end - 1
        return at, at, _continued(body[start + content.start : start + content.end], text)
    if content.kind == "array":
        item = encode({"type": "text", "text": text})
        return _one_more(body, start + content.end, item, empty=not content.items)
    raise Unplaced("instructions_of_another_shape")


# ------------------------------------------------------------------------------------------------------------ tools


def _tools(body: bytes, view: RequestView, notes: Mapping[str, str]) -> Iterator[Patch]:
    """Other descriptions for the tools that are named."""
    if not view.cuts:
        return
    for kind, at in view.lead_cuts:
        if kind == "tool_definitions":
            start, end, _ = view.cuts[at]
            for first, last, new in _described(body[start:end], notes):
                yield start + first, start + last, new


def _described(raw: bytes, notes: Mapping[str, str]) -> Iterator[Patch]:
    tree = _tree(raw)
    for item in tree.root.items:
        holder = described_by(tree, item)
        name = None if holder is None else _text(tree, holder.members.get("name"))
        if holder is None or name is None or name not in notes:
            continue
        new, was = encode(notes[name]), holder.members.get("description")
        if was is not None and not overridden(was):
            yield was.start, was.end, new
        elif was is None:
            yield holder.end - 1, holder.end - 1, b',"description":' + new


def described_by(tree: Tree, item: Node) -> Node | None:
    """The object that names and describes a tool of the app's own; None for tools that a provider brings."""
    if item.kind != "object" or _text(tree, item.members.get("type")) not in _OWN_TOOLS:
        return None
    holders = (item.members.get("function"), item.members.get("custom"))
    inner = [holder for holder in holders if holder is not None and holder.kind == "object"]
    return inner[0] if inner else item


def _text(tree: Tree, node: Node | None) -> str | None:
    return None if node is None or node.kind != "string" else decoded(tree.token(node))


def _tree(raw: bytes) -> Tree:
    try:
        return Tree(raw)
    except ValueError as error:
        raise Unplaced("not_understood") from error
