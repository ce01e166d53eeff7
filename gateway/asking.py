"""Asking: who answers for the guards that are asked, joined to the gateway's HTTP client and environment."""

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from gateway.endpoint import Endpoint
from policies.guards.external import ExternalSpec
from policies.guards.presidio import PresidioSpec
from policies.guards.registry import kind_of
from policies.guards.validator import ValidatorSpec
from policies.loader import Loaded
from policies.mistakes import Mistake
from supervisors.adapters import guardrails_validator, presidio
from supervisors.adapters.external import External
from supervisors.adapters.threaded import Threaded
from supervisors.panel import Maker


def makers(environ: Mapping[str, str]) -> Mapping[type[msgspec.Struct], Maker]:
    """How each kind of adapter is made. Keys are looked up in `environ` when they are needed, and kept nowhere."""

    def external(spec: ExternalSpec) -> External:
        return External(spec, post=Endpoint(spec.url), environ=environ, clock=time.monotonic_ns)

    return {ExternalSpec: external, ValidatorSpec: _validator, PresidioSpec: _presidio}


def _validator(spec: ValidatorSpec) -> Threaded:
    load = partial(guardrails_validator.load, spec)
    return Threaded("stepwarden-validator", load, deadline_ms=spec.deadline_ms, clock=time.monotonic_ns)


def _presidio(spec: PresidioSpec) -> Threaded:
    load = partial(presidio.load, spec)
    return Threaded("stepwarden-presidio", load, deadline_ms=spec.deadline_ms, clock=time.monotonic_ns)


_NEEDS: Final[Mapping[type[msgspec.Struct], Any]] = {ValidatorSpec: guardrails_validator, PresidioSpec: presidio}
"""Guards that need an optional extra, each with the file that names it and knows whether it is installed."""


def lacking(policies: Iterable[Loaded]) -> tuple[Mistake, ...]:
    """Guards that need an optional extra which is not installed."""
    return tuple(
        [
            _lacks(loaded, at, place, spec)
            for loaded in policies
            for at, clause in enumerate(loaded.policy.clause)
            for place, spec in enumerate(clause.guards)
            if type(spec) in _NEEDS and not _NEEDS[type(spec)].installed()
        ]
    )


def _lacks(loaded: Loaded, at: int, place: int, spec: msgspec.Struct) -> Mistake:
    extra = _NEEDS[type(spec)].EXTRA
    kind, clause = kind_of(spec).name, loaded.policy.clause[at].id
    message = f"clause `{clause}`: `{kind}` needs the extra `{extra}`, which is not installed"
    remedy = f"Run `pip install 'stepwarden[{extra}]'` in the gateway's environment, or remove the guard."
    return loaded.mistake(("clause", at, "guards", place), message, remedy)
