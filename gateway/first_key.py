"""The first admin key: where others can reach a gateway and nobody could sign in yet, it is shown once to a person.

On loopback nothing of the kind is made: whoever uses that machine owns the gateway until the first key exists, and a
key that nobody asked for would end that.
"""

import sys
from collections.abc import Awaitable
from typing import Protocol, TextIO

from gateway.config import Gateway, is_loopback
from policies.vocabulary.keys import Key, Role

_NAME = "first admin"


class KeyMaker(Protocol):
    """The slice of the keeper that is needed."""

    def create_key(self, *, name: str, role: Role, app: str) -> Awaitable[tuple[Key, str]]:
        """A new key and its secret."""
        ...


def person() -> TextIO | None:
    """A terminal where somebody sits; None where what is printed ends in a file or a log."""
    return sys.stderr if sys.stderr.isatty() else None


async def show_first_key(gateway: Gateway, keeper: KeyMaker, *, has_admin: bool, to: TextIO | None) -> bool:
    """Make and show an admin key where there is none and it is needed; whether that was done.

    Nothing is made where nobody would see it: a secret in a log is no secret.
    """
    reachable = not is_loopback(gateway.host) or bool(gateway.allowed_hosts)
    if has_admin or not reachable or to is None:
        return False
    key, secret = await keeper.create_key(name=_NAME, role="admin", app="*")
    to.write(
        f"\nNobody can sign in yet, so an admin key was made ({key.key_id}). It is shown this once, and kept nowhere:\n"
        "\n"
        f"    {secret}\n\n"
        "Sign in with it at the dashboard, or set STEPWARDEN_KEY for the command line.\n\n"
    )
    to.flush()
    return True
