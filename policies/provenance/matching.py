"""Matching: where an atom stands in a source, from the strictest comparison to the loosest.

Exact and normalised spelling, numbers in any usual notation, hosts of URLs, then letters and digits alone (a value
that was wrapped or grouped). A looser match is tried only where a stricter one found nothing.
"""

from collections.abc import Iterator
from typing import Final

from policies.provenance.atoms import WEAK, Atom
from policies.provenance.folding import Folded

MOST_PLACES: Final = 32
"""Places of one atom in one source. A value that stands in more is no one's secret."""

TIGHT_LENGTH: Final = 8
"""Letters and digits an atom needs to be searched for without its separators."""

_JOINERS: Final = frozenset("@._-/+")


def places(atom: Atom, text: Folded) -> list[tuple[int, int]]:
    """(start, end) of every place of an atom in a folded source, as offsets into the original text."""
    for form in atom.forms:
        found = [(text.origin(at), text.origin(at + len(form) - 1) + 1) for at in _whole(form, text.text, atom.kind)]
        if found:
            return found
    return []


def core(atom: Atom) -> str:
    """The letters and digits of an atom that are searched for by themselves; empty where they would prove nothing."""
    found = "".join([char for char in atom.text if char.isalnum()])
    return "" if len(found) < TIGHT_LENGTH or atom.kind in WEAK else found


def tight_places(atom: Atom, text: Folded) -> list[tuple[int, int]]:
    """Places of an atom where only letters and digits count; `text` is a tightened source."""
    sought = core(atom)
    found: list[tuple[int, int]] = []
    at = text.text.find(sought) if sought else -1
    while at >= 0 and len(found) < MOST_PLACES:
        found.append((text.origin(at), text.origin(at + len(sought) - 1) + 1))
        at = text.text.find(sought, at + len(sought))
    return found


def _whole(form: str, text: str, kind: str) -> Iterator[int]:
    """Where `form` stands as a whole word, at most `MOST_PLACES` times; bounded also where it never does."""
    at, tries = text.find(form), 0
    count = 0
    while at >= 0 and count < MOST_PLACES and tries < 4 * MOST_PLACES:
        tries += 1
        if _alone(text, at, at + len(form), kind):
            count += 1
            yield at
        at = text.find(form, at + 1)


def _alone(text: str, start: int, end: int, kind: str) -> bool:
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    if kind == "number":
        beyond = text[end + 1] if end + 1 < len(text) else " "
        back = text[start - 2] if start > 1 else " "
        return not (
            before.isalnum()
            or (before in ".," and back.isdigit())
            or after.isalnum()
            or (after in ".," and beyond.isdigit())
        )
    if (before.isalnum() and text[start].isalnum()) or (after.isalnum() and text[end - 1].isalnum()):
        return False
    if kind not in {"url", "email"}:
        return True
    # Neither a subdomain nor a longer domain is the host that was named.
    beyond = text[end + 1] if end + 1 < len(text) else " "
    if after in ".-@" and beyond.isalnum():
        return False
    return before not in _JOINERS or before == "/" or (before == "." and text[max(0, start - 4) : start] == "www.")
