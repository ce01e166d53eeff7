"""What a running gateway asks of a proposal, from its configuration."""

from gateway.config import Optimizer
from policies.vocabulary.ladder import GateSettings

_HOUR_NS = 3600 * 1_000_000_000


def gate_of(settings: Optimizer) -> GateSettings:
    """The settings of the ladder."""
    return GateSettings(
        principals=settings.principals,
        sessions=settings.sessions,
        least_holdout=settings.holdout,
        guard_budget=settings.budget,
        shadow_requests=settings.shadow_requests,
        shadow_ns=int(settings.shadow_hours * _HOUR_NS),
        by_itself_per_day=settings.by_itself,
        canary_share=settings.canary_share,
        canary_margin=settings.canary_margin,
    )
