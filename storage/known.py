"""Known: a bounded memory of what a file already holds, so that most look-ups never reach it."""

from typing import Generic, TypeVar, final

K = TypeVar("K")
V = TypeVar("V")


@final
class Known(Generic[K, V]):
    """Two generations of at most `capacity` each: what is used again survives, the rest is forgotten."""

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity)
        self._weight = 0
        self._young: dict[K, tuple[V, int]] = {}
        self._old: dict[K, tuple[V, int]] = {}

    def get(self, key: K) -> V | None:
        """The value, or None where it was never put or is forgotten."""
        found = self._young.get(key)
        if found is None:
            if not self._old or (found := self._old.get(key)) is None:
                return None
            self.put(key, *found)
        return found[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Remember a value; its weight counts against the capacity."""
        before = self._young.get(key)
        if before is not None:
            self._weight -= before[1]
        else:
            self._old.pop(key, None)  # what it replaces is not kept for its generation's sake
            if self._weight >= self._capacity:
                self._old, self._young, self._weight = self._young, {}, 0
        self._young[key] = (value, weight)
        self._weight += weight

    def clear(self) -> None:
        """Forget everything."""
        self._old, self._young, self._weight = {}, {}, 0
