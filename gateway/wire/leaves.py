"""A JSON text with the byte range of each of its values, so that one of them can change and no other byte.

The texts come from strangers but have been decoded before; what a decoder takes and this does not (nothing
known) raises `ValueError`. Reading is one pass without recursion; it happens only where something is changed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from gateway.wire.jsons import encode

Kind: TypeAlias = Literal["object", "array", "string", "scalar"]
Step: TypeAlias = str | int
Patch: TypeAlias = tuple[int, int, bytes]
"""Start, end, and the bytes that take the place of what stands there."""

_TOKEN: Final = re.compile(rb'[ \t\n\r]*(?:("[^"\\]*(?:\\.[^"\\]*)*")|([{}\[\],:])|([^ \t\n\r{}\[\],:"]+))', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
_SHORT: Final = {b"n": "\n", b"t": "\t", b"r": "\r", b"b": "\b", b"f": "\f"}


class Node:
    """One value: what it is, where it stands, and what holds it."""

    __slots__ = ("earlier", "end", "items", "key", "kind", "members", "parent", "start")

    def __init__(self, kind: Kind, start: int, parent: "Node | None", key: Step) -> None:
        self.kind: Kind = kind
        self.start = start
        self.end = start
        self.parent = parent
        self.key = key
        self.members: dict[str, Node] = {}
        """Of an object; the last of equal keys, as every decoder reads it."""
        self.items: list[Node] = []
        """Of an array."""
        self.earlier: dict[str, list[Node]] = {}
        """Of an object: values under a key that a later, equal key overrides."""

    def at(self, *path: Step) -> "Node | None":
        """The value at this path below; None where there is none."""
        node: Node | None = self
        for step in path:
            if node is None:
                return None
            if isinstance(step, str):
                node = node.members.get(step)
            else:
                node = node.items[step] if step < len(node.items) else None
        return node

    def ancestry(self) -> Iterator["Node"]:
        """This value and all that hold it, innermost first."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent


class Tree:
    """All values of one JSON text."""

    def __init__(self, raw: bytes) -> None:
        """Raises `ValueError` where `raw` is no one JSON value."""
        self.raw = raw
        self.nodes: list[Node] = []
        """In the order they begin: what holds a value comes before it."""
        self._read()
        self.root = self.nodes[0]

    def _read(self) -> None:
        raw, at, holder = self.raw, 0, None
        key: str | None = None
        while True:
            found = _TOKEN.match(raw, at)
            if found is None:
                if holder is not None or not self.nodes or raw[at:].strip():
                    raise ValueError("not one JSON value")
                return
            at = found.end()
            string, mark, scalar = found.groups()
            if mark in (b"}", b"]"):
                if holder is None:
                    raise ValueError("a bracket closes nothing")
                holder.end = at
                holder, key = holder.parent, None
            elif mark in (b"{", b"["):
                holder = self._open("object" if mark == b"{" else "array", at - 1, holder, key)
                key = None
            elif mark is not None:
                continue
            elif string is not None and key is None and holder is not None and holder.kind == "object":
                key = decoded(string)
            else:
                token = string or scalar
                node = self._open("scalar" if string is None else "string", at - len(token), holder, key)
                node.end, key = at, None

    def _open(self, kind: Kind, start: int, holder: Node | None, key: str | None) -> Node:
        if holder is None:
            if self.nodes:
                raise ValueError("more than one JSON value")
            node = Node(kind, start, None, "")
        elif holder.kind == "array":
            node = Node(kind, start, holder, len(holder.items))
            holder.items.append(node)
        else:
            if key is None:
                raise ValueError("a member without a key")
            node = Node(kind, start, holder, key)
            if key in holder.members:
                holder.earlier.setdefault(key, []).append(holder.members[key])
            holder.members[key] = node
        self.nodes.append(node)
        return node

    def token(self, node: Node) -> bytes:
        """The bytes of one value."""
        return self.raw[node.start : node.end]


