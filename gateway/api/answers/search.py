"""Answers about what was searched for."""

import msgspec

from gateway.api.answers.values import sound
from gateway.searching import Place
from gateway.times import rfc3339


class FoundStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step that holds the words, with what stands around them."""

    exchange_id: str
    session_id: str | None
    app: str
    step_id: str
    seq: int
    kind: str
    tool: str | None
    at: str
    before: str
    words: str
    """As they stand there."""

    after: str
    times: int
    """How often the step holds them."""

    @classmethod
    def of(cls, place: Place) -> "FoundStep":
        """The answer for one place."""
        exchange, step = place.exchange, place.step
        return cls(
            exchange_id=exchange.exchange_id,
            session_id=None if exchange.join is None else exchange.join.session_id,
            app=exchange.app,
            step_id=step.step_id,
            seq=step.seq,
            kind=step.kind,
            tool=None if step.tool is None else sound(step.tool),
            at=rfc3339(step.started_ns),
            before=sound(place.before),
            words=sound(place.words),
            after=sound(place.after),
            times=place.times,
        )


class Searchable(msgspec.Struct, frozen=True, kw_only=True):
    """Which apps' contents may be searched by whoever asks."""

    apps: tuple[str, ...]
