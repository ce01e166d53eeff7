"""The bridge: a tool server run where its agent runs, with every message between the two judged by a gateway.

It understands nothing of what passes. Each line of either side goes to the gateway, and what comes back goes where the
gateway says. Without a gateway nothing passes: the link breaks, the server is ended and the client sees the end.
"""

import asyncio
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

import msgspec

from gateway.http import Answer, Interrupted, ProviderClient
from gateway.mcp.lines import Lines
from gateway.refusals import Refused
from policies.errors import StepwardenError

_CONNECT_SECONDS: Final = 10.0
_FOREVER_SECONDS: Final = 7 * 86_400.0
_ENDING_SECONDS: Final = 5.0
"""How long a server may take to end after its client has left, and again after SIGTERM."""

_QUEUED: Final = 64
_PIECE: Final = 64 * 1024
_OWN: Final = "STEPWARDEN_"


class NoGateway(StepwardenError):
    """No gateway judges what passes, so nothing does."""

    def remedy(self) -> str:
        """What to start or name."""
        return "Start `stepwarden serve` on this configuration, or name a running gateway with --url."


class TurnedAway(NoGateway):
    """A gateway answers, and lets this server's messages not in."""

    def remedy(self) -> str:
        """Where what it asks for goes."""
        return "Do as it says: a key goes into STEPWARDEN_KEY, an [mcp.NAME] table into that gateway's configuration."


class NoProgram(StepwardenError):
    """The tool server's program cannot be run."""

    def remedy(self) -> str:
        """What to correct."""
        return "Correct `command` in its [mcp.NAME] table, or what follows `--`."


async def bridged(
    url: str,
    server: str,
    command: Sequence[str],
    *,
    headers: Sequence[tuple[bytes, bytes]],
    environ: Mapping[str, str],
    longest: int,
) -> int:
    """Run a server between this process's stdin and stdout; the exit code. Raises `NoGateway` or `NoProgram`.

    `url`: the gateway; `longest`: bytes of one line.
    """
    lines: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
    client = ProviderClient(url, connect_seconds=_CONNECT_SECONDS, idle_seconds=_FOREVER_SECONDS)
    try:
        try:
            answer = await client.send("POST", f"/mcp/{server}/stdio", [*headers], _poured(lines))
        except Refused as refusal:
            raise NoGateway(f"The gateway at {url} cannot be reached: {refusal}") from refusal
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise TurnedAway(f"The gateway at {url} refused: {await _why(answer)}")
        process = await _started(command, environ)
        try:
            return await _Bridge(process, lines, longest).run(answer)
        finally:
            await _ended(process)
    finally:
        await client.close()


async def _why(answer: Answer) -> str:
    """What a gateway says of its refusal."""
    pieces: list[bytes] = []
    with suppress(Interrupted):
        while piece := await answer.read():
            pieces.append(piece)
    try:
        return str(msgspec.json.decode(b"".join(pieces))["error"]["message"])[:500]
    except (msgspec.DecodeError, KeyError, TypeError):
        return "it is no Stepwarden gateway, or one without MCP servers"


async def _started(command: Sequence[str], environ: Mapping[str, str]) -> Process:
    """The server's process, which never sees what is meant for the gateway."""
    theirs = {name: value for name, value in environ.items() if not name.startswith(_OWN)}
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=theirs)
    except OSError as error:
        raise NoProgram(f"{command[0]} cannot be run ({error.strerror}).") from error


async def _ended(process: Process) -> None:
    """End the server: by closing its input, then by asking, then without asking."""
    if process.stdin is not None:
        process.stdin.close()
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), _ENDING_SECONDS)
        except TimeoutError:
            continue
        return


async def _poured(lines: "asyncio.Queue[bytes]") -> AsyncIterator[bytes]:
    """Lines as the body of a request; an empty one ends it."""
    while line := await lines.get():
        yield line


class _Bridge:
    """One server's process between a client and a gateway."""

    def __init__(self, process: Process, lines: "asyncio.Queue[bytes]", longest: int) -> None:
        self._process = process
        self._lines = lines
        self._longest = longest

    async def run(self, answer: Answer) -> int:
        """Carry lines until one of the three ends; the exit code."""
        stdin = await _reader_of(sys.stdin.buffer)
        out = await _writer_of(sys.stdout.buffer)
        assert self._process.stdout is not None
        from_client = asyncio.create_task(self._sent(b"c", stdin))
        from_server = asyncio.create_task(self._sent(b"s", self._process.stdout))
        returned = asyncio.create_task(self._returned(answer, out))
        tasks = (from_client, from_server, returned)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if from_client.done() and not returned.done():
                return await self._client_left(from_server, returned)
            if from_server.done() and not returned.done():
                await self._lines.put(b"x\n")
                await asyncio.wait({returned}, timeout=_ENDING_SECONDS)
                return 1
            print("stepwarden: the gateway has ended the connection", file=sys.stderr)  # noqa: T201 - stderr is the log
            return 3
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _client_left(self, from_server: "asyncio.Task[None]", returned: "asyncio.Task[None]") -> int:
        """Let the server say its last words to whoever still reads."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait({from_server}, timeout=_ENDING_SECONDS)
        await self._lines.put(b"x\n")
        await self._lines.put(b"")
        await asyncio.wait({returned}, timeout=_ENDING_SECONDS)
        return 0

    async def _sent(self, side: bytes, reader: StreamReader) -> None:
        """Lines of one side to the gateway; one too long ends the side."""
        lines = Lines()
        while piece := await reader.read(_PIECE):
            for line in lines.feed(piece):
                if line.strip():
                    await self._lines.put(side + line.rstrip(b"\r") + b"\n")
            if lines.waiting > self._longest:
                print("stepwarden: a line is longer than `message_bytes`", file=sys.stderr)  # noqa: T201 - as above
                return

    async def _returned(self, answer: Answer, out: StreamWriter) -> None:
        """Lines of the gateway to where it sends them."""
        stdin = self._process.stdin
        assert stdin is not None
        lines = Lines()
        with suppress(Interrupted):
            while piece := await answer.read():
                for line in lines.feed(piece):
                    writer = out if line[:1] == b"c" else stdin if line[:1] == b"s" else None
                    if writer is not None:
                        with suppress(ConnectionError):
                            writer.write(line[1:] + b"\n")
                            await writer.drain()


async def _reader_of(file: IO[bytes]) -> StreamReader:
    loop = asyncio.get_running_loop()
    reader = StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader


async def _writer_of(file: IO[bytes]) -> StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, file)
    return StreamWriter(transport, protocol, None, loop)
