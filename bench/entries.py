"""Entries of the audit log as a gateway makes them, for what measures the log by itself."""

from policies.vocabulary.audit import RequestAccepted


def accepted(number: int) -> RequestAccepted:
    """One that differs from every other in what differs between requests."""
    return RequestAccepted(
        actor="key_0123456789ab",
        tenant="default",
        trace=f"{number:032x}",
        span=f"{number:016x}",
        exchange=f"01JX{number:022d}",
        provider="anthropic",
        operation="chat",
    )
