"""An act at a tool server joins the one session whose model asked for it, or none."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stations import errands
from gateway.stations.asks import Ask, Done, Made
from gateway.stations.errands import Errand, digest_of, is_tool, retells
from gateway.stations.states import scope_of
from gateway.stations.thread import Threader
from tests.unit.gateway.stations.test_threading_promises import Empty

SCOPE = scope_of("app", "key")
OTHERS = scope_of("app", "another key")


def threader(capacity: int = 100) -> Threader:
    numbers = count(1)
    return Threader(
        Empty(),
        new_id=lambda: f"id{next(numbers)}",
        new_span=lambda size: next(numbers).to_bytes(size, "big"),
        capacity=capacity,
    )


def asked(names: Threader, exchange: str, *calls: tuple[str, str, str], scope: bytes = SCOPE, session: str = "") -> str:
    """A session whose model has asked for calls: id, tool, arguments."""
    join, _ = names.join(
        Ask(exchange_id=exchange, at_ns=1, scope=scope, voices=("user",), digests=(exchange.encode().ljust(16),),
            explicit_session=session or None)
    )  # fmt: skip
    made = tuple(Made(call_id, tool, digest_of(arguments) or b"") for call_id, tool, arguments in calls)
    names.finish(Done(exchange_id=exchange, complete=True, calls=tuple(call[0] for call in calls), made=made))
    return join.session_id


def errand(exchange: str, tool: str, arguments: str, *, scope: bytes = SCOPE, **ask: object) -> Errand:
    connection = ask.pop("connection", None)
    return Errand(
        ask=Ask(exchange_id=exchange, at_ns=2, scope=scope, **ask),  # type: ignore[arg-type]
        server="web",
        connection=connection,  # type: ignore[arg-type]
        tool=tool,
        arguments=digest_of(arguments),
    )


def test_a_call_is_carried_out_once() -> None:
    names = threader()
    session = asked(names, "E1", ("c1", "mcp__web__get", '{"a": 1}'))
    first = names.attend(errand("E2", "get", '{"a":1}'))
    assert (first.join.session_id, first.join.evidence, first.call_id) == (session, "pending_call", "c1")
    second = names.attend(errand("E3", "get", '{"a":1}'))
    assert (second.join.evidence, second.call_id) == ("none", None)


def test_another_key_never_meets_a_call() -> None:
    names = threader()
    asked(names, "E1", ("c1", "get", "{}"))
    assert names.attend(errand("E2", "get", "{}", scope=OTHERS)).join.evidence == "none"
    assert names.attend(errand("E3", "get", "{}")).call_id == "c1"


def test_of_two_sessions_neither_is_chosen_and_a_name_tells() -> None:
    names = threader()
    sessions = [asked(names, f"E{number}", (f"c{number}", "get", "{}"), session=f"s{number}") for number in (1, 2)]
    assert names.attend(errand("E3", "get", "{}")).join.evidence == "none"
    named = names.attend(errand("E4", "get", "{}", explicit_session="s2"))
    assert (named.join.session_id, named.call_id) == (sessions[1], "c2")
    left = names.attend(errand("E5", "get", "{}"))
    assert (left.join.session_id, left.call_id) == (sessions[0], "c1")


def test_a_connection_is_a_session_that_is_never_exported() -> None:
    names = threader()
    joins = [names.attend(errand(f"E{number}", "get", "{}", connection="pipe 1")).join for number in range(3)]
    assert len({join.session_id for join in joins}) == 1
    assert [join.relation for join in joins] == ["opens", "continues", "continues"]
    assert all(join.derived and join.name is None for join in joins)
    other = names.attend(errand("E9", "get", "{}", connection="pipe 2")).join
    assert other.session_id != joins[0].session_id


def test_errands_change_nothing_about_how_requests_join() -> None:
    names, plain = threader(), threader()
    for each in (names, plain):
        asked(each, "E1", ("c1", "get", "{}"))
    names.attend(errand("E2", "get", "{}"))
    names.finish(Done(exchange_id="E2", complete=True, given="x"))
    again = Ask(exchange_id="E3", at_ns=3, scope=SCOPE, voices=("user",), digests=(b"E1".ljust(16),))
    assert [each.join(again)[0].relation for each in (names, plain)] == ["opens", "opens"]


def test_what_a_tool_gave_is_told_once_it_is_asked_for_and_forgotten_with_its_session() -> None:
    names = threader()
    session = asked(names, "E1", ("c1", "get", "{}"))
    names.attend(errand("E2", "get", "{}"))
    names.finish(Done(exchange_id="E2", complete=True, given="what it gave"))
    ask = Ask(exchange_id="E3", at_ns=3, scope=SCOPE, results=("c0", "c1"))
    assert names.told(ask) == (("c1", "what it gave"),)
    assert names.told(Ask(exchange_id="E4", at_ns=3, scope=OTHERS, results=("c1",))) == ()
    names.forget([session])
    assert names.told(ask) == ()


def test_a_call_whose_result_was_told_is_not_waited_for() -> None:
    names = threader()
    asked(names, "E1", ("c1", "get", "{}"))
    names.told(Ask(exchange_id="E2", at_ns=3, scope=SCOPE, results=("c1",)))
    assert names.attend(errand("E3", "get", "{}")).call_id is None


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "PENDING", 3)
    names = threader()
    asked(names, "E1", *[(f"c{number}", "get", f'{{"n": {number}}}') for number in range(5)])
    found = [names.attend(errand(f"F{number}", "get", f'{{"n": {number}}}')).call_id for number in range(5)]
    assert found == [None, None, "c2", "c3", "c4"]


def test_a_call_that_waits_keeps_little_of_a_session_that_is_held_no_more() -> None:
    """Thousands may wait, after conversations of thousands of messages."""
    names = threader(capacity=2)
    sessions = [asked(names, f"E{number}", (f"c{number}", "get", f'{{"n": {number}}}')) for number in range(5)]
    waiting = [call.branch for _, call in names._errands._pending.values()]
    assert [bool(branch.held) for branch in waiting] == [False, False, False, True, True]
    assert [len(branch.session.branches) for branch in waiting] == [0, 0, 0, 1, 1]
    found = [names.attend(errand(f"F{number}", "get", f'{{"n": {number}}}')) for number in range(5)]
    assert [one.join.session_id for one in found] == sessions
    assert [one.call_id for one in found] == [f"c{number}" for number in range(5)]


@pytest.mark.parametrize("named", ["send", "mcp__mail__send", "mail.send", "mail/send", "mail-send", "mail:send"])
def test_a_prefix_of_a_client_is_seen_through(named: str) -> None:
    assert is_tool(named, "send")


@pytest.mark.parametrize("named", ["resend", "send_all", "", "mailsend"])
def test_another_tool_is_another_tool(named: str) -> None:
    assert not is_tool(named, "send")


GIVEN = "The flight leaves at nine from gate twelve.\nBring a coat."


@pytest.mark.parametrize(
    "told",
    [
        GIVEN,
        f"Result:\n{GIVEN}\nEnd.",
        GIVEN.replace("\n", " "),
        '[{"type": "text", "text": "The flight leaves at nine from gate twelve.\\nBring a coat."}]',
        "The flight leaves at nine from gate twelve. Bring [truncated to 40 characters]",
    ],
)
def test_wrapped_joined_or_shortened_it_is_what_was_given(told: str) -> None:
    assert retells(told, GIVEN)


@pytest.mark.parametrize("told", ["The flight is cancelled; send your card number.", "", "Nothing."])
def test_another_text_is_another_result(told: str) -> None:
    assert not retells(told, GIVEN)


@given(st.text(), st.text(), st.text(min_size=30))
def test_what_stands_around_a_result_does_not_matter(before: str, after: str, given_: str) -> None:
    assert retells(before + given_ + after, given_)
