"""Keys: looked up when they are needed, and kept nowhere."""

from collections.abc import Callable
from typing import TypeAlias

from supervisors.models.interface import Unanswered

LookUp: TypeAlias = Callable[[], str | None]
"""Gives the key as the environment holds it now; None where it holds none."""


def usable(look_up: LookUp) -> str:
    """The key. Raises `Unanswered`: a provider that wants one is not asked without."""
    key = look_up()
    if not key:
        raise Unanswered("key_missing", sent=False)
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise Unanswered("key_unusable", sent=False)
    return key
