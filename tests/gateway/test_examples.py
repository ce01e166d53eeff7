"""The examples are what they say: each agent takes its wrong step, the supervisor finds it, and nothing comes of it."""

from collections.abc import Iterator

import pytest

from examples.compound.story import STORIES, Stage, staged, tell


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as found:
        yield found


FOUND = {
    "tools": ("gate", "compound/mail-on-the-users-word", 80),
    "interpreter": ("gate", "compound/code-computes", 90),
    "retrieval": ("monitor", "compound/sources-were-opened", 80),
    "search": ("monitor", "compound/numbers-are-used-once", 85),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_step_goes_wrong_and_is_found_and_stopped(stage: Stage, name: str) -> None:
    told = tell(stage, name)
    assert told.kept
    assert FOUND[name] in [(each.seat, each.clause, each.score) for each in told.said]
    assert all(each.blamed == ("model",) for each in told.said)


def test_the_monitor_names_the_proposal_and_not_the_votes_that_followed_it(stage: Stage) -> None:
    first = next(each for each in tell(stage, "search").said if each.seat == "monitor").first_bad_step
    assert first is not None
    assert first.startswith("(8 - 4) * (7 - 1)")
