"""Transcripts are remembered as long as there is room, newest first, and counted rightly whatever comes and goes."""

from hypothesis import given
from hypothesis import strategies as st

from supervisors import transcript as transcript_module
from supervisors.transcript import Transcript, Transcripts

ROOM = transcript_module._REMEMBERED_BYTES
SIZES = st.integers(1, ROOM // 3)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), SIZES | st.none()), max_size=60))
def test_what_is_remembered_is_the_newest_that_there_is_room_for(acts: list[tuple[str, int | None]]) -> None:
    transcripts = Transcripts()
    kept: dict[str, int] = {}  # in the order in which they were kept last
    for session, size in acts:
        kept.pop(session, None)
        if size is None:
            transcripts.forget([session])
            continue
        transcripts.keep(session, ("c",), Transcript(size=size))
        kept[session] = size
        while sum(kept.values()) > ROOM:
            kept.pop(next(iter(kept)))
    assert {name: transcripts.of(name, ("c",)).size for name in "abcdef"} == {
        name: kept.get(name, 0) for name in "abcdef"
    }
