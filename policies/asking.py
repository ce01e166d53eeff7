"""Asking: guards whose findings are made elsewhere, by a service, a model or a library that may block.

The evaluator stays pure. A sitting runs every guard that is here, says which questions are left, and judges once their
answers are handed in. Who answers is not known on this floor; what is not answered follows the clause's `on_error`.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from policies.trail import Scene, Trail, utf8
from policies.vocabulary.facts import Facts
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import Part

NOT_ASKED: Final = "not_asked"
"""Why a guard did not run that nobody was there to ask."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one question."""

    hits: tuple[Hit, ...] = ()
    """What is to be said of the step; nothing means ok."""

    failure: str | None = None
    """Why there is no answer, as a low-cardinality word (`timed_out`, `breaker_open`, ...); None where there is one."""

    micros: int = 0
    """How long it took, microseconds."""


class Asked:
    """The place of a guard that is asked: built from its spec like every other, and never run here."""

    window: None = None
    """The whole step is needed."""

    def __init__(self, spec: msgspec.Struct) -> None:
        """Subclasses raise `BadGuard` for a spec that makes no sense."""
        self.spec = spec

    def shown(self, scene: Scene) -> Scene:
        """All that whoever answers gets to see: of the step what it says, and nothing of what came before."""
        return Scene(step=bare(scene.step))


def bare(part: Part) -> Part:
    """Kind, tool and text of a part, without ids and places."""
    return Part(kind=part.kind, tool=part.tool, text=part.text)


def behind(scene: Scene, steps: int) -> Scene:
    """The bare step with so many of the steps before it."""
    before = scene.trail.parts[-steps:] if steps else ()
    return Scene(step=bare(scene.step), trail=Trail(parts=tuple([bare(part) for part in before])))


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """On whose account a question is put; the answer does not depend on it."""

    app: str = "default"
    session_id: str | None = None
    exchange_id: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One step put to one guard that is asked."""

    number: int
    """Which guard of the ruleset."""

    spec: msgspec.Struct
    scene: Scene
    """No more than the guard's spec says may be shown."""

    facts: Facts | None = None
    """What is known of the step without asking; only a judge is told."""

    def digest(self) -> bytes:
        """16 bytes that are the same for the same question, whichever ruleset asks it."""
        whole = blake2b(msgspec.json.encode([self.spec, self.facts], order="sorted"), digest_size=16)
        for part in (self.scene.step, *self.scene.trail.parts):
            for piece in (part.kind, part.tool or "", part.text):
                data = utf8(piece)
                whole.update(b"%d:" % len(data) + data)
        return whole.digest()


Answers = Mapping[int, Answer]
"""By the number of the guard that was asked."""


class Asker(Protocol):
    """Whoever puts questions to those who can answer them."""

    async def ask(self, question: Question) -> Answer:
        """The answer, or why there is none; never raises but when it is cancelled."""
        ...


class Nobody:
    """The asker where there is nobody to ask."""

    async def ask(self, question: Question) -> Answer:
        """No answer."""
        del question
        return Answer(failure=NOT_ASKED)
