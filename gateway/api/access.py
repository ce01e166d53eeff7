"""Who may call which route of the control plane: every route names its role, and one that names none refuses.

Authorisation is decided on the routed handler, never on the request's URL (Starlette's CVE-2026-48710 shows
why), and on loopback too: a web page in the operator's browser can reach loopback, so Host, Origin and
Sec-Fetch-Site are checked exactly before any principal is looked for.
"""

import hmac
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway import cookies
from gateway.config import is_loopback
from gateway.server import DOOR
from gateway.stations import ingress
from policies.errors import StepwardenError
from policies.vocabulary.audit import OWNER
from policies.vocabulary.keys import Key, Principal, Role
from policies.vocabulary.sign_ins import SignIn

Needs: TypeAlias = Literal["anyone", "visitor", "app", "viewer", "auditor", "overseer", "operator", "admin"]
"""What a route asks for; `anyone` is said aloud, never assumed. `visitor`: whoever comes by an address of ours and from
no foreign page. `app`: any key at all. `overseer`: who may see what waits for a person; auditors decide nothing."""

SUFFICES: Mapping[Needs, frozenset[Role]] = {
    "anyone": frozenset({"app", "viewer", "auditor", "operator", "admin"}),
    "visitor": frozenset({"app", "viewer", "auditor", "operator", "admin"}),
    "app": frozenset({"app", "viewer", "auditor", "operator", "admin"}),
    "viewer": frozenset({"viewer", "auditor", "operator", "admin"}),
    "auditor": frozenset({"auditor", "admin"}),
    "overseer": frozenset({"auditor", "operator", "admin"}),
    "operator": frozenset({"operator", "admin"}),
    "admin": frozenset({"admin"}),
}

EVERY_APP = "*"
"""The app of a key that may see all of them; admins always may."""

_ROLE = "role"
_SOCKET = "stepwarden.control_socket"
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
_LOG = logging.getLogger(__name__)


class SignIns(Protocol):
    """The slice of the sign-ins that access needs; `storage.sign_ins.SignInBook` fits."""

    def find(self, token: str) -> SignIn | None:
        """The sign-in of this token, if it holds still."""
        ...

    def csrf(self, token: str) -> str:
        """What a request must show beside the cookie to change anything."""
        ...


class NotHere(StepwardenError):
    """The Host, Origin or fetch site is not one this control plane answers."""

    status = 403

    def remedy(self) -> str:
        """How to be let in."""
        return "Use the address the gateway listens on, or add the name to `allowed_hosts` in [gateway]."


class NoKey(StepwardenError):
    """No valid gateway key was shown where one is needed."""

    status = 401

    def remedy(self) -> str:
        """How to obtain one."""
        return (
            "Send `Authorization: Bearer swk_...`, or set STEPWARDEN_KEY for the command line, "
            "with a key made by `stepwarden keys create --role viewer`; in a browser, sign in with it."
        )


class NotAllowed(StepwardenError):
    """The caller is known, but this route is not for its role."""

    status = 403

    def remedy(self) -> str:
        """Who can help."""
        return "Use a key whose role allows this; `stepwarden keys create --role ...` makes one."


class OneAppsKey(NotAllowed):
    """The key may see one app, and what was asked for is about all of them."""

    def remedy(self) -> str:
        """How to make one that may."""
        return "Use a key of this role made with `stepwarden keys create --app '*'`."


class NotOurPage(StepwardenError):
    """A browser that is signed in was to change something, and did not say what only our own page knows."""

    status = 403

    def remedy(self) -> str:
        """What a program does instead."""
        return "Reload the dashboard; programs send `Authorization: Bearer swk_...` and no cookie."


class Keys(Protocol):
    """The slice of the key ring that access needs; `storage.keys.KeyRing` fits."""

    def find(self, secret: str) -> Key | None:
        """The key with this secret, whatever its state."""
        ...

    def named(self, key_id: str) -> Key | None:
        """The key with this id, whatever its state."""
        ...

    def list(self) -> list[Key]:
        """All keys ever made."""
        ...


def requires(role: Needs) -> dict[str, Any]:
    """The `opt` of a route that needs this role."""
    return {_ROLE: role}


def role_of(handler: BaseRouteHandler) -> Needs | None:
    """The role a route names; None means nobody may call it."""
    named = handler.opt.get(_ROLE)
    return named if named in SUFFICES else None


def over_socket(app: ASGIApp) -> ASGIApp:
    """The same application for callers on the keeper's Unix socket, or in this very process.

    Who can open the socket owns the data directory: its file permissions are the authentication. The mark
    is set here, by the server that listens there; nothing in a request can set it.
    """

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            extensions: dict[str, Any] = {**(scope.get("extensions") or {}), _SOCKET: True}
            marked_scope: Any = {**scope, "extensions": extensions}
            await app(marked_scope, receive, send)
        else:
            await app(scope, receive, send)

    return marked


