"""Examples: the cases a clause's author decided by hand, run against the clause alone.

A `violation` has to reach the clause's lowest band that acts (anything but `flag`; of a clause that only flags, its
lowest band); an `ok` has to stay below it. The clause runs as if enforced, whatever its mode. A guard that fails
on an example is a mistake either way.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from policies.asking import Asker, Asking
from policies.evaluate import Judgement, Ruleset, Settings
from policies.guards.judge import Judge, JudgeSpec, NoJudge, put
from policies.guards.registry import is_asked, kind_of
from policies.loader import Loaded
from policies.mistakes import Mistake
from policies.sitting import Sitting
from policies.trail import Scene, Trail
from policies.vocabulary.clauses import Clause, Example, ExampleStep, Policy
from policies.vocabulary.findings import Score
from policies.vocabulary.steps import Part

STEP_NS: Final = 1_000_000_000
"""Steps of an example are a second apart."""


UNRUN: Final = "Run `stepwarden check --ask` where it can be."
"""The remedy for examples that only whoever is asked can judge."""

UNASKABLE: Final = "Check the configuration that names the policy and a [supervisor], or look at `stepwarden critique`."


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one example."""

    clause: str
    """`policy/clause`."""

    place: int
    """Which example of its clause, from 0."""

    passed: bool
    score: Score | None
    """The highest score any guard gave; None where none found anything."""

    message: str = ""
    """Why it did not pass."""


def run_examples(loaded: Loaded) -> tuple[Mistake, ...]:
    """Run every example of a policy; a mistake for each that does not turn out as expected.

    Those of a clause with a guard that is asked are not run: a warning says so, and `ask_examples` runs them.
    """
    mistakes: list[Mistake] = []
    for at, clause in enumerate(loaded.policy.clause):
        kinds = asked_kinds(clause)
        if kinds and clause.example:
            message = f"clause `{clause.id}`: its examples were not run, since `{kinds[0]}` has to be asked"
            mistakes.append(loaded.mistake(("clause", at, "example", 0), message, UNRUN, warning=True))
        else:
            mistakes += [
                _mistake(loaded, at, outcome) for outcome in outcomes(loaded.policy, clause) if outcome.message
            ]
    return tuple(mistakes)


async def ask_examples(loaded: Loaded, asker: Asker, judge: Judge | None = None) -> tuple[Mistake, ...]:
    """Run the examples that `run_examples` leaves out, with those asked who answer.

    `judge` is the gate; without one, and where the monitor alone judges, a warning says that they were not run.
    """
    mistakes: list[Mistake] = []
    for at, clause in enumerate(loaded.policy.clause):
        if not asked_kinds(clause):
            continue
        if why := _unaskable(clause, judge):
            message = f"clause `{clause.id}`: its examples were not run, since {why}"
            mistakes.append(loaded.mistake(("clause", at, "example", 0), message, UNASKABLE, warning=True))
            continue
        for place, example, sitting in _sittings(loaded.policy, clause, supervised=judge is not None):
            answers = await put(sitting.questions(), judge or NoJudge(), asker, Asking(app="example"))
            judged = sitting.judgement(answers)
            outcome = _outcome(f"{loaded.policy.policy.id}/{clause.id}", place, example, threshold(clause), judged)
            if outcome.message:
                mistakes.append(_mistake(loaded, at, outcome))
    return tuple(mistakes)


def _unaskable(clause: Clause, judge: Judge | None) -> str | None:
    """Why nobody can be asked about examples of a clause; None where somebody can."""
    seats = [spec.seat for spec in clause.guards if isinstance(spec, JudgeSpec)]
    if seats and judge is None:
        return "no configuration that was checked names a supervisor"
    return "the monitor judges them, which reads recorded sessions" if "monitor" in seats else None


def asked_kinds(clause: Clause) -> list[str]:
    """Kinds of the clause's guards that are asked elsewhere."""
    return [kind_of(spec).name for spec in clause.guards if is_asked(spec)]


def _mistake(loaded: Loaded, at: int, outcome: Outcome) -> Mistake:
    message = f"clause `{loaded.policy.clause[at].id}`: example {outcome.place + 1} {outcome.message}"
    remedy = "Mend the guards or the bands, or decide the example again."
    return loaded.mistake(("clause", at, "example", outcome.place), message, remedy)


