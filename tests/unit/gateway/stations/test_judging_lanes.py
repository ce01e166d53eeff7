"""Where steps are judged: short ones on the event loop, what takes long beside it."""

import asyncio

from gateway.stations.bench import INLINE_BYTES, Bench
from policies.evaluate import Ruleset
from policies.trail import Scene, Trail
from policies.vocabulary.steps import Part, StepKind


class Lanes:
    """A bench of which one can tell whether it left the loop."""

    def __init__(self) -> None:
        self.left = False
        empty = Ruleset.compile([])

        def heavy() -> Ruleset:
            self.left = True
            return empty

        self._bench = Bench(empty, heavy=heavy, clock=lambda: 0, notice_key=bytes(32))

    def leaves(self, kind: StepKind, text: str, *before: Part) -> bool:
        """Whether a step behind these parts is judged off the loop; to be asked until it says so once."""
        asyncio.run(self._bench.judge([Scene(step=Part(kind=kind, text=text), trail=Trail(parts=before))]))
        return self.left


def result(text: str) -> Part:
    return Part(kind="tool_result", text=text)


def test_a_long_step_leaves_the_loop_and_a_short_one_does_not() -> None:
    assert not Lanes().leaves("user_input", "x" * INLINE_BYTES)
    assert Lanes().leaves("user_input", "x" * (INLINE_BYTES + 1))


def test_a_short_call_leaves_the_loop_with_long_data_before_it() -> None:
    assert Lanes().leaves("tool_call", "{}", result("x" * INLINE_BYTES))
    assert Lanes().leaves("tool_call", "{}", result("x" * (INLINE_BYTES // 2)), result("y" * (INLINE_BYTES // 2)))
    assert not Lanes().leaves("model_text", "Yes.", result("x" * INLINE_BYTES))


def test_data_that_was_read_on_the_loop_does_not_count_again() -> None:
    lanes = Lanes()
    before = [result(str(at) * (INLINE_BYTES // 4)) for at in range(8)]
    assert not any(lanes.leaves("tool_call", "{}", *before[: at + 1]) for at in range(8))
    assert lanes.leaves("tool_call", "{}", *before, result("z" * INLINE_BYTES))
