"""Changing the text of a part at the leaves it was read from, and no other byte of its JSON.

A part's text may be one JSON string, several joined (the blocks of a tool result), or JSON written anew from a
value (a call's arguments). Which strings went into it, and where, is found by having the dialect's own reader
read the same value once more with each string replaced by a mark. So there is no second description of how
parts are composed that could differ from the first, and the readers know nothing of edits.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from gateway.wire.chat_details import DETAILS
from gateway.wire.interface import Dialect, RequestView, Undecodable
from gateway.wire.jsons import is_json
from gateway.wire.leaves import Node, Patch, Tree, decoded, overridden, patched, spelled
from gateway.wire.requests import Kind
from gateway.wire.spelling import Replaced, Spelling
from policies.errors import StepwardenError
from policies.vocabulary.steps import Part

Read = Callable[[Any], Sequence[Part]]
"""A dialect's reader of a decoded value."""

_STRUCTURE: Final = frozenset({"type", "role", "execution"})
"""Keys whose strings decide how a value is read; they are marked one by one, where an edit asks for one."""

_SEALS: Final = frozenset({"signature", "thought_signature"})
_ARGUMENTS: Final = frozenset({"input", "arguments", "args", "parameters"})
"""Below these keys the words are a tool's own, and no word there signs anything."""

_TWINS: Final = {"reasoning_content": "reasoning", "reasoning": "reasoning_content"}
"""Some chat servers send one text under both names; readers take the first."""

_PROBES: Final = 16
"""Structural strings of one part that are tried before it counts as not editable."""

_MARK: Final = "\ue000"


class Uneditable(StepwardenError):
    """This text cannot be changed without breaking what holds it: it is signed, or its bytes cannot be told apart."""

    status = 400

    def remedy(self) -> str:
        """What is left to do."""
        return "Reject the step instead of changing it."


class Replacement(msgspec.Struct, frozen=True):
    """A range of a part's text and what takes its place."""

    start: int
    """First byte, in the UTF-8 of the part's text. A range that cuts a character or an escape takes it whole."""

    end: int
    text: str
    """Comes out in the part's text as it is here, JSON-escaped where that text is JSON written from a value. Where
    a range covers several strings, each has its covered bytes replaced by this."""


def cut(edits: Iterable[Replacement], start: int, end: int) -> list[Replacement]:
    """Ascending, disjoint edits of a text of `end` bytes, and one that takes out what they leave from `start` on."""
    kept = [each for each in edits if each.start < start]
    begin = max(start, kept[-1].end if kept else 0)
    return [*kept, Replacement(begin, end, "")] if begin < end else kept


class PartEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What to change in one part."""

    cut: int = 0
    """Index into the view's cuts; 0 for a reply."""

    pointer: str
    """The part's pointer, as the reader gave it."""

    ranges: tuple[Replacement, ...]


class _Piece(msgspec.Struct, frozen=True):
    """A stretch of a composed text: one string, or what stands between two."""

    start: int
    end: int
    node: Node | None = None
    escaped: bool = False
    """True where the string stands in JSON written anew."""

    written: bytes = b""
    """The stretch itself."""


def edit_request(dialect: Dialect, body: bytes, view: RequestView, edits: Iterable[PartEdit]) -> bytes:
    """A request's decoded body with some parts' texts changed at their leaves; all other bytes stay.

    Raises `Uneditable` where one of the edits cannot be made; then none is.
    """
    cuts: dict[int, list[PartEdit]] = {}
    for edit in edits:
        if edit.ranges:
            cuts.setdefault(edit.cut, []).append(edit)
    kinds: dict[int, Kind] = {cut: kind for kind, cut in view.lead_cuts}
    patches: dict[int, Patch] = {}
    for cut, wanted in cuts.items():
        if not 0 <= cut < len(view.cuts):
            raise Uneditable("where this text stands in the body is not known")
        start, end, _ = view.cuts[cut]
        raw, kind = body[start:end], kinds.get(cut, "message")
        new = edited(raw, lambda value, kind=kind: _parts(dialect, value, kind), wanted)
        if new != raw:
            patches[cut] = (start, end, new)
    after = patched(body, patches.values())
    if patches:
        _prove(dialect, view, after, patches)
    return after


