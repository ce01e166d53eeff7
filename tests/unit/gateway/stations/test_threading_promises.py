"""What holds for all conversations, not only for those of the corpus."""

import gc
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.stations.asks import Ask, Done, SessionRow, StateRow
from gateway.stations.branches import Branch, End, Session
from gateway.stations.states import is_safe_name, named_session_id, prefix_states, scope_of
from gateway.stations.thread import Threader
from gateway.wire.interface import Voice
from policies.vocabulary.sessions import Join

SCOPE = scope_of("app", "key")


class Empty:
    """A store that remembers nothing and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def find_states(self, states: Sequence[bytes]) -> list[StateRow]:
        self.asked.append(len(states))
        return []

    def find_response(self, response_id: str) -> StateRow | None:  # noqa: ARG002 - nothing is remembered
        return None

    def find_named(self, session_id: str) -> SessionRow | None:  # noqa: ARG002 - nothing is remembered
        return None


def threader(capacity: int = 1000, memory: Empty | None = None) -> Threader:
    numbers = count(1)
    return Threader(
        memory or Empty(),
        new_id=lambda: f"id{next(numbers)}",
        new_span=lambda size: next(numbers).to_bytes(size, "big"),
        capacity=capacity,
    )


def digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def ask(name: str, texts: Sequence[str], **more: Any) -> Ask:
    """Texts take turns: user, assistant, user, ..."""
    voices: tuple[Voice, ...] = tuple("assistant" if at % 2 else "user" for at in range(len(texts)))
    last = len(texts) // 2 * 2 - 1
    given: dict[str, Any] = {
        "scope": SCOPE,
        "at_ns": 0,
        "last_run": (last, digest(texts[last])) if last > 0 else None,
        **more,
    }
    return Ask(exchange_id=name, voices=voices, digests=tuple(map(digest, texts)), **given)


def done(name: str, reply: str) -> Done:
    return Done(exchange_id=name, complete=True, fingerprints=(digest(reply),))


def converse(to: Threader, who: str, texts: Sequence[str], turn: int) -> Join:
    """One turn of a conversation: the request with all before it, and its reply."""
    name = f"{who}-{turn}"
    join, _ = to.join(ask(name, texts[: 2 * turn + 1]))
    if 2 * turn + 1 < len(texts):
        to.finish(done(name, texts[2 * turn + 1]))
    return join


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1, max_size=4), st.randoms()
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_interleaved_conversations_thread_each_as_alone(inputs: list[list[str]], random: Random) -> None:
    # The users' words may be equal, the replies are not: they are what tells conversations apart.
    talks = [
        [text for turn, said in enumerate(words) for text in (said, f"reply {who} {turn}")]
        for who, words in enumerate(inputs)
    ]
    order = [who for who, words in enumerate(inputs) for _ in words]
    random.shuffle(order)
    to, turns, joins = threader(), [0] * len(talks), [list[Join]() for _ in talks]
    for who in order:
        joins[who].append(converse(to, str(who), talks[who], turns[who]))
        turns[who] += 1
    sessions = {one[0].session_id for one in joins}
    assert len(sessions) == len(talks)
    for one in joins:
        assert {join.session_id for join in one} == {one[0].session_id}
        assert {join.branch_id for join in one} == {one[0].branch_id}
        assert [join.known for join in one] == [2 * turn for turn in range(len(one))]
        assert [join.relation for join in one] == ["opens", *["continues"] * (len(one) - 1)]
        assert not any(join.replaces for join in one)


requests = st.lists(st.sampled_from("abcd"), max_size=9)
identities = st.sampled_from([{}, {"explicit_session": "s"}, {"agent_session": "s", "agent_id": "x"}, {"user_id": "u"}])
"""Requests from few words, so that prefixes meet all the time."""


@given(
    st.lists(st.tuples(requests, identities, st.sampled_from(["answered", "failed", "open"]), st.integers(0, 2)))
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_no_message_is_ever_taken_for_known_that_its_session_did_not_hold(
    calls: list[tuple[list[str], dict[str, str], str, int]],
) -> None:
    to, held = threader(), dict[str, set[bytes]]()
    for number, (texts, who, fate, retry) in enumerate(calls):
        name = f"e{number}"
        request = ask(name, texts, retry=retry, **who)
        join, _ = to.join(request)
        of_session = held.setdefault(join.session_id, set())
        assert 0 <= join.known <= len(texts)
        for at in range(join.known):
            assert at in join.replaces or request.digests[at] in of_session
        of_session.update(request.digests)
        if fate == "answered":
            to.finish(done(name, "abcd"[number % 4]))
            of_session.add(digest("abcd"[number % 4]))
        elif fate == "failed":
            to.finish(Done(exchange_id=name, complete=False, failed=True))


@given(st.lists(st.tuples(requests, identities, st.booleans()), max_size=20), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_the_same_requests_give_the_same_tree(
    calls: list[tuple[list[str], dict[str, str], bool]], capacity: int
) -> None:
    def tree() -> list[tuple[Join, bytes]]:
        to, joins = threader(capacity), list[tuple[Join, bytes]]()
        for number, (texts, who, is_answered) in enumerate(calls):
            joins.append(to.join(ask(f"e{number}", texts, **who)))
            if is_answered:
                to.finish(done(f"e{number}", "b"))
        return joins

    assert tree() == tree()


def test_a_hundred_agents_that_open_alike_are_a_hundred_sessions() -> None:
    to = threader()
    for who in range(100):
        to.join(ask(f"{who}-0", ["hello"]))
    for who in reversed(range(100)):
        to.finish(done(f"{who}-0", f"I am {who}"))
    joins = [converse(to, str(who), ["hello", f"I am {who}", "go", "went", "on"], 1) for who in range(100)]
    assert len({join.session_id for join in joins}) == 100
    assert {(join.relation, join.known) for join in joins} == {("continues", 2)}
    joins = [converse(to, str(who), ["hello", f"I am {who}", "go", "went", "on"], 2) for who in range(100)]
    assert len({join.session_id for join in joins}) == 100
    assert {(join.relation, join.known) for join in joins} == {("continues", 4)}


@pytest.mark.parametrize(
    "who", [{}, {"explicit_session": "s"}, {"user_id": "u"}, {"trace": (b"t" * 16, b"s" * 8)}], ids=repr
)
def test_a_flood_stays_within_capacity(who: dict[str, object]) -> None:
    memory = Empty()
    to = threader(capacity=200, memory=memory)
    for number in range(800):
        texts = ["go", "gone", f"again {number}"] if number else ["go"]
        to.join(ask(f"e{number}", texts, **who))
        to.finish(
            Done(
                exchange_id=f"e{number}",
                complete=True,
                fingerprints=(digest("gone"),),
                response_id=f"r{number}",
                calls=tuple(f"call {number} {call}" for call in range(300)),
                offered=(digest(f"offer {number}"),),
            )
        )
    register = to._register
    assert len(register) == 200
    tables = (register.places, register.open, register.failed, register.answered, register.heads, register.replies)
    assert all(len(table) <= 200 for table in (*tables, register.tails, register.responses, register.offers))
    assert len(register.calls) <= 200 * 128
    assert len(register.sessions) <= 200
    assert len(register.names) <= 200
    assert sum(len(session.branches) for session in register.sessions.values()) <= 200


@pytest.mark.parametrize("who", [{}, {"explicit_session": "s"}, {"agent_session": "s", "agent_id": "x"}], ids=repr)
def test_what_goes_beyond_capacity_is_gone_at_once_and_needs_no_collector(who: dict[str, str]) -> None:
    to = threader(capacity=8)
    gc.collect()
    before = Counter(type(each) for each in gc.get_objects())
    gc.disable()
    try:
        for number in range(60):
            named = {kind: f"{text}{number // 2}" for kind, text in who.items()}
            for turn in (0, 1):
                name, texts = f"e{number}-{turn}", [f"go {number}", "gone", "again"][: 2 * turn + 1]
                to.join(ask(name, texts, **named))
                to.finish(done(name, "gone"))
        left = Counter(type(each) for each in gc.get_objects())
    finally:
        gc.enable()
    assert all(0 < left[kind] - before[kind] <= 8 for kind in (End, Branch, Session))


def test_the_store_is_asked_once_and_for_few_states() -> None:
    memory = Empty()
    to = threader(memory=memory)
    to.join(ask("e1", [str(at) for at in range(1001)]))
    assert len(memory.asked) == 1
    assert memory.asked[0] <= 64
    to.finish(done("e1", "x"))
    to.join(ask("e2", [*(str(at) for at in range(1001)), "x", "y"]))
    to.join(ask("e3", ["an opening needs no store"]))
    assert len(memory.asked) == 1


def test_an_end_counts_once() -> None:
    to = threader()
    to.join(ask("e1", ["hi"]))
    to.finish(done("e1", "first"))
    to.finish(done("e1", "second"))
    to.finish(done("never heard of", "x"))
    assert to.join(ask("e2", ["hi", "first", "go"]))[0].known == 2


def test_two_scopes_never_share_states_or_ids() -> None:
    to = threader()
    mine, state = to.join(ask("e1", ["hi"], explicit_session="run"))
    theirs, other = to.join(ask("e2", ["hi"], explicit_session="run", scope=scope_of("app", "other key")))
    assert mine.session_id != theirs.session_id
    assert (mine.name, theirs.name) == ("run", "run")
    assert state != other
    assert scope_of("a", "bc") != scope_of("ab", "c")
    assert scope_of("a", None) != scope_of("a", "")


def test_a_trace_of_the_callers_is_used_and_else_one_per_session() -> None:
    to = threader()
    first, _ = to.join(ask("e1", ["hi"]))
    to.finish(done("e1", "hello"))
    second, _ = to.join(ask("e2", ["hi", "hello", "go"]))
    traced, _ = to.join(ask("e3", ["other"], trace=(b"t" * 16, b"s" * 8)))
    assert first.trace_id == second.trace_id
    assert first.branch_span_id == second.branch_span_id
    assert (len(first.trace_id), len(first.branch_span_id)) == (16, 8)
    assert traced.trace_id == b"t" * 16


@pytest.mark.parametrize("text", ["", "x" * 129, "a b", "a\n", "é", "a/b", "\ud800", "x" * 100_000])
def test_an_unfit_name_is_kept_as_a_hash(text: str) -> None:
    session_id, name = named_session_id(SCOPE, "session", text)
    assert name is None
    assert is_safe_name(session_id)
    join, _ = threader().join(ask("e1", ["hi"], explicit_session=text, user_id=text, previous_response_id=text))
    assert is_safe_name(join.session_id)


def test_system_messages_leave_no_trace_in_a_state() -> None:
    digests = [digest(text) for text in "abc"]
    plain = prefix_states(b"", ("user", "assistant"), digests[1:])
    dated = prefix_states(b"", ("system", "user", "assistant"), digests)
    assert plain == dated[1:]
    assert dated[0] == dated[1]
