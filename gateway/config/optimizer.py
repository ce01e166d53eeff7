"""The section `[optimizer]`: what is asked of a change before it is in force."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gateway.config.supervisor import Supervisor
from gateway.config.table import Table
from gateway.config.written import Mistake, mistaken

AskingOptimizer: TypeAlias = Literal["analysis", "reflective", "back-propagation", "trace-propagation"]


class Optimizer(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a change before it is in force, on record and on live traffic; see docs/OPTIMIZING.md."""

    holdout: Annotated[int, Meta(ge=5, le=100_000)] = 50
    """Labelled sessions kept back from optimizers, below which nothing is said of a change."""

    share: Annotated[float, Meta(ge=0.1, le=0.9)] = 0.4
    """Of the labelled sessions, how many are kept back."""

    budget: Annotated[float, Meta(gt=0, le=0.5)] = 0.01
    """Share of honest sessions that one change may disturb: the upper bound at 95 %, which 1 % needs 300 for."""

    principals: Annotated[int, Meta(ge=1, le=100)] = 2
    """Different persons or keys on whose word a change must stand."""

    sessions: Annotated[int, Meta(ge=1, le=1000)] = 3
    """Different sessions it must stand on."""

    ask: tuple[AskingOptimizer, ...] = ()
    """Optimizers that ask the model of `[supervisor]`, on its budget, beside those that ask none: `analysis`,
    `reflective`, `back-propagation`, `trace-propagation`. They read evidence and answer in typed edits."""

    calls_per_run: Annotated[int, Meta(ge=1, le=100_000)] = 400
    """Calls to the model that one run may make for one app; those that fail count too."""

    tokens_per_run: Annotated[int, Meta(ge=1000, le=1 << 40)] = 1_000_000
    """Tokens, in and out together, that one run may take for one app."""

    minutes_per_run: Annotated[float, Meta(gt=0, le=1440)] = 120.0
    """How long one run may go on asking a model for one app; what is not asked by then is not asked."""

    words_per_day: Annotated[int, Meta(ge=1, le=100_000)] = 50
    """How many labels and decided holds of one person or key count in a day, the newest first."""

    schedule: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    """When the gateway proposes by itself, every night: `HH:MM`, UTC. None: on `stepwarden optimize` alone."""

    shadow_requests: Annotated[int, Meta(ge=0, le=1_000_000)] = 500
    shadow_hours: Annotated[float, Meta(ge=0, le=720)] = 4.0
    """A change is judged beside what is in force, without acting, for so many requests and so long."""

    by_itself: Annotated[int, Meta(ge=0, le=100)] = 3
    """Changes that only tighten and may begin to act in a day without a person, after the first; 0: none."""

    canary_share: Annotated[float, Meta(ge=0.01, le=0.9)] = 0.1
    """Of the sessions that begin, how many run under a change in its canary."""

    canary_margin: Annotated[float, Meta(ge=0.005, le=0.3)] = 0.02
    """How much more often sessions may come to harm, as a difference of rates, before a change is taken back."""

    session_minutes: Annotated[float, Meta(ge=0, le=1440)] = 15.0
    """How long after its beginning a session is looked at, once, for what a change does or did to it."""

    sticky_hours: Annotated[float, Meta(ge=0, le=8760)] = 24.0
    """How long after its beginning a session goes on under what it began under."""


def optimizer_mistakes(optimizer: Optimizer, table: Table, supervisor: Supervisor | None) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings; `supervisor` is None where it could not be read."""
    if optimizer.ask and (supervisor is None or supervisor.model is None):
        remedy = "Name a model in [supervisor], or leave the line out."
        yield mistaken(table.get("ask"), "`ask` in [optimizer] has no model to ask", remedy)
