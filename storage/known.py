"""Known: bounded memories of what a file already holds, so that most look-ups never reach it."""

from collections.abc import Mapping
from typing import Generic, TypeVar, final

K = TypeVar("K")
V = TypeVar("V")


@final
class Known(Generic[K, V]):
    """Two generations of about `capacity` entries each: what is used again survives, the rest is forgotten."""

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, or None where it was never put or is forgotten."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self._young[key] = found
        return found

    def learn(self, found: Mapping[K, V]) -> None:
        """Remember values, all at once."""
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, {}
        self._young.update(found)


@final
class Latest(Generic[K, V]):
    """The `capacity` entries that changed last."""

    def __init__(self, capacity: int) -> None:
        self._capacity = max(1, capacity)
        self._entries: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, or None where it was never put or is forgotten."""
        return self._entries.get(key)

    def learn(self, found: Mapping[K, V]) -> None:
        """Put values in the place of older ones; entries that have not changed for longest go."""
        entries = self._entries
        for key, value in found.items():
            entries.pop(key, None)
            entries[key] = value
        while len(entries) > self._capacity:
            del entries[next(iter(entries))]
