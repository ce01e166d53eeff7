"""Fences are drawn at random: whoever has seen one knows nothing of the next."""

import re

from gateway.supervisor import new_fence


def test_a_fence_is_128_bits_and_never_the_same_twice() -> None:
    drawn = [new_fence() for _ in range(1000)]
    assert len(set(drawn)) == len(drawn)
    assert all(re.fullmatch("[0-9a-f]{32}", fence) for fence in drawn)
    assert len({fence[at] for fence in drawn for at in (0, 31)}) == 16
