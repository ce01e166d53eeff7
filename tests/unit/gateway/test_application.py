"""The framework does for a mount, once, what it would do for each of its requests."""

from typing import Any, cast

from litestar.exceptions import NotFoundException

from gateway.app import create_app
from gateway.application import Mount


def test_what_answers_errors_is_gathered_once_and_with_the_applications_own() -> None:
    routes: Any = create_app({"openai": cast("Any", None)}).routes
    mount: Any = next(route.route_handler for route in routes if route.path.startswith("/openai"))
    assert isinstance(mount, Mount)
    gathered = mount.resolve_exception_handlers
    assert NotFoundException in gathered()
    assert gathered() is gathered()
