"""The clauses in force, and how often each has found something lately."""

from collections import Counter

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from gateway.api import answers
from gateway.api.access import requires, scope_of, sees
from gateway.api.ports import InForce, Records
from policies.vocabulary.keys import Principal

COUNTED = 200
"""Newest exchanges that are looked at: each costs one read of its judgement."""


@get("/api/clauses", opt=requires("viewer"), sync_to_thread=True)
def list_clauses(
    records: NamedDependency[SkipValidation[Records]],
    in_force: NamedDependency[SkipValidation[InForce]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.ClauseList:
    """The clauses in force, app by app, with how often each found something in the newest exchanges."""
    counted, fired = _fired(records, scope_of(principal, None))
    shown = [
        answers.AppClauses(
            app=app,
            enforce=ruleset.settings.enforce,
            unseen=ruleset.settings.unseen,
            ruleset=ruleset.revision,
            clauses=tuple(
                answers.Clause.of(rule, ruleset.settings, fired=fired[app, rule.name]) for rule in ruleset.rules
            ),
        )
        for app, ruleset in in_force.rulesets().items()
        if sees(principal, app)
    ]
    return answers.ClauseList(apps=tuple(shown), counted=counted)


def _fired(records: Records, app: str | None) -> tuple[int, Counter[tuple[str, str]]]:
    """How many exchanges were looked at, and in how many of them each app's clauses found something."""
    fired: Counter[tuple[str, str]] = Counter()
    recent = records.recent(limit=COUNTED, app=app)
    for exchange in recent:
        judged = records.judged(exchange.exchange_id)
        if judged is not None:
            found = {finding.clause for said in judged.steps for finding in said.findings}
            fired.update((exchange.app, clause) for clause in found)
    return len(recent), fired
