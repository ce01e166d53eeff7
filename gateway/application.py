"""The HTTP framework as this gateway uses it."""

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
