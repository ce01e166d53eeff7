"""Reading a request: the steps all three wires share, from bytes to messages with exact cuts."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from gateway.wire.canonical import DIGEST, Digester, plain, plain_all
from gateway.wire.cutting import Range, place_items, place_run, place_value
from gateway.wire.interface import Message, RequestView, TooDeep, Undecodable, Voice
from gateway.wire.memory import Recent
from gateway.wire.values import mapping
from policies.possessive import compiled
from policies.vocabulary.exchanges import Cut
from policies.vocabulary.steps import Part

Lead: TypeAlias = Literal["instructions", "tool_definitions"]
Kind: TypeAlias = Literal["instructions", "tool_definitions", "message"]
T = TypeVar("T")

_TOO_DEEP: Final = "the request body nests too deeply to be read"

MOST_ELEMENTS: Final = 50_000
"""Elements of arrays in a request that is read: each can be a message or a part, and all work on them is one stretch
of the event loop."""

MOST_VALUES: Final = 250_000
"""Values of any kind in it: a key of an object costs less, and is not for nothing either."""

_SHORTEST: Final = 2
"""Bytes of the shortest element with its comma."""

_STRING: Final = rb'"[^"]*+"'
_AT_ONCE: Final = 1_000
"""Commas that are matched together: `re` keeps a place for each."""

_VALUES: Final = compiled(rb'(?:(?:[^",]++|%b)*+,){%d}+' % (_STRING, _AT_ONCE))
_ELEMENTS: Final = compiled(rb'(?:(?:[^",]++|%b|,(?=\s*+%b\s*+:))*+,){%d}+' % (_STRING, _STRING, _AT_ONCE))
"""As many commas outside strings (of elements only, as what follows the others is a key); nothing is tried twice."""

_HISTORIES: Final = 4 << 20
_LEADS: Final = 1 << 20
"""Bytes of one generation of what is remembered."""

_LONG: Final = 8
"""Messages from which a history is worth remembering as a whole; in a shorter one each is looked up by itself."""

_AHEAD: Final = 12
"""Messages that a request may have beyond an earlier one for that to be looked for."""

_LATE: Final = 4
"""Messages at the end of a request that are read at once when new: whoever threads it asks for them."""

_ABSENT: Final = (b"", b"null")
_MARK: Final = 96
_MESSAGE: Final = 250
"""Bytes that a remembered message costs besides its own."""


class LeadPiece(NamedTuple):
    """A top-level value that stands before the conversation."""

    kind: Lead
    key: bytes
    """As in the body, with quotes."""

    raw: bytes


_Split: TypeAlias = Callable[[bytes], tuple[list[LeadPiece], Sequence[bytes | msgspec.Raw]]]


class Conversation(NamedTuple):
    """The fields of a `RequestView` that are made of a body's pieces."""

    messages: tuple[Message, ...]
    lead: bytes
    lead_cuts: tuple[tuple[Lead, int], ...]
    cuts: tuple[Cut, ...]
    parts_read: dict[int, tuple[Part, ...]]


class _History(NamedTuple):
    """The messages of an earlier request, in case this one resends them."""

    run: bytes
    """Their bytes, joined by commas."""

    messages: tuple[Message, ...]

    start: int
    width: int
    cuts: tuple[Cut, ...]
    """As in `_Placed`."""


class _Placed(NamedTuple):
    """Where messages stand in a body."""

    start: int
    """Of the first; negative where they are not evenly separated."""

    width: int
    """Bytes between two."""

    cuts: tuple[Cut, ...]


def lead_of(*fields: tuple[Lead, bytes, msgspec.Raw]) -> list[LeadPiece]:
    """What leads a request: of these top-level fields (kind, key, value) those that are there."""
    return [LeadPiece(kind, key, raw) for kind, key, value in fields if (raw := bytes(value)) not in _ABSENT]


def read_message(value: Any, voice_of: Callable[[dict[str, Any]], Voice]) -> tuple[Voice, Any]:
    """Voice and canonical form of a decoded message; ValueError where it is no object."""
    if not isinstance(value, dict):
        raise ValueError("a message is not an object")  # noqa: TRY004 - one error for every wrong shape
    fields = mapping(value)
    return voice_of(fields), plain(fields)


def decode_request(decode: Callable[[bytes], T], body: bytes) -> T:
    """`decode_body` of a whole request that is to become messages: what holds too many of them is not taken apart."""
    if len(body) > _SHORTEST * MOST_ELEMENTS:
        _refuse_endless(body)
    return decode_body(decode, body)


def _refuse_endless(body: bytes) -> None:
    """Raise `Undecodable` for more elements or values than are read. Counted in the bytes, before any is an object."""
    commas = body.count(b",")  # in strings too, so that most bodies need no closer look
    if commas < MOST_ELEMENTS:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # so that every quote left opens or closes a string
    if commas >= MOST_VALUES and _holds(_VALUES, MOST_VALUES, unescaped):
        raise Undecodable(f"the request body holds more than {MOST_VALUES} values")
    if _holds(_ELEMENTS, MOST_ELEMENTS, unescaped):
        raise Undecodable(f"the request body holds more than {MOST_ELEMENTS} messages and parts")


