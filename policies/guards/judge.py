"""`judge`: a supervisor's model reads the step against the clause's own words.

Here stands only what an operator writes, and what of a step may be shown. Who is asked, at which price, and how an
answer is read is told in `supervisors/`; without a `[supervisor]` nobody is, and the coverage says so.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from policies.asking import NOT_ASKED, Answer, Answers, Asked, Asker, Asking, Question
from policies.guards.interface import BadGuard
from policies.trail import Scene, Trail
from policies.vocabulary.critiques import Seat
from policies.vocabulary.facts import Facts, ValueOrigin
from policies.vocabulary.steps import Part, StepKind

SHOWN_AT_THE_GATE: Final[frozenset[StepKind]] = frozenset({"instructions", "user_input"})
"""Of what came before: only what the application and the user said, nothing an attacker can have written as prose."""

if TYPE_CHECKING:
    from policies.provenance.sources import Analyst

AT_THE_GATE: Final[frozenset[StepKind]] = frozenset({"tool_call"})
"""Steps the gate is asked about: what takes effect. Whatever else is judged holds text that it is not to be shown."""

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_DATA: Final[frozenset[StepKind]] = frozenset({"tool_result", "retrieval"})

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


class Charge(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="judge"):
    """What a supervisor is asked to hold steps against: one clause, as far as its model has to know it."""

    clause: str
    """`policy/clause`."""

    text: str
    guidance: str = ""
    severity: str
    """As in `Clause`."""

    seat: Seat


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One proposed step put to the gate, with the clauses it is to be held against."""

    charges: tuple[Charge, ...]
    scene: Scene
    """As `shown_at_the_gate` leaves it."""

    facts: Facts = Facts()
    asking: Asking = Asking()

    def digest(self, charge: Charge) -> bytes:
        """16 bytes that are the same for the same step under the same clause, whoever asks."""
        return Question(number=0, spec=charge, scene=self.scene, facts=self.facts).digest()


class Judge(Protocol):
    """Whoever puts proposed steps to the gate."""

    async def judge(self, case: Case) -> Sequence[Answer]:
        """An answer for each charge, in order; never raises but when it is cancelled."""
        ...


class NoJudge:
    """The gate where there is nobody to ask."""

    async def judge(self, case: Case) -> Sequence[Answer]:
        """No answer."""
        return [Answer(failure=NOT_ASKED) for _ in case.charges]


def divided(questions: Iterable[Question], asking: Asking) -> tuple[Case | None, list[int], list[Question]]:
    """What of the questions about one step is the gate's: one case with all of its charges, so that it is shown once.

    The number of each charge's question goes with it, and the questions that are for others; None where all are.
    """
    every = list(questions)
    charges = {each.number: each.spec for each in every if isinstance(each.spec, Charge)}
    others = [each for each in every if each.number not in charges]
    shown = next((each for each in every if each.number in charges), None)
    if shown is None:
        return None, [], others
    case = Case(charges=(*charges.values(),), scene=shown.scene, facts=shown.facts or Facts(), asking=asking)
    return case, [*charges], others


async def put(questions: Iterable[Question], judge: Judge, asker: Asker, asking: Asking) -> Answers:
    """The answers to all questions about one step, each put to whoever it is for, at the same time."""
    case, numbers, others = divided(questions, asking)

    async def judged() -> Sequence[Answer]:
        return () if case is None else await judge.judge(case)

    told, answers = await asyncio.gather(judged(), asyncio.gather(*[asker.ask(each) for each in others]))
    return dict(zip([*numbers, *[each.number for each in others]], (*told, *answers), strict=True))


class JudgeGuard(Asked):
    """The place of the judge in a clause."""

    def __init__(self, spec: JudgeSpec, analyst: "Analyst | None" = None) -> None:
        """Raises `BadGuard` for a gate that should sample: what is not asked there would take effect unjudged.

        `analyst`: shared with others that read the same texts.
        """
        super().__init__(spec)
        self.seat: Final = spec.seat
        self._analyst = analyst
        if spec.seat == "gate" and spec.sample != 1:
            raise BadGuard("judge: only the monitor samples; the gate is asked about every step of its clause")

    def shown(self, scene: Scene) -> Scene:
        """The step, and what the application and the user said before it."""
        return shown_at_the_gate(scene)

    def origins(self, scene: Scene) -> tuple[ValueOrigin, ...]:
        """Where the values of a proposed call come from."""
        from policies.arguments import leaves  # noqa: PLC0415 - tables that only those need who ask
        from policies.provenance.origins import origins  # noqa: PLC0415
        from policies.provenance.sources import Analyst  # noqa: PLC0415

        if self._analyst is None:
            self._analyst = Analyst()
        around = self._analyst.surroundings(scene.trail, _DATA)
        return origins(leaves(scene.step.text), scene.trail, around, self._analyst)


def shown_at_the_gate(scene: Scene) -> Scene:
    """The proposed step behind instructions and user turns alone."""
    kept = tuple([_kept(part) for part in scene.trail.parts if part.kind in SHOWN_AT_THE_GATE])
    return Scene(step=_kept(scene.step), trail=Trail(parts=kept, partial=scene.trail.partial))


def _kept(part: Part) -> Part:
    """A part without ids and places, in valid Unicode: a replacement character is as long as a lone surrogate."""
    tool = None if part.tool is None else _SURROGATES.sub("\ufffd", part.tool)
    return Part(kind=part.kind, tool=tool, text=_SURROGATES.sub("\ufffd", part.text))
