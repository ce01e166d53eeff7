"""Definitions: what a server says of its tools, fingerprinted, and lists of them with some taken out."""

from collections.abc import Collection
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec

from gateway.wire.leaves import Tree, array_of, patched
from gateway.wire.values import mapping, sequence, word
from policies.tools import ToolTag
from policies.vocabulary.pins import Defined

_NOT_COMPARED: Final = frozenset({"_meta", "icons"})
"""Members of a definition that say nothing to a model and may differ from one listing to the next."""

Annotations: TypeAlias = dict[str, Any]


def defined(server: str, answer: Any) -> tuple[Defined, ...]:
    """The tools in a decoded answer, each with 32 bytes over the server, its name and its definition."""
    listed = sequence(mapping(mapping(answer).get("result")).get("tools"))
    found: dict[str, Defined] = {}
    for item in listed:
        tool = mapping(item)
        name = word(tool.get("name"))
        if name is None:
            continue
        kept = {key: value for key, value in tool.items() if key not in _NOT_COMPARED}
        text = msgspec.json.encode(kept, order="deterministic")
        digest = sha256(server.encode() + b"\0" + text).digest()
        if name in found:  # two of one name are one tool that is both
            text = found[name].definition.encode() + text
            digest = sha256(found[name].fingerprint + digest).digest()
        found[name] = Defined(tool=name, fingerprint=digest, definition=text.decode())
    return tuple(found.values())


def without_tools(raw: bytes, names: Collection[str]) -> bytes:
    """An answer whose list of tools lacks these, every other byte of the others as it was."""
    tree = Tree(raw)
    listed = tree.root.at("result", "tools")
    if listed is None or listed.kind != "array":
        return raw
    kept: list[bytes] = []
    for item in listed.items:
        name = item.members.get("name")
        said = None if name is None else msgspec.json.decode(tree.token(name))
        if not (isinstance(said, str) and said in names):
            kept.append(tree.token(item))
    if len(kept) == len(listed.items):
        return raw
    return patched(raw, [(listed.start, listed.end, array_of(kept))])


def proposed_tags(definition: str) -> tuple[ToolTag, ...]:
    """Tags that a definition's annotations suggest: a server's own word, which a person has to confirm."""
    try:
        hints: Annotations = mapping(mapping(msgspec.json.decode(definition)).get("annotations"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ()
    tags: list[ToolTag] = ["read"] if hints.get("readOnlyHint") is True else ["write"]
    if hints.get("readOnlyHint") is not True and hints.get("destructiveHint") is True:
        tags.append("irreversible")
    if hints.get("openWorldHint") is True:
        tags.append("outbound")
    return tuple(tags) if hints else ()
