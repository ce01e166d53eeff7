"""Lines come out as they went in, wherever a pipe cuts them."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.mcp.lines import Lines

PIECES = st.lists(st.text("ab\n", max_size=9).map(str.encode))


@given(PIECES)
def test_where_pieces_are_cut_does_not_matter(pieces: list[bytes]) -> None:
    lines = Lines()
    found = [line for piece in pieces for line in lines.feed(piece)]
    *whole, rest = b"".join(pieces).split(b"\n")
    assert (found, lines.waiting) == (whole, len(rest))
