"""Policies and clauses: rules in natural language, with the guards that watch for their breach."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from policies.guards.registry import GuardSpec
from policies.tools import ToolSelector, ToolTag
from policies.vocabulary.bands import Band
from policies.vocabulary.modes import Mode
from policies.vocabulary.steps import StepKind
from policies.vocabulary.verdicts import ReasonCode, Recover

Identifier: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Severity: TypeAlias = Literal["info", "low", "medium", "high", "critical"]
OnError: TypeAlias = Literal["allow", "flag", "hold", "reject", "terminate"]


class ExampleStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of an example; the last one is judged, those before are what led there."""

    kind: StepKind
    """What sort of step it is."""

    text: str = ""
    """What the step says; of a `tool_definitions` step, the tool's description."""

    tool: str | None = None
    """Name of the tool that is called, answers or is defined."""

    args: dict[str, Any] | None = None
    """`tool_call` only: the arguments."""

    call_id: str | None = None
    """Joins a result to its call; without it a result answers the first call of its tool that has no result yet."""

    tags: tuple[ToolTag, ...] | None = None
    """Tags of `tool` in this example; without them the judged step's tool counts as one that the clause selects."""

    schema: dict[str, Any] | None = None
    """`tool_definitions` only: the JSON Schema of the arguments."""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case the clause's author decided by hand."""

    expect: Literal["violation", "ok"]
    """`violation`: reaches the clause's lowest band that acts. `ok`: reaches none that acts."""

    steps: Annotated[tuple[ExampleStep, ...], Meta(min_length=1)]
    """What happens, in order."""

    note: str = ""
    """Why it was decided so."""


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule."""

    id: Identifier
    """Unique in its policy; findings and verdicts name it as `policy/clause`."""

    text: Annotated[str, Meta(min_length=1)]
    """The obligation in natural language: what people approve, and a judge reads."""

    severity: Severity
    """How bad a breach is; `critical` never loosens by itself."""

    steps: Annotated[tuple[StepKind, ...], Meta(min_length=1)]
    """Kinds of steps this clause judges."""

    guards: Annotated[tuple[GuardSpec, ...], Meta(min_length=1)]
    """What watches for a breach; the highest score of all of them counts."""

    action: Annotated[tuple[Band, ...], Meta(min_length=1)]
    """What follows from which score, highest first; below the lowest band nothing follows."""

    reason: ReasonCode
    """All the agent learns of why."""

    on_error: OnError
    """What it means that a guard raised, ran out of time or was never reached. No default: somebody has to choose."""

    tools: ToolSelector | None = None
    """Restricts `tool_call` and `tool_result` steps; without it every tool is meant."""

    when: str | None = None
    """A CEL condition on facts; the clause is silent where it is false."""

    recover: Recover = "answered"
    """What becomes of a turn whose tool call was rejected."""

    mode: Mode = "enforce"
    """`shadow`: nothing is done, and what would have been is recorded."""

    protected: bool = False
    """`true`: never changes by itself."""

    taxonomy: tuple[str, ...] = ()
    """Ids of OWASP LLM Top 10 (`OWASP-LLM01`), OWASP Agentic (`OWASP-ASI01`) or MITRE ATLAS (`AML.T0051`)."""

    example: tuple[Example, ...] = ()
    """Cases decided by hand, run by `stepwarden check`; enforcing needs at least one of each `expect`."""


class PolicyHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[policy]` table."""

    id: Identifier
    """The name by which `[app.X] policy` refers to it."""

    description: str
    """What the policy is for, in a sentence."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy file."""

    policy: PolicyHead
    """Its name and purpose."""

    clause: Annotated[tuple[Clause, ...], Meta(min_length=1)]
    """Its rules, in order; the first of equals leads a verdict."""