def _holds(commas: re.Pattern[bytes], count: int, unescaped: bytes) -> bool:
    """Whether there are so many of these commas."""
    at = 0
    for _ in range(0, count, _AT_ONCE):
        found = commas.match(unescaped, at)
        if found is None:
            return False
        at = found.end()
    return True


def decode_body(decode: Callable[[bytes], T], body: bytes) -> T:
    """`decode(body)` with every way to fail turned into `Undecodable` or `TooDeep`."""
    try:
        if not body.isascii():
            body.decode()  # the parser does not check pieces that it only skips
        return decode(body)
    except RecursionError:
        raise TooDeep(_TOO_DEEP) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise _undecodable(error) from None


def _undecodable(error: Exception) -> Undecodable:
    if isinstance(error, UnicodeDecodeError):
        return Undecodable("the request body is not UTF-8")
    return Undecodable(f"the request body is not of this wire's shape: {error}")


class RequestReader:
    """Messages, digests and cuts of one wire's requests.

    It remembers the histories it has seen, for most requests resend one with a few messages behind it, and the
    digests of single messages. `read` gives voice and canonical form of a decoded message, `parts` its parts.
    """

    def __init__(
        self, key: bytes, read: Callable[[Any], tuple[Voice, Any]], parts: Callable[[Any], list[Part]]
    ) -> None:
        self._key = key
        self._parts = parts
        self._digests = Digester(read)
        self._lead = Digester(_read_lead)
        self._histories: Recent[tuple[int, bytes], _History] = Recent(_HISTORIES)
        self._leads: Recent[tuple[tuple[bytes, int, bytes], ...], tuple[Sequence[LeadPiece], bytes]] = Recent(_LEADS)
        self._lead_parts: Recent[tuple[Kind, int, bytes], tuple[bytes, tuple[Part, ...]]] = Recent(_LEADS)

    def conversation(
        self, body: bytes, messages: Sequence[bytes | msgspec.Raw], lead: Sequence[LeadPiece]
    ) -> Conversation:
        """What `messages` (elements of the array under the reader's key) and `lead` come to.

        A message that is the bare value of the key (a string) is given by itself. Raises `Undecodable`, `TooDeep`.
        """
        joined = b",".join(messages)
        lengths = list(map(len, messages))
        long = len(lengths) >= _LONG
        earlier = self._earlier(joined, lengths) if long else None
        placed = self._place(body, messages, joined, lengths, earlier)
        base, lead_cuts, cuts = _arrange(body, lead, placed)
        read: dict[int, tuple[Part, ...]] = {}
        found = self._read(messages, base, earlier, read)
        if long and placed is not None and (earlier is None or len(earlier.messages) < len(found)):
            self._remember(_History(joined, found, *placed), earlier)
        return Conversation(found, self._lead_digest(lead) if lead else b"", lead_cuts, cuts, read)

    def parts(
        self, body: bytes, view: RequestView, cut: int, split: _Split, read: Callable[[bytes, Kind], tuple[Part, ...]]
    ) -> tuple[Part, ...]:
        """What `read` makes of one cut; instructions and tools are remembered, for many sessions share them."""
        known = view.parts_read.get(cut)
        if known is not None:
            return known
        raw, kind = piece(body, view, cut, split)
        if kind == "message":
            return read(raw, kind)
        key = (kind, len(raw), raw[-_MARK:])
        found = self._lead_parts.get(key)
        if found is None or found[0] != raw:
            found = (raw, read(raw, kind))
            self._lead_parts.put(key, found, 2 * len(raw))
        return found[1]

    def _remember(self, history: _History, earlier: _History | None) -> None:
        """Keep a history in place of the one it goes on from."""
        if earlier is not None:
            self._histories.drop(_mark(earlier.run, len(earlier.run)), _size(earlier))
        self._histories.put(_mark(history.run, len(history.run)), history, _size(history))

    def _earlier(self, joined: bytes, lengths: list[int]) -> _History | None:
        """The longest history we know that these messages begin with, byte for byte."""
        end, size = len(joined), len(lengths)
        for count in range(size, max(size - _AHEAD, 0), -1):
            known = self._histories.get(_mark(joined, end))
            if known is not None and len(known.messages) == count and joined.startswith(known.run):
                return known
            end -= lengths[count - 1] + 1
        return None

    def _place(
        self,
        body: bytes,
        messages: Sequence[bytes | msgspec.Raw],
        joined: bytes,
        lengths: list[int],
        earlier: _History | None,
    ) -> _Placed | None:
        if not messages:
            return _Placed(0, 0, ())
        if len(messages) == 1 and joined.startswith(b'"'):
            found = place_value(body, self._key, joined, ())
            return None if found is None else _Placed(found[0], 0, ((*found, True),))
        run = place_run(body, self._key, joined, lambda: b", ".join(messages))
        if run is None:
            ranges = place_items(body, self._key, [bytes(raw) for raw in messages])
            return None if ranges is None else _Placed(-1, 0, tuple([(start, end, True) for start, end in ranges]))
        start, width = run
        cuts: list[Cut] = []
        at = start
        if earlier is not None and earlier.start == start and earlier.width == width:
            cuts += earlier.cuts
            at = cuts[-1][1] + width
        for length in lengths[len(cuts) :]:
            cuts.append((at, at + length, True))
            at += length + width
        return _Placed(start, width, tuple(cuts))

    def _read(
        self,
        messages: Sequence[bytes | msgspec.Raw],
        base: int,
        earlier: _History | None,
        read: dict[int, tuple[Part, ...]],
    ) -> tuple[Message, ...]:
        """The messages, numbered from `base`; parts of new ones among the last go to `read`."""
        known: tuple[Message, ...] = earlier.messages if earlier is not None else ()
        if known and known[0].cut != base:
            known = tuple([msgspec.structs.replace(message, cut=base + at) for at, message in enumerate(known)])
        if len(known) == len(messages):
            return known
        cut, late = base + len(known), base + len(messages) - _LATE
        found: list[Message] = []
        digests = self._digests.message
        try:
            for raw in messages[len(known) :]:
                look = partial(self._look, read, cut) if cut >= late else None
                voice, digest = digests(bytes(raw), look)
                found.append(Message(voice=voice, digest=digest, cut=cut))
                cut += 1
        except RecursionError:
            raise TooDeep(_TOO_DEEP) from None
        except (msgspec.DecodeError, ValueError) as error:
            raise _undecodable(error) from None
        return (*known, *found)

    def _look(self, read: dict[int, tuple[Part, ...]], cut: int, value: Any) -> None:
        """Note the parts of a message while it is decoded; where that fails, whoever asks for them will be told."""
        try:
            read[cut] = tuple(self._parts(value))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return

    def _lead_digest(self, lead: Sequence[LeadPiece]) -> bytes:
        key = tuple([(piece.key, len(piece.raw), piece.raw[-_MARK:]) for piece in lead])
        known = self._leads.get(key)
        if known is not None and known[0] == lead:
            return known[1]
        whole = blake2b(digest_size=DIGEST)
        for piece in lead:
            whole.update(piece.key)
            whole.update(decode_body(self._lead.message, piece.raw)[1])
        found = whole.digest()
        self._leads.put(key, (lead, found), sum(map(_length, lead)))
        return found


