"""The composition root: joins the floors by shape and mounts the planes in one Litestar application."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec
from litestar import Request, Response
from litestar.exceptions import NotFoundException

from gateway.admission import Admission
from gateway.alerts.bell import Bell
from gateway.api.live import LiveFeed
from gateway.api.problems import EXCEPTION_HANDLERS
from gateway.api.reading import Reader
from gateway.application import Application, Front, Mount
from gateway.config import RESERVED, Config, is_loopback
from gateway.content_out import ContentOut
from gateway.contents import Reach
from gateway.exchange import DataPlane, Gate
from gateway.http import ProviderClient
from gateway.ids import new_id, new_span
from gateway.keeper import Keeper, LocalKeeper
from gateway.mcp.grants import Grants
from gateway.metrics import Metrics
from gateway.otlp import BESIDE_CURSOR, OPTIMIZER_CURSOR, ExportSettings, OtlpExporter, headers_from
from gateway.otlp_events import EvaluationExporter
from gateway.prices import Prices
from gateway.recorder import Recorder
from gateway.refusals import Refused
from gateway.reported.intake import Intake
from gateway.reported.plane import ReportPlane
from gateway.stations.benches import Supervision
from gateway.stations.ingress import check
from gateway.stations.thread import Threader
from gateway.telemetry import Texts
from gateway.wire.dialects import dialects
from policies.errors import StepwardenError
from policies.vocabulary.audit import GATEWAY, ContentRead
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.spans import Span
from policies.vocabulary.steps import Step
from storage.release import release
from storage.store import Store

if TYPE_CHECKING:
    from gateway.mcp.relay import McpPlane
    from gateway.supervisor import Supervisor

_REMEMBERED_STATES = 1_500
_REMEMBERED_APPS = 256


def open_keeper(config: Config, bell: Bell) -> LocalKeeper:
    """Open the store and everything that shares state. Raises `DirectoryInUse` and the store's other errors."""
    store = Store.open(
        config.gateway.data_dir,
        content=config.capture.content,
        retention_days=config.capture.retention_days,
        origin=config.audit.origin,
    )

    def strict(app: str) -> bool:
        return config.app(app).audit == "strict"

    metrics = Metrics()
    recorder = Recorder(
        store,
        queue_exchanges=config.limits.queue_exchanges,
        queue_bytes=config.limits.queue_bytes,
        written=(metrics.record, bell.recorded),
    )
    recorder.start()
    return LocalKeeper(
        store=store,
        keys=store.keys,
        recorder=recorder,
        metrics=metrics,
        bell=bell,
        threader=Threader(store, new_id=new_id, new_span=new_span, capacity=_REMEMBERED_STATES),
        admission=Admission(store.keys, loopback=is_loopback(config.gateway.host), now_ns=time.time_ns),
        live=LiveFeed(dialects().by_name()),
        strict=lru_cache(_REMEMBERED_APPS)(strict),
        intake=Intake(store.reports, recorder.submit, queue_bytes=config.limits.queue_bytes),
        hold_seconds=config.limits.hold_seconds,
        sticky_ns=int(config.optimizer.sticky_hours * 3600e9),
        supervisor=_supervisor(config, store, recorder),
        grants=Grants(
            config.mcp, store.grants, os.environ, written=lambda job: asyncio.wrap_future(recorder.submit(job))
        ),
    )


def _supervisor(config: Config, store: Store, recorder: Recorder) -> "Supervisor | None":
    """What judges beside the guards, where the configuration names a model."""
    if config.supervisor.model is None:
        return None
    from gateway.critique_notes import CritiqueNotes  # noqa: PLC0415 - only those pay for it who name a model
    from gateway.supervisor import StoredCalls, open_supervisor  # noqa: PLC0415

    notes = CritiqueNotes(store, recorder.submit)
    return open_supervisor(config, StoredCalls(store.supervisor_calls), os.environ, notes.note)


