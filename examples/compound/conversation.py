"""What every example does the same way: say what happens, and stop between two requests of its user."""

from collections.abc import Callable
from typing import TypeAlias

Pause: TypeAlias = Callable[[], None]
"""Called before the user speaks again. A person would read the answer now; the runner looks for critiques."""


def at_once() -> None:
    """No pause."""


def said(who: str, text: str) -> None:
    """Print one line of a conversation, its paragraphs indented."""
    print(f"{who:>10}  " + text.strip().replace("\n", "\n" + " " * 12))
