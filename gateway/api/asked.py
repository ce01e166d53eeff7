"""A request to the control plane, and its body as JSON."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

from litestar import Request
from litestar.exceptions import SerializationException

from gateway.refusals import TooSlow
from policies.errors import StepwardenError


class NoJson(StepwardenError):
    """The body of a request is no JSON that can be read."""

    status = 400

    def remedy(self) -> str:
        """What to send."""
        return "Send one JSON object; /api/openapi.json has what this route takes."


class Asked(Request[Any, Any, Any]):
    """A request whose body, where it cannot be read or does not come, is refused with a reason."""

    body_seconds: ClassVar[float]
    """How long all of a body may take: it is small, and whoever asks to sign in is a stranger still."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces. Raises `TooSlow`."""
        deadline = asyncio.get_running_loop().time() + self.body_seconds
        pieces = super().stream()
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise TooSlow("The request body did not arrive in time.") from error
            if piece is None:
                return
            yield piece

    async def json(self) -> Any:
        """The body. Raises `NoJson`."""
        try:
            return await super().json()
        except SerializationException as error:
            raise NoJson(f"the body is no JSON: {error.detail}") from error
        except RecursionError as error:
            raise NoJson("the body is nested too deeply") from error


def asked_within(seconds: float) -> type[Asked]:
    """Requests whose bodies may take so long."""
    return type("AskedWithin", (Asked,), {"body_seconds": seconds})
