"""Labelled sessions for measuring a supervisor: recorded agent runs with known bad steps, in one shape.

Trajectories name the calls that serve an attacker; Who&When names the message that decided a failure. Both say less
than they seem to: an attack call is found by its values, a deciding step is one annotator's choice (docs/BENCH.md).
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from bench.guards_offline import held_out, parts
from policies.vocabulary.steps import Part

Json: TypeAlias = dict[str, Any]
TRAJECTORIES: Final = ("agentdojo", "injecagent", "tau_airline")
_HONEST: Final = ("resisted_useful", "clean_useful")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One session with what is known of it."""

    name: str
    source: str
    group: str
    """The user's task: runs of one task are near copies."""

    held: bool
    """In the half of the tasks that nothing is shaped on."""

    tools: tuple[Part, ...] = ()
    """Definitions, not counted as steps."""

    steps: tuple[Part, ...]
    bad: frozenset[int]
    """Indices of the steps that are bad; empty in an honest session."""

    kind: Literal["bad", "honest", "failed"]
    """`failed`: nothing is known of its steps beyond the one that decided the failure."""

    first_bad: int | None
    speakers: tuple[str, ...] = ()
    """Who&When: the agent of each step."""


def trajectories(folder: Path, name: str) -> Iterator[Case]:
    """Attacks that succeeded, and honest runs; runs that ended otherwise are left out."""
    for run in _rows(folder / "trajectories" / f"{name}.jsonl.gz"):
        won = run["attack_succeeded"] and bool(run["gold"]["attack_calls"])
        if won or (run["outcome"] in _HONEST and not run["attack_succeeded"]):
            yield _trajectory(run, won=won)


def failures(folder: Path) -> Iterator[Case]:
    """Who&When: failed runs of several agents; each message is a step."""
    for row in _rows(folder / "process" / "who_and_when.jsonl.gz"):
        question = Part(kind="user_input", text=row["question"])
        said = [_message(message) for message in row["history"]]
        mistake = int(row["mistake_step"]) + 1
        yield Case(
            name=row["id"],
            source="who_and_when",
            group=row["id"],
            held=True,
            steps=(question, *said),
            bad=frozenset({mistake}),
            kind="failed",
            first_bad=mistake,
            speakers=("", *[str(message.get("name") or message["role"]) for message in row["history"]]),
        )


def _trajectory(run: Json, *, won: bool) -> Case:
    steps: list[Part] = []
    calls: dict[tuple[int, int], int] = {}
    for index, message in enumerate(run["messages"]):
        number = 0
        for part in parts(message):
            if part.kind == "tool_call":
                calls[index, number] = len(steps)
                number += 1
            steps.append(part)
    bad = frozenset({calls[call["message"], call["call"]] for call in run["gold"]["attack_calls"]} if won else ())
    return Case(
        name=run["id"],
        source=run["source"],
        group=f"{run['source']}/{run['suite']}/{run['user_task']}",
        held=held_out(run),
        tools=tuple(
            [
                Part(kind="tool_definitions", text=json.dumps(tool), tool=tool["function"]["name"])
                for tool in run["tools"]
            ]
        ),
        steps=tuple(_named(steps)),
        bad=bad,
        kind="bad" if won else "honest",
        first_bad=min(bad, default=None),
    )


def _named(steps: list[Part]) -> Iterator[Part]:
    """Results with the name of the tool that gave them, as the gateway records them."""
    tools = {part.call_id: part.tool for part in steps if part.kind == "tool_call"}
    for part in steps:
        known = part.kind == "tool_result" and not part.tool
        yield msgspec.structs.replace(part, tool=tools.get(part.call_id)) if known else part


def _message(message: Json) -> Part:
    """Terminals answer code; everything else is an agent speaking."""
    name = str(message.get("name") or message.get("role") or "")
    kind = "tool_result" if "terminal" in name.lower() else "model_text"
    text = str(message.get("content") or "")
    if kind == "tool_result":
        return Part(kind="tool_result", tool=name, text=text)
    return Part(kind="model_text", text=f"{name}: {text}")


def _rows(path: Path) -> Iterator[Json]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
