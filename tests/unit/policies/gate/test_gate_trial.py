"""Trials: each session counts once, for the arm it ran under, and nothing counts that could not be read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.gate.canary import Canary
from policies.gate.case import ShadowTally
from policies.gate.trial import Looked, Trial, after, said
from policies.vocabulary.ladder import GateSettings

SETTINGS = GateSettings()


def looked(number: int, **said: object) -> Looked:
    return msgspec.structs.replace(Looked(number=number, session_id=f"s{number}"), **said)


def test_a_shadow_counts_requests_and_what_would_have_been_stopped() -> None:
    trial = Trial(stage="shadow", cursor=4, shadow=ShadowTally(since_ns=7))
    trial = after(trial, looked(5, requests=3, extra=1), SETTINGS)
    trial = after(trial, looked(9, unread=True, requests=3, extra=3), SETTINGS)
    assert (trial.cursor, trial.unread) == (9, 1)
    assert trial.shadow == ShadowTally(requests=3, extra=1, since_ns=7)


@given(st.lists(st.tuples(st.sampled_from(["candidate", "in_force", None]), st.booleans(), st.booleans()), max_size=40))
def test_a_canary_counts_each_session_for_the_arm_it_ran_under(sessions: list[tuple[object, bool, bool]]) -> None:
    trial = Trial(stage="canary", cursor=0, canary=Canary(paired=True))
    for number, (arm, harm, unread) in enumerate(sessions, 1):
        trial = after(trial, looked(number, arm=arm, harm=harm, unread=unread), SETTINGS)
    read = [(arm, harm) for arm, harm, unread in sessions if not unread]
    assert trial.canary.candidate.sessions == sum(arm == "candidate" for arm, _ in read)
    assert trial.canary.candidate.harmed == sum(arm == "candidate" and harm for arm, harm in read)
    assert trial.canary.in_force.sessions == sum(arm == "in_force" for arm, _ in read)
    assert (trial.cursor, trial.unread) == (len(sessions), sum(unread for *_, unread in sessions))


def harmed(*keys: str) -> Trial:
    """A trial in which every session of these keys came to harm."""
    trial = Trial(stage="watch", cursor=0, canary=Canary(paired=True))
    for number in range(1, 60):
        trial = after(trial, looked(number, arm="candidate", key=keys[number % len(keys)], harm=True), SETTINGS)
    return trial


@given(keys=st.integers(2, 9), agreed=st.booleans())
def test_one_key_alone_cannot_have_taken_back_what_stops_its_attacks(keys: int, *, agreed: bool) -> None:
    """Whether the other keys called meanwhile is nothing it could wait for, or bring about."""
    assert said(harmed("k1"), SETTINGS, keys=keys, agreed=agreed) == "one_voice"
    assert said(harmed("k1", "k2"), SETTINGS, keys=keys, agreed=agreed) == "worse"


def test_the_only_key_there_is_takes_back_what_began_by_itself_and_not_what_a_person_agreed_to() -> None:
    assert said(harmed("k1"), SETTINGS, keys=1, agreed=False) == "worse"
    assert said(harmed("k1"), SETTINGS, keys=1, agreed=True) == "one_voice"


@pytest.mark.parametrize("agreed", [False, True])
def test_where_nobody_shows_a_key_harm_speaks_by_itself(*, agreed: bool) -> None:
    assert said(harmed(""), SETTINGS, keys=0, agreed=agreed) == "worse"
