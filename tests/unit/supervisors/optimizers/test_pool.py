"""The Pareto pool, and answers of models."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.optimizers.answers import Answer, decode, edits_of
from supervisors.optimizers.interface import Failure
from supervisors.optimizers.pool import Candidate, Pool
from supervisors.optimizers.prompting import Quote, fresh, quoted
from tests.unit.policies.revised import parameters

START = parameters()
SCORES = st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 4)


def candidate(scores: tuple[float, ...], why: str = "") -> Candidate:
    return Candidate(parameters=START, scores=scores, why=why)


@given(st.lists(SCORES, min_size=1, max_size=12), st.integers(1, 5))
def test_a_pool_keeps_the_best_on_some_episode_and_never_grows(rows: list[tuple[float, ...]], most: int) -> None:
    pool = Pool(candidates=(candidate(rows[0]),), most=most)
    for row in rows[1:]:
        pool = pool.admitted(candidate(row))
    assert len(pool.candidates) <= most
    front = pool.front()
    assert front
    assert pool.drawn(random.Random(1)) in front
    if most >= len(rows):
        for at in range(4):
            assert max(each.scores[at] for each in front) == max(row[at] for row in rows)


def test_a_specialist_stays_beside_who_is_best_over_all() -> None:
    pool = Pool(candidates=(candidate((1, 1, 0, 0.5), "all"),)).admitted(candidate((0, 0, 1, 0), "one"))
    assert {each.why for each in pool.front()} == {"all", "one"}
    assert pool.best().why == "all"


@pytest.mark.parametrize(
    "text",
    [
        "", "no", "[]", "null", '{"edits": [{}]}', '{"edits": [{"edit": "delete_clause", "clause": "p/rule"}]}',
        '{"edits": [], "tool": "run"}', '{"edits": [{"edit": "add_line", "line": {"id": "A B", "text": "x"}}]}',
        '{"why": "' + "x" * 500 + '"}', "[" * 5000, '{"edits": [{"edit": "add_guard", "clause": "p/rule"}]}',
    ],
)  # fmt: skip
def test_what_is_no_typed_answer_is_a_failure(text: str) -> None:
    found = decode(text)
    assert isinstance(found, Failure)
    assert found.why == "not_typed"


def test_a_fence_of_markdown_is_forgiven_and_an_end_is_ours() -> None:
    text = '{"edits": [{"edit": "add_line", "line": {"id": "a", "text": "Ask.", "expires_ns": 1}}]}'
    answer = decode(f"```json\n{text}\n```")
    assert isinstance(answer, Answer)
    (edit,) = edits_of(answer)
    assert edit.line.expires_ns is None  # type: ignore[union-attr]


@given(st.text(max_size=60))
def test_a_fence_that_stands_in_the_evidence_is_not_used(text: str) -> None:
    fences = iter([*[text[at : at + 3] for at in range(len(text))], "never-in-there-\x00"])
    quotes = [Quote(origin="tool_result of x", text=text)]
    fence = fresh(lambda: next(fences), quotes)
    assert fence not in text
    assert quoted(quotes, fence).count(fence) == 2
