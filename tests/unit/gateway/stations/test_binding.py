"""What an approval is bound to: this session, tool and arguments, under these clauses as they are worded now."""

import pytest

from gateway.stations.binding import binding
from policies.vocabulary.steps import Part

CALL = Part(kind="tool_call", tool="pay", text='{"to": "Ann", "amount": 20}')
BOUND = binding("s1", CALL, ["r1"])


@pytest.mark.parametrize(
    "other",
    [
        binding("s2", CALL, ["r1"]),
        binding(None, CALL, ["r1"]),
        binding("s1", CALL, ["r2"]),
        binding("s1", CALL, ["r1", "r2"]),
        binding("s1", CALL, []),
        binding("s1", Part(kind="tool_call", tool="pay_all", text=CALL.text), ["r1"]),
        binding("s1", Part(kind="tool_result", tool="pay", text=CALL.text), ["r1"]),
        binding("s1", Part(kind="tool_call", tool="pay", text='{"to": "Ann", "amount": 2000}'), ["r1"]),
        binding("s1", Part(kind="tool_call", tool="pay", text=CALL.text[:-1]), ["r1"]),
    ],
    ids=bytes.hex,
)
def test_an_approval_of_one_step_is_none_of_another(other: bytes) -> None:
    assert other != BOUND


def test_the_same_arguments_written_otherwise_are_the_same_step() -> None:
    again = Part(kind="tool_call", tool="pay", text='{"amount":20,"to":"Ann"}', call_id="call_9", pointer="/output/3")
    assert binding("s1", again, ["r1"]) == BOUND


def test_no_piece_can_be_moved_into_its_neighbour() -> None:
    assert binding("s", CALL, ["ab", "c"]) != binding("s", CALL, ["a", "bc"])