def decoded(token: bytes) -> str:
    r"""The text of a JSON string token; lone surrogates (`\ud83d`) pass through, as in most decoders."""
    inside = token[1:-1]
    if b"\\" not in inside:
        return inside.decode("utf-8", "surrogatepass")
    try:
        return msgspec.json.decode(token, type=str)
    except (msgspec.DecodeError, ValueError):
        pieces: list[bytes] = []
        at = 0
        for start, end, said in escapes(inside):
            pieces += (inside[at:start], said)
            at = end
        return b"".join([*pieces, inside[at:]]).decode("utf-8", "surrogatepass")


def escapes(inside: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Each escape of a string token's inside: start, end, and the UTF-8 it stands for. A surrogate pair is one."""
    high: tuple[int, int] | None = None
    for found in _ESCAPE.finditer(inside):
        code = int(found[1], 16) if found[1] else -1
        start, end = found.span()
        if high is not None:
            first, lead = high
            high = None
            if first + 6 == start and 0xDC00 <= code <= 0xDFFF:  # noqa: PLR2004 - low surrogates
                yield first, end, chr(0x10000 + ((lead - 0xD800) << 10) + (code - 0xDC00)).encode()
                continue
            yield first, first + 6, chr(lead).encode("utf-8", "surrogatepass")
        if 0xD800 <= code <= 0xDBFF:  # noqa: PLR2004 - high surrogates
            high = (start, code)
        elif code >= 0:
            yield start, end, chr(code).encode("utf-8", "surrogatepass")
        else:
            yield start, end, _SHORT[found[0][1:]].encode() if found[0][1:] in _SHORT else found[0][1:]
    if high is not None:
        yield high[0], high[0] + 6, chr(high[1]).encode("utf-8", "surrogatepass")


def spelled(text: str) -> bytes:
    """The inside of a JSON string token that stands for `text`."""
    try:
        return msgspec.json.encode(text)[1:-1]
    except UnicodeEncodeError:
        return b"".join(
            b"\\u%04x" % ord(letter) if 0xD800 <= ord(letter) <= 0xDFFF else msgspec.json.encode(letter)[1:-1]  # noqa: PLR2004 - surrogates
            for letter in text
        )


def patched(raw: bytes, patches: Iterable[Patch]) -> bytes:
    """`raw` with disjoint pieces replaced."""
    pieces: list[bytes] = []
    at = 0
    for start, end, new in sorted(patches):
        pieces += (raw[at:start], new)
        at = end
    return b"".join([*pieces, raw[at:]])


def replaced(raw: bytes, changes: Sequence[tuple[Sequence[Step], Any]]) -> bytes:
    """`raw` with the values at these disjoint paths replaced; `bytes` are taken as JSON text, all else is encoded.

    A path whose last member is absent from its object is added at the object's end; a path that leads nowhere
    else changes nothing.
    """
    root = Tree(raw).root
    patches: list[Patch] = []
    added: dict[int, list[bytes]] = {}
    for path, value in changes:
        new: bytes = value if isinstance(value, bytes) else encode(value)
        node = root.at(*path)
        if node is not None:
            patches.append((node.start, node.end, new))
            patches += [(old.start, old.end, new) for old in overridden(node)]
            continue
        holder = root.at(*path[:-1])
        if holder is None or holder.kind != "object" or not isinstance(path[-1], str):
            continue
        first = not holder.members and holder.end - 1 not in added
        lead = b"" if first else b","
        added.setdefault(holder.end - 1, []).append(lead + b'"' + spelled(path[-1]) + b'":' + new)
    patches += [(at, at, b"".join(news)) for at, news in added.items()]
    return patched(raw, patches)


def overridden(node: Node) -> list[Node]:
    """Values under equal keys that `node` overrides; who reads the first of equal keys must see the same as others."""
    holder = node.parent
    return [] if holder is None or holder.kind != "object" else holder.earlier.get(str(node.key), [])


def members(tree: Tree, node: Node) -> dict[str, bytes]:
    """The members of an object as JSON texts, the last of equal keys; to be put together again with `object_of`."""
    return {key: tree.token(member) for key, member in node.members.items()}


def object_of(fields: dict[str, bytes]) -> bytes:
    """An object of members that are JSON texts."""
    return b"{" + b",".join(b'"' + spelled(key) + b'":' + token for key, token in fields.items()) + b"}"


def array_of(items: Iterable[bytes]) -> bytes:
    """An array of elements that are JSON texts."""
    return b"[" + b",".join(items) + b"]"
