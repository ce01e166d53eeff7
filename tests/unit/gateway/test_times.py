import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.times import NotATime, moment_ns, nanoseconds, rfc3339, span_ns

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
