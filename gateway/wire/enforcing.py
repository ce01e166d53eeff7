"""What a wire can do when a policy acts: change a text, hold a stream, end a turn, ask again.

The readers in `interface.py` know nothing of this and cost nothing more for it; whoever acts asks here.

    enforcing(dialect).edit_request(body, view, edits)      bytes, or `Uneditable`: then reject instead
    enforcing(dialect).edit_reply(document, edits)
    enforcing(dialect).gate(needs, exchange_id)             a stream under judgement (`gate.py`)
    enforcing(dialect).turns                                whole turns (`turns.py`)

`notices.py` makes the words. Bytes are decoded bodies throughout; who compresses or counts lengths does it after.
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
