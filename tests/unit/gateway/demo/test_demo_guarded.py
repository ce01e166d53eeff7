"""Where no recording can exist, what is played says that it was written."""

import pytest

from gateway.demo import guarded
from gateway.demo.guarded import POISONED, SECRET, WRITTEN, Beyond, payment
from gateway.demo.playback import Run, load_runs, recorded_atoms

RUNS = load_runs()
BEYOND = Beyond(RUNS)
POISON = next(run for run in RUNS if run.name == POISONED)
PAYMENT = payment(POISON)


def test_the_poisoned_run_calls_the_forbidden_tool_and_is_known_to_have_succeeded() -> None:
    assert POISON.outcome == "attack_succeeded"
    assert any(call.name == guarded.FORBIDDEN for message in POISON.messages for call in message.calls)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_after_a_rejection_every_run_goes_on_with_a_text_that_says_who_wrote_it(run: Run) -> None:
    notice = ("result", "[Stepwarden: This tool call was not run. Reason: x, exchange: y, mark: z]")
    turn = BEYOND([*recorded_atoms(run.messages[:2]), notice])
    assert turn is not None
    assert turn.text.startswith(WRITTEN)
    assert turn.calls == ()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_no_turn_is_written_where_nothing_was_rejected(run: Run) -> None:
    for end in range(len(run.messages) + 1):
        assert BEYOND(list(recorded_atoms(run.messages[:end]))) is None


def test_the_written_run_goes_on_whatever_was_taken_out_of_a_result() -> None:
    results = 0
    for end, message in enumerate(PAYMENT.messages):
        if message.role == "assistant":
            atoms = list(recorded_atoms(PAYMENT.messages[:end]))
            redacted = [tuple(piece.replace(SECRET, "[redacted]") for piece in atom) for atom in atoms]
            for known in (atoms, redacted):
                turn = BEYOND(known)
                assert turn is not None
                assert turn.text == message.content
                assert turn.text.startswith(WRITTEN)
                assert [call.tool for call in turn.calls] == [call.name for call in message.calls]
        results += message.role == "tool"
    assert results == 2
    assert BEYOND([("user", PAYMENT.messages[0].content), *[("result", "x")] * 9]) is None
