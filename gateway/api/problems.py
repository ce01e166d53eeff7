"""Failures as JSON: `{"error": {"type", "message", "remedy"}}`, generic for what was not foreseen."""

import http
import logging
import re
from collections.abc import Callable
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from gateway.api.answers import Fault, Problem
from policies.errors import StepwardenError

SAFE_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer of the control plane: nothing is cached, sniffed, framed or embedded."""

_LOG = logging.getLogger(__name__)
_AnyRequest = Request[Any, Any, Any]


def _answer(status: int, kind: str, message: str, remedy: str) -> Response[Problem]:
    headers = dict(SAFE_HEADERS)
    if status == http.HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="stepwarden"'
    if status == http.HTTPStatus.REQUEST_TIMEOUT:
        headers["connection"] = "close"  # what is left of its body would pass for the next request
    fault = Fault(type=kind, message=message, remedy=remedy)
    return Response(Problem(error=fault), status_code=status, media_type="application/json", headers=headers)


def _expected(_: _AnyRequest, error: StepwardenError) -> Response[Problem]:
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    return _answer(error.status, kind, str(error), error.remedy())


def refused_by_http(_: _AnyRequest, error: HTTPException) -> Response[Problem]:
    """What the framework refuses: unknown paths, wrong methods, bodies and parameters of the wrong shape."""
    phrase = http.HTTPStatus(error.status_code).phrase
    faults: Any = error.extra if isinstance(error.extra, list) else []
    details = "; ".join(f"{fault.get('key', 'body')}: {fault.get('message', '')}" for fault in faults)
    kind = phrase.lower().replace(" ", "_")
    return _answer(error.status_code, kind, details or phrase, "See /api/openapi.json for what this route takes.")


def _unforeseen(request: _AnyRequest, error: Exception) -> Response[Problem]:
    """A bug of ours. Its message may hold content, so only its kind and place are logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "nowhere"
    _LOG.error("control plane failed: %s at %s, route %s", type(error).__name__, place, request.route_handler.name)
    return _answer(500, "internal", "the gateway failed to answer", StepwardenError().remedy())


EXCEPTION_HANDLERS: dict[int | type[Exception], Callable[[_AnyRequest, Any], Response[Problem]]] = {
    StepwardenError: _expected,
    HTTPException: refused_by_http,
    Exception: _unforeseen,
}
