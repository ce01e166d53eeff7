"""Answers about gateway keys and who calls."""

import msgspec

from gateway.api.answers.values import time
from gateway.times import rfc3339
from policies.vocabulary import keys


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway key, without its secret."""

    key_id: str
    name: str
    role: str
    app: str
    hint: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    budget_micro_usd: int | None
    spent_micro_usd: int

    @classmethod
    def of(cls, key: keys.Key) -> "Key":
        """The answer for one stored key."""
        return cls(
            key_id=key.key_id,
            name=key.name,
            role=key.role,
            app=key.app,
            hint=key.hint,
            created_at=rfc3339(key.created_ns),
            expires_at=time(key.expires_ns),
            revoked_at=time(key.revoked_ns),
            budget_micro_usd=key.budget_micro_usd,
            spent_micro_usd=key.spent_micro_usd,
        )


class CreatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key with its secret, which is never shown again."""

    key: Key
    secret: str


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """All gateway keys ever made."""

    keys: tuple[Key, ...]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls."""

    role: str
    app: str
    """`*`: every app's."""

    key_id: str | None
    """Null for who owns the machine, while there are no keys."""

    name: str | None
    csrf: str | None
    """For the header `stepwarden-csrf` of every change a signed-in browser asks for; null for other callers."""

    expires_at: str | None
    """When the sign-in ends; null where there is none."""


class SignedOut(msgspec.Struct, frozen=True, kw_only=True):
    """The cookie means nothing any more."""

    signed_in: bool
