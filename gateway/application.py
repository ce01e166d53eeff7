"""The HTTP framework as this gateway uses it."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from litestar import Litestar
from litestar.handlers import ASGIRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin


class Application(Litestar):
    """Litestar for handlers that speak msgspec alone.

    Litestar adds support for pydantic and attrs where either is installed, and our provider SDK brings pydantic: 7 MB
    and a tenth of a second in every worker, for types that no handler has.
    """

    def __init__(self, *args: Any, at_once: Mapping[bytes, Any] | None = None, **kwargs: Any) -> None:
        """`at_once`: mounted applications by first path segment, which answer whatever happens and never raise."""
        super().__init__(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType] - its types name what we do not use
        self._at_once = at_once or {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take a request. Of the framework, those that never raise need but the routing: 5 % of a small exchange."""
        if scope["type"] == "http":
            mounted = self._at_once.get(scope["raw_path"][1:].partition(b"/")[0])
            if mounted is not None:
                await mounted(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


class Mount(ASGIRouteHandler):
    """A mount whose error handlers are gathered once; Litestar does so for each request."""

    @cached_property
    def _errors(self) -> Any:
        return super().resolve_exception_handlers()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def resolve_exception_handlers(self) -> Any:
        """What is made of an error of each kind, by the layers above this mount."""
        return self._errors
