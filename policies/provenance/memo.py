"""A bounded memory for pure functions of a text."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

MEMO_CHARACTERS: Final = 8 << 20
"""Characters of text one memory keeps results for; the least recently used are forgotten first."""


class Memo(Generic[Value]):
    """Remembers what a pure function said of a text, so that a resent history is analysed once.

    Safe to share between threads; forgetting changes the time an answer takes and nothing else.
    """

    def __init__(self, compute: Callable[[str], Value], budget: int = MEMO_CHARACTERS) -> None:
        self._compute = compute
        self._budget = budget
        self._kept: OrderedDict[str, Value] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def __call__(self, text: str) -> Value:
        """The function's value for this text."""
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text]
        value = self._compute(text)
        with self._lock:
            if text not in self._kept:
                self._kept[text] = value
                self._size += len(text) + 64
                while self._size > self._budget and len(self._kept) > 1:
                    gone, _ = self._kept.popitem(last=False)
                    self._size -= len(gone) + 64
        return value