def outcomes(policy: Policy, clause: Clause) -> Iterator[Outcome]:
    """Run the examples of one clause with the guards that are here. Raises nothing for a clause that loaded."""
    for place, example, sitting in _sittings(policy, clause):
        yield _outcome(f"{policy.policy.id}/{clause.id}", place, example, threshold(clause), sitting.judgement())


def _sittings(policy: Policy, clause: Clause, *, supervised: bool = False) -> Iterator[tuple[int, Example, Sitting]]:
    """Each example of a clause, begun to be judged by it alone and as if enforced."""
    enforced = msgspec.structs.replace(clause, mode="enforce")
    alone = msgspec.structs.replace(policy, clause=(enforced,))
    settings = Settings(app="example", enforce=True, supervised=supervised)
    rules = Ruleset.compile([alone], settings=settings)
    for place, example in enumerate(clause.example):
        tagged = rules.tagged(tags_of(example, clause))
        sitting = tagged.sit(scene_of(example), clock=lambda: 0)
        assert sitting is not None  # loading rules out examples that end in a step the clause does not judge
        yield place, example, sitting


def threshold(clause: Clause) -> Score:
    """Where the clause's lowest band that acts begins; of a clause that only flags, its lowest band."""
    acting = [band.at for band in clause.action if band.do != "flag"]
    return min(acting or [band.at for band in clause.action])


def tags_of(example: Example, clause: Clause) -> dict[str, frozenset[str]]:
    """Tags of the example's tools: as it says, and for the judged one otherwise what the clause selects."""
    tags: dict[str, frozenset[str]] = {}
    judged = example.steps[-1]
    if judged.tool and clause.tools and clause.tools.tags:
        tags[judged.tool] = frozenset(clause.tools.tags)
    for step in example.steps:
        if step.tool and step.tags is not None:
            tags[step.tool] = frozenset(step.tags)
    return tags


def scene_of(example: Example) -> Scene:
    """The example's last step, with those before it as the trail."""
    parts = parts_of(example)
    before = parts[:-1]
    return Scene(
        step=parts[-1],
        trail=Trail(parts=tuple(before), times=tuple([at * STEP_NS for at in range(len(before))])),
    )


def parts_of(example: Example) -> list[Part]:
    """The example's steps as parts; calls are given ids in order, and results the id of the call they answer."""
    parts: list[Part] = []
    waiting: list[Part] = []
    for at, step in enumerate(example.steps):
        call_id, tool = step.call_id, step.tool
        if step.kind == "tool_call":
            call_id = call_id or f"call_{at}"
        elif step.kind == "tool_result":
            answered = next((call for call in waiting if _answers(step, call)), None)
            if answered is not None:
                waiting.remove(answered)
                call_id, tool = answered.call_id, tool or answered.tool
            call_id = call_id or f"call_{at}"
        part = Part(kind=step.kind, text=_text(step), tool=tool, call_id=call_id)
        parts.append(part)
        if part.kind == "tool_call":
            waiting.append(part)
    return parts


def _answers(step: ExampleStep, call: Part) -> bool:
    if step.call_id is not None:
        return call.call_id == step.call_id
    return step.tool is None or step.tool == call.tool


def _text(step: ExampleStep) -> str:
    if step.kind == "tool_call" and step.args is not None:
        return _json(step.args)
    if step.kind == "tool_definitions" and (step.tool or step.schema is not None):
        definition = {"name": step.tool or "", "description": step.text, "input_schema": step.schema or {}}
        return _json(definition)
    return step.text


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _outcome(clause: str, place: int, example: Example, least: Score, judged: Judgement) -> Outcome:
    failed = [finding for finding in judged.findings if finding.state == "error"]
    scores = [finding.score for finding in judged.findings if finding.state in ("unsure", "violation")]
    score = max(scores, default=None)
    reached = score is not None and score >= least
    message = ""
    if failed:
        message = f"could not be judged: {failed[0].guard} {failed[0].note}".rstrip()
    elif example.expect == "violation" and not reached:
        message = f"should be a violation, but scores {score if score is not None else 'nothing'}, below {least}"
    elif example.expect == "ok" and reached:
        message = f"should pass, but scores {score}, which reaches the band at {least}"
    return Outcome(clause=clause, place=place, passed=not message, score=score, message=message)
