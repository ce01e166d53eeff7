"""Turns: a session a page at a time, without content: enough to draw it, however long it is."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from gateway.api import answers
from gateway.api.access import requires, scope_of
from gateway.api.numbers import LARGEST
from gateway.api.ports import Records
from gateway.api.sessions import visible
from policies.vocabulary.keys import Principal

After = Annotated[int, QueryParameter(ge=0, le=LARGEST, description="`next` of the page before.")]
Turns = Annotated[int, QueryParameter(ge=1, le=1000, description="How many turns at most.")]


@get("/api/sessions/{session_id:str}/turns", opt=requires("viewer"), sync_to_thread=True)
def list_turns(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
    after: After = 0,
    limit: Turns = 250,
) -> answers.TurnList:
    """The turns of a session in order, each with its steps and what was done with them; never content."""
    row = visible(records, principal, session_id)
    found = records.turns(row.session_id, after=after, limit=limit + 1)
    shown = found[:limit]
    return answers.TurnList(
        session_id=row.session_id,
        turns=tuple(answers.Turn.of(each) for each in shown),
        next=shown[-1].number if len(found) > limit else None,
    )


@get("/api/sessions/{session_id:str}/branches", opt=requires("viewer"), sync_to_thread=True)
def list_branches(
    session_id: FromPath[str],
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.BranchList:
    """A session in sum, with its branches, oldest first."""
    row = visible(records, principal, session_id)
    return answers.BranchList(
        session=answers.Session.of(row),
        branches=tuple(answers.Branch.of(branch) for branch in records.branches(row.session_id)),
    )


@get("/api/facets", opt=requires("viewer"), sync_to_thread=True)
def show_facets(
    records: NamedDependency[SkipValidation[Records]], principal: NamedDependency[SkipValidation[Principal]]
) -> answers.Facets:
    """What the newest sessions can be told apart by."""
    found = records.facets(scope_of(principal, None))
    return answers.Facets(apps=found.apps, agents=found.agents, models=found.models, clauses=found.clauses)
