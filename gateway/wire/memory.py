"""What was lately read of raw bytes, within a bound: most of a request was in an earlier one."""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

_ENTRY = 200
"""About what an entry costs besides its bytes."""


class Recent(Generic[Key, Value]):
    """A mapping of at most two generations of `budget` bytes each, the older one forgotten as a whole."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._spent = 0
        self.young: dict[Key, Value] = {}
        """The younger generation; may be read directly where a call a key is too dear."""
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """What is remembered under a key, if anything."""
        return self.young.get(key) or self._old.get(key)

    def put(self, key: Key, value: Value, size: int) -> None:
        """Remember a value (never a false one) that holds about `size` bytes, unless it is larger than the budget."""
        size += _ENTRY
        if size > self._budget:
            return
        self._spent += size
        if self._spent > self._budget:
            self._old, self.young, self._spent = self.young, {}, size
        self.young[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self.young, self._old, self._spent = {}, {}, 0

    def drop(self, key: Key, size: int) -> None:
        """Forget a key whose value was put with this `size`."""
        if self.young.pop(key, None) is not None:
            self._spent -= size + _ENTRY
        else:
            self._old.pop(key, None)
