"""The receiver of OTLP/HTTP at `POST /v1/traces`, for any worker.

    ingress -> admit -> read the body, bounded -> undo its encoding, bounded -> read the spans -> the keeper's intake

Refusals are the OTLP specification's: 400, 413 and 415 must not be sent again, 429 and 503 after a while.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any, Final

import msgspec
from litestar.exceptions import NotFoundException

from gateway.config import Config
from gateway.decoding import Bomb, Undecoded, decode
from gateway.exchange import Gate
from gateway.keeper import Keeper
from gateway.refusals import BodyTooLarge, Failed, Refused
from gateway.reported import otlp_json
from gateway.reported.reading import Read, read
from gateway.reported.refusals import NotOtlp, OnlyPost, Unreadable
from gateway.reported.told import Malformed
from gateway.server import DOOR
from gateway.stations import ingress
from gateway.stations.ingress import ClientGone, Headers, Receive, header
from gateway.strangers import Strangers
from policies.vocabulary.reports import Report

log = logging.getLogger("stepwarden.reported")

Send = Callable[[Any], Awaitable[None]]

PATH: Final = b"/v1/traces"
IN_FLIGHT: Final = 64
"""Requests at once, a worker: they take no room from exchanges."""

BODY_BYTES: Final = 16 << 20
"""Of a request, on the wire and decoded."""

_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_PARALLEL: Final = 2
"""Bodies read at once, each in a thread."""

_CODES: Final = {400: 3, 401: 16, 403: 7, 413: 3, 415: 3, 429: 8, 503: 14}
"""gRPC's codes for statuses of HTTP."""

_INTERNAL: Final = 13


class ReportPlane:
    """The ASGI application under `/v1`."""

    def __init__(self, config: Config, keeper: Keeper, gate: Gate) -> None:
        limits = config.limits
        self._limits = msgspec.structs.replace(limits, body_bytes=min(limits.body_bytes, BODY_BYTES))
        self._retention_days = config.capture.retention_days
        self._strangers = Strangers(config.gateway)
        self._keeper = keeper
        self._gate = gate
        self._own_gate = Gate(IN_FLIGHT)
        self._reading = asyncio.Semaphore(_PARALLEL)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request, badly framed ones too. Raises `NotFoundException` for another path, and nothing else."""
        if scope["raw_path"] != PATH and scope["extensions"][DOOR].fault is None:
            raise NotFoundException
        media = _media(scope["headers"])
        try:
            with self._gate, self._own_gate:
                said = await self._take(scope, receive, media)
        except Refused as refusal:
            await _refuse(send, media, refusal)
        except ClientGone:
            return
        except Exception:
            log.exception("a report failed")
            await _refuse(send, media, Failed("The gateway failed on this request."))
        else:
            await _say(send, 200, media, said)

    async def _take(self, scope: Any, receive: Receive, media: str) -> bytes:
        """Keep what a request tells; the answer. Raises `Refused`, `ClientGone`."""
        door, headers = ingress.check(scope), scope["headers"]
        shown = ingress.presented(headers)
        self._strangers.refuse(headers, keyed=shown is not None)
        if scope["method"] != "POST":
            raise OnlyPost("Spans are sent with POST.")
        principal = await self._keeper.admit(shown.secret if shown else None)
        if media not in {_PROTOBUF, _JSON}:
            raise NotOtlp(f"Spans come as {_PROTOBUF} or {_JSON}.")
        raw = await ingress.read_body(receive, door, headers, self._limits)
        now_ns = time.time_ns()
        async with self._reading:
            size, found = await asyncio.to_thread(self._read, raw, header(headers, b"content-encoding"), media, now_ns)
        if found.spans:
            report = Report(app=principal.app, received_ns=now_ns, weight=size, spans=found.spans)
            await self._keeper.report(report)
        return _wire(media).answer(found.rejected, found.why)

    def _read(self, raw: bytes, encoding: bytes | None, media: str, now_ns: int) -> tuple[int, Read]:
        """Bytes once decoded, and the spans in them. Raises `Refused`."""
        try:
            named = None if encoding is None else encoding.decode("latin-1")
            plain = raw
            if named is not None:
                plain = decode(raw, named, cap=self._limits.body_bytes, ratio=self._limits.ratio)
            return len(plain), read(_wire(media).spans(plain), now_ns=now_ns, retention_days=self._retention_days)
        except Bomb as bomb:
            raise BodyTooLarge(f"The compressed body cannot be read: {bomb}.") from bomb
        except (Malformed, Undecoded) as error:
            raise Unreadable(str(error)) from error


def _wire(media: str) -> ModuleType:
    """Who reads and writes this media type; protobuf is loaded with the first request that needs it."""
    if media != _PROTOBUF:
        return otlp_json
    from gateway.reported import otlp_protobuf  # noqa: PLC0415 - 6 MB that a gateway without reports does without

    return otlp_protobuf


def _media(headers: Headers) -> str:
    value = header(headers, b"content-type") or b""
    return value.decode("latin-1").partition(";")[0].strip().lower()


async def _refuse(send: Send, media: str, refusal: Refused) -> None:
    code = _CODES.get(refusal.status, _INTERNAL)
    await _say(send, refusal.status, media, _wire(media).refusal(code, refusal.told), refusal.answer_headers)


async def _say(
    send: Send, status: int, media: str, body: bytes, more: "list[tuple[bytes, bytes]] | None" = None
) -> None:
    said = _PROTOBUF if media == _PROTOBUF else _JSON
    headers = [
        (b"content-type", said.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *(more or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
