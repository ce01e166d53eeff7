"""Gateway keys: made, listed and revoked by admins; the secret is answered once and kept nowhere."""

import time
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import EVERY_APP, actor_of, requires, sees
from gateway.api.ports import Desk, KeyReader
from gateway.times import nanoseconds
from policies.errors import StepwardenError
from policies.vocabulary.keys import Principal, Role

_MICRO = 1_000_000


class KeyRefused(StepwardenError):
    """A key as asked for could never be used, or would be used for more than meant."""

    status = 400

    def remedy(self) -> str:
        """What to change."""
        return "Change what the message names."


APP_PATTERN = r"^([a-z0-9][a-z0-9_-]{0,63}|\*)$"
"""An app's name, or `*`."""


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key shall be."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
    role: Role = "app"
    app: Annotated[str, Meta(pattern=APP_PATTERN)] = "default"
    """`*` sees every app; not for the role `app`."""

    expires_at: str | None = None
    """RFC 3339; null never expires."""

    budget_usd: Annotated[float, Meta(ge=0, le=1_000_000_000)] | None = None
    """Lifetime budget in US dollars; null is unlimited."""


@get("/api/keys", opt=requires("auditor"), sync_to_thread=True)
def list_keys(
    keys: NamedDependency[SkipValidation[KeyReader]], principal: NamedDependency[SkipValidation[Principal]]
) -> answers.KeyList:
    """Every key ever made, without secrets; an auditor of one app sees that app's."""
    return answers.KeyList(keys=tuple(answers.Key.of(key) for key in keys.list() if sees(principal, key.app)))


@post("/api/keys", opt=requires("admin"), status_code=201)
async def create_key(
    data: JSONBody[NewKey],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.CreatedKey:
    """Make a key. Its secret is in this answer and nowhere else."""
    expires_ns = None if data.expires_at is None else nanoseconds(data.expires_at)
    if expires_ns is not None and expires_ns <= time.time_ns():
        raise KeyRefused("`expires_at` has already passed")
    if data.app == EVERY_APP and data.role == "app":
        raise KeyRefused("a key with role `app` needs one app")
    budget = None if data.budget_usd is None else round(data.budget_usd * _MICRO)
    key, secret = await desk.create_key(
        name=data.name,
        role=data.role,
        app=data.app,
        expires_ns=expires_ns,
        budget_micro_usd=budget,
        actor=actor_of(principal),
    )
    return answers.CreatedKey(key=answers.Key.of(key), secret=secret)


@post("/api/keys/{key_id:str}/revoke", opt=requires("admin"), status_code=200)
async def revoke_key(
    key_id: FromPath[str],
    desk: NamedDependency[SkipValidation[Desk]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Key:
    """Refuse this key from now on; it stays in the list."""
    return answers.Key.of(await desk.revoke_key(key_id, actor=actor_of(principal)))
