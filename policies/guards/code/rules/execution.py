"""`pipe_to_shell`: what a shell or an interpreter runs was fetched, or hidden, a moment before."""

import re
from collections.abc import Iterator
from typing import Final

from policies.guards.code.match import Match
from policies.guards.code.shell.syntax import UNKNOWN
from policies.guards.code.shell.trace import Execution, Trace

_IN_COMMAND_PLACE: Final = re.compile(rf"(?:^|[\n;&|(`{{])\s*(?:\w+=\S*\s+)*{UNKNOWN}")
_FETCHED: Final = {"stdin": 90, "argument": 90, "file": 75}


def matches(trace: Trace) -> Iterator[Match]:
    """Scripts that came from elsewhere."""
    for execution in trace.executions:
        found = _judged(execution)
        if found:
            by = execution.by
            yield Match("pipe_to_shell", found[1], found[0], by.pipe_start, by.end)


def _judged(execution: Execution) -> tuple[int, str] | None:
    taints = execution.taints
    if "decoded" in taints and (UNKNOWN not in execution.text or _places(execution)):
        return 90, "decoded_script"
    if "download" in taints and _places(execution):
        return _FETCHED[execution.how], "downloaded_script"
    return None


def _places(execution: Execution) -> bool:
    """Whether what flowed in stands where a command begins, and not as an argument of one."""
    return bool(_IN_COMMAND_PLACE.search(execution.text))
