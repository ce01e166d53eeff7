"""The HTTP framework as this gateway uses it."""

from collections.abc import Mapping
from functools import cached_property
from types import CoroutineType
from typing import Any

from litestar import Litestar
from litestar.handlers import ASGIRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from gateway.server import DOOR


class Application(Litestar):
    """Litestar for handlers that speak msgspec alone.

    Litestar adds support for pydantic and attrs where either is installed, and our provider SDK brings pydantic: 7 MB
    and a tenth of a second in every worker, for types that no handler has.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


class Front(Application):
    """What listens to strangers."""

    def __init__(self, *args: Any, mounts: Mapping[bytes, Any], unread: Any, **kwargs: Any) -> None:
        """`mounts`: mounted applications by first path segment; `unread` says no for all others."""
        super().__init__(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType] - its types name what we do not use
        self._mounts = mounts
        self._unread = unread

    def __call__(self, scope: Any, receive: Any, send: Any) -> "CoroutineType[Any, Any, None]":
        """Take a request. What the server found wrong with its head is said before anything reads a URL out of it."""
        door = scope.get("extensions", {}).get(DOOR)
        if door is None or door.fault is None:
            return super().__call__(scope, receive, send)
        first = scope["raw_path"].lstrip(b"/").partition(b"/")[0]
        return self._mounts.get(first, self._unread)(scope, receive, send)


class Mount(ASGIRouteHandler):
    """A mount whose error handlers are gathered once; Litestar does so for each request."""

    @cached_property
    def _errors(self) -> Any:
        return super().resolve_exception_handlers()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def resolve_exception_handlers(self) -> Any:
        """What is made of an error of each kind, by the layers above this mount."""
        return self._errors