class Access:
    """Decides, for one connection and one routed handler, who calls and whether that is enough."""

    def __init__(
        self,
        keys: Keys,
        sign_ins: SignIns,
        *,
        host: str,
        port: int,
        allowed_hosts: Iterable[str],
        now_ns: Callable[[], int],
    ) -> None:
        self._keys = keys
        self._sign_ins = sign_ins
        self._now_ns = now_ns
        local = {"127.0.0.1", "[::1]", "localhost"} if is_loopback(host) or host in _ANYWHERE else set[str]()
        names = local | {_bracketed(host)}
        self._hosts = frozenset(f"{name}:{port}" for name in names) | {name.lower() for name in allowed_hosts}

    def admit(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Litestar's authorisation hook: lets the call through with its principal, or raises.

        Raises `NotHere`, `NoKey` or `NotAllowed`, and `Refused` for a head that can be read in two ways.
        """
        scope = cast("dict[str, Any]", connection.scope)
        if DOOR in _extensions(scope):
            ingress.check(scope)
        needs = role_of(handler)
        if needs == "anyone":
            return
        try:
            if needs == "visitor":
                self.visited(scope)
                return
            principal = self.principal(connection)
            if needs is None or principal.role not in SUFFICES[needs]:
                raise NotAllowed(f"this route is not for the role `{principal.role}`")
        except StepwardenError as refusal:
            _LOG.warning("control plane refused a call: %s", type(refusal).__name__, extra={"route": handler.name})
            raise
        connection.scope["user"] = principal

    def principal(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
        """Who calls. Raises `NotHere` or `NoKey`."""
        scope = cast("dict[str, Any]", connection.scope)
        if _extensions(scope).get(_SOCKET) is True:
            return Principal(role="admin", app=EVERY_APP)
        headers = scope["headers"]
        host = self._checked_host(headers)
        secret = _secret(headers)
        if secret is not None:
            return self._principal_of(self._keys.find(secret))
        token = cookies.token(headers, secure=is_secure(host))
        signed_in = None if token is None else self._sign_ins.find(token)
        if token is not None and signed_in is not None:
            self._refuse_foreign_change(scope, token)
            return self._principal_of(self._keys.named(signed_in.key_id))
        if self._is_local(scope, host) and not self._keys.list():
            return Principal(role="admin", app=EVERY_APP)
        raise NoKey("this route needs a gateway key")

    def visited(self, scope: Mapping[str, Any]) -> str:
        """The name by which this was asked for, from a page of ours or none. Raises `NotHere`."""
        return self._checked_host(scope["headers"])

    def key(self, secret: str) -> Key:
        """The key with this secret, where it is good. Raises `NoKey`."""
        return self._good(self._keys.find(secret))

    def _refuse_foreign_change(self, scope: Mapping[str, Any], token: str) -> None:
        """Reading is bound by the cookie's SameSite and the checks above; changing needs what only our page can say."""
        if scope["method"] in _READING:
            return
        said = ingress.header(scope["headers"], b"stepwarden-csrf") or b""
        if not hmac.compare_digest(said, self._sign_ins.csrf(token).encode()):
            raise NotOurPage("this change does not come from the dashboard's own page")

    def _checked_host(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The one Host, known and matched by Origin where there is one."""
        hosts = [value for name, value in headers if name == b"host"]
        host = hosts[0].decode("latin-1").strip().lower() if len(hosts) == 1 else ""
        if host not in self._hosts:
            raise NotHere("this Host is not one the control plane answers to")
        for name, value in headers:
            if name == b"origin" and not self._is_own_origin(value.decode("latin-1")):
                raise NotHere("requests from this Origin are not answered")
            if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
                raise NotHere("requests from other web sites are not answered")
        return host

    def _is_own_origin(self, origin: str) -> bool:
        scheme, separator, host = origin.strip().lower().partition("://")
        return bool(separator) and scheme in ("http", "https") and host in self._hosts

    def _is_local(self, scope: Mapping[str, Any], host: str) -> bool:
        """Whether the caller sits on this machine and nobody speaks for another through a proxy here."""
        client = scope.get("client")
        relayed = any(name in _FORWARDED for name, _ in scope["headers"])
        return client is not None and is_loopback(client[0]) and is_loopback(_without_port(host)) and not relayed

    def _good(self, key: Key | None) -> Key:
        now = self._now_ns()
        if key is None or key.revoked_ns is not None or (key.expires_ns is not None and key.expires_ns <= now):
            raise NoKey("this gateway key is unknown, expired or revoked")
        return key

    def _principal_of(self, found: Key | None) -> Principal:
        key = self._good(found)
        return Principal(role=key.role, app=EVERY_APP if key.role == "admin" else key.app, key_id=key.key_id)


_READING = frozenset({"GET", "HEAD"})

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def sees(principal: Principal, app: str) -> bool:
    """Whether a principal may look at what belongs to an app."""
    return principal.app == EVERY_APP or hmac.compare_digest(principal.app.encode(), app.encode())


def refuse_one_app(principal: Principal) -> None:
    """Raises `OneAppsKey` for a principal that may not see every app."""
    if principal.app != EVERY_APP:
        raise OneAppsKey("this is about every app; this key belongs to one")


def actor_of(principal: Principal) -> str:
    """Who the audit log says a principal is."""
    return principal.key_id or OWNER


def scope_of(principal: Principal, asked: str | None) -> str | None:
    """The app a listing is narrowed to: the principal's own, unless it may see all. None means all apps.

    Raises `NotAllowed` where another app was asked for.
    """
    if principal.app == EVERY_APP:
        return asked
    if asked is not None and asked != principal.app:
        raise NotAllowed("this key belongs to another app")
    return principal.app


def is_secure(host: str) -> bool:
    """Whether a page asked for by this name can only have come over TLS: any name but loopback's."""
    return not is_loopback(_without_port(host))


def _extensions(scope: Mapping[str, Any]) -> dict[str, Any]:
    return scope.get("extensions") or {}


def _bracketed(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host and not host.startswith("[") else host.lower()


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdigit() else host


def _secret(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The gateway key shown: `stepwarden-key`, or a bearer token."""
    found = {name: value for name, value in headers if name in (b"authorization", b"stepwarden-key")}
    if (own := found.get(b"stepwarden-key")) is not None:
        return own.decode("latin-1").strip()
    scheme, _, token = found.get(b"authorization", b"").decode("latin-1").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
