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

from gateway.wire import anthropic_shapes, chat_shapes, responses_shapes
from gateway.wire import edits as leaf_edits
from gateway.wire.anthropic_gate import AnthropicGate
from gateway.wire.anthropic_turns import AnthropicTurns
from gateway.wire.chat_gate import ChatGate
from gateway.wire.chat_turns import ChatTurns
from gateway.wire.edits import PartEdit
from gateway.wire.gate import Needs, StreamGate
from gateway.wire.interface import Dialect, RequestView
from gateway.wire.jsons import decode
from gateway.wire.responses_gate import ResponsesGate
from gateway.wire.responses_turns import ResponsesTurns
from gateway.wire.shapes import Shape, misfit, misnamed
from gateway.wire.strict import ambiguity, repetition
from gateway.wire.turns import Turns


class Enforcing:
    """One dialect's ways to act."""

    def __init__(self, dialect: Dialect, gate: type[StreamGate], turns: Turns, *, request: Shape, reply: Shape) -> None:
        self._dialect = dialect
        self._gate = gate
        self._request = request
        self._reply = reply
        self.turns = turns

    def doubt_of_request(self, body: bytes) -> str | None:
        """What in a decoded body a provider may read otherwise than it is read here; None where nothing is."""
        return ambiguity(body) or misnamed(decode(body), self._request)

    def doubt_of_reply(self, document: bytes) -> str | None:
        """What in a reply of one JSON document a client may read otherwise; a gate sees to what streams."""
        value = decode(document)
        return repetition(document, value) or misfit(value, self._reply)

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
        request, reply = anthropic_shapes.REQUEST, anthropic_shapes.REPLY
        return Enforcing(dialect, AnthropicGate, AnthropicTurns(), request=request, reply=reply)
    if dialect.name == "openai_chat":
        return Enforcing(dialect, ChatGate, ChatTurns(), request=chat_shapes.REQUEST, reply=chat_shapes.REPLY)
    if dialect.name == "openai_responses":
        request, reply = responses_shapes.REQUEST, responses_shapes.REPLY
        return Enforcing(dialect, ResponsesGate, ResponsesTurns(), request=request, reply=reply)
    return None
