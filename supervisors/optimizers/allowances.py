"""Allow-list induction: what the arguments of each tool have been in honest work becomes all that they may be.

After Progent (https://arxiv.org/abs/2504.11703): limits on arguments, which take room away that nobody used. They
expire, and a person agrees to each, for what nobody did yesterday may be somebody's work tomorrow.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from policies.arguments import leaves
from policies.guards.schema import SchemaSpec
from policies.limits import ArgumentLimit
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import AddGuard
from supervisors.optimizers.effect import effect
from supervisors.optimizers.interface import Ideas, Task, behind, suggest
from supervisors.optimizers.places import place_for_calls

SESSIONS: Final = 20
"""Honest sessions that used an argument, before anything is said of it."""

CHOICES: Final = 6
"""Different texts that are still a choice, and not free text."""

ROOM: Final = 2.0
"""A number may grow by this factor beyond the largest that was seen."""

MOST: Final = 8
"""Limits of one proposal."""

KEPT_NS: Final = 30 * 24 * 3600 * 1_000_000_000
_LONGEST: Final = 24


class _Seen(msgspec.Struct):
    """What one argument of one tool has been."""

    numbers: list[float]
    texts: set[str]
    episodes: dict[str, Episode]
    other: bool = False
    """Whether it was anything else, too."""


class Allowances:
    """Learns what arguments have been."""

    name = "allowances"

    def propose(self, task: Task) -> Ideas:
        """One guard with the limits that honest work keeps."""
        found = list(_limits(task))[:MOST]
        place = place_for_calls(task, frozenset(limit.tool for limit, _ in found))
        if place is None or not found:
            return Ideas()
        guard = SchemaSpec(limits=tuple([limit for limit, _ in found]))
        edit = AddGuard(clause=place[0], guard=guard, expires_ns=task.now_ns + KEPT_NS)
        said = effect(task, [edit])
        if said is None or said.disturbed:
            return Ideas()
        sessions = {episode.episode_id: episode for _, episodes in found for episode in episodes}
        why = f"{len(found)} arguments never were anything else in {len(sessions)} honest sessions"
        support = behind(sessions.values())
        return Ideas(proposals=(suggest(self, task, [edit], support=support, why=why, aim="narrows"),))


def _limits(task: Task) -> Iterator[tuple[ArgumentLimit, list[Episode]]]:
    for (tool, pointer), seen in sorted(_arguments(task).items()):
        episodes = list(seen.episodes.values())
        principals = {episode.principal for episode in episodes}
        if seen.other or len(episodes) < SESSIONS or len(principals) < task.settings.principals:
            continue
        if seen.numbers and not seen.texts:
            yield ArgumentLimit(tool=tool, pointer=pointer, max=max(seen.numbers) * ROOM, min=_floor(seen)), episodes
        elif seen.texts and not seen.numbers and len(seen.texts) <= CHOICES:
            yield ArgumentLimit(tool=tool, pointer=pointer, one_of=tuple(sorted(seen.texts))), episodes


def _floor(seen: _Seen) -> float | None:
    """Nothing below zero, where nothing was."""
    return 0.0 if min(seen.numbers) >= 0 else None


def _arguments(task: Task) -> dict[tuple[str, str], _Seen]:
    found: dict[tuple[str, str], _Seen] = defaultdict(lambda: _Seen([], set(), {}))
    for episode in task.dev.episodes:
        if not episode.honest:
            continue
        for at, step in enumerate(episode.steps):
            if step.kind != "tool_call" or not step.tool or at in episode.undecided:
                continue
            for leaf in leaves(step.text):
                _note(found[step.tool, _place(leaf.pointer)], leaf.value, episode)
    return found


def _note(seen: _Seen, value: object, episode: Episode) -> None:
    seen.episodes[episode.episode_id] = episode
    if isinstance(value, bool) or value is None:
        seen.other = True
    elif isinstance(value, int | float):
        seen.numbers.append(float(value))
    elif isinstance(value, str) and len(value) <= _LONGEST and value.replace("_", "").replace(" ", "").isalpha():
        seen.texts.add(value)
    else:
        seen.other = True


def _place(pointer: str) -> str:
    """The pointer with every index open."""
    return "/".join("*" if token.isdigit() else token for token in pointer.split("/"))
