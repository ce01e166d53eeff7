"""`code`: commands, statements and scripts in the arguments of a call, judged by what they would do."""

from policies.guards.code.guard import CodeGuard, CodeSpec

__all__ = ["CodeGuard", "CodeSpec"]
