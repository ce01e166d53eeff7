"""What is said of steps, and what it comes to."""

from typing import Any

import msgspec

from policies.labels import labelled, step_digest
from policies.signals import MOST_PER_PRINCIPAL, WINDOW_NS, limited, support, wrongs
from policies.vocabulary.episodes import Episode
from policies.vocabulary.signals import WEIGHTS, Signal
from policies.vocabulary.steps import Part

CALL = Part(kind="tool_call", tool="send", text='{"to": "a"}')
READ = Part(kind="tool_call", tool="read", text="{}")
RUN = Episode(episode_id="s1", app="shop", group="s1", principal="key", at_ns=0, steps=(READ, CALL))


def signal(says: str = "violation", principal: str = "anna", kind: str = "label", **fields: Any) -> Signal:
    given: dict[str, Any] = {
        "kind": kind, "says": says, "app": "shop", "session_id": "s1", "principal": principal,
        "step": step_digest(CALL), "at_ns": 1, "weight": WEIGHTS[kind, says],  # type: ignore[index]
    }  # fmt: skip
    return Signal(**(given | fields))


def decided(*signals: Signal) -> tuple[frozenset[int], frozenset[int]] | None:
    found = labelled(RUN, signals)
    return None if found is None else (found.bad, found.undecided)


BAD, NONE = frozenset({1}), frozenset[int]()


def test_one_label_decides_and_silence_does_not() -> None:
    assert decided(signal()) == (BAD, NONE)
    assert decided(signal("ok")) == (NONE, NONE)
    assert decided() is None


def test_a_critique_alone_decides_nothing_and_with_another_voice_it_does() -> None:
    assert decided(signal(kind="critique")) is None
    assert decided(signal(kind="critique"), signal(kind="critique", principal="ben")) == (BAD, NONE)


def test_contradictory_labels_leave_a_step_undecided() -> None:
    other = signal("ok", principal="ben")
    assert decided(signal(), other) is None
    with_more = [signal(), other, signal("ok", step=step_digest(READ))]
    assert decided(*with_more) == (NONE, BAD)  # the call, number 1, is what nobody can call either


def test_people_who_approve_unread_weigh_little() -> None:
    approvals = [signal("ok", principal=f"p{at}", kind="hold") for at in range(3)]
    assert decided(signal(), *approvals) is None  # neither side is clear, and three approvals alone are not enough
    assert decided(*approvals) is None


def test_one_key_that_floods_counts_as_one_voice_up_to_a_limit() -> None:
    flood = [signal("ok", principal="mallory", step=f"{at:032x}", at_ns=at) for at in range(10_000)]
    kept = limited([*flood, signal()])
    assert sum(each.principal == "mallory" for each in kept) == MOST_PER_PRINCIPAL
    assert signal() in kept
    again = [signal("ok", principal="mallory", at_ns=at) for at in range(1000)]
    assert len(limited(again)) == 1  # the same thing said of the same step
    days = [signal("ok", principal="mallory", step=f"{at:032x}", at_ns=at * WINDOW_NS) for at in range(100)]
    assert len(limited(days)) == 100


def test_a_label_is_remembered_with_whose_it_was() -> None:
    found = labelled(RUN, [signal(), signal(principal="ben"), signal("ok", principal="carl", kind="hold")])
    assert found is not None
    assert (found.bad, found.voices) == (BAD, ("anna", "ben"))


def test_wrongs_of_a_clause_are_counted_in_voices() -> None:
    found = wrongs(
        [
            signal("ok", clause="p/a"),
            signal("ok", clause="p/a", principal="ben"),
            signal(principal="ben", step="x" * 32),
            signal("violation", clause="p/a", principal="carl"),
        ]
    )
    assert found["p/a"].false_positives == 2.0
    assert found["p/a"].contested == 1
    assert found["p/a"].principals == 3
    assert 0 < found["p/a"].confidence < 0.5
    assert found[""].false_negatives == 1.0


def test_support_names_who_and_where_and_nothing_that_was_said() -> None:
    made = support([signal(), signal(principal="ben", session_id="s2"), signal()])
    assert (made.principals, made.sessions) == (("anna", "ben"), ("s1", "s2"))
    assert b"send" not in msgspec.json.encode(made)


def test_a_step_is_named_by_what_it_is() -> None:
    assert step_digest(CALL) == step_digest(msgspec.structs.replace(CALL, call_id="other"))
    assert len({step_digest(CALL), step_digest(READ), step_digest(msgspec.structs.replace(CALL, tool="post"))}) == 3
    step_digest(Part(kind="model_text", text="\ud800"))
