"""What one request asks otherwise than another: settings, instructions, tools, and history that was told anew.

An agent sends its whole history with every request, so that what it changed between two turns stands nowhere. Here two
recorded requests are compared as their dialect reads them: messages by what they mean, not by their bytes, so that a
moved `cache_control` is no change. Pure: bytes and a dialect in, changes out.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final, Literal, TypeAlias, cast

import msgspec

from gateway.contents import WholeRequest
from gateway.wire.interface import Dialect, Message

_TOLD_APART: Final = frozenset({"system", "instructions", "messages", "input", "tools", "functions"})
"""Members of a request that hold what is compared as instructions, tools and messages."""

PERSONAL: Final = frozenset({"user", "safety_identifier", "metadata"})
"""Settings that may name an end user, who is a keyed hash everywhere else here."""

_MOST_COMPARED: Final = 4000
"""Messages between the first and the last that differ; beyond, they count as told anew from there on."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

LeadKind: TypeAlias = Literal["instructions", "tool_definitions"]


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing as it was and as it is; None where it was not, or is no more."""

    name: str
    """Of a setting or a tool; of a message its kind."""

    before: str | None
    after: str | None
    place: int | None = None
    """Of a message: its place among those of the request that holds it, from 0; the later one's where both do."""


class RequestChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks otherwise than an earlier one."""

    settings: tuple[Changed, ...]
    """Members of the request beside those below, as JSON, by name."""

    instructions: Changed | None
    tools: tuple[Changed, ...]
    """By name; one whose place alone is another is not changed."""

    history: tuple[Changed, ...]
    """Messages of the earlier request that stand otherwise in the later one or not at all, and what came between."""

    kept: int
    """Messages of the earlier request that stand in the later one as they were."""

    appended: int
    """Messages behind the last that was kept: what the turn itself brought."""


def request_changes(before: WholeRequest, after: WholeRequest, dialect: Dialect) -> RequestChanges:
    """Compare two requests of one dialect."""
    one, other = (_Asked(each, dialect) for each in (before, after))
    history, kept, appended = _history(one, other)
    was, now = one.instructions(), other.instructions()
    return RequestChanges(
        settings=tuple(_by_name(one.settings(), other.settings())),
        instructions=None if was == now else Changed(name="instructions", before=was, after=now),
        tools=tuple(_by_name(one.tools(), other.tools())),
        history=tuple(history),
        kept=kept,
        appended=appended,
    )


def _by_name(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Changed]:
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was != now:
            yield Changed(name=name, before=was, after=now)


class _Asked:
    """One request as it is compared."""

    def __init__(self, request: WholeRequest, dialect: Dialect) -> None:
        self._body = request.body
        self._view = request.view
        self._dialect = dialect

    @property
    def messages(self) -> Sequence[Message]:
        return self._view.messages

    def settings(self) -> Mapping[str, str]:
        """Each as JSON."""
        fields = _FIELDS.decode(self._body)
        return {name: _in_order(bytes(value)) for name, value in fields.items() if name not in _TOLD_APART}

    def instructions(self) -> str | None:
        """The text of what stands before the conversation; None where there is none."""
        cuts = self._cuts("instructions")
        found = [part.text for cut in cuts for part in self._dialect.parts(self._body, self._view, cut)]
        return "\n".join(found) if found else None

    def tools(self) -> Mapping[str, str]:
        """Definitions by name; of several with one name each has its number behind it."""
        found: dict[str, str] = {}
        for cut in self._cuts("tool_definitions"):
            for part in self._dialect.parts(self._body, self._view, cut):
                name, number = part.tool or "?", 2
                while name in found:
                    name, number = f"{part.tool or '?'} ({number})", number + 1
                found[name] = _definition(part.text)
        return found

    def told(self, place: int) -> tuple[str, str]:
        """Kind and text of one message."""
        parts = self._dialect.parts(self._body, self._view, self.messages[place].cut)
        texts = [part.text if part.tool is None else f"{part.tool} {part.text}" for part in parts]
        return (parts[0].kind if parts else "user_input"), "\n".join(texts)

    def _cuts(self, kind: LeadKind) -> Iterator[int]:
        return (cut for each, cut in self._view.lead_cuts if each == kind)


def _in_order(value: bytes) -> str:
    """JSON with its keys in order, since a client may write them in any; what only lenient readers read, as it is."""
    try:
        return msgspec.json.encode(msgspec.json.decode(value), order="sorted").decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return value.decode("utf-8", "replace")


def _definition(text: str) -> str:
    """A tool's definition as it is compared: where the cache is cut is no part of it."""
    try:
        value = msgspec.json.decode(text)
        if isinstance(value, dict):
            cast("dict[str, object]", value).pop("cache_control", None)
        return msgspec.json.encode(value, order="sorted").decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text


def _history(before: _Asked, after: _Asked) -> tuple[list[Changed], int, int]:
    """Messages that are otherwise; how many were kept, and how many follow the last of those."""
    changed: list[Changed] = []
    kept = 0
    behind = 0
    for tag, i1, i2, j1, j2 in _runs(before, after):
        if tag == "equal":
            changed += (_added(after, place) for place in range(j1 - behind, j1))
            kept, behind = kept + i2 - i1, 0
            continue
        pairs = min(i2 - i1, j2 - j1)
        changed += (_replaced(before, i1 + step, after, j1 + step) for step in range(pairs))
        changed += (_removed(before, place) for place in range(i1 + pairs, i2))
        behind = j2 - j1 - pairs
    return changed, kept, behind


def _runs(before: _Asked, after: _Asked) -> Iterator[tuple[str, int, int, int, int]]:
    """Runs of messages that are alike or not, in order; the runs that are alike at either end cost nothing."""
    a = [message.digest for message in before.messages]
    b = [message.digest for message in after.messages]
    start = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))
    yield "equal", 0, start, 0, start
    rest_a, rest_b = a[start:], b[start:]
    if not rest_a or max(len(rest_a), len(rest_b)) > _MOST_COMPARED:
        yield "replace", start, len(a), start, len(b)
        return
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, rest_a, rest_b, autojunk=False).get_opcodes():
        yield tag, i1 + start, i2 + start, j1 + start, j2 + start


def _replaced(before: _Asked, was: int, after: _Asked, now: int) -> Changed:
    kind, text = after.told(now)
    return Changed(name=kind, before=before.told(was)[1], after=text, place=now)


def _removed(before: _Asked, place: int) -> Changed:
    kind, text = before.told(place)
    return Changed(name=kind, before=text, after=None, place=place)


def _added(after: _Asked, place: int) -> Changed:
    kind, text = after.told(place)
    return Changed(name=kind, before=None, after=text, place=place)
