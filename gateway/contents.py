"""Contents: the text of a step, read back from the bytes that were kept.

Steps hold no text, only where it stands: a cut of the request, or a pointer into the reply. Pure functions
over bytes and a dialect; what cannot be read back is None, never a guess.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol, Self, TypeAlias, cast

import msgspec

from gateway.config import Limits
from gateway.decoding import Undecoded, decode
from gateway.wire.interface import Dialect, Operation, RequestView, Undecodable
from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.judgements import Where
from policies.vocabulary.steps import Part, Step

CutKind: TypeAlias = Literal["instructions", "tool_definitions", "message"]

Placed: TypeAlias = Step | Where
"""What says where a text stands."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How far decoding may swell a stored body."""

    decoded_bytes: int = 64 << 20
    ratio: int = 100

    @classmethod
    def within(cls, limits: Limits) -> Self:
        """As far as the configuration lets bodies swell."""
        return cls(decoded_bytes=limits.decoded_bytes, ratio=limits.ratio)


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A whole body as it crossed the wire."""

    raw: bytes
    encoding: str | None


class WholeRequest(msgspec.Struct, frozen=True):
    """A request's decoded body, and what its dialect reads in it."""

    body: bytes
    view: RequestView


class Kept(Protocol):
    """The bytes of one exchange, wherever they are. Each gives None where they were not kept."""

    def cut(self, index: int) -> bytes | None:
        """One cut of the request."""
        ...

    def request(self) -> Encoded | None:
        """The whole request."""
        ...

    def response(self) -> Encoded | None:
        """The whole response."""
        ...


class Recorded:
    """The bytes of a recording that is still in memory."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def cut(self, index: int) -> bytes | None:
        """One cut of the request."""
        body = self._recording.request
        if body.raw is None or not 0 <= index < len(body.cuts):
            return None
        start, end, _ = body.cuts[index]
        return body.raw[start:end]

    def request(self) -> Encoded | None:
        """The whole request."""
        body = self._recording.request
        return None if body.raw is None else Encoded(raw=body.raw, encoding=body.content_encoding)

    def response(self) -> Encoded | None:
        """The whole response."""
        body = self._recording.response
        return None if body.raw is None else Encoded(raw=body.raw, encoding=body.content_encoding)


def texts(
    exchange: Exchange, steps: Sequence[Placed], kept: Kept, dialect: Dialect | None, reach: Reach
) -> list[str | None]:
    """The text of each step of one exchange, in the order given."""
    if dialect is None:
        return [None] * len(steps)
    reading = _Reading(exchange, kept, dialect, reach)
    return [reading.text(step) for step in steps]


def asked_parts(exchange: Exchange, kept: Kept, dialect: Dialect, reach: Reach) -> tuple[Part, ...]:
    """Every part of a request: what leads it, then its messages. Evidence names an earlier step by its place here.

    Empty where the bytes are not kept, or the provider holds a part of the conversation that stands before them.
    """
    return _Reading(exchange, kept, dialect, reach).trail()


def whole_request(exchange: Exchange, kept: Kept, dialect: Dialect, reach: Reach) -> WholeRequest | None:
    """A request as it was; None where its bytes are not kept or cannot be read."""
    return _Reading(exchange, kept, dialect, reach).request()


class _Reading:
    """One exchange being read back; parses each cut and the reply at most once."""

    def __init__(self, exchange: Exchange, kept: Kept, dialect: Dialect, reach: Reach) -> None:
        self._exchange = exchange
        self._kept = kept
        self._dialect = dialect
        self._reach = reach
        self._cuts: dict[tuple[int, CutKind], Mapping[tuple[str, str], Part]] = {}
        self._whole: tuple[Part, ...] | None = None
        self._reply: Mapping[tuple[str, str], Part] | None = None

    def text(self, step: Placed) -> str | None:
        """What a judge would read of this step, or None."""
        part = self._replied(step) if step.side == "response" else self._asked(step)
        return None if part is None else part.text

    def trail(self) -> tuple[Part, ...]:
        """The parts of the request in the order in which they are judged."""
        found = self.request()
        if found is None or found.view.previous_response_id or found.view.conversation_id:
            return ()
        cuts = [*(cut for _, cut in found.view.lead_cuts), *(message.cut for message in found.view.messages)]
        return tuple(part for cut in cuts for part in self._dialect.parts(found.body, found.view, cut))

    def request(self) -> WholeRequest | None:
        """The request and its view."""
        body = self._plain(self._kept.request())
        view = None if body is None else self._view(body)
        return None if body is None or view is None else WholeRequest(body, view)

    def _view(self, body: bytes) -> RequestView | None:
        try:
            return self._dialect.read_request(body, cast("Operation", self._exchange.operation))
        except Undecodable:
            return None

    def _asked(self, step: Placed) -> Part | None:
        if step.cut is None:
            return self._in_whole_request(step)
        kinds: tuple[CutKind, ...] = ("message",)
        if step.kind in ("instructions", "tool_definitions"):
            kinds = (cast("CutKind", step.kind), "message")  # a system message stands among the messages
        found = (self._cut(step.cut, kind).get((step.kind, step.pointer)) for kind in kinds)
        return next((part for part in found if part is not None), None)

    def _cut(self, index: int, kind: CutKind) -> Mapping[tuple[str, str], Part]:
        if (index, kind) not in self._cuts:
            value = self._kept.cut(index)
            self._cuts[index, kind] = {} if value is None else _by_place(self._dialect.parts_of(value, kind))
        return self._cuts[index, kind]

    def _in_whole_request(self, step: Placed) -> Part | None:
        """A request that came encoded has no cuts in its bytes; its last part of that kind, place and size it is."""
        if self._whole is None:
            self._whole = self._whole_request()
        fitting = (
            part
            for part in reversed(self._whole)
            if (part.kind, part.pointer) == (step.kind, step.pointer)
            and len(part.text.encode("utf-8", "replace")) == step.size
        )
        return next(fitting, None)

    def _whole_request(self) -> tuple[Part, ...]:
        found = self.request()
        if found is None:
            return ()
        cuts = range(len(found.view.cuts))
        return tuple(part for cut in cuts for part in self._dialect.parts(found.body, found.view, cut))

    def _replied(self, step: Placed) -> Part | None:
        if self._reply is None:
            body = self._plain(self._kept.response())
            self._reply = {} if body is None else _by_place(self._reply_parts(body))
        return self._reply.get((step.kind, step.pointer))

    def _reply_parts(self, body: bytes) -> tuple[Part, ...]:
        operation = cast("Operation", self._exchange.operation)
        reader = self._dialect.reply_reader(operation, stream=self._exchange.stream)
        reader.feed(body, self._exchange.ended_ns)
        return reader.close(self._exchange.ended_ns).parts

    def _plain(self, body: Encoded | None) -> bytes | None:
        if body is None:
            return None
        try:
            return decode(body.raw, body.encoding, cap=self._reach.decoded_bytes, ratio=self._reach.ratio)
        except Undecoded:
            return None


def _by_place(parts: Iterable[Part]) -> dict[tuple[str, str], Part]:
    """Parts by kind and pointer; the first of several wins, as it does for pointers."""
    places: dict[tuple[str, str], Part] = {}
    for part in parts:
        places.setdefault((part.kind, part.pointer), part)
    return places
