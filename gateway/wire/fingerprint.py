"""Fingerprints of what a model said, equal for a reply and for the same turn sent back as history.

Between the two, clients drop reasoning, merge adjacent texts, trim spaces and write arguments anew; none of
that changes a fingerprint. A changed word, call id, tool or argument does.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

import msgspec

from gateway.wire.canonical import DIGEST, digest
from policies.turn import choice_of, is_spoken
from policies.vocabulary.steps import Part

_LONG: Final = 24
"""Shortest string argument worth recognising elsewhere, characters."""

_MOST_CHOICES: Final = 128
"""Choices of one reply worth recognising: as many as any provider gives."""

_TELLING: Final = 64
"""Characters of text from which a reply is not one that many conversations get, as greetings and refusals are."""

_SPACES: Final = bytes(code for code in range(128) if chr(code).isspace())
_TO_SPACES: Final = bytes.maketrans(_SPACES, b" " * len(_SPACES))


def fingerprint(parts: Iterable[Part]) -> bytes:
    """16 bytes over a turn's text and calls.

    Reasoning, tools that the provider ran, citations and blocks nobody knows are ignored, for clients may leave them
    out of the history.
    """
    texts: list[str] = []
    calls: list[list[Any]] = []
    for part in parts:
        if part.server_side:
            continue
        if part.kind == "model_text" and is_spoken(part):  # clients drop blocks they do not know
            texts.append(part.text)
        elif part.kind == "tool_call":
            calls.append([part.call_id, part.tool, arguments(part.text)])
    return digest([_squeeze("".join(texts)), calls])


def fingerprints(parts: Iterable[Part]) -> tuple[bytes, ...]:
    """Of each choice of a reply, since a client may go on with any; equal ones once, none for a reply without parts."""
    choices: dict[str, list[Part]] = {}
    for part in parts:
        choices.setdefault(choice_of(part.pointer), []).append(part)
    return tuple(dict.fromkeys([fingerprint(choice) for choice in islice(choices.values(), _MOST_CHOICES)]))


def is_telling(parts: Iterable[Part]) -> bool:
    """Whether the text of a reply is long enough to be known again by itself."""
    said = [len(part.text) for part in parts if part.kind == "model_text" and part.unread is None]
    return sum(said) >= _TELLING


def text_digest(text: str) -> bytes:
    """16 bytes over a text, its spaces normalised."""
    return blake2b(_spaced(text), digest_size=DIGEST).digest()


def offered(parts: Iterable[Part]) -> tuple[bytes, ...]:
    """`text_digest` of each string of at least 24 characters in the arguments of tool calls, in order."""
    return tuple(
        text_digest(leaf)
        for part in parts
        if part.kind == "tool_call" and len(part.text) >= _LONG
        for leaf in _strings(arguments(part.text))
        if len(leaf) >= _LONG
    )


def arguments(text: str) -> Any:
    """A call's arguments as a value: JSON where it is JSON, no text as no arguments, else the text itself."""
    text = text.strip()
    try:
        return msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return text


def _strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value in order, without recursion: arguments may nest deeper than Python bears."""
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is str:
            yield item
        elif type(item) is dict:
            waiting.extend(reversed(list(item.values())))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - parsed JSON
        elif type(item) is list:
            waiting.extend(reversed(item))  # pyright: ignore[reportUnknownArgumentType] - parsed JSON


def _spaced(text: str) -> bytes:
    """A text with single spaces between its words: `" ".join(text.split())`, which makes an object of every word."""
    if not text.isascii():
        return " ".join(text.split()).encode("utf-8", "replace")
    spaced = text.encode().translate(_TO_SPACES)
    while b"  " in spaced:
        spaced = spaced.replace(b"  ", b" ")
    return spaced.strip(b" ")


def _squeeze(text: str) -> str:
    """A text without its spaces: `"".join(text.split())`."""
    return text.encode().translate(None, _SPACES).decode() if text.isascii() else "".join(text.split())
