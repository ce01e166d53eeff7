"""Witnesses: every head the audit log publishes is shown to them, and what they cosign is put beside its signature.

Each witness is asked by a task of its own, so that one that is down or slow keeps nobody waiting: not the log, and not
the other witnesses. What it cosigned is an entry too, now and then: the head with the cosignature is soon replaced,
the entry stays.
"""

import asyncio
import logging
import math
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final, Protocol, final
from urllib.parse import urlsplit

import msgspec

from gateway.http import Answer, Interrupted, ProviderClient
from gateway.refusals import Refused, UpstreamBroke, UpstreamMalformed, UpstreamTimedOut, UpstreamUnreachable
from gateway.witness_address import WitnessAddress
from policies.errors import StepwardenError
from policies.vocabulary.audit import GATEWAY, CheckpointWitnessed, Entry
from storage.audit.checkpoint import read_checkpoint
from storage.audit.cosigning import Http, Provable, Reply, WitnessClient
from storage.audit.errors import WitnessRefused
from storage.audit.note import Signature

log = logging.getLogger("stepwarden.witnesses")

_LOOK_SECONDS: Final = 1.0
"""How often a witness's task looks whether there is a new head."""

_LONGEST_PAUSE_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 3.0
"""How long the end of the gateway waits for the last head to be cosigned."""

_ENTRY_SECONDS: Final = 60.0
"""Least time between two entries about one witness."""


_LAST_SECOND: Final = 253_402_300_799
"""The last second of the year 9999."""

_HEADERS: Final = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"stepwarden"),
]

_WHY: Final[dict[type[Refused], str]] = {
    UpstreamUnreachable: "it cannot be reached",
    UpstreamTimedOut: "it did not answer in time",
    UpstreamBroke: "its connection broke before its answer",
    UpstreamMalformed: "what it answers is not HTTP",
}


class Log(Protocol):
    """What witnesses are shown. `storage.audit_log.AuditLog` fits; every method is safe from any thread."""

    @property
    def published(self) -> Provable | None:
        """The log's files; None where they could not be opened yet."""
        ...

    def attach(self, text: bytes, cosignature: Signature) -> bool:
        """Put a cosignature on the head with this text; False where a newer one took its place."""
        ...

    def note(self, *entries: Entry) -> None:
        """Append entries; durable on return."""
        ...

    def head(self) -> bytes:
        """The newest head, over every entry there is by now."""
        ...


class Way(Http, Protocol):
    """The way to witnesses."""

    async def close(self) -> None:
        """Close its connections."""
        ...


class WitnessState(msgspec.Struct, frozen=True, kw_only=True):
    """How far one witness is, for people on call."""

    name: str
    url: str
    cosigned: int | None = None
    """Entries of the newest head it cosigned since this gateway started; None before the first."""

    at: int | None = None
    """When, as the witness says: Unix epoch, seconds."""

    failing: str | None = None
    """Why it cosigned nothing when it was asked last; it is asked again."""


@final
class Own:
    """How many entries of the log are about witnesses: they alone are no news to them."""

    def __init__(self) -> None:
        self.entries = 0


