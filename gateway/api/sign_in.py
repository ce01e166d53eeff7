"""Signing in at the dashboard: a gateway key is shown once, a cookie stands for it for a day's work.

On loopback, while there are no keys at all, nobody need sign in: whoever uses this machine owns the gateway, in a
browser as on the command line.
"""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from msgspec import Meta

from gateway import cookies
from gateway.api import answers
from gateway.api.access import SUFFICES, Access, NotAllowed, is_secure, requires
from gateway.api.ports import KeyReader, SignIns
from gateway.api.problems import SAFE_HEADERS
from gateway.times import rfc3339
from policies.vocabulary.keys import Principal

_AnyRequest = Request[Any, Any, Any]


class Shown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key a person has."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]


@post("/api/sign-in", opt=requires("visitor"), status_code=200)
async def sign_in(
    data: JSONBody[Shown],
    access: NamedDependency[SkipValidation[Access]],
    sign_ins: NamedDependency[SkipValidation[SignIns]],
    request: _AnyRequest,
) -> Response[answers.Me]:
    """Show a gateway key of any role but `app`: the answer sets a cookie that stands for it, twelve hours at most."""
    key = access.key(data.key.strip())
    if key.role not in SUFFICES["viewer"]:
        raise NotAllowed("a key of the role `app` is for agents; it opens no dashboard")
    secure = is_secure(access.visited(_scope(request)))
    token, begun = await asyncio.to_thread(sign_ins.begin, key)
    seconds = (begun.expires_ns - begun.created_ns) // 1_000_000_000
    me = answers.Me(
        role=key.role,
        app="*" if key.role == "admin" else key.app,
        key_id=key.key_id,
        name=key.name,
        csrf=sign_ins.csrf(token),
        expires_at=rfc3339(begun.expires_ns),
    )
    header = {"set-cookie": cookies.given(token, secure=secure, seconds=seconds)}
    return Response(me, media_type="application/json", headers={**SAFE_HEADERS, **header})


@post("/api/sign-out", opt=requires("viewer"), status_code=200)
async def sign_out(
    access: NamedDependency[SkipValidation[Access]],
    sign_ins: NamedDependency[SkipValidation[SignIns]],
    request: _AnyRequest,
) -> Response[answers.SignedOut]:
    """End a sign-in now."""
    secure = is_secure(access.visited(_scope(request)))
    token = cookies.token(_scope(request)["headers"], secure=secure)
    if token is not None:
        await asyncio.to_thread(sign_ins.end, token)
    header = {"set-cookie": cookies.given("", secure=secure, seconds=0)}
    done = answers.SignedOut(signed_in=False)
    return Response(done, media_type="application/json", headers={**SAFE_HEADERS, **header})


@get("/api/me", opt=requires("viewer"), sync_to_thread=False)
def show_me(
    keys: NamedDependency[SkipValidation[KeyReader]],
    sign_ins: NamedDependency[SkipValidation[SignIns]],
    principal: NamedDependency[SkipValidation[Principal]],
    request: _AnyRequest,
) -> answers.Me:
    """Who calls, and what a browser must say to change something."""
    headers = _scope(request)["headers"]
    tokens = [cookies.token(headers, secure=secure) for secure in (True, False)]
    token, begun = next(((each, sign_ins.find(each)) for each in tokens if each is not None), (None, None))
    mine = begun is not None and begun.key_id == principal.key_id
    key = None if principal.key_id is None else keys.named(principal.key_id)
    return answers.Me(
        role=principal.role,
        app=principal.app,
        key_id=principal.key_id,
        name=None if key is None else key.name,
        csrf=sign_ins.csrf(token) if mine and token is not None else None,
        expires_at=rfc3339(begun.expires_ns) if mine and begun is not None else None,
    )


def _scope(request: _AnyRequest) -> dict[str, Any]:
    return dict(request.scope)