def open_telemetry(config: Config, keeper: LocalKeeper) -> tuple[OtlpExporter | EvaluationExporter, ...]:
    """Start exporting spans and evaluations where a collector is named; nothing where none is.

    Raises `HeadersInvalid`.
    """
    telemetry = config.telemetry
    if telemetry.otlp_endpoint is None:
        return ()
    settings = ExportSettings(
        endpoint=telemetry.otlp_endpoint,
        headers=headers_from(telemetry.otlp_headers_env, os.environ),
        servers={name: _address(provider.base_url) for name, provider in config.providers.items()}
        | {f"mcp/{name}": _address(server.url) for name, server in config.mcp.items() if server.url is not None},
        version=release(),
    )
    store = keeper.store
    texts = _content_out(config, store)
    exporters: list[OtlpExporter | EvaluationExporter] = [
        OtlpExporter(
            store,
            settings,
            save_cursor=keeper.save_cursor,
            texts=texts,
            beside={}
            if keeper.standing is None
            else {BESIDE_CURSOR: partial(_moves, store), OPTIMIZER_CURSOR: partial(_heard, store)},
        )
    ]
    if keeper.supervisor is not None:
        exporters.append(
            EvaluationExporter(store.critiques, store, settings, save_cursor=keeper.save_cursor, now_ns=time.time_ns)
        )
    for exporter in exporters:
        exporter.start()
    return tuple(exporters)


def _content_out(config: Config, store: Store) -> Callable[[Exchange, Sequence[Step]], Texts | None]:
    """What goes along of each exchange; that any app's content does is in the audit log before the first of it goes."""
    said = {app.name for app in config.apps.values() if app.export_content}
    for name in said:
        store.audit.note(ContentRead(actor=GATEWAY, tenant=name, what="export"))

    def leaves(name: str) -> bool:
        """Whether an app's content goes; of one that nobody configured, as `default` has it, the log is told first."""
        if not config.app(name).export_content:
            return False
        if name not in said:
            try:
                store.audit.note(ContentRead(actor=GATEWAY, tenant=name, what="export"))
            except StepwardenError:
                return False
            said.add(name)
        return True

    reader = Reader(store, dialects().by_name(), Reach.within(config.limits))
    return ContentOut(reader, store.judged, leaves).texts


def _moves(store: Store, after: int, limit: int) -> tuple[list[Span], int]:
    """Spans of what became of proposals, beyond a move."""
    from gateway.proposal_spans import move_spans  # noqa: PLC0415 - with the policies, which are here by now

    moves = store.revisions.moves_after(after, limit)
    return move_spans(moves), moves[-1].number if moves else after


def _heard(store: Store, after: int, limit: int) -> tuple[list[Span], int]:
    """Spans of optimizers that runs heard, beyond a step."""
    from gateway.proposal_spans import heard_spans  # noqa: PLC0415 - see above

    steps = store.optimizer_steps.after(after, limit)
    return heard_spans(steps), steps[-1].number if steps else after