@final
class Cosigner:
    """One witness, asked again and again."""

    def __init__(
        self,
        address: WitnessAddress,
        client: WitnessClient,
        shown: Log,
        own: Own,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = WitnessState(name=address.verifier.name, url=address.url)
        self._verifier = address.verifier
        self._client = client
        self._log = shown
        self._own = own
        self._clock = clock
        self._text = b""
        """The head it cosigned last."""
        self._pause = _LOOK_SECONDS
        self._signature: Signature | None = None
        self._told = -1
        """Entries that are not about witnesses, under the head that the last entry told of."""
        self._told_at = -math.inf

    async def run(self) -> None:
        """Show it every new head, until cancelled."""
        while True:
            await self.show()
            await asyncio.sleep(self._pause)

    async def show(self) -> None:
        """Have the newest head cosigned, unless it is already; never raises but when cancelled."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._cosigned()
            await self._tell()
        except TimeoutError:
            self._failed(f"it did not answer within {_ANSWER_SECONDS:.0f} seconds")
        except (StepwardenError, OSError) as error:
            self._failed(str(error))
        except Exception:
            log.exception("asking a witness failed")
            self._failed("an internal failure; see the gateway's log")

    async def seal(self) -> None:
        """Have the newest head cosigned, for the last time: no entry tells of it, or that head were not the last.

        Raises `StepwardenError` or `OSError`.
        """
        await self._cosigned()

    async def _cosigned(self) -> None:
        published = self._log.published
        if published is None or (self._text and published.note.startswith(self._text)):
            return
        text, signature = await self._client.cosign(published)
        at = self._verifier.verify(text, signature).at
        if at is None or at > _LAST_SECOND:
            raise WitnessRefused(self.state.url, "the time it says is beyond the year 9999")
        await asyncio.to_thread(self._log.attach, text, signature)
        self._succeeded(text, signature, at)

    def _succeeded(self, text: bytes, signature: Signature, at: int) -> None:
        if self.state.failing is not None:
            log.info("a witness cosigns again", extra={"witness": self.state.name})
        size = read_checkpoint(text).size
        self.state = msgspec.structs.replace(self.state, cosigned=size, at=at, failing=None)
        self._text, self._signature, self._pause = text, signature, _LOOK_SECONDS

    async def _tell(self) -> None:
        """Have an entry say what was cosigned, where that is more than entries of this kind."""
        size, at, signature = self.state.cosigned, self.state.at, self._signature
        if size is None or at is None or signature is None:
            return
        news = size - self._own.entries
        if news <= self._told or self._clock() - self._told_at < _ENTRY_SECONDS:
            return
        entry = CheckpointWitnessed(
            actor=GATEWAY,
            witness=self._verifier.name,
            size=size,
            time=at,
            cosignature=b64encode(signature.key_id + signature.value).decode(),
        )
        await asyncio.to_thread(self._log.note, entry)
        self._own.entries += 1
        self._told, self._told_at = news, self._clock()

    def _failed(self, why: str) -> None:
        if self.state.failing is None:
            log.warning("a witness did not cosign the audit log", extra={"witness": self.state.name, "reason": why})
        self.state = msgspec.structs.replace(self.state, failing=why)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)


@final
class Witnesses:
    """All witnesses of one gateway. Belongs to its event loop."""

    def __init__(self, addresses: Sequence[WitnessAddress], shown: Log, *, way: Way | None = None) -> None:
        """`way` leads to all of them; by default the gateway's HTTP client."""
        self._log = shown
        self._way = way or _HttpWay()
        own = Own()
        self._cosigners = [
            Cosigner(each, WitnessClient(self._way, each.url, each.verifier), shown, own) for each in addresses
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Show them every head from now on."""
        self._tasks = [asyncio.create_task(each.run()) for each in self._cosigners]

    def states(self) -> tuple[WitnessState, ...]:
        """How far each is."""
        return tuple(each.state for each in self._cosigners)

    async def stop(self) -> None:
        """Show the last head to those that answer, for a moment, and end. Idempotent; never raises."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks:
            await self._last()
        await self._way.close()

    async def _last(self) -> None:
        try:
            await asyncio.to_thread(self._log.head)
            async with asyncio.timeout(_LAST_SECONDS):
                await asyncio.gather(*(each.seal() for each in self._cosigners if each.state.failing is None))
        except (StepwardenError, OSError) as error:
            log.warning("the last head is not cosigned by every witness", extra={"reason": str(error)})


class _HttpWay:
    """`Way` over the gateway's HTTP client."""

    def __init__(self) -> None:
        self._clients: dict[str, ProviderClient] = {}

    async def post(self, url: str, body: bytes, limit: int) -> Reply:
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        client = self._clients.get(base)
        if client is None:
            client = ProviderClient(base, connect_seconds=_ANSWER_SECONDS, idle_seconds=_ANSWER_SECONDS)
            self._clients[base] = client
        try:
            answer = await client.send("POST", parts.path, _HEADERS, body)
        except Refused as error:
            raise OSError(_WHY.get(type(error), "it cannot be asked")) from None
        try:
            return Reply(answer.status, await _read(answer, limit))
        finally:
            answer.close()

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()


async def _read(answer: Answer, limit: int) -> bytes:
    """The whole body. Raises `OSError` where it breaks off or is longer than `limit` bytes."""
    body = b""
    try:
        while piece := await answer.read():
            body += piece
            if len(body) > limit:
                raise OSError("its answer is too long")
    except Interrupted as error:
        raise OSError("its answer broke off") from error
    return body
