"""The pieces of one text, and whether each client puts together what is judged: all of them in a row."""

from gateway.wire.blocks import Doubtful


class Runs:
    """What pieces are called: clients keep those of one kind, those under one name, or those of one form."""

    def __init__(self) -> None:
        self._now: set[int] = set()
        self._left: set[int] = set()
        """Hashes of names: some providers (GitHub Copilot) give each event another, and long ones."""

    def take(self, *names: str) -> None:
        """Another piece, with all it is called. Raises `Doubtful` where for some client others stood in its midst."""
        now = set(map(hash, names))
        if not self._left.isdisjoint(now):
            raise Doubtful("a text that another one stands within")
        self._left |= self._now - now
        self._now = now
