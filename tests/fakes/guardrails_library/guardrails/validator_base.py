"""Validators and their results."""

from typing import Any

from guardrails.settings import settings
from guardrails.utils.hub_telemetry_utils import HubTelemetry


class ErrorSpan:
    def __init__(self, start: int, end: int, reason: str = "") -> None:
        self.start, self.end, self.reason = start, end, reason


class PassResult:
    outcome = "pass"


class FailResult:
    outcome = "fail"

    def __init__(self, error_message: str, fix_value: Any = None, error_spans: list[ErrorSpan] | None = None) -> None:
        self.error_message, self.fix_value, self.error_spans = error_message, fix_value, error_spans


class Validator:
    def __init__(self, on_fail: Any = None, **kwargs: Any) -> None:
        del on_fail, kwargs
        if settings.rc.enable_metrics is True:
            HubTelemetry(enabled=True)
        self.use_local = not settings.rc.use_remote_inferencing

    def validate(self, value: Any, metadata: dict[str, Any]) -> Any:
        return self._validate(value, metadata)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _inference(self, model_input: Any) -> Any:
        HubTelemetry()
        if not self.use_local:
            raise AssertionError("a text was sent elsewhere")
        return self._inference_local(model_input)

    def _inference_local(self, model_input: Any) -> Any:
        raise NotImplementedError
