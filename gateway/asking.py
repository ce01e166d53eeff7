"""Asking: who answers for the guards that are asked, joined to the gateway's HTTP client and environment."""

import time
from collections.abc import Iterable, Mapping

from gateway.endpoint import Endpoint
from policies.guards.external import ExternalSpec
from policies.guards.validator import ValidatorSpec
from policies.loader import Loaded
from policies.mistakes import Mistake
from supervisors.adapters import guardrails_validator
from supervisors.adapters.external import External
from supervisors.adapters.threaded import Threaded
from supervisors.panel import Panel


def open_panel(environ: Mapping[str, str]) -> Panel:
    """The panel of one worker. Keys are looked up in `environ` when they are needed, and kept nowhere."""

    def external(spec: ExternalSpec) -> External:
        return External(spec, post=Endpoint(spec.url), environ=environ, clock=time.monotonic_ns)

    def validator(spec: ValidatorSpec) -> Threaded:
        name, deadline_ms = "stepwarden-validator", spec.deadline_ms
        load = lambda: guardrails_validator.load(spec)  # noqa: E731
        return Threaded(name, load, deadline_ms=deadline_ms, clock=time.monotonic_ns)

    return Panel({ExternalSpec: external, ValidatorSpec: validator})


def lacking(policies: Iterable[Loaded]) -> tuple[Mistake, ...]:
    """Guards that need an optional extra which is not installed."""
    if guardrails_validator.installed():
        return ()
    return tuple(
        [
            loaded.mistake(
                ("clause", at, "guards", place),
                f"clause `{clause.id}`: `validator` needs the extra `guardrails`, which is not installed",
                "Run `pip install 'stepwarden[guardrails]'` in the gateway's environment, or remove the guard.",
            )
            for loaded in policies
            for at, clause in enumerate(loaded.policy.clause)
            for place, spec in enumerate(clause.guards)
            if isinstance(spec, ValidatorSpec)
        ]
    )
