"""Steps of an exchange: what is new in a request, and all of its reply."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.ids import span_after
from gateway.stations.errands import retells
from gateway.wire.interface import RequestView
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Fidelity, Part, Side, Step

_FROM_HISTORY = frozenset({"tool_result", "model_text", "reasoning", "tool_call"})
"""Kinds that a request can only retell: the act itself was elsewhere, or in an earlier reply."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where steps belong, and the span id they count on from."""

    join: Join
    exchange_id: str
    span: bytes
    """8 bytes: the last span id the exchange itself uses."""


def request_steps(
    view: RequestView,
    place: Place,
    parts_at: Callable[[int], Sequence[Part]],
    at_ns: int,
    *,
    given: Mapping[str, str],
) -> list[Step]:
    """The steps of a request that its branch did not hold before; a resent history yields none.

    `given` is what tools were seen to give, by call id: what an agent tells so is no longer projected.
    """
    join = place.join
    cuts: list[int] = []
    if not join.lead_known:
        cuts += [cut for _, cut in view.lead_cuts]
    if join.replaces:
        known = enumerate(view.messages[: join.known])
        cuts += [message.cut for index, message in known if index in join.replaces]
    cuts += [message.cut for message in view.messages[join.known :]]
    steps: list[Step] = []
    for cut in cuts:
        for part in parts_at(cut):
            fidelity: Fidelity = "projected" if part.kind in _FROM_HISTORY else "witnessed"
            seen = given.get(part.call_id or "") if part.kind == "tool_result" else None
            if seen is not None and retells(part.text, seen):
                fidelity = "witnessed"
            steps.append(_step(part, place, len(steps), fidelity, "request", cut, at_ns, at_ns))
    return steps


def reply_steps(parts: Sequence[Part], place: Place, first_seq: int, times: tuple[int, int]) -> list[Step]:
    """The steps of a reply; `times` (start, end in ns) stand in where the wire gave a block none of its own."""
    start, end = times
    return [
        _step(part, place, seq, "witnessed", "response", None, part.started_ns or start, part.ended_ns or end)
        for seq, part in enumerate(parts, first_seq)
    ]


def errand_steps(
    place: Place, request: Sequence[tuple[Part, int]], reply: Sequence[Part], times: tuple[int, int, int]
) -> tuple[Step, ...]:
    """The steps of a message pair with a tool server: the act itself and what came of it, both witnessed.

    `request` are parts with the cut each stands in; `times`: when it was asked, when it was passed on, when it was
    answered, in nanoseconds.
    """
    asked, called, ended = times
    steps = [
        _step(part, place, seq, "witnessed", "request", cut, asked, called) for seq, (part, cut) in enumerate(request)
    ]
    return (
        *steps,
        *(
            _step(part, place, seq, "witnessed", "response", None, ended, ended)
            for seq, part in enumerate(reply, len(steps))
        ),
    )


def _step(
    part: Part,
    place: Place,
    seq: int,
    fidelity: Fidelity,
    side: Side,
    cut: int | None,
    started_ns: int,
    ended_ns: int,
) -> Step:
    join, exchange_id, text = place.join, place.exchange_id, part.text
    return Step(
        step_id=f"{exchange_id}.{seq:04d}",
        exchange_id=exchange_id,
        session_id=join.session_id,
        branch_id=join.branch_id,
        seq=seq,
        kind=part.kind,
        fidelity=fidelity,
        side=side,
        cut=cut,
        pointer=part.pointer,
        tool=part.tool,
        call_id=part.call_id,
        unread=part.unread,
        server_side=part.server_side,
        size=len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")),
        started_ns=started_ns,
        ended_ns=ended_ns,
        span_id=span_after(place.span, seq + 1),
    )
