"""Rules: what commands must not do, one rule a file; each looks at a trace and yields matches."""

from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

from policies.guards.code.match import Match
from policies.guards.code.rules import credentials, destruction, execution, persistence, reverse_shell
from policies.guards.code.shell.trace import Trace

RuleName: TypeAlias = Literal[
    "destructive", "pipe_to_shell", "credential_and_network", "persistence", "reverse_shell", "sql"
]

SHELL_RULES: Final[dict[RuleName, Callable[[Trace], Iterator[Match]]]] = {
    "destructive": destruction.matches,
    "pipe_to_shell": execution.matches,
    "credential_and_network": credentials.matches,
    "persistence": persistence.matches,
    "reverse_shell": reverse_shell.matches,
}
"""Rules that look at commands, by their names in a policy."""
