"""Growth: what a request adds to the last one of its branch is found, and nothing else passes for it."""

from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from policies.vocabulary.exchanges import Body, Cut
from storage import frame, growth
from storage.store import Store
from tests.unit.storage.stored import agent_session, compact, recording, request_body


def body(pieces: list[tuple[bytes, bytes, bool]], rest: bytes, rest_cut: int = 0) -> tuple[bytes, tuple[Cut, ...]]:
    """(what stands before it, piece, chained) for each piece; of the rest so many bytes are a cut."""
    raw, cuts = b"[", list[Cut]()
    for gap, piece, chained in pieces:
        raw += gap
        cuts.append((len(raw), len(raw) + len(piece), chained))
        raw += piece
    if rest_cut:
        cuts.append((len(raw), len(raw) + rest_cut, False))
    return raw + rest, tuple(cuts)


pieces = st.lists(
    st.tuples(st.sampled_from([b",", b",", b", ", b"", b"x" * 300]), st.binary(max_size=9), st.booleans()), max_size=6
)
rests = st.tuples(st.sampled_from([b"]", b"}" * 32, b"z" * 400]), st.sampled_from([0, 0, 1]))


@given(pieces, pieces, rests, st.one_of(st.none(), rests), st.integers(-1, 400))
def test_what_counts_as_growth_is_rebuilt_from_the_older_frame(
    first: list[tuple[bytes, bytes, bool]],
    more: list[tuple[bytes, bytes, bool]],
    rest: tuple[bytes, int],
    other: tuple[bytes, int] | None,
    flipped: int,
) -> None:
    old, old_cuts = body(first, *rest)
    new, cuts = body(first + more, *(other or rest))
    if 0 <= flipped < len(new):
        new = new[:flipped] + bytes([new[flipped] ^ 1]) + new[flipped + 1 :]
    before, ends = frame.split(old, old_cuts), growth.ends_of(old, old_cuts)
    if before is None or ends is None or before.separator is None:
        return
    grown = growth.grown(new, cuts, ends, before.separator)
    if grown is None:
        return
    assert frame.join(before.frame, before.lead, (*before.messages, *grown.pieces)) == new
    assert grown.ends == growth.ends_of(new, cuts)


def test_a_conversation_that_goes_on_is_growth() -> None:
    messages = [compact({"role": "user", "content": f"message {number}"}) for number in range(9)]
    for tail in ("", ',"tools":' + "x" * 500):
        old, new = (
            request_body([("system", "Be kind.")], messages[:4], tail),
            request_body([("system", "Be kind.")], messages, tail),
        )
        apart, ends = frame.split(old.raw or b"", old.cuts), growth.ends_of(old.raw or b"", old.cuts)
        assert apart is not None
        assert ends is not None
        assert apart.separator == b","
        grown = growth.grown(new.raw or b"", new.cuts, ends, apart.separator)
        assert grown is not None
        assert grown.pieces == messages[4:]


@pytest.mark.parametrize("at", [1, 12, 20, 21, 31, 34])
def test_one_other_byte_before_between_or_after_is_no_growth(at: int) -> None:
    old, old_cuts = body([(b"head-of-it:", b"message-1", True)], b"]" * 4)
    new, cuts = body([(b"head-of-it:", b"message-1", True), (b",", b"message-2", True)], b"]" * 4)
    ends = growth.ends_of(old, old_cuts)
    assert ends is not None
    grown = growth.grown(new, cuts, ends, b",")
    assert grown is not None
    changed = new[:at] + b"?" + new[at + 1 :]
    assert growth.grown(changed, cuts, ends, b",") is None


def test_the_digest_of_a_long_rest_does_not_pass_for_it() -> None:
    rest = b"r" * 500
    old, cuts = body([(b"", b"m", True)], rest)
    ends = growth.ends_of(old, cuts)
    assert ends is not None
    new, _ = body([(b"", b"m", True)], blake3(rest).digest())
    assert growth.grown(old, cuts, ends, b",") is not None
    assert growth.grown(new, cuts, ends, b",") is None


def test_a_branch_takes_up_again_where_a_failed_batch_left_it(folder: Path) -> None:
    made = agent_session(seed=6, turns=6)
    store = Store.open(folder)
    store.append(made[:2])
    connection = store._writer._meta.connection
    connection.execute("CREATE TRIGGER fail BEFORE UPDATE ON session BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        store.append(made[2:4])
    connection.execute("DROP TRIGGER fail")
    store.append(made[3:])
    for one in (*made[:2], *made[3:]):
        found = store.body(one.exchange.exchange_id, "request")
        assert found is not None
        assert found.raw == one.request.raw
    assert store.stats().kept_whole == 0
    store.close()


def test_cuts_that_changed_under_the_same_bytes_are_found_where_they_are_now(store: Store) -> None:
    raw = b'{"messages":[{"a":1},{"b":2},{"c":3}]}'
    one, two, three = (13, 20, True), (21, 28, True), (29, 36, True)
    halves = ((13, 17, True), (17, 20, True))
    for number, cuts in enumerate([(one, two), (*halves, two, three), (*halves, two)]):
        made = recording(number, request=Body(raw=raw, length=len(raw), cuts=cuts))
        store.append([made])
        for index, (start, end, _) in enumerate(cuts):
            assert store.cut(made.exchange.exchange_id, index) == raw[start:end]


def test_the_same_bytes_cut_otherwise_are_no_growth() -> None:
    raw, rest = b"[aaaa,bbbb,cccc", b"]}}"
    before = growth.ends_of(raw[:10] + rest, ((1, 5, True), (6, 10, True), (10, 11, False)))
    assert before is not None
    more = (11, 15, True)
    assert growth.grown(raw + rest, ((1, 5, True), (6, 10, True), more, (15, 16, False)), before, b",") is not None
    assert growth.grown(raw + rest, ((1, 4, True), (6, 10, True), more, (15, 16, False)), before, b",") is None
    assert growth.grown(raw + rest, ((1, 5, True), (6, 10, True), more, (15, 17, False)), before, b",") is None


def test_nothing_grows_where_messages_stand_in_two_runs_and_the_first_is_longer() -> None:
    one, two = frame.split(b"[a,b;c]", ((1, 2, True), (3, 4, True), (5, 6, True))), frame.split(b"[a]", ((1, 2, True),))
    assert one is not None
    assert two is not None
    assert (one.separator, two.separator) == (None, b",")
