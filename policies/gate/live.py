"""The rungs that live traffic and people decide: shadow, approval, canary, rollback."""

from policies.gate.canary import standing
from policies.gate.case import Case
from policies.gate.memory import components
from policies.statistics import rate_at_least
from policies.vocabulary.ladder import Decision, Outcome, RungName, Why
from policies.vocabulary.revisions import Score


def rollback(case: Case) -> Decision:
    """What was refused or taken back is not tried again, and what it touched rests."""
    if case.proposal.digest in case.memory.refused:
        return _said("rollback", "refused", "refused_before")
    resting = {name for name, until_ns in case.memory.resting.items() if until_ns > case.now_ns}
    if resting & components(case.proposal.edits):
        return _said("rollback", "refused", "cooling_down")
    return _said("rollback", "passed")


def shadow(case: Case) -> Decision:
    """Beside what is in force, on live traffic, without acting."""
    tally, settings = case.shadow, case.settings
    scores = {"requests": tally.requests, "extra": tally.extra}
    if tally.requests and rate_at_least(tally.extra, tally.requests) > settings.guard_budget:
        return _said("shadow", "refused", "shadow_interferes", **scores)
    enough = tally.requests >= settings.shadow_requests and case.now_ns - tally.since_ns >= settings.shadow_ns
    return _said("shadow", "passed" if enough else "waiting", "watching", **scores)


def approval(case: Case) -> Decision:
    """A named person, wherever the change may loosen something, changes what the agent reads, or is the first."""
    if case.approval is not None:
        agreed = case.approval.agreed
        return _said("approval", "passed" if agreed else "refused", "person_approved" if agreed else "person_refused")
    if (
        case.direction == "loosens"
        or case.proposal.confirm
        or case.proposal.aim == "narrows"
        or not case.proposal.exact
        or case.first
    ):
        return _said("approval", "waiting", "needs_a_person")
    if case.by_itself_today >= case.settings.by_itself_per_day:
        return _said("approval", "waiting", "too_many_by_itself")
    return _said("approval", "passed")


def canary(case: Case) -> Decision:
    """In force for a share of sessions, until the evidence says that it harms too often, or does not."""
    stands = standing(case.canary, case.settings)
    scores = {"sessions": case.canary.candidate.sessions, "harmed": case.canary.candidate.harmed}
    if stands == "worse":
        return _said("canary", "refused", "worse_live", **scores)
    return _said("canary", "passed" if stands == "not_worse" else "waiting", "comparing", **scores)


def _said(rung: RungName, outcome: Outcome, why: Why = "fine", **scores: float) -> Decision:
    figures = tuple([Score(name=name, value=float(value)) for name, value in scores.items()])
    kept: Why = "fine" if outcome == "passed" and why != "person_approved" else why
    return Decision(rung=rung, outcome=outcome, why=kept, scores=figures)