def _prove(dialect: Dialect, view: RequestView, after: bytes, changed: Collection[int]) -> None:
    """Raise `Uneditable` where a provider would still read what was changed: a look-alike stood in its place."""
    try:
        seen = dialect.read_request(after, view.operation)
    except Undecodable as error:
        raise Uneditable("the request could not be read any more") from error
    same = {old.cut for old, new in zip(view.messages, seen.messages, strict=False) if old.digest == new.digest}
    if seen.lead == view.lead:
        same.update(cut for _, cut in view.lead_cuts)
    if len(seen.messages) != len(view.messages) or not same.isdisjoint(changed):
        raise Uneditable("the text stands in the request a second time, where it decides")


def edit_reply(dialect: Dialect, body: bytes, edits: Iterable[PartEdit]) -> bytes:
    """A reply that is one JSON document with some parts' texts changed; likewise."""
    return edited(body, lambda value: _reply_parts(dialect, value), edits)


def _parts(dialect: Dialect, value: Any, kind: Kind) -> Sequence[Part]:
    return dialect.parts_of(msgspec.json.encode(value), kind)


def _reply_parts(dialect: Dialect, value: Any) -> Sequence[Part]:
    reader = dialect.reply_reader("chat", stream=False)
    reader.feed(msgspec.json.encode(value), 0)
    return reader.close(0).parts


def edited(raw: bytes, read: Read, edits: Iterable[PartEdit]) -> bytes:
    """The JSON text `raw` with the parts that `read` finds in it changed. Raises `Uneditable`."""
    wanted = [edit for edit in edits if edit.ranges]
    if not wanted:
        return raw
    try:
        return patched(raw, _Editor(raw, read).patches(wanted))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Uneditable("what holds this text cannot be read as JSON") from error


