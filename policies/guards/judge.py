"""`judge`: a supervisor's model reads the step against the clause's own words.

Here stands only what an operator writes, and what of a step may be shown. Who is asked, at which price, and how an
answer is read is told in `supervisors/`; without a `[supervisor]` nobody is, and the coverage says so.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from policies.asking import Asked
from policies.guards.interface import BadGuard
from policies.trail import Scene, Trail
from policies.vocabulary.critiques import Seat
from policies.vocabulary.steps import Part, StepKind

SHOWN_AT_THE_GATE: Final[frozenset[StepKind]] = frozenset({"instructions", "user_input"})
"""Of what came before: only what the application and the user said, nothing an attacker can have written as prose."""

Guidance = Annotated[str, Meta(max_length=4000)]


class JudgeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="judge"):
    """A supervisor's model judges the step against the clause's `text`."""

    seat: Seat
    """`gate`: asked before the call takes effect; it sees no tool output and no words of the agent. `monitor`: reads
    the recorded session afterwards, and sees all."""

    guidance: Guidance = ""
    """What to look for and where the line is, beside the clause's `text`."""

    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """`monitor` only: the share of steps it reads, chosen by a hash of the step's id."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor is asked to hold steps against: one clause, as far as its model has to know it."""

    clause: str
    """`policy/clause`."""

    text: str
    guidance: str = ""
    severity: str
    """As in `Clause`."""

    seat: Seat


class JudgeGuard(Asked):
    """The place of the judge in a clause."""

    def __init__(self, spec: JudgeSpec) -> None:
        """Raises `BadGuard` for a gate that should sample: what is not asked there would take effect unjudged."""
        super().__init__(spec)
        if spec.seat == "gate" and spec.sample != 1:
            raise BadGuard("judge: only the monitor samples; the gate is asked about every step of its clause")

    def shown(self, scene: Scene) -> Scene:
        """The step, and what the application and the user said before it."""
        return shown_at_the_gate(scene)


def shown_at_the_gate(scene: Scene) -> Scene:
    """The proposed step behind instructions and user turns alone."""
    kept = tuple([_kept(part) for part in scene.trail.parts if part.kind in SHOWN_AT_THE_GATE])
    return Scene(step=_kept(scene.step), trail=Trail(parts=kept, partial=scene.trail.partial))


def _kept(part: Part) -> Part:
    return Part(kind=part.kind, tool=part.tool, text=part.text)
