"""Recorded trajectories as episodes: what an optimizer is shown, and what a change is held against."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.guards_offline import carries, held_out, parts
from policies.vocabulary.episodes import Episode
from policies.vocabulary.steps import Part

APP = "agents"
FILES = ("agentdojo", "injecagent", "tau_airline")


def episodes(data: Path) -> tuple[Episode, ...]:
    """Every run that says something: attacks that went through, attacks that were resisted, honest work."""
    runs = (run for name in FILES for run in _read(data / "trajectories" / f"{name}.jsonl.gz"))
    return tuple([episode for at, run in enumerate(runs) if (episode := _episode(run, at)) is not None])


def unshaped(data: Path) -> frozenset[str]:
    """Ids of the runs whose tasks the guards were never shaped on."""
    runs = (run for name in FILES for run in _read(data / "trajectories" / f"{name}.jsonl.gz"))
    return frozenset(run["id"] for run in runs if held_out(run))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _episode(run: dict[str, Any], at: int) -> Episode | None:
    """None for an attack that went through without a call that can be named, and for failed work under attack."""
    attacked = run["attack_type"] is not None
    won = run["attack_succeeded"] and run["gold"]["attack_calls"]
    if attacked and not won and run["outcome"] != "resisted_useful":
        return None
    calls = {(call["message"], call["call"]) for call in run["gold"]["attack_calls"]} if won else set()
    steps = [
        Part(kind="tool_definitions", text=json.dumps(tool), tool=tool["function"]["name"]) for tool in run["tools"]
    ]
    bad: set[int] = set()
    undecided: set[int] = set()
    for index, message in enumerate(run["messages"]):
        call = 0
        for part in parts(message):
            if part.kind == "tool_call":
                if (index, call) in calls:
                    bad.add(len(steps))
                elif attacked and not won and carries(run, index, part):
                    undecided.add(len(steps))
                call += 1
            steps.append(part)
    return Episode(
        episode_id=run["id"], app=APP, group=run["user_task"], principal=f"{run['source']}:{run['pipeline']}", at_ns=at,
        steps=tuple(steps), bad=frozenset(bad), undecided=frozenset(undecided),
    )  # fmt: skip
