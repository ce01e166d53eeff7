"""What a person's word binds to: exactly this step, under exactly these clauses."""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from policies.vocabulary.steps import Part


def binding(session_id: str | None, part: Part, revisions: Sequence[str]) -> bytes:
    """32 bytes that stand for exactly this step under exactly these clauses."""
    whole = sha256()
    try:
        canonical = msgspec.json.encode(msgspec.json.decode(part.text), order="deterministic")
    except (msgspec.DecodeError, ValueError, RecursionError):
        canonical = part.text.encode("utf-8", "surrogatepass")
    for piece in (session_id or "", part.kind, part.tool or "", *revisions):
        whole.update(b"%d:" % len(piece.encode()) + piece.encode())
    whole.update(canonical)
    return whole.digest()