def _mark(joined: bytes, end: int) -> tuple[int, bytes]:
    """A key for the messages that end here; who finds something under it must still compare."""
    return end, joined[max(end - _MARK, 0) : end]


def _size(history: _History) -> int:
    return len(history.run) + _MESSAGE * len(history.messages)


def _read_lead(value: Any) -> tuple[Voice, Any]:
    return "system", plain_all(value)


def _length(piece: LeadPiece) -> int:
    return len(piece.raw)


def _arrange(
    body: bytes, lead: Sequence[LeadPiece], placed: _Placed | None
) -> tuple[int, tuple[tuple[Lead, int], ...], tuple[Cut, ...]]:
    """The number of the first message, the numbers of what leads, and all cuts."""
    if placed is not None and not lead:
        return 0, (), placed.cuts
    around = _place_lead(body, lead, placed.cuts) if placed is not None else None
    if around is None or placed is None:  # not cut: numbered as if it had been, what leads first
        return len(lead), tuple([(piece.kind, at) for at, piece in enumerate(lead)]), ()
    first = placed.cuts[0][0] if placed.cuts else 0
    before: list[Cut] = [(start, end, False) for (start, end), _ in around if start < first]
    after: list[Cut] = [(start, end, False) for (start, end), _ in around[len(before) :]]
    base, count = len(before), len(placed.cuts)
    lead_cuts: list[tuple[Lead, int]] = []
    for at, (_, kind) in enumerate(around):
        lead_cuts.append((kind, at if at < base else at + count))
    return base, tuple(lead_cuts), (*before, *placed.cuts, *after)


def _place_lead(body: bytes, lead: Sequence[LeadPiece], cuts: tuple[Cut, ...]) -> list[tuple[Range, Lead]] | None:
    """Where each piece stands, in order; None where one is not found."""
    stretches = [(cuts[0][0], cuts[-1][1])] if cuts else []
    around: list[tuple[Range, Lead]] = []
    for piece in sorted(lead, key=_length, reverse=True):  # small values may stand inside large ones
        found = place_value(body, piece.key, piece.raw, stretches)
        if found is None:
            return None
        stretches.append(found)
        around.append((found, piece.kind))
    around.sort()
    return around


def piece(body: bytes, view: RequestView, cut: int, split: _Split) -> tuple[bytes, Kind]:
    """The bytes of one cut and what they are; `split` takes a body apart that was not cut. Empty where out of range."""
    kind: Kind = "message"
    for lead_kind, at in view.lead_cuts:
        if at == cut:
            kind = lead_kind
    if view.cuts:
        if not 0 <= cut < len(view.cuts):
            return b"", kind
        start, end, _ = view.cuts[cut]
        return body[start:end], kind
    try:
        lead, messages = split(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return b"", kind
    pieces = [*(found.raw for found in lead), *messages]
    return (bytes(pieces[cut]) if 0 <= cut < len(pieces) else b""), kind
