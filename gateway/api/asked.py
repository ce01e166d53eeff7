"""A request to the control plane, and its body as JSON."""

from typing import Any

from litestar import Request
from litestar.exceptions import SerializationException

from policies.errors import StepwardenError


class NoJson(StepwardenError):
    """The body of a request is no JSON that can be read."""

    status = 400

    def remedy(self) -> str:
        """What to send."""
        return "Send one JSON object; /api/openapi.json has what this route takes."


class Asked(Request[Any, Any, Any]):
    """A request whose body, where it cannot be read, is refused with a reason."""

    async def json(self) -> Any:
        """The body. Raises `NoJson`."""
        try:
            return await super().json()
        except SerializationException as error:
            raise NoJson(f"the body is no JSON: {error.detail}") from error
        except RecursionError as error:
            raise NoJson("the body is nested too deeply") from error
