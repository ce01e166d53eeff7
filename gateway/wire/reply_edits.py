"""What is changed in a reply that is one document: the texts of its parts, each alone or over the seam of two."""

from collections.abc import Sequence

from gateway.wire.edits import PartEdit, Replacement, Uneditable, cut
from policies.trail import utf8
from policies.turn import choice_of, is_spoken
from policies.vocabulary.steps import Part


class ReplyEdits:
    """Replacements by part, added in the order of the parts."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._ranges: dict[int, list[Replacement]] = {}
        self._beyond = False

    def add(self, at: int, ranges: Sequence[Replacement], reach: int = 0) -> None:
        """Replace ranges of a part, and take out so many bytes of what its turn said before it."""
        self._ranges.setdefault(at, []).extend(ranges)
        step = self._parts[at]
        for earlier in range(at - 1, -1, -1):
            if not reach:
                break
            part = self._parts[earlier]
            if part.kind == step.kind and is_spoken(part) and _one_choice(part, step):
                length = len(utf8(part.text))
                start = max(length - reach, 0)
                self._ranges[earlier] = cut(self._ranges.get(earlier, ()), start, length)
                reach -= length - start
        self._beyond = self._beyond or reach > 0

    @property
    def parts(self) -> list[Part]:
        """Those that are changed."""
        return [self._parts[at] for at, ranges in self._ranges.items() if ranges]

    def made(self) -> list[PartEdit]:
        """The edits. Raises `Uneditable` where what has to go begins before the reply."""
        if self._beyond:
            raise Uneditable("this text began before the reply")
        return [PartEdit(pointer=self._parts[at].pointer, ranges=tuple(ranges)) for at, ranges in self._ranges.items()]


def _one_choice(one: Part, other: Part) -> bool:
    return choice_of(one.pointer) == choice_of(other.pointer)
