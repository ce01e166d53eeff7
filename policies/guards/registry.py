"""Every guard kind there is: what an operator writes, what is built from it, and which steps it can judge."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from policies.asking import Asked
from policies.guards.code import CodeGuard, CodeSpec
from policies.guards.egress import EgressGuard, EgressSpec
from policies.guards.external import ExternalGuard, ExternalSpec
from policies.guards.instructions_in_data import InstructionsInDataGuard, InstructionsInDataSpec
from policies.guards.interface import Guard
from policies.guards.judge import JudgeGuard, JudgeSpec
from policies.guards.own import OwnGuard, OwnSpec
from policies.guards.pattern import PatternGuard, PatternSpec
from policies.guards.pii import PiiGuard, PiiSpec
from policies.guards.presidio import PresidioGuard, PresidioSpec
from policies.guards.provenance import ProvenanceGuard, ProvenanceSpec
from policies.guards.schema import SchemaGuard, SchemaSpec
from policies.guards.secrets import SecretsGuard, SecretsSpec
from policies.guards.sequence import SequenceGuard, SequenceSpec
from policies.guards.smuggling import SmugglingGuard, SmugglingSpec
from policies.guards.validator import ValidatorGuard, ValidatorSpec
from policies.provenance.sources import Analyst
from policies.vocabulary.steps import STEP_KINDS, StepKind

GuardSpec: TypeAlias = (
    PatternSpec
    | SecretsSpec
    | PiiSpec
    | SmugglingSpec
    | SchemaSpec
    | CodeSpec
    | EgressSpec
    | SequenceSpec
    | ProvenanceSpec
    | InstructionsInDataSpec
    | OwnSpec
    | JudgeSpec
    | ValidatorSpec
    | PresidioSpec
    | ExternalSpec
)
"""One entry of `guards = [{ kind = "...", ... }]`."""


def _here(_: Any) -> bool:
    return False


def _elsewhere(_: Any) -> bool:
    return True


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One guard kind."""

    name: str
    """What stands in `kind = "..."`."""

    spec: type[msgspec.Struct]
    guard: Callable[..., Guard | Asked]
    """Builds the guard from a spec, and from an `Analyst` where `reads`. Raises `BadGuard` for a spec that makes no
    sense."""

    reads: bool = False
    """Whether it reads texts for provenance; what one such guard read, the others of its ruleset need not."""

    impossible: Mapping[StepKind, str] = {}
    """Step kinds it can say nothing about, each with the reason; the test matrix skips exactly these."""

    ranges: bool
    """Whether its evidence is ranges of the judged text, so that they can be redacted or rewritten."""

    asked: Callable[[Any], bool] = _here
    """Whether a guard of this spec is asked elsewhere instead of being run here."""

    scores: Callable[[Any], frozenset[int]] | None = None
    """Every score a guard of this spec can give; None where that is not known before."""

    @property
    def possible(self) -> tuple[StepKind, ...]:
        """The step kinds it can judge."""
        return tuple([kind for kind in STEP_KINDS if kind not in self.impossible])


def _pattern_scores(spec: PatternSpec) -> frozenset[int]:
    return frozenset(rule.score for rule in spec.rules) | {50}


def _all_but(reason: str, *possible: StepKind) -> dict[StepKind, str]:
    """Every step kind but these, with the reason."""
    return {kind: reason for kind in STEP_KINDS if kind not in possible}


KINDS: Final[tuple[Kind, ...]] = (
    Kind(name="pattern", spec=PatternSpec, guard=PatternGuard, ranges=True, scores=_pattern_scores),
    Kind(name="secrets", spec=SecretsSpec, guard=SecretsGuard, ranges=True),
    Kind(name="pii", spec=PiiSpec, guard=PiiGuard, ranges=True),
    Kind(name="smuggling", spec=SmugglingSpec, guard=SmugglingGuard, ranges=True),
    Kind(
        name="schema",
        spec=SchemaSpec,
        guard=SchemaGuard,
        ranges=False,
        impossible=_all_but("only calls and definitions have a schema", "tool_call", "tool_definitions"),
    ),
    Kind(
        name="code",
        spec=CodeSpec,
        guard=CodeGuard,
        ranges=False,
        impossible=_all_but("only calls are run", "tool_call"),
    ),
    Kind(
        name="egress",
        spec=EgressSpec,
        guard=EgressGuard,
        ranges=True,
        impossible=_all_but("only what the agent does and says leads anywhere", "tool_call", "model_text"),
    ),
    Kind(
        name="sequence",
        spec=SequenceSpec,
        guard=SequenceGuard,
        ranges=False,
        impossible=_all_but("only calls are counted", "tool_call"),
    ),
    Kind(
        name="provenance",
        spec=ProvenanceSpec,
        guard=ProvenanceGuard,
        reads=True,
        ranges=False,
        impossible=_all_but("only calls have arguments to trace", "tool_call"),
    ),
    Kind(
        name="instructions_in_data",
        spec=InstructionsInDataSpec,
        guard=InstructionsInDataGuard,
        reads=True,
        ranges=True,
        impossible=_all_but(
            "only data from outside can hold the orders of strangers", "tool_call", "tool_result", "retrieval"
        ),
    ),
    Kind(name="own", spec=OwnSpec, guard=OwnGuard, ranges=True),
    Kind(name="judge", spec=JudgeSpec, guard=JudgeGuard, reads=True, ranges=True, asked=_elsewhere),
    Kind(name="validator", spec=ValidatorSpec, guard=ValidatorGuard, ranges=True, asked=_elsewhere),
    Kind(name="presidio", spec=PresidioSpec, guard=PresidioGuard, ranges=True, asked=_elsewhere),
    Kind(name="external", spec=ExternalSpec, guard=ExternalGuard, ranges=True, asked=_elsewhere),
)
"""All kinds, in the order of the documentation."""

_BY_SPEC: Final = {kind.spec: kind for kind in KINDS}


def kind_of(spec: msgspec.Struct) -> Kind:
    """The kind a spec belongs to. Raises `KeyError` for a Struct that is no spec."""
    return _BY_SPEC[type(spec)]


def is_asked(spec: msgspec.Struct) -> bool:
    """Whether the guard a spec describes is asked elsewhere; builds nothing."""
    return kind_of(spec).asked(spec)


class Workshop:
    """Builds the guards of one ruleset, which share what they read of a text."""

    def __init__(self) -> None:
        self._analyst = Analyst()

    def build(self, spec: msgspec.Struct) -> Guard | Asked:
        """The guard a spec describes, or the place of one that is asked. Raises `BadGuard`."""
        kind = kind_of(spec)
        return kind.guard(spec, self._analyst) if kind.reads else kind.guard(spec)


def build(spec: msgspec.Struct) -> Guard | Asked:
    """A guard by itself. Raises `BadGuard` where the spec makes no sense."""
    return Workshop().build(spec)
