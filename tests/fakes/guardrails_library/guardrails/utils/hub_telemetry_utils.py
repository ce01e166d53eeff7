"""Telemetry: a singleton that would begin to send as soon as it is made."""

from typing import Any, Self


class HubTelemetry:
    _instance: Any = None
    _enabled = False
    _tracer: Any = None

    def __new__(cls, *, enabled: bool | None = None) -> Self:
        del enabled
        if cls._instance is None:
            raise AssertionError("telemetry was made")
        return cls._instance
