"""Secret bytes that no traceback, log line or repr can show."""

import hmac
from typing import final


@final
class Secret:
    """Key material; `reveal` is the only way in, and the word to search for in a review."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({len(self._value)} bytes)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("secrets are not keys of dictionaries")

    def __reduce__(self) -> str:
        raise TypeError("secrets are not pickled")
