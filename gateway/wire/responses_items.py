"""Items of a Responses stream as their events come, and what an item's fields say of it."""

from functools import cached_property
from typing import Any, Final

from gateway.wire.blocks import Block, Doubtful, Touch, beside
from gateway.wire.jsons import decode
from gateway.wire.responses_deltas import Deltas
from gateway.wire.responses_growth import Growth, strings
from gateway.wire.values import word
from policies.trail import utf8
from policies.vocabulary.steps import Part, StepKind

ARGUMENTS: Final = ("arguments", "input", "code")
_NAMES: Final = ("name", "namespace", "server_label")
FRAME: Final = frozenset({"id", "type", "status", "call_id", "role"})
"""Fields of an item that are not what it says or does."""

Key = tuple[StepKind, str, int]
"""What a text of an item is to a judge, `content` or `summary`, and the place in it."""

_Piece = tuple[StepKind, str | None, str | None, str, str]
"""What tells pieces of one item apart: kind, tool, id of the call, pointer and text."""


class Item:
    """An output item as its events come."""

    def __init__(self, fields: dict[str, Any], pointer: str, *, late: bool) -> None:
        self.fields = fields
        self.pointer = pointer
        self.late = late
        """True where its turn had been rejected before it began."""
        self.texts: dict[Key, Block] = {}
        self.call: Block | None = None
        """The block of an item that is judged as one piece: a call, or what nobody knows."""
        self.begun: dict[str, Any] | None = None
        """What the first event that gave it as an item said; None where none did yet."""
        self.over = False
        """True once an event has given it as it is in the end."""
        self.deltas: dict[int, Deltas] = {}
        """By the number of a block, how its text streams."""
        self.growth = Growth()
        self.others: dict[_Piece, Block] = {}
        """What a provider's tool brought, and texts that an event gave instead of repeating what had come."""

    @property
    def blocks(self) -> list[Block]:
        """All that is judged of it."""
        found = [*self.texts.values(), *self.others.values()]
        return [self.call, *found] if self.call is not None else found

    @property
    def last(self) -> Block | None:
        """The block that began last."""
        texts = reversed(self.texts.values())
        return next(reversed(self.others.values()), None) or next(texts, None) or self.call

    @cached_property
    def gone(self) -> bool:
        """Whether nothing of it leaves. To be asked once its turn was rejected: from then on it stays so."""
        return self.late or (bool(self.blocks) and all(block.dropped for block in self.blocks))

    @property
    def stays(self) -> bool:
        """Whether it may stand in the last event: nothing that it brought was taken out of what the client has seen."""
        return not self.late and not any(block.dropped for block in self.blocks)


def is_spoken(fields: dict[str, Any]) -> bool:
    """Whether an item is told apart by its texts: a message, or reasoning."""
    return fields.get("type") in ("message", "reasoning") or (not fields.get("type") and "role" in fields)


def kind_of(fields: dict[str, Any]) -> StepKind:
    """What the texts of an item are to a judge."""
    return "reasoning" if fields.get("type") == "reasoning" else "model_text"


def check_end(begun: dict[str, Any], fields: dict[str, Any]) -> None:
    """Raise `Doubtful` where an item that is judged as one piece says other things in the end than where it began."""
    arguments = given(begun)
    if arguments and arguments not in (fields.get(name) for name in ARGUMENTS) and not _is_first_of(arguments, fields):
        raise Doubtful("a call whose arguments are given twice")
    if any(begun.get(name) and begun[name] != fields.get(name) for name in _NAMES):
        raise Doubtful("a call that is named twice")
    there = [*strings(fields)]
    known, whole, place = {*there}, "\0".join(there), 0
    for said in strings({key: begun[key] for key in begun if key not in FRAME}):
        # What has grown is looked for behind what was found before it, for there may be very many.
        place = place if said in known else whole.find(said, place)
        if place < 0:
            raise Doubtful("an item that ends as another than it began")


def opens(block: Block, fields: dict[str, Any]) -> Touch:
    """What the event that begins a call has to do with it: it may give all of its arguments, or the first of them."""
    field = next((name for name in ARGUMENTS if word(fields.get(name)) is not None), None)
    if field is None:
        return beside(block, opens=True)
    return Touch(block, 0, len(utf8(fields[field])), ("item", field), opens=True)


def given(fields: dict[str, Any]) -> Any:
    """What an item says that a call is given; None where it says nothing of it."""
    return next((fields[name] for name in ARGUMENTS if fields.get(name)), None)


def _is_first_of(arguments: Any, fields: dict[str, Any]) -> bool:
    """Whether arguments begin those of an item, which are an object: one behind them would be none.

    An item may begin with its first delta, which comes once more (vLLM).
    """
    whole = given(fields)
    if type(arguments) is not str or type(whole) is not str:
        return False
    return whole.startswith(arguments) and type(decode(utf8(whole))) is dict


def same(part: Part, other: Part) -> bool:
    """Whether two events mean the same call."""
    return (part.text, part.tool, part.call_id) == (other.text, other.tool, other.call_id)