class _Editor:
    """One JSON text that is being changed."""

    def __init__(self, raw: bytes, read: Read) -> None:
        self._tree = Tree(raw)
        self._read = read
        self._parts = read(msgspec.json.decode(raw))
        self._mark = _unused_mark(self._tree)
        self._marked = self._read_marked(frozenset())

    def patches(self, edits: Sequence[PartEdit]) -> list[Patch]:
        leaves: dict[int, tuple[Node, list[Replaced]]] = {}
        for edit in edits:
            at, part = self._find(edit.pointer)
            for node, change in self._changes(at, part, edit.ranges):
                self._check(node)
                leaves.setdefault(id(node), (node, []))[1].append(change)
            _keep_json(part, edit)
        patches: list[Patch] = []
        for node, changes in leaves.values():
            token = b'"' + Spelling(self._tree.token(node)[1:-1]).edited(_disjoint(changes)) + b'"'
            patches += [(same.start, same.end, token) for same in (node, *overridden(node), *self._twin(node))]
        return patches + self._echoes([node for node, _ in leaves.values()])

    def _echoes(self, changed: Sequence[Node]) -> list[Patch]:
        """Token probabilities repeat a text token by token: they go where it is changed."""
        found: dict[int, Patch] = {}
        for node in changed:
            for holder in reversed(list(node.ancestry())):
                if holder.key in _ARGUMENTS:
                    break
                echo = holder.members.get("logprobs")
                if echo is not None and echo.kind in ("object", "array"):
                    found[echo.start] = (echo.start, echo.end, b"null" if echo.kind == "object" else b"[]")
        return list(found.values())

    def _find(self, pointer: str) -> tuple[int, Part]:
        found = [(at, part) for at, part in enumerate(self._parts) if part.pointer == pointer]
        if len(found) != 1:
            raise Uneditable("no part, or more than one, stands at this pointer")
        if found[0][1].unread == "audio":
            raise Uneditable("the sound says the same as its transcript")
        return found[0]

    def _read_marked(self, probes: frozenset[int]) -> Sequence[Part]:
        """The parts with every string replaced by its mark, structural ones only where named in `probes`."""
        values: dict[int, Any] = {}
        for number in range(len(self._tree.nodes) - 1, -1, -1):
            node = self._tree.nodes[number]
            if node.kind == "object":
                values[id(node)] = {key: values[id(member)] for key, member in node.members.items()}
            elif node.kind == "array":
                values[id(node)] = [values[id(item)] for item in node.items]
            else:
                values[id(node)] = self._leaf(number, node, probes)
        # Text that only says again what another one says is no part, but a mark says nothing again.
        there = {part.pointer for part in self._parts}
        return [part for part in self._read(values[id(self._tree.root)]) if part.pointer in there]

    def _leaf(self, number: int, node: Node, probes: frozenset[int]) -> Any:
        token = self._tree.token(node)
        if node.kind == "scalar":
            return msgspec.json.decode(token)
        if token == b'""' or (node.key in _STRUCTURE and number not in probes):
            return decoded(token)
        return f"{self._mark}{number}{self._mark}"

    def _changes(self, at: int, part: Part, ranges: Sequence[Replacement]) -> Iterator[tuple[Node, Replaced]]:
        pieces = self._pieces(self._marked, at, part)
        for found in ranges:
            if not 0 <= found.start <= found.end <= (pieces[-1].end if pieces else 0):
                raise Uneditable("the range lies outside of the text")
            changes, lost = _covered(pieces, found)
            if lost:
                pieces = self._probe(at, part, found)
                changes, lost = _covered(pieces, found)
            if lost or not changes:
                raise Uneditable("the range holds a key or a value that is no string")
            yield from changes

    def _probe(self, at: int, part: Part, found: Replacement) -> list[_Piece]:
        """The pieces with one more structural string marked: one the range touches and that decides nothing here."""
        text = part.text.encode("utf-8", "surrogatepass")
        tried = 0
        for number, node in enumerate(self._tree.nodes):
            if node.kind != "string" or node.key not in _STRUCTURE:
                continue
            said = spelled(decoded(self._tree.token(node)))
            if said not in text[max(found.start - len(said), 0) : found.end + len(said)]:
                continue
            tried += 1
            if tried > _PROBES:
                break
            try:
                pieces = self._pieces(self._read_marked(frozenset({number})), at, part)
            except Uneditable:
                continue
            if any(piece.node is node and piece.start < found.end and found.start < piece.end for piece in pieces):
                return pieces
        raise Uneditable("the range holds a key or a value that is no string")

    def _pieces(self, marked: Sequence[Part], at: int, part: Part) -> list[_Piece]:
        """How one part's text is put together. Raises `Uneditable` where that does not give the text."""
        if len(marked) != len(self._parts) or marked[at].pointer != part.pointer:
            raise Uneditable("how this text is put together cannot be told")
        split = marked[at].text.split(self._mark)
        pieces: list[_Piece] = []
        end = 0
        for place, word in enumerate(split):
            node: Node | None = None
            escaped = False
            if place % 2:
                node = self._tree.nodes[int(word)]
                said = decoded(self._tree.token(node))
                escaped = split[place - 1].endswith('"') and split[place + 1].startswith('"')
                written = spelled(said) if escaped else said.encode("utf-8", "surrogatepass")
            else:
                written = word.encode("utf-8", "surrogatepass")
            start, end = end, end + len(written)
            pieces.append(_Piece(start, end, node, escaped, written))
        if b"".join([piece.written for piece in pieces]) != part.text.encode("utf-8", "surrogatepass"):
            raise Uneditable("how this text is put together cannot be told")
        return pieces

    def _check(self, node: Node) -> None:
        """Raise `Uneditable` where a signature covers this string, or a key on the way to it occurs twice."""
        whole = list(node.ancestry())
        if any(overridden(holder) for holder in whole[1:]):
            raise Uneditable("a key that holds this text occurs twice")
        for holder in reversed(whole):
            if holder.key in _ARGUMENTS:
                return
            for key, member in holder.members.items():
                if _seals(key, node) and self._said(member):
                    raise Uneditable("this text is signed or encrypted")

    def _said(self, node: Node) -> bool:
        return self._tree.token(node) not in (b"null", b'""', b"[]", b"{}")

    def _twin(self, node: Node) -> list[Node]:
        """The same text under its other name."""
        twin = _TWINS.get(str(node.key))
        other = node.parent.members.get(twin) if twin and node.parent is not None else None
        if other is None or other.kind != "string":
            return []
        return [other] if decoded(self._tree.token(other)) == decoded(self._tree.token(node)) else []


