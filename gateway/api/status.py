"""Is it alive, is it ready, and how is it doing."""

from litestar import HttpMethod, Response, get, route
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import SkipValidation

from gateway.api import answers
from gateway.api.access import refuse_one_app, requires
from gateway.api.ports import GatewayInfo, Records
from gateway.api.problems import SAFE_HEADERS
from gateway.metrics import CONTENT_TYPE
from gateway.times import rfc3339
from policies.vocabulary.keys import Principal
from storage.release import release

_ASKED = (HttpMethod.GET, HttpMethod.HEAD)
"""Many load balancers ask for no body."""


@route("/healthz", http_method=_ASKED, opt=requires("anyone"), media_type="text/plain", sync_to_thread=False)
def healthz() -> str:
    """The process answers."""
    return "ok\n"


@route(
    "/readyz",
    http_method=_ASKED,
    opt=requires("anyone"),
    media_type="text/plain",
    responses={503: ResponseSpec(str, generate_examples=False, media_type="text/plain", description="Why not.")},
    sync_to_thread=False,
)
def readyz(gateway: NamedDependency[SkipValidation[GatewayInfo]]) -> Response[str]:
    """Whether new requests are welcome here: 200, or 503 with the reason."""
    reason = gateway.unready()
    status = 200 if reason is None else 503
    return Response(f"{reason or 'ready'}\n", status_code=status, media_type="text/plain", headers=SAFE_HEADERS)


@get("/metrics", opt=requires("viewer"), media_type="text/plain", sync_to_thread=True)
def show_metrics(
    gateway: NamedDependency[SkipValidation[GatewayInfo]], principal: NamedDependency[SkipValidation[Principal]]
) -> Response[bytes]:
    """Counts and histograms since start, for Prometheus: of every app, so for keys that may see all of them."""
    refuse_one_app(principal)
    return Response(gateway.metrics(), headers={**SAFE_HEADERS, "content-type": CONTENT_TYPE})


@get("/api/status", opt=requires("viewer"), sync_to_thread=True)
def show_status(
    records: NamedDependency[SkipValidation[Records]], gateway: NamedDependency[SkipValidation[GatewayInfo]]
) -> answers.Status:
    """The gateway and its store in sum."""
    return answers.Status(
        version=release(),
        serving=gateway.serving,
        started_at=None if gateway.started_ns is None else rfc3339(gateway.started_ns),
        listening=gateway.listening,
        workers=gateway.workers,
        providers=gateway.providers,
        counters=dict(gateway.counters()),
        failing=gateway.failing(),
        store=records.stats(),
    )
