"""The section `[telemetry]`: where spans are exported to."""

from collections.abc import Iterator

import msgspec

from gateway.config.addresses import url_fault
from gateway.config.table import Table
from gateway.config.variables import variable_mistakes
from gateway.config.written import Mistake, mistaken


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """Export of spans to an OpenTelemetry collector."""

    otlp_endpoint: str | None = None
    """OTLP/HTTP base URL; `/v1/traces` is added unless it ends so. None exports nothing."""

    otlp_headers_env: str | None = None
    """Name of the environment variable that holds `name=value,name=value` headers for the collector."""


def telemetry_mistakes(telemetry: Telemetry, table: Table) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings."""
    if telemetry.otlp_endpoint is not None and (fault := url_fault(telemetry.otlp_endpoint)):
        remedy = "Write it like http://localhost:4318."
        yield mistaken(table.get("otlp_endpoint"), f"`otlp_endpoint` in [telemetry] {fault}", remedy)
    yield from variable_mistakes(
        table.get("otlp_headers_env"), telemetry.otlp_headers_env, "`otlp_headers_env` in [telemetry]"
    )