def _seals(key: str, node: Node) -> bool:
    """Whether what stands under `key` beside this string, or beside what holds it, vouches for its very bytes."""
    if key == DETAILS:
        return node.key in _TWINS
    return key in _SEALS or key.startswith("encrypted_")


def _unused_mark(tree: Tree) -> str:
    """A mark that occurs in no string that stays: made of one private character, as often as it takes."""
    kept = [key for node in tree.nodes for key in node.members]
    kept += [decoded(tree.token(node)) for node in tree.nodes if node.kind == "string" and node.key in _STRUCTURE]
    whole = "\0".join(kept)
    mark = _MARK
    while mark in whole:
        mark *= 2
    return mark


def _covered(pieces: Sequence[_Piece], found: Replacement) -> tuple[list[tuple[Node, Replaced]], bool]:
    """What a range means for each string it touches; True beside it where it covers a value that is no string."""
    changes: list[tuple[Node, Replaced]] = []
    lost = False
    for piece in pieces:
        start, end = max(found.start, piece.start) - piece.start, min(found.end, piece.end) - piece.start
        if start > end or (start == end and (found.start < found.end or piece.node is None)):
            continue
        if piece.node is None:
            lost = lost or _holds_value(piece.written, start, end)
            continue
        if piece.escaped:
            spelling = Spelling(piece.written)
            start, end = spelling.meant(start, up=False), spelling.meant(end, up=True)
        changes.append((piece.node, (start, end, found.text)))
        if found.start == found.end:
            break
    return changes, lost


def _holds_value(between: bytes, start: int, end: int) -> bool:
    """Whether this range of what stands between two strings covers more than JSON's marks and keys.

    `between` may begin with the quote that ends a string and end with the one that begins the next.
    """
    tokens = b"[" + between[1:] if between.startswith(b'"') else between
    return any(value and first < end and start < last for first, last, value in _scalars(tokens))


def _scalars(tokens: bytes) -> Iterator[tuple[int, int, bool]]:
    """Strings, numbers and literals of a stretch of JSON: start, end, and whether it is a value rather than a key."""
    at = 0
    while at < len(tokens):
        mark = tokens[at : at + 1]
        if mark in b" \t\r\n{}[],:":
            at += 1
            continue
        start = at
        if mark == b'"':
            at += 1
            while at < len(tokens) and tokens[at : at + 1] != b'"':
                at += 2 if tokens[at : at + 1] == b"\\" else 1
            at += 1
        else:
            while at < len(tokens) and tokens[at : at + 1] not in b" \t\r\n{}[],:":
                at += 1
        if mark != b'"' or start + 1 < len(tokens):  # a quote at the end begins the next string
            yield start, at, tokens[at : at + 1] != b":"


def _disjoint(changes: Sequence[Replaced]) -> list[Replaced]:
    """The same changes with overlapping ones merged; the first of them says what is put in."""
    merged: list[Replaced] = []
    for start, end, text in sorted(changes, key=_bounds):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), merged[-1][2])
        else:
            merged.append((start, end, text))
    return merged


def _bounds(change: Replaced) -> tuple[int, int]:
    return change[0], change[1]


def replace_ranges(text: str, ranges: Iterable[Replacement]) -> str:
    """`text` with ranges of its UTF-8 replaced, as `edited` does it to a text that is one string."""
    raw = text.encode("utf-8", "surrogatepass")
    pieces: list[bytes] = []
    at = 0
    for start, end, new in _disjoint([(found.start, found.end, found.text) for found in ranges]):
        first, last = start, end
        while 0 < first < len(raw) and raw[first] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8 continuation bytes
            first -= 1
        while 0 < last < len(raw) and raw[last] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8 continuation bytes
            last += 1
        pieces += (raw[at : max(first, at)], new.encode("utf-8", "surrogatepass"))
        at = max(last, at)
    return b"".join([*pieces, raw[at:]]).decode("utf-8", "surrogatepass")


def _keep_json(part: Part, edit: PartEdit) -> None:
    """Raise `Uneditable` where a call's arguments are JSON before the edit and would not be after it."""
    if part.kind == "tool_call" and is_json(part.text) and not is_json(replace_ranges(part.text, edit.ranges)):
        raise Uneditable("the arguments would no longer be JSON")