def _address(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class DataPlanes:
    """Every provider's data plane in one worker, with the connection pools they hold."""

    def __init__(self, config: Config, keeper: Keeper, *, environ: Mapping[str, str], supervision: Supervision) -> None:
        self.gate = Gate(config.limits.in_flight)
        self._supervision = supervision
        self._clients = {
            name: ProviderClient(
                provider.base_url,
                connect_seconds=config.limits.connect_seconds,
                idle_seconds=config.limits.idle_seconds,
            )
            for name, provider in config.providers.items()
        }
        prices = Prices.load(config.prices.file)
        known = dialects()
        self.planes = {
            name: DataPlane(
                provider,
                dialects=known,
                client=self._clients[name],
                keeper=keeper,
                prices=prices,
                limits=config.limits,
                gate=self.gate,
                environ=environ,
                supervision=supervision,
            )
            for name, provider in config.providers.items()
        }
        self._reports = ReportPlane(config, keeper, self.gate)
        self.mcp = self._tool_servers(config, keeper, environ) if config.mcp else None

    def _tool_servers(self, config: Config, keeper: Keeper, environ: Mapping[str, str]) -> "McpPlane":
        """The plane of the MCP servers, with a pool for each that is reached over HTTP."""
        from gateway.mcp.relay import McpPlane  # noqa: PLC0415 - only those pay for it who name a server
        from gateway.mcp.seat import Seat  # noqa: PLC0415

        def beside(name: str) -> Callable[[str], tuple[str, ...]]:
            return lambda app: tuple(
                [other for other, each in config.mcp.items() if other != name and (not each.apps or app in each.apps)]
            )

        clients = {
            name: ProviderClient(
                server.url, connect_seconds=config.limits.connect_seconds, idle_seconds=server.idle_seconds
            )
            for name, server in config.mcp.items()
            if server.url is not None
        }
        self._clients |= {f"mcp/{name}": client for name, client in clients.items()}
        seats = {
            name: Seat(server, keeper=keeper, supervision=lambda: self._supervision, beside=beside(name))
            for name, server in config.mcp.items()
        }
        return McpPlane(config, clients=clients, seats=seats, keeper=keeper, gate=self.gate, environ=environ)

    @property
    def mounts(self) -> Mapping[str, Any]:
        """Every plane by the first segment of its paths."""
        mounts: dict[str, Any] = {**self.planes, "v1": self._reports}
        return mounts if self.mcp is None else {**mounts, "mcp": self.mcp}

    def supervise(self, supervision: Supervision) -> None:
        """Put other clauses in force, for exchanges that begin from now on."""
        self._supervision = supervision
        for plane in self.planes.values():
            plane.supervision = supervision

    def forget(self, sessions: Sequence[str]) -> None:
        """Forget what was read of sessions that were erased."""
        self._supervision.forget(sessions)

    async def close(self) -> None:
        """Close every pool."""
        for client in self._clients.values():
            await client.close()


def _mounts(applications: Mapping[str, Any]) -> list[Any]:
    """Raw ASGI applications as Litestar mounts, each under its own first path segment.

    Litestar hands a mount every path that begins with its letters, so `/openai-eu` would reach `openai` with
    the key of another provider's caller. Whose a path is, its whole first segment decides here.
    """
    named = {name.encode(): application for name, application in applications.items()}

    async def mount(scope: Any, receive: Any, send: Any) -> None:
        first = scope["raw_path"].lstrip(b"/").partition(b"/")[0]
        application = named.get(first) or named.get(unquote_to_bytes(first))
        if application is None:
            raise NotFoundException
        await application(scope, receive, send)

    return [Mount(f"/{name}", is_mount=True, copy_scope=False, opt={"role": "anyone"})(mount) for name in applications]


async def _unread(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a request whose head can be read in two ways, where no provider's wire is spoken."""
    del receive
    try:
        check(scope)
    except Refused as refused:
        envelope = {"type": "invalid_request_error", "message": refused.told, "code": refused.code, "param": None}
        body = msgspec.json.encode({"type": "error", "error": envelope})
        length = b"%d" % len(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", length), *refused.answer_headers]
        await send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def create_app(mounts: Mapping[str, Any], routes: Sequence[Any] = ()) -> Application:
    """One application: a mount for each first segment, providers and the control plane alike, and a few routes."""
    known = ", ".join(f"/{name}" for name in mounts if name not in RESERVED) or "none"

    def not_found(request: Request[Any, Any, Any], _: NotFoundException) -> Response[Any]:
        path = request.scope["raw_path"].decode("latin-1")  # a mount cuts its own name off `path`
        message = f"Nothing is served under {path[:200]!r}. Providers: {known}."
        envelope = {"type": "not_found_error", "message": message, "code": "unknown_provider", "param": None}
        return Response({"type": "error", "error": envelope}, status_code=404, headers={"x-should-retry": "false"})

    return Front(
        [*_mounts(mounts), *routes],
        mounts={name.encode(): mount for name, mount in mounts.items()},
        unread=_unread,
        exception_handlers={**EXCEPTION_HANDLERS, NotFoundException: not_found},
        openapi_config=None,
        logging_config=None,
    )
