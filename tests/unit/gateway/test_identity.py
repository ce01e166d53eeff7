"""Headers in, claims out; whatever is not plain is as if it had not been sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import Identity, identity, plain_id, traceparent
from gateway.wire.interface import RequestView

VIEW = RequestView(operation="chat")
SESSION = "5f1d2a60-0000-4000-8000-000000000001"
THREAD = "019a0000-aaaa-7000-8000-000000000002"
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def read(view: RequestView = VIEW, **headers: str) -> Identity:
    return identity([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()], view)


def test_a_plain_client_claims_nothing() -> None:
    assert read(host="localhost", user_agent="curl/8") == Identity(client="curl/8")


def test_claude_code_names_its_session_and_its_sub_agents() -> None:
    assert read(X_Claude_Code_Session_Id=SESSION).agent_session == SESSION
    sub = read(
        x_claude_code_session_id=SESSION, x_claude_code_agent_id="a1", x_claude_code_parent_agent_id="a0",
        x_claude_code_agent_type="Explore",
    )  # fmt: skip
    assert (sub.agent_session, sub.agent_id, sub.parent_agent_id, sub.agent_name) == (SESSION, "a1", "a0", "Explore")


def test_a_sub_agent_without_a_session_header_takes_the_session_of_its_body() -> None:
    view = RequestView(operation="chat", session_hint=SESSION)
    assert read(view, x_claude_code_agent_id="a1").agent_session == SESSION
    assert read(x_claude_code_agent_id="a1").agent_session is None


def test_codex_root_thread_is_the_main_agent() -> None:
    who = read(session_id=SESSION, thread_id=SESSION, x_codex_window_id=f"{SESSION}:0")
    assert (who.agent_session, who.agent_id, who.parent_agent_id) == (SESSION, None, None)


def test_codex_sub_agents_are_threads_of_the_session() -> None:
    who = read(
        session_id=SESSION, thread_id=THREAD, x_codex_parent_thread_id=SESSION, x_openai_subagent="collab_spawn"
    )  # fmt: skip
    assert (who.agent_session, who.agent_id, who.parent_agent_id) == (SESSION, THREAD, None)
    assert who.agent_name == "collab_spawn"


def test_codex_metadata_says_the_same_as_its_headers() -> None:
    metadata = {"session_id": SESSION, "thread_id": THREAD, "parent_thread_id": "t1", "subagent_kind": "review", "n": 1}
    who = read(x_codex_turn_metadata=json.dumps(metadata))
    assert (who.agent_session, who.agent_id, who.parent_agent_id) == (SESSION, THREAD, "t1")
    assert who.agent_name == "review"


def test_older_codex_used_underscores() -> None:
    assert identity([(b"session_id", SESSION.encode())], VIEW).agent_session == SESSION
    assert identity([(b"conversation_id", SESSION.encode())], VIEW).agent_session == SESSION


@pytest.mark.parametrize("metadata", ["{", "[]", "null", '{"session_id": 7}', '{"session_id": "a b"}', "[" * 5000])
def test_metadata_that_is_none_is_ignored(metadata: str) -> None:
    assert read(x_codex_turn_metadata=metadata).agent_session is None


@pytest.mark.parametrize("value", ["", " ", "a b", "a\x00b", "a\r\nb", "x" * 129, "ü", "../etc\\passwd", "<script>"])
def test_an_id_that_is_not_plain_is_ignored(value: str) -> None:
    assert plain_id(value.encode()) is None
    assert read(session_id=value).agent_session is None


@pytest.mark.parametrize("value", ["a b", "user 7 / run 3", "x" * 129, "Zürich #2", "<script>"])
def test_a_session_keeps_the_name_its_caller_gave_it_whatever_that_holds(value: str) -> None:
    name = read(stepwarden_session=value).explicit_session
    assert name is not None
    assert name == read(stepwarden_session=f" {value} ").explicit_session
    assert name != read(stepwarden_session=f"{value}.").explicit_session


@pytest.mark.parametrize("value", ["", " "])
def test_no_name_names_no_session(value: str) -> None:
    assert read(stepwarden_session=value).explicit_session is None


def test_of_two_different_claims_neither_is_believed() -> None:
    twice = [(b"stepwarden-session", b"a"), (b"Stepwarden-Session", b"b")]
    assert identity(twice, VIEW).explicit_session is None
    assert identity([twice[0], twice[0]], VIEW).explicit_session == "a"


def test_a_traceparent_gives_trace_and_span() -> None:
    assert traceparent(PARENT) == (PARENT[3:35].fromhex(PARENT[3:35].decode()), bytes.fromhex("00f067aa0ba902b7"))
    assert traceparent(b"cc" + PARENT[2:] + b"-later") is not None


@pytest.mark.parametrize(
    "value",
    [
        b"", b"00", PARENT[:-1], PARENT + b"-extra", PARENT.upper(), b"ff" + PARENT[2:], PARENT.replace(b"-", b"_"),
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01",
        b"0x-" + PARENT[3:],
    ],
)  # fmt: skip
def test_a_broken_traceparent_is_none(value: bytes) -> None:
    assert traceparent(value) is None


@pytest.mark.parametrize(
    ("value", "count"), [("0", 0), ("2", 2), ("", 0), ("-1", 0), ("1e9", 0), ("9" * 400, 0), ("٣", 0)]
)
def test_a_retry_counter_is_a_small_number(value: str, count: int) -> None:
    assert read(x_stainless_retry_count=value).retry == count


def test_tags_are_pairs() -> None:
    assert read(stepwarden_tags="team=red, run = 7 ,bad,=x,team=blue").tags == (("team", "red"), ("run", "7"))


@given(st.lists(st.tuples(st.sampled_from(_NAMES := [
    b"stepwarden-session", b"stepwarden-tags", b"traceparent", b"x-stainless-retry-count", b"user-agent",
    b"x-claude-code-session-id", b"x-claude-code-agent-id", b"session-id", b"thread-id", b"x-codex-turn-metadata",
]), st.binary(max_size=200))))  # fmt: skip
def test_no_header_makes_reading_fail(headers: list[tuple[bytes, bytes]]) -> None:
    who = identity(headers, VIEW)
    for text in (who.agent_session, who.agent_id, who.client):
        assert text is None or (text.isascii() and text.isprintable() and len(text) <= 256)
