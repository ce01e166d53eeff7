"""The HTTP framework as this gateway uses it."""

from litestar import Litestar
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
