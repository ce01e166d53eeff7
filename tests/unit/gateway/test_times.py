import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.times import NotATime, later_ns, moment_ns, nanoseconds, rfc3339, span_ns

HOUR = 3600 * 10**9


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_a_time_written_and_read_is_the_same_to_the_nanosecond(at_ns: int) -> None:
    assert nanoseconds(rfc3339(at_ns)) == at_ns


def test_offsets_and_fractions_are_read() -> None:
    assert nanoseconds("1970-01-01T01:00:00.5+01:00") == 500_000_000
    assert nanoseconds("1970-01-01 00:00:00z") == 0


def test_a_duration_counts_back_from_now() -> None:
    assert moment_ns("2h", now_ns=10 * HOUR) == 8 * HOUR
    assert moment_ns("9w", now_ns=HOUR) == 0
    assert span_ns("1d") == 24 * HOUR


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2", "h", "-2h", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00"]
)
def test_anything_else_is_not_a_time(text: str) -> None:
    with pytest.raises(NotATime):
        moment_ns(text, now_ns=0)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "2262-04-12T00:00:00Z"])
def test_a_time_that_the_store_cannot_count_is_refused_where_it_is_read(text: str) -> None:
    for read in (nanoseconds, lambda said: moment_ns(said, now_ns=0), lambda said: later_ns(said, now_ns=0)):
        with pytest.raises(NotATime, match="2262"):
            read(text)
    with pytest.raises(NotATime, match="2262"):
        later_ns("999999999w", now_ns=HOUR)


def test_a_time_before_anything_was_recorded_is_as_good_as_the_beginning() -> None:
    assert moment_ns("0001-01-01T00:00:00Z", now_ns=HOUR) == 0
    assert moment_ns("999999999w", now_ns=HOUR) == 0


def test_a_time_to_come_is_a_span_from_now_or_a_moment() -> None:
    assert later_ns("1h", now_ns=HOUR) == 2 * HOUR
    assert later_ns("1970-01-01T01:00:00Z", now_ns=5 * HOUR) == HOUR
