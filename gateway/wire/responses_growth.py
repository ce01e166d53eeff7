"""What events of kinds nobody knows tell of a call while it comes (`response.shell_call_command.delta`).

They wait with the call and leave with it, so what they say has to stand in what is judged: the call as it ends.
"""

from collections.abc import Hashable, Iterator
from typing import Any, Final

from gateway.wire.blocks import Doubtful
from gateway.wire.jsons import decode, read_with
from gateway.wire.responses_parts import output_parts
from gateway.wire.responses_shapes import CARRIERS
from gateway.wire.values import mapping, sequence
from policies.trail import utf8

_COMING: Final = frozenset({"status", "encrypted_content"})
"""Fields that are others in each event of an item, and say nothing."""

_MOST: Final = 256
"""Texts that are told of one call: each is looked for in all of it."""


class Growth:
    """The texts told of one call, by the kind of their events and their place."""

    def __init__(self) -> None:
        self._texts: dict[Hashable, list[str]] = {}

    def take(self, kind: str, value: dict[str, Any]) -> None:
        """Another event. Pieces of one text are deltas of one kind whose numbers are the same. Raises `Doubtful`."""
        place = tuple(sorted((key, one) for key, one in value.items() if type(one) is int and key != "sequence_number"))
        for name in CARRIERS:
            if value.get(name):
                number = 0 if kind.endswith(".delta") else len(self._texts)
                self._texts.setdefault((kind, name, place, number), []).extend(strings(value[name]))
        if len(self._texts) > _MOST:
            raise Doubtful("a call of which too much is told")

    def check(self, fields: dict[str, Any]) -> None:
        """Raise `Doubtful` where something was told that does not stand in what is judged of a call."""
        whole = _judged(fields) if self._texts else ""
        for pieces in self._texts.values():
            said = "".join(pieces)
            if said not in whole and not _is_said(decode(utf8(said)), whole):
                raise Doubtful("a call of which other things are told than it ends as")


def _judged(fields: dict[str, Any]) -> str:
    """What is judged of the call itself, with which those events leave, and the strings in it where it is JSON."""
    texts = [said for part in read_with(output_parts, fields, "")[:1] for said in (part.tool or "", part.text)]
    return "\0".join([*texts, *(said for each in texts for said in strings(decode(utf8(each))))])


def _is_said(value: Any, whole: str) -> bool:
    """Whether a text that is an object or a list says nothing else."""
    return isinstance(value, (dict, list)) and all(one in whole for one in strings(value))


def strings(value: Any) -> Iterator[str]:
    """All strings in a JSON value but those that change while it comes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in mapping(value).items():
            if key not in _COMING:
                yield from strings(inner)
    elif isinstance(value, list):
        for inner in sequence(value):
            yield from strings(inner)
