"""Keys and principals: who may call, and for which app."""

from typing import Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["app", "viewer", "auditor", "operator", "admin"]

ROLES: tuple[Role, ...] = ("app", "viewer", "auditor", "operator", "admin")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway key as stored: never the secret, only its keyed hash."""

    key_id: str
    name: str
    role: Role
    app: str
    hint: str
    """First characters of the key, enough to recognise it and too few to use."""

    created_ns: int
    expires_ns: int | None = None
    revoked_ns: int | None = None
    budget_micro_usd: int | None = None
    """Lifetime budget in millionths of a US dollar; None means unlimited."""

    spent_micro_usd: int = 0

    def is_valid(self, now_ns: int) -> bool:
        """Whether it may be used at a moment: neither revoked nor expired."""
        return self.revoked_ns is None and (self.expires_ns is None or self.expires_ns > now_ns)


class Principal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who makes this request, once decided."""

    role: Role
    app: str
    key_id: str | None = None
    """None for the one local principal of a gateway without keys."""

    budgeted: bool = False
    """Whether what this caller spends is bounded: only then is a request's highest cost worth working out."""

    strict: bool = False
    """Whether the audit log must hold a request of this app before it is forwarded; it then commits to the body."""
