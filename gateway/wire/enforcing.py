"""What a wire can do when a policy acts: change a text, hold a stream, end a turn, ask again.

The readers in `interface.py` know nothing of this and cost nothing more for it; whoever acts asks here.

    acting = enforcing(dialect)
    body = acting.edit_request(body, view, edits)        or `Uneditable`: then reject instead
    document = acting.edit_reply(document, edits)
    gate = acting.gate(needs, exchange_id)               a stream under judgement (`gate.py`)
    document = acting.turns.end(document, ending, ...)   whole turns (`turns.py`)

A rejected call of a stream is answered in the caller's place like this:

    gate.reject(judgement, Answered())                   then feed on until `gate.paused`
    reply = acting.turns.assemble(stream)                the provider's own bytes, as they came
    body = acting.turns.answer(body, view, reply, notice)
    gate.continue_with()                                 then feed what the provider says to that
    gate.end_paused(Substituted(notice))                 or this, where it cannot be asked again

A body that was changed has to be read again (`read_request`): its cuts have moved. To ask again without an answer,
send the same body and continue in the same way. `notices.py` makes the words. Bytes are decoded bodies throughout;
who compresses or counts lengths does it after.
"""

from collections.abc import Iterable

from gateway.wire import edits as leaf_edits
from gateway.wire.anthropic_gate import AnthropicGate
from gateway.wire.anthropic_turns import AnthropicTurns
from gateway.wire.chat_gate import ChatGate
from gateway.wire.chat_turns import ChatTurns
from gateway.wire.edits import PartEdit
from gateway.wire.gate import Needs, StreamGate
from gateway.wire.interface import Dialect, RequestView
from gateway.wire.responses_gate import ResponsesGate
from gateway.wire.responses_turns import ResponsesTurns
from gateway.wire.turns import Turns


class Enforcing:
    """One dialect's ways to act."""

    def __init__(self, dialect: Dialect, gate: type[StreamGate], turns: Turns) -> None:
        self._dialect = dialect
        self._gate = gate
        self.turns = turns

    def edit_request(self, body: bytes, view: RequestView, edits: Iterable[PartEdit]) -> bytes:
        """The body with some parts' texts changed at their leaves. Raises `Uneditable`, and then changes none."""
        return leaf_edits.edit_request(self._dialect, body, view, edits)

    def edit_reply(self, document: bytes, edits: Iterable[PartEdit]) -> bytes:
        """A reply of one JSON document with some parts' texts changed. Raises `Uneditable`, and then changes none."""
        return leaf_edits.edit_reply(self._dialect, document, edits)

    def gate(self, needs: Needs, exchange_id: str) -> StreamGate:
        """A gate for one reply that streams, and for those that continue it."""
        return self._gate(self._dialect, needs, exchange_id)


def enforcing(dialect: Dialect) -> Enforcing | None:
    """What this dialect can do; None where its wire is not read."""
    if dialect.name == "anthropic":
        return Enforcing(dialect, AnthropicGate, AnthropicTurns())
    if dialect.name == "openai_chat":
        return Enforcing(dialect, ChatGate, ChatTurns())
    if dialect.name == "openai_responses":
        return Enforcing(dialect, ResponsesGate, ResponsesTurns())
    return None
