"""`validator`: a validator in the format of guardrails-ai, called directly. The only file that imports guardrails.

No `Guard` is ever built: it would read settings from the home directory anew, turn telemetry back on and put texts on
the process's tracer. What the library would send is switched off before its first object is made, and nothing is
validated at anybody else's place.
"""

import importlib
import os
from importlib.util import find_spec
from typing import Any, Final

from policies.guards.validator import ValidatorSpec
from policies.trail import Scene
from policies.vocabulary.findings import Evidence, Hit
from supervisors.adapters.excerpt import Excerpt, byte_ranges, excerpt
from supervisors.adapters.threaded import Examine, Unloadable

EXTRA: Final = "guardrails"
"""The optional extra this file needs."""


def installed() -> bool:
    """Whether the extra is there; imports nothing."""
    return find_spec("guardrails") is not None


def load(spec: ValidatorSpec) -> Examine:
    """The validator, ready to look at steps. Some seconds. Raises `Unloadable`."""
    _silence()
    validator = _validator(spec)
    results: Any = importlib.import_module("guardrails.validator_base")

    def examine(scene: Scene) -> tuple[Hit, ...]:
        shown = excerpt(scene.step.text, spec.max_bytes)
        result = validator.validate(shown.text, dict(spec.metadata))
        if isinstance(result, results.FailResult):
            return (_hit(spec, shown, result), *shown.tail())
        if isinstance(result, results.PassResult):
            return shown.tail()
        raise TypeError("a validator answered with something that is no result")

    return examine


def _silence() -> None:
    """Import guardrails with everything off that would send or trace."""
    # LiteLLM, which guardrails imports, fetches a price list unless it is told that it has one.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    settings: Any = importlib.import_module("guardrails.settings").settings
    rc: Any = importlib.import_module("guardrails.classes.rc").RC
    settings.rc = rc(enable_metrics=False, use_remote_inferencing=False)
    settings.disable_tracing = True
    # The exporter to its maker is a singleton made on first use. One that was never initialised exports nothing, even
    # if a validator's own module turns metrics on again.
    telemetry: Any = importlib.import_module("guardrails.utils.hub_telemetry_utils").HubTelemetry
    telemetry._instance = object.__new__(telemetry)  # noqa: SLF001 - there is no other switch that holds


def _validator(spec: ValidatorSpec) -> Any:
    """An instance of the class that a clause names. Raises `Unloadable`."""
    module, _, name = spec.validator.partition(":")
    base: Any = importlib.import_module("guardrails.validator_base").Validator
    try:
        found: Any = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise Unloadable(f"`{module}` cannot be imported ({type(error).__name__})") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise Unloadable(f"`{spec.validator}` is no validator of guardrails-ai")
    try:
        validator: Any = found(**spec.args)
    except Exception as error:
        raise Unloadable(f"`{spec.validator}` cannot be made from `args` ({type(error).__name__})") from error
    validator.use_local = True
    return validator


def _hit(spec: ValidatorSpec, shown: Excerpt, result: Any) -> Hit:
    """A failed validation. Its message may quote the text, so it is not kept."""
    spans = [(int(span.start), int(span.end)) for span in result.error_spans or ()]
    ranges = byte_ranges(shown.text, spans)
    if not ranges and spec.fix and isinstance(result.fix_value, str):
        ranges = _changed(shown.text, result.fix_value)
    evidence = [Evidence(start=start, end=end, label=spec.label) for start, end in ranges]
    name = spec.validator.partition(":")[2]
    return Hit(score=spec.score, evidence=tuple(evidence or [Evidence(label=spec.label)]), note=f"{name} failed")


def _changed(text: str, fixed: str) -> list[tuple[int, int]]:
    """The range of bytes from the first to the last character that differs."""
    if text == fixed:
        return []
    most = min(len(text), len(fixed))
    start = next((at for at in range(most) if text[at] != fixed[at]), most)
    tail = next((at for at in range(most - start) if text[-1 - at] != fixed[-1 - at]), most - start)
    end = max(len(text) - tail, start)
    return byte_ranges(text, [(start, end)] if end > start else [])
