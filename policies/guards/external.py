"""`external`: a service of your own judges the step, over HTTP.

Here stands only what an operator writes. Who sends, how long is waited and how an answer is read is told in
`supervisors/adapters/external.py`.
"""

from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from policies.asking import Asked, behind
from policies.guards.interface import SCANNED_BYTES, BadGuard
from policies.trail import Scene

_PLAIN: Final = frozenset(map(chr, range(0x21, 0x7F)))


class ExternalSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="external"
):
    """A service of your own judges the step, over HTTP."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    """Where the step is sent, as `POST`. Nothing in a request can change it; redirects and proxies are not followed."""

    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1000
    """How long one answer may take, in milliseconds, connecting included."""

    key_env: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")] | None = None
    """Name of the environment variable whose value goes along as a bearer token."""

    max_bytes: Annotated[int, Meta(ge=1, le=SCANNED_BYTES)] = 64 * 1024
    """How much of the step's text is sent, in bytes; what lies behind is reported as an unscanned tail."""

    before: Annotated[int, Meta(ge=0, le=64)] = 0
    """How many of the steps before this one are sent along, each of them bounded like the step itself."""

    failures: Annotated[int, Meta(ge=1, le=1000)] = 5
    """After so many failures in a row the service is left alone for a while."""

    pause_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """How long it is left alone, in seconds; then one step is put to it, and its answer decides for the others."""

    in_flight: Annotated[int, Meta(ge=1, le=1024)] = 16
    """How many steps one worker puts to it at the same time; others wait their turn."""


class ExternalGuard(Asked):
    """The place of one service in a clause."""

    def __init__(self, spec: ExternalSpec) -> None:
        """Raises `BadGuard` for an address that cannot be asked, or not safely."""
        super().__init__(spec)
        _check(spec)
        self._before = spec.before

    def shown(self, scene: Scene) -> Scene:
        """The step, and as many before it as the clause declares."""
        return behind(scene, self._before)


def _check(spec: ExternalSpec) -> None:
    try:
        parts = urlsplit(spec.url)
        port = parts.port
    except ValueError:
        raise BadGuard("`url` cannot be read; write it as https://HOST/PATH") from None
    if not _PLAIN.issuperset(spec.url) or parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BadGuard("`url` is no address; write it as https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise BadGuard("`url` holds a user name or password; name an environment variable with `key_env` instead")
    if parts.fragment:
        raise BadGuard("`url` has a fragment, which is never sent; leave it out")
    if spec.key_env is not None and parts.scheme == "http" and not _is_here(parts):
        raise BadGuard("a key would travel in the clear; use https, or leave `key_env` out")


def _is_here(parts: SplitResult) -> bool:
    """Whether an address leads to this machine."""
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
