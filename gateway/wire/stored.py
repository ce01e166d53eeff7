"""Turns that a provider keeps: paths on which they are handed out later, in bodies that no reader looks into."""

from typing import Final

from gateway.wire.paths import segments

_KEPT: Final = frozenset({"responses", "conversations", "threads"})
"""Collections whose members hold what was said."""


def hands_out_turns(path: str) -> bool:
    """Whether a GET of this path (after the provider's prefix) may answer with steps that were made elsewhere.

    Responses that ran in the background, stored completions, conversations, results of batches, and the files that
    hold those.
    """
    names = segments(path)
    if _KEPT & set(names) or names[:2] == ("chat", "completions"):
        return True
    return ("batches" in names and names[-1] == "results") or ("files" in names and names[-1] == "content")
