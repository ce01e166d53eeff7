"""A table lists what was entered and not struck, oldest first, whoever else stood or stands under the same key."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.stations.branches import Branch, End, Register, Session, Table

BRANCH = Branch("b", Session("s", b"", b"", b"", derived=True, name=None, trace_id=b""), None, "", None, b"")
ENDS = [End(str(at), at, BRANCH, 0, b"", b"", b"", b"") for at in range(4)]
KEYS = (b"one", b"two")

acts = st.tuples(st.booleans(), st.sampled_from(KEYS), st.sampled_from(ENDS))


@given(st.lists(acts, max_size=30))
def test_a_table_lists_what_was_entered_and_not_struck(done: Sequence[tuple[bool, bytes, End]]) -> None:
    table, expected = Table(), {key: dict[str, End]() for key in KEYS}
    for entered, key, end in done:
        if entered:
            table.enter(key, end)
            expected[key][end.exchange_id] = end
        else:
            table.strike(key, end)
            expected[key].pop(end.exchange_id, None)
    for key, row in expected.items():
        listed = list(row.values())
        assert (key in table, table.all(key, lambda _: True)) == (bool(listed), listed)
        assert table.oldest(key, lambda _: True) is (listed[0] if listed else None)
        assert table.newest(key, lambda _: True) is (listed[-1] if listed else None)
        assert table.oldest(key, lambda end: end.at_ns == 2) is row.get("2")


def test_what_something_stands_on_is_listed_as_a_head_nowhere() -> None:
    register, print_of_it = Register(9), b"f" * 16
    end = End("e", 0, BRANCH, 0, b"", b"g" * 16 + b"state", b"state", b"t" * 16)
    register.hold(end)
    register.settle(end, "answered", (print_of_it,), telling=True)
    heads = (register.heads, register.tails, register.said)
    assert [len(table) for table in heads] == [1, 1, 1]
    register.take(end)
    assert [len(table) for table in heads] == [0, 0, 0]
    assert (len(register.places), len(register.replies)) == (1, 1)
