"""What a batch adds to sessions is what its exchanges add one by one."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.vocabulary.exchanges import Recording
from policies.vocabulary.usage import Usage
from storage.store import Store
from tests.unit.storage.stored import START_NS, recording

counts = st.one_of(st.none(), st.integers(0, 9))
exchanges = st.fixed_dictionaries(
    {
        "session": st.sampled_from(["S1", "S1", "S2", None]),
        "branch": st.sampled_from(["main", "other"]),
        "join": st.fixed_dictionaries(
            {
                "name": st.sampled_from([None, "n1", "n2"]),
                "agent_name": st.sampled_from([None, "a1", "a2"]),
                "parent_branch_id": st.sampled_from([None, "main"]),
                "relation": st.sampled_from(["opens", "continues"]),
            }
        ),
        "facts": st.fixed_dictionaries(
            {
                "at_ns": st.integers(START_NS, START_NS + 50),
                "state": st.sampled_from([None, b"s" * 16]),
                "outcome": st.sampled_from(["complete", "truncated"]),
                "model": st.sampled_from([None, "m1", "m2"]),
                "client": st.sampled_from([None, "c1", "c2"]),
                "cost_micro_usd": counts,
                "usage": st.builds(Usage, input_tokens=counts, output_tokens=counts),
            }
        ),
    }
)


def made(number: int, of: dict[str, Any]) -> Recording:
    one = recording(number, session=of["session"], **of["facts"])
    if one.exchange.join is None:
        return one
    join = msgspec.structs.replace(one.exchange.join, branch_id=of["branch"], **of["join"])
    return msgspec.structs.replace(one, exchange=msgspec.structs.replace(one.exchange, join=join))


def told(batches: list[list[Recording]]) -> list[Any]:
    """Everything `meta.db` says of sessions after these batches."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "data")
        for batch in batches:
            store.append(batch)
        rows = sorted(store.sessions(), key=lambda row: row.session_id)
        branches = [store.branches(row.session_id) for row in rows]
        states = sorted(store.find_states([b"s" * 16]), key=lambda row: row.exchange_id)
        store.close()
    return [rows, branches, states]


@settings(max_examples=15, deadline=None)
@given(st.lists(exchanges, min_size=1, max_size=8))
def test_a_batch_adds_what_its_exchanges_add_one_by_one(of: list[dict[str, Any]]) -> None:
    every = [made(number, one) for number, one in enumerate(of)]
    assert told([every]) == told([[one] for one in every])
