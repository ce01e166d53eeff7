"""Trails: what came before in a session, for acts that a tool server sees: no message of theirs carries it.

The LLM side tells its whole history with each turn; what tool servers were asked and gave since then is added as it is
judged, before anybody can act on it, and kept until the LLM side has told of it as it was.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from gateway.stations.errands import retells
from gateway.wire.memory import Recent
from policies.vocabulary.steps import Part

_BYTES: Final = 16 << 20

MOST: Final = 256
"""Acts and what they brought that are kept beside what a model was told; what was before them is then missing."""


class SessionTrail(msgspec.Struct, frozen=True):
    """What is known of one session."""

    told: tuple[Part, ...] = ()
    """The history of its model, with the last reply."""

    acts: tuple[Part, ...] = ()
    """What tool servers saw and gave, as far as it is not told yet."""

    partial: bool = False
    """True where something before all this is not known here."""

    def before(self, call_id: str | None) -> tuple[Part, ...]:
        """What came before an act; the model's own proposal of it is this act, and its tools have other names."""
        return tuple(
            [
                part
                for part in (*self.told, *self.acts)
                if part.kind != "tool_definitions" and not (part.kind == "tool_call" and part.call_id == call_id)
            ]
        )


class Trails:
    """The trails of sessions, within a bound."""

    def __init__(self) -> None:
        self._kept: Recent[str, SessionTrail] = Recent(_BYTES)

    def of(self, session_id: str) -> SessionTrail | None:
        """What is known of a session; None where that is nothing."""
        return self._kept.get(session_id)

    def tell(self, session_id: str, parts: tuple[Part, ...], *, partial: bool) -> None:
        """A model was told all this."""
        known = self.of(session_id) or SessionTrail()
        results = {part.call_id: part.text for part in parts if part.kind == "tool_result" and part.call_id}
        acts = tuple([act for act in known.acts if not _is_told(act, results)])
        self._keep(session_id, SessionTrail(parts, acts, partial))

    def act(self, session_id: str, parts: Iterable[Part], *, begins: bool = True) -> None:
        """A tool server is asked or has given this; `begins`: nothing can have come before in this session."""
        known = self.of(session_id) or SessionTrail(partial=not begins)
        acts = (*known.acts, *[part for part in parts if part.kind != "tool_definitions"])
        carried_out = {part.call_id for part in acts if part.kind == "tool_call"}
        told = tuple([part for part in known.told if part.kind != "tool_call" or part.call_id not in carried_out])
        missing = known.partial or len(acts) > MOST
        self._keep(session_id, SessionTrail(told, acts[-MOST:], missing))

    def forget(self, sessions: Iterable[str]) -> None:
        """Forget what is known of these sessions."""
        for session_id in sessions:
            known = self.of(session_id)
            if known is not None:
                self._kept.drop(session_id, _size(known))

    def _keep(self, session_id: str, trail: SessionTrail) -> None:
        self._kept.put(session_id, trail, _size(trail))


def _size(trail: SessionTrail) -> int:
    return sum(len(part.text) for part in (*trail.told, *trail.acts))


def _is_told(act: Part, results: Mapping[str, str]) -> bool:
    """Whether what a tool server saw stands in what a model was told."""
    told = results.get(act.call_id or "")
    return told is not None and (act.kind == "tool_call" or retells(told, act.text))
