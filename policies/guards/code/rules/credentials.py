"""`credential_and_network`: keys, passwords or the environment, and something that speaks to other machines."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from policies.guards.code.match import Match
from policies.guards.code.shell.expansion import CLEAN, Taints, only
from policies.guards.code.shell.invocations import Invocation
from policies.guards.code.shell.network import remote, sent
from policies.guards.code.shell.paths import kept_in
from policies.guards.code.shell.trace import Trace

_SEARCHES: Final = frozenset({"grep", "egrep", "rg", "awk"})
_SECRET_WORDS: Final = re.compile(r"key|token|secret|pass|cred|auth|aws|api|\.\*|''|^\.$", re.IGNORECASE)
_LEAKS: Final = {"secret": 90, "environment": 90, "settings": 75}
"""What flows out, and how grave that is."""

_SHOWN: Final = {"secret": 75, "environment": 60, "settings": 40}
"""The same where it is shown to the server as a credential."""

_BESIDE: Final = {"secret": 75, "environment": 50, "settings": 40}
"""What is read on the same command line, with no way seen from one to the other."""


def matches(trace: Trace) -> Iterator[Match]:
    """Leaks that can be seen, or else the two standing side by side."""
    speaking = [invocation for invocation in trace.invocations if remote(invocation)]
    if not speaking:
        return
    leaks = [(leak, invocation) for invocation in speaking if (leak := _leak(invocation))]
    for (score, label), invocation in leaks:
        yield Match("credential_and_network", label, score, invocation.pipe_start, invocation.end)
    if leaks:
        return
    beside = set(map(id, speaking))
    for at, invocation in enumerate(trace.invocations):
        if id(invocation) in beside or _narrowed(trace.invocations[at : at + 2]):
            continue
        for taint in sorted(trace.flows[at] - invocation.stdin.taints):
            if taint in _BESIDE:
                label = f"{taint}_beside_network"
                yield Match("credential_and_network", label, _BESIDE[taint], invocation.start, invocation.end)


def _narrowed(pair: Sequence[Invocation]) -> bool:
    """Whether what the first of two writes is only searched, and for nothing secret."""
    if len(pair) < 2 or pair[1].pipe_start != pair[0].pipe_start or pair[1].name not in _SEARCHES:  # noqa: PLR2004 - two
        return False
    return not _SECRET_WORDS.search(" ".join(pair[1].words))


def _leak(invocation: Invocation) -> tuple[int, str] | None:
    found: list[tuple[int, str]] = [(_LEAKS[taint], taint) for taint in invocation.stdin.taints if taint in _LEAKS]
    for field, shown in sent(invocation):
        scores = _SHOWN if shown else _LEAKS
        kept: Taints = CLEAN
        if "@" in field.text or "/" in field.text or field.text.startswith((".", "~")):
            path = field.text.rpartition("=")[2] if "=" in field.text else field.text
            what = kept_in(path.rpartition("@")[2].partition(";")[0], invocation.cwd)
            kept = only(what) if what else CLEAN
        found += [(scores[taint], taint) for taint in field.taints | kept if taint in scores]
    for _, field in invocation.files:
        found += [(_LEAKS[taint], taint) for taint in field.taints if taint in _LEAKS]
    if not found:
        return None
    score, taint = max(found)
    return score, f"{taint}_sent"
