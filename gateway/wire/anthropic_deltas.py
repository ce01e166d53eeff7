"""The deltas of one Messages block, and whether all clients put the same together from them."""

from gateway.wire.gate import Doubtful


class Deltas:
    """Deltas of a block that say something: clients keep those of one kind, or what stands under one name."""

    def __init__(self) -> None:
        self._last: tuple[str, str] = ("", "")
        self._kinds: set[str] = set()
        self._names: set[str] = set()

    def take(self, kind: str, name: str) -> None:
        """Another delta. Raises `Doubtful` where for some client it goes on with something else than the last one."""
        last_kind, last_name = self._last
        if (kind != last_kind and kind in self._kinds) or (name != last_name and name in self._names):
            raise Doubtful("a text that another one stands within")
        self._last = (kind, name)
        self._kinds.add(kind)
        self._names.add(name)
