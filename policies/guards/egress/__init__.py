"""`egress`: where a call or an answer sends something, and what it takes along."""

from policies.guards.egress.guard import EgressGuard, EgressSpec

__all__ = ["EgressGuard", "EgressSpec"]
