"""What a supervisor needs of a model: one prompt in, one answer out, nothing in between.

No tools, no URLs, no second turn. A model adapter retries nothing: who asks decides that, and counts every call.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

Stop: TypeAlias = Literal["end", "length", "refused"]
"""Why an answer ended: by itself, at its token limit, or because the model or its provider declined."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a model, laid out so that what repeats comes first and providers can cache it."""

    system: str
    """Rubric and clauses: the same for every call about the same clauses."""

    history: tuple[str, ...] = ()
    """What was shown before, unchanged and in order: only ever appended to within a session."""

    question: str
    """What is new, and what is asked."""

    schema: Mapping[str, Any] | None = None
    """JSON Schema the answer has to fit, by the provider's own mechanism; None for a one-word answer."""

    most_tokens: int
    """How long the answer may be."""

    revision: str
    """Digest of the templates it was made from."""


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answer. Counts are None where the provider gave none."""

    text: str
    stop: Stop = "end"
    model: str
    """The model that answered, as the provider names it."""

    input_tokens: int | None = None
    """All of them, those read from and written to the provider's cache included."""

    cached_tokens: int | None = None
    """Of those, read from the cache."""

    cache_write_tokens: int | None = None
    """Of those, written to the cache."""

    output_tokens: int | None = None


_MOST_TOKENS: Final = 1 << 31


def counted(count: int | None) -> int | None:
    """A count of tokens as a provider gave it; None for one that no call can have.

    So what a provider says it took can give no budget anything back, and fits whatever adds it up.
    """
    return count if count is not None and 0 <= count <= _MOST_TOKENS else None


class Unanswered(Exception):
    """There is no answer; `why` is a low-cardinality word, and never holds content or a key.

    `timed_out unreachable overloaded status:NNN key_missing key_unusable key_refused answer_too_long
    answer_invalid`, and the words of an endpoint (`broke_off not_http redirected answer_encoded answer_too_large`).
    """

    def __init__(self, why: str, *, sent: bool = True, retry_after_seconds: float | None = None) -> None:
        """`sent`: whether the call may have cost something."""
        super().__init__(why)
        self.why = why
        self.sent = sent
        self.retry_after_seconds = retry_after_seconds


class Model(Protocol):
    """One model of one provider."""

    name: str
    """As the configuration names it."""

    async def ready(self) -> None:
        """Have at hand what takes long to load: before a call is begun, or one would be that cannot be sent yet."""
        ...

    async def complete(self, prompt: Prompt, *, seconds: float) -> Completion:
        """The answer within so many seconds. Raises `Unanswered`, and nothing else but `CancelledError`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
