"""`reverse_shell`: a shell whose input and output belong to another machine."""

import re
from collections.abc import Iterator
from typing import Final

from policies.guards.code.match import Match
from policies.guards.code.shell.invocations import INTERPRETERS, SHELLS, Invocation
from policies.guards.code.shell.syntax import UNKNOWN
from policies.guards.code.shell.trace import Trace

_NET_DEVICE: Final = re.compile(r"/dev/(?:tcp|udp)/([^/\s]*)")
_LOOPBACK: Final = re.compile(r"(?:localhost|127\.[0-9.]+|0\.0\.0\.0|::1)$")
_CONNECTORS: Final = frozenset({"nc", "ncat", "netcat", "nc.traditional", "nc.openbsd", "telnet", "socat", "openssl"})
_RUNS: Final = re.compile(r"(?i)(?:exec|system):")
_WRITES: Final = frozenset({">", ">>", ">|"})
_WITH_VALUE: Final = frozenset({"-e", "-c", "--exec", "--sh-exec", "--lua-exec"})


def matches(trace: Trace) -> Iterator[Match]:
    """Shells that are handed to another machine."""
    opened = False
    """Whether a descriptor stays open to another machine, for the commands that follow."""

    for invocation in trace.invocations:
        device = _device(invocation)
        if device:
            kept = invocation.name in ("", "exec")
            opened = opened or kept
            score = _device_score(invocation, device)
            if score:
                yield Match("reverse_shell", "network_device", score, invocation.pipe_start, invocation.end)
        elif opened and invocation.name in SHELLS and any(field.text.isdigit() for _, field in invocation.files):
            yield Match("reverse_shell", "network_device", 95, invocation.start, invocation.end)
        if invocation.name in _CONNECTORS and (score := _connector_score(invocation)):
            yield Match("reverse_shell", "shell_over_network", score, invocation.start, invocation.end)
    yield from _looped(trace)


def _device(invocation: Invocation) -> str | None:
    """The host of a `/dev/tcp` path that an invocation reads or writes."""
    for _, field in invocation.files:
        found = _NET_DEVICE.search(field.text)
        if found:
            return found[1]
    return None


def _device_score(invocation: Invocation, host: str) -> int:
    duplicated = any(field.text.isdigit() and op in (">&", "<&") for op, field in invocation.files)
    both_ways = any(op in ("<>", ">&", "&>") and _NET_DEVICE.search(field.text) for op, field in invocation.files)
    if invocation.name in SHELLS or invocation.name in INTERPRETERS:
        return 95
    if (duplicated or both_ways) and not _LOOPBACK.match(host):
        return 90
    return 40 if _LOOPBACK.match(host) else 60


def _connector_score(invocation: Invocation) -> int:
    words = invocation.words
    if invocation.name == "socat":
        return 95 if any(_RUNS.match(word) for word in words) and len(words) > 1 else 0
    if invocation.name in ("telnet", "openssl"):
        return 0
    for at, word in enumerate(words):
        runs = word in _WITH_VALUE or (
            word.startswith("-") and not word.startswith("--") and word[-1:] in "ec" and len(word) > 1
        )
        program = (
            words[at + 1].split()[0].rpartition("/")[2]
            if runs and words[at + 1 : at + 2] and words[at + 1].split()
            else ""
        )
        if program.removesuffix(".exe") in SHELLS | {"cmd"}:
            return 95
    return 50 if any(word.startswith("-") and not word.startswith("--") and "l" in word for word in words) else 0


def _looped(trace: Trace) -> Iterator[Match]:
    """A connection that feeds a shell which feeds it back: by a named pipe, or by a second connection."""
    for execution in trace.executions:
        by = execution.by
        if execution.how != "stdin" or by.name not in SHELLS or UNKNOWN not in execution.text:
            continue
        around = [each for each in trace.invocations if each.pipe_start == by.pipe_start and each.name in _CONNECTORS]
        fed_back = any(op in _WRITES for op, field in by.files if not field.text.isdigit())
        if any(each.start > by.start for each in around) or (around and fed_back):
            end = max(by.end, *(each.end for each in around))
            yield Match("reverse_shell", "shell_over_network", 95, by.pipe_start, end)
