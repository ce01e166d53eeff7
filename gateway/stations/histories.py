"""Histories: what stands at the provider behind an id, as far as it passed here.

A request may go on from an earlier response, or in a conversation, by naming it alone. What came before is then known
from memory, for the caller it was said to and for nobody else: an id is no secret, and two providers may give the same.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.wire.memory import Recent
from policies.vocabulary.steps import Part

_PARTS_BYTES: Final = 16 << 20
_IDS_BYTES: Final = 4 << 20


class Stored(msgspec.Struct, frozen=True):
    """What is known of one stored history."""

    parts: tuple[Part, ...] | None
    """Everything before the next request, in order; None where some of it never passed here."""

    owed: tuple[bytes, ...] = ()
    """Results that the provider waits for, as items of its wire: of calls that the caller was never shown."""


class Histories:
    """Stored histories by scope and id. A scope is a caller at a provider: nothing is found across two."""

    def __init__(self) -> None:
        self._stored: Recent[tuple[bytes, str], Stored] = Recent(_PARTS_BYTES)
        self._successors: Recent[tuple[bytes, str], str] = Recent(_IDS_BYTES)

    def behind(self, scope: bytes, name: str) -> Stored | None:
        """What stands behind a response or a conversation of this scope; None where that is not known."""
        return self._stored.get((scope, name))

    def keep(self, scope: bytes, name: str, stored: Stored) -> None:
        """Remember what stands behind a response or a conversation from now on."""
        size = sum(len(part.text) for part in stored.parts or ()) + sum(map(len, stored.owed))
        self._stored.put((scope, name), stored, size)

    def clear(self) -> None:
        """Forget all of them: none says whose session it belongs to."""
        self._stored.clear()
        self._successors.clear()

    def continued(self, scope: bytes, response_ids: Sequence[str]) -> None:
        """Note the ids of the provider's responses behind one reply: its caller knows it by the first."""
        if len(response_ids) > 1 and response_ids[0] != response_ids[-1]:
            first, last = response_ids[0], response_ids[-1]
            self._successors.put((scope, first), last, len(first) + len(last))

    def holder(self, scope: bytes, response_id: str) -> str:
        """The response under which the provider keeps the history of one that a caller names."""
        return self._successors.get((scope, response_id)) or response_id
