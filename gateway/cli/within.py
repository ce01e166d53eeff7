"""An ASGI application in this process as httpx asks for it, its answers read as they come.

httpx's own transport gives an answer when all of it is there, which shows nobody how far a long one is.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx


class Within(httpx.AsyncBaseTransport):
    """Carries requests to one application."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, and wait for the headers of the answer."""
        call = _Call(_scope(request), await request.aread())
        call.task = asyncio.create_task(self._application(call.scope, call.receive, call.send))
        call.task.add_done_callback(call.over)
        start = await call.messages.get()
        if start is None:  # it broke before it answered
            return httpx.Response(500, content=b"")
        return httpx.Response(start["status"], headers=start["headers"], stream=call)


class _Call(httpx.AsyncByteStream):
    """One request on its way, and the answer as it comes."""

    def __init__(self, scope: dict[str, Any], body: bytes) -> None:
        self.scope = scope
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self._body: bytes | None = body
        self._left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        """The body, and after it that the caller left, once it has."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """The next message of the answer."""
        self.messages.put_nowait(message)

    def over(self, task: asyncio.Task[None]) -> None:
        """The application is done. What went wrong in it shows in an answer that breaks off, and is not told twice."""
        if not task.cancelled():
            task.exception()
        self.messages.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces of the answer's body. Raises `httpx.RemoteProtocolError` where it breaks off."""
        while (message := await self.messages.get()) is not None:
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return
        raise httpx.RemoteProtocolError("the answer broke off")

    async def aclose(self) -> None:
        """Leave; the application ends what it does for nobody."""
        self._left.set()
        if self.task is not None:
            await asyncio.wait({self.task})


def _scope(request: httpx.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 123),
        "root_path": "",
    }
