"""Which output index an event of a Responses stream is about, also where its server gives none."""

from typing import Any, Final

from gateway.wire.blocks import Doubtful
from gateway.wire.values import count, mapping, text


class Indexes:
    """The output indexes of one stream; items whose events give none, as llama.cpp's do, are told apart by their names.

    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-task.cpp
    """

    def __init__(self, *, strict: bool) -> None:
        """`strict`: where clients may take an event for one about another item, that is doubtful."""
        self._strict: Final = strict
        self._taken: set[int] = set()
        self._named: dict[str, int] = {}
        """By the name of an item; under no name, that of events that say neither."""
        self._given: set[bool] = set()
        """Whether events give their index; both, where some do and some do not."""

    def known(self, value: dict[str, Any]) -> int | None:
        """The output index of an event, where it gives one or says what an earlier one said."""
        given = value.get("output_index")
        return self._named.get(_name_of(value)) if given is None else count(given)

    def take(self, value: dict[str, Any]) -> int:
        """The output index of an event about an item, which may be the first about it. Raises `Doubtful`."""
        given, name = value.get("output_index"), _name_of(value)
        index = self.known(value)
        if index is None:
            index = self._new() if given is None and name else 0
        self._taken.add(index)
        if given is None or "item" in value:
            self._named.setdefault(name, index)
        self._given.add(given is not None)
        if self._strict:
            self._check(given, name)
        return index

    def _new(self) -> int:
        index = len(self._taken)
        while index in self._taken:
            index += 1
        return index

    def _check(self, given: Any, name: str) -> None:
        """Raise `Doubtful` where clients may go by something else: the first item, the last, or the name."""
        if given is not None and count(given) is None:
            raise Doubtful("an output index that is none")
        if self._taken == {0}:
            return
        if len(self._given) > 1:
            raise Doubtful("output indexes that some events leave out")
        if given is None and not name:
            raise Doubtful("an event that tells no item")


def _name_of(value: dict[str, Any]) -> str:
    return text(value.get("item_id")) or text(mapping(value.get("item")).get("id"))
