"""Statuses: what it means to whoever called that a model's provider answers with an error, or does not answer."""

from supervisors.models.interface import Unanswered
from supervisors.ports import Unposted

_REFUSED = frozenset({401, 403})
_OVERLOADED = frozenset({429, 503, 529})
_NEVER_SENT = frozenset({"unreachable"})


def unanswered(status: int, retry_after_seconds: float | None) -> Unanswered:
    """Why there is no answer. A call that ends in an error status is not billed by any provider."""
    if status in _REFUSED:
        return Unanswered("key_refused", sent=False)
    if status in _OVERLOADED:
        return Unanswered("overloaded", sent=False, retry_after_seconds=retry_after_seconds)
    return Unanswered(f"status:{status}", sent=False)


def unsent(failed: Unposted) -> Unanswered:
    """Why there is no answer where none came back; what may have been read may have cost something."""
    return Unanswered(failed.why, sent=failed.why not in _NEVER_SENT)


def seconds_of(header: str | None) -> float | None:
    """A `retry-after` in seconds; None where there is none, or it is a date."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
