"""What a batch adds to sessions is what its exchanges add one by one."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.vocabulary.exchanges import Recording
from policies.vocabulary.findings import Finding
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.usage import Usage
from policies.vocabulary.verdicts import Verdict
from storage.sessions import SessionFilter
from storage.store import Store
from tests.unit.storage.stored import START_NS, recording

counts = st.one_of(st.none(), st.integers(0, 9))


@st.composite
def exchanges(draw: st.DrawFn) -> dict[str, Any]:
    """What is peculiar to one exchange: of its recording, and of its join."""
    facts = {
        "session": draw(st.sampled_from(["S1", "S1", "S2", None])),
        "at_ns": draw(st.integers(START_NS, START_NS + 50)),
        "state": draw(st.sampled_from([None, b"s" * 16])),
        "outcome": draw(st.sampled_from(["complete", "truncated"])),
        "model": draw(st.sampled_from([None, "m1", "m2"])),
        "client": draw(st.sampled_from([None, "c1", "c2"])),
        "cost_micro_usd": draw(counts),
        "verdict": draw(st.sampled_from(["allow", "flag", "reject"])),
        "usage": Usage(input_tokens=draw(counts), output_tokens=draw(counts)),
    }
    join = {
        "branch_id": draw(st.sampled_from(["main", "other"])),
        "name": draw(st.sampled_from([None, "n1", "n2"])),
        "agent_name": draw(st.sampled_from([None, "a1", "a2"])),
        "parent_branch_id": draw(st.sampled_from([None, "main"])),
        "relation": draw(st.sampled_from(["opens", "continues"])),
    }
    return {"facts": facts, "join": join, "clause": draw(st.sampled_from([None, "p/a", "p/b"]))}


def made(number: int, of: dict[str, Any]) -> Recording:
    said = of.get("clause")
    one = recording(number, **of["facts"])
    if said is not None:
        one = msgspec.structs.replace(one, judged=judged(said))
    if one.exchange.join is None:
        return one
    join = msgspec.structs.replace(one.exchange.join, **of["join"])
    return msgspec.structs.replace(one, exchange=msgspec.structs.replace(one.exchange, join=join))


def judged(clause: str) -> Judged:
    """One step of which a clause out of force would have said more."""
    finding = Finding(clause=clause, guard="pattern.0", score=90, state="violation")
    return Judged(
        ruleset="r",
        verdict=Verdict(shadow="hold" if clause == "p/a" else "allow"),
        steps=(StepJudgement(seq=0, findings=(finding, finding)),),
    )


def told(batches: list[list[Recording]]) -> list[Any]:
    """Everything `meta.db` says of sessions after these batches."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "data")
        for batch in batches:
            store.append(batch)
        rows = sorted(store.sessions(), key=lambda row: row.session_id)
        found = [(clause, store.sessions(SessionFilter(clause=clause))) for clause in store.facets().clauses]
        branches = [store.branches(row.session_id) for row in rows]
        states = sorted(store.find_states([b"s" * 16]), key=lambda row: row.exchange_id)
        store.close()
    return [rows, branches, states, found]


@settings(max_examples=15, deadline=None)
@given(st.lists(exchanges(), min_size=1, max_size=8))
def test_a_batch_adds_what_its_exchanges_add_one_by_one(of: list[dict[str, Any]]) -> None:
    every = [made(number, one) for number, one in enumerate(of)]
    assert told([every]) == told([[one] for one in every])


def test_a_sub_agent_does_not_give_its_session_its_name() -> None:
    facts = {"session": "S1", "state": None}
    sub = made(1, {"facts": facts, "join": {"agent_name": "helper", "parent_branch_id": "main", "branch_id": "sub"}})
    main = made(2, {"facts": facts, "join": {"agent_name": "boss", "branch_id": "main"}})
    rows, [branches], _, _ = told([[sub, main]])
    assert [row.agent for row in rows] == ["boss"]
    assert [branch.agent_name for branch in branches] == ["helper", "boss"]
