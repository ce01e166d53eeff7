"""The dashboard's own files: one page, its modules and its style, as they were shipped. They hold nothing secret.

Nothing is loaded from anywhere else, nothing is built, and the page's policy lets no script run but these files: what a
model or a tool wrote can only ever be text.
"""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath

from gateway.api.access import requires
from gateway.api.ports import NotFound
from gateway.api.problems import EXCEPTION_HANDLERS, SAFE_HEADERS

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
"""Content-Security-Policy of the page."""

_TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_PAGE: Final = "index.html"


class NoSuchFile(NotFound):
    """The dashboard has no file of this name."""

    def remedy(self) -> str:
        """What a stale page needs."""
        return "Load the page at / anew: it names the files there are."


class Asset(msgspec.Struct, frozen=True):
    """One file as it is sent."""

    raw: bytes
    packed: bytes
    """gzip."""

    media_type: str
    tag: str
    """`ETag`."""


@cache
def shipped() -> Mapping[str, Asset]:
    """Every file of the dashboard by its name; read and packed for the first browser that comes."""
    found: dict[str, Asset] = {}
    for entry in sorted(files("gateway").joinpath("dashboard").iterdir(), key=lambda each: each.name):
        kind = entry.name.rpartition(".")[2]
        if kind in _TYPES:
            raw = entry.read_bytes()
            tag = f'"{hashlib.sha256(raw).hexdigest()[:32]}"'
            found[entry.name] = Asset(raw, gzip.compress(raw, 9, mtime=0), _TYPES[kind], tag)
    return found


def dashboard_routes() -> Router:
    """`/` and `/assets/...`, for any process that listens where browsers come."""

    @get("/", opt=requires("anyone"), include_in_schema=False, sync_to_thread=True)
    def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The dashboard."""
        return _answer(shipped(), _PAGE, request)

    # Not in a thread: the page came first, and with it all files were read.
    @get("/assets/{name:str}", opt=requires("anyone"), include_in_schema=False, sync_to_thread=False)
    def asset(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        """A module or style of it."""
        return _answer(shipped(), name, request)

    return Router(path="/", route_handlers=[page, asset], exception_handlers=EXCEPTION_HANDLERS)


def _answer(assets: Mapping[str, Asset], name: str, request: Request[Any, Any, Any]) -> Response[bytes]:
    found = assets.get(name)
    if found is None:
        raise NoSuchFile("the dashboard has no such file")
    headers = {
        **SAFE_HEADERS,
        "cache-control": "no-cache",
        "etag": found.tag,
        "vary": "accept-encoding",
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }
    if request.headers.get("if-none-match") == found.tag:
        return Response(b"", status_code=304, headers=headers, media_type=found.media_type)
    body = found.raw
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"], body = "gzip", found.packed
    return Response(body, headers=headers, media_type=found.media_type)
