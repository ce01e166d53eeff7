"""One way to ask for everything: HTTP to a gateway elsewhere, to the one running here, or to none at all.

Without a running gateway the command takes the data directory's lock, opens the store and calls the same
application in its own process; what it prints comes through the same routes either way.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx
import msgspec

from gateway import sockets
from gateway.config import Config, url_fault
from policies.errors import StepwardenError

_SECONDS = 30.0
_PROBE_SECONDS = 2.0
_LOCAL = "http://stepwarden"

T = TypeVar("T")


class Unanswered(StepwardenError):
    """The gateway cannot be reached."""

    def __init__(self, where: str) -> None:
        super().__init__(f"no answer from the gateway at {where}")

    def remedy(self) -> str:
        """What to look at."""
        return "Check that it runs there and that --url names its scheme, host and port."


class NothingRecorded(StepwardenError):
    """There is no data directory yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"nothing is recorded here: {path} does not exist")

    def remedy(self) -> str:
        """How to get something to look at."""
        return "Start `stepwarden serve` or run `stepwarden demo --keep`; or name the directory with --config."


class GatewayRefused(StepwardenError):
    """The gateway answered with an error of its own."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self._remedy = remedy

    def remedy(self) -> str:
        """What the gateway says should be done."""
        return self._remedy


class NotStepwarden(StepwardenError):
    """Something answered that is no Stepwarden control plane."""

    def __init__(self, seen: str) -> None:
        super().__init__(f"the answer is not from a Stepwarden control plane ({seen})")

    def remedy(self) -> str:
        """What to look at."""
        return "Check that --url names a Stepwarden gateway, without a path: http://127.0.0.1:8787."


class _Answer(dict[str, Any]):
    """A JSON object of the control plane's; one that lacks what its route promises is somebody else's."""

    def __missing__(self, name: str) -> Any:
        raise NotStepwarden(f"it lacks `{name}`")


class ApiClient:
    """A synchronous client of the control plane; a context manager. Answers are plain JSON values."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        base_url: str,
        where: str,
        key: str | None,
        close: Callable[[], None],
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=transport, base_url=base_url, headers=headers, timeout=_SECONDS, trust_env=False
        )
        self._close = close
        self.where = where

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self._close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON answer of a GET. Raises `GatewayRefused` or `Unanswered`."""
        query = {name: value for name, value in parameters.items() if value is not None}
        return self._run(self._ask("GET", path, query, None))

    def download(self, path: str) -> bytes:
        """The exact bytes of a GET. Raises `GatewayRefused` or `Unanswered`."""
        return self._run(self._download(path))

    def receive(self, path: str, take: Callable[[bytes], None], **parameters: Any) -> None:
        """The bytes of a GET as they come, however long it takes to make them.

        Raises `GatewayRefused`, or `Unanswered` where the answer is cut off: what was taken then is not whole.
        """
        query = {name: value for name, value in parameters.items() if value is not None}
        self._run(self._receive(path, take, query))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer of a POST. Raises `GatewayRefused` or `Unanswered`."""
        return self._run(self._ask("POST", path, {}, body))

    def follow(self, path: str, on_event: Callable[[str, Any], bool], body: Mapping[str, Any] | None = None) -> None:
        """Read server-sent events until `on_event(name, data)` is False or they end; with a `body`, of a POST."""
        self._run(self._follow(path, on_event, body))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except httpx.HTTPError as error:
            raise Unanswered(self.where) from error

    async def _ask(self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None) -> Any:
        response = await self._client.request(method, path, params=query, json=body)
        return _read(response)

    async def _download(self, path: str) -> bytes:
        response = await self._client.get(path)
        if response.is_error:
            _read(response)
        return response.content

    async def _receive(self, path: str, take: Callable[[bytes], None], query: Mapping[str, Any]) -> None:
        patient = httpx.Timeout(_SECONDS, read=None)
        async with self._client.stream("GET", path, params=query, timeout=patient) as response:
            if response.is_error:
                await response.aread()
                _read(response)
            async for piece in response.aiter_raw():
                take(piece)

    async def _follow(self, path: str, on_event: Callable[[str, Any], bool], body: Mapping[str, Any] | None) -> None:
        patient = httpx.Timeout(_SECONDS, read=None)
        method = "GET" if body is None else "POST"
        async with self._client.stream(method, path, json=body, timeout=patient) as response:
            if response.is_error:
                await response.aread()
                _read(response)
            async for name, data in _events(response.aiter_bytes()):
                if not on_event(name, data):
                    return


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, Any]]:
    """Server-sent events as `(name, data)`; ours hold one line of JSON each. Raises `NotStepwarden`."""
    name = "message"
    async for line in _lines(pieces):
        field, _, value = line.partition(b": ")
        if field == b"event":
            name = value.decode(errors="replace")
        elif field == b"data":
            try:
                data = msgspec.json.decode(value)
            except msgspec.DecodeError as error:
                raise NotStepwarden("an event of it holds no JSON") from error
            yield name, data


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of an answer. Of what ends a line elsewhere, U+2028 say, JSON is full where recorded text is."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line


def _read(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises `GatewayRefused` with what the gateway said, or `NotStepwarden`."""
    try:
        document: Any = msgspec.json.decode(response.content)
    except msgspec.DecodeError as error:
        raise NotStepwarden(f"status {response.status_code}, no JSON") from error
    if response.is_error:
        raise _refusal(document, response.status_code)
    if not isinstance(document, dict):
        raise NotStepwarden("it is no JSON object")
    return _Answer(cast("dict[str, Any]", document))


def _refusal(document: Any, status: int) -> GatewayRefused:
    """What the gateway said, or at least its status."""
    try:
        said = msgspec.convert(document, dict[str, dict[str, str]])["error"]
        return GatewayRefused(said["message"], said["remedy"])
    except (msgspec.ValidationError, KeyError):
        remedy = "Check that --url names a Stepwarden gateway; its log says more."
        return GatewayRefused(f"the answer is {status}, without a Stepwarden control plane's reason", remedy)


def elsewhere(url: str, key: str | None) -> ApiClient:
    """A gateway reached by its address."""
    if fault := url_fault(url):
        raise GatewayRefused(f"--url {fault}", "Write it like http://127.0.0.1:8787.")
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable()):
        raise GatewayRefused("STEPWARDEN_KEY holds what no key can hold", "Copy the key anew: `swk_` and 49 letters.")
    return ApiClient(httpx.AsyncHTTPTransport(), base_url=url.rstrip("/"), where=url, key=key, close=_nothing)


def here(config: Config, *, create: bool = False) -> ApiClient:
    """The gateway that runs on this configuration's data directory, or the directory itself.

    Raises `NothingRecorded` where it does not exist, unless `create`, and the store's own errors.
    """
    directory = config.gateway.data_dir
    path = directory / sockets.CONTROL
    if answers(path):
        held = ExitStack()
        transport = httpx.AsyncHTTPTransport(uds=held.enter_context(sockets.reachable(path)))
        return ApiClient(transport, base_url=_LOCAL, where=str(path), key=None, close=held.close)
    if not create and not directory.is_dir():
        raise NothingRecorded(directory)
    from gateway.cli.direct import opened  # the store and its routes: a second of imports nobody else waits for
    from gateway.cli.within import Within

    application, close = opened(config)
    transport = Within(application)
    return ApiClient(transport, base_url=_LOCAL, where=str(directory), key=None, close=close)


def answers(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    if not path.is_socket():
        return False
    with sockets.reachable(path) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(short)
        except OSError:
            return False
    return True


def _nothing() -> None:
    return None
