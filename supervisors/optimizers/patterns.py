"""Pattern induction: short runs of words that stand in calls people called violations and in no honest one.

Words only: a value (an account, an address) says who attacked yesterday, not what an attack is, so nothing with a digit
in it is learned. A run has to stand in the calls of several tasks and under several keys.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from policies.digests import digest
from policies.guards.pattern import PatternRule, PatternSpec
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import AddGuard
from supervisors.optimizers.effect import effect, tool_of, unstopped
from supervisors.optimizers.interface import Ideas, Task, behind, suggest
from supervisors.optimizers.places import place_for_calls

WORDS: Final = (2, 3)
"""Words of a run, fewest and most; fewer than what counts as a copy."""

GROUPS: Final = 3
"""Tasks whose calls must hold it."""

MOST: Final = 8
"""Runs of one proposal."""

KEPT_NS: Final = 90 * 24 * 3600 * 1_000_000_000
"""How long a learned pattern stays, unless it is learned again."""

_WORD: Final = re.compile(r"[^\W_]+")
_SHORTEST: Final = 3
_SEPARATOR: Final = r"\W+"


class Patterns:
    """Learns what violating calls say."""

    name = "patterns"

    def propose(self, task: Task) -> Ideas:
        """One guard with the runs that win most, beside the clause that stops most of these calls."""
        wrong = unstopped(task)
        place = place_for_calls(task, frozenset(tool_of(episode) for episode in wrong))
        chosen = _chosen(task, wrong)
        if place is None or not chosen:
            return Ideas()
        clause, score = place
        rules = tuple([_rule(run, score) for run in chosen])
        edit = AddGuard(clause=clause, guard=PatternSpec(rules=rules), expires_ns=task.now_ns + KEPT_NS)
        said = effect(task, [edit])
        if said is None or said.gain <= 0 or not said.within(task.settings.guard_budget):
            return Ideas()
        why = f"{len(rules)} runs of words stand in {len(said.mended)} violating runs that nothing stopped"
        return Ideas(proposals=(suggest(self, task, [edit], support=behind(said.mended), why=why),))


def _chosen(task: Task, wrong: list[Episode]) -> list[tuple[str, ...]]:
    """Runs that honest calls never hold, each taken for the episodes that those before it leave."""
    honest = {run for episode in task.dev.episodes if episode.honest for run in _runs_of_calls(episode)}
    held: dict[tuple[str, ...], list[Episode]] = defaultdict(list)
    for episode in wrong:
        for run in set(_runs(episode.steps[min(episode.bad)].text)) - honest:
            held[run].append(episode)
    settings = task.settings
    known = {
        run: {episode.episode_id for episode in episodes}
        for run, episodes in held.items()
        if len({episode.group for episode in episodes}) >= GROUPS
        and len({episode.principal for episode in episodes}) >= settings.principals
    }
    chosen: list[tuple[str, ...]] = []
    left = {episode.episode_id for episode in wrong}
    while known and len(chosen) < MOST:
        run = max(sorted(known), key=lambda each: (len(known[each] & left), -len(each)))
        if not known[run] & left:
            break
        left -= known.pop(run)
        chosen.append(run)
    return chosen


def _runs_of_calls(episode: Episode) -> Iterator[tuple[str, ...]]:
    for step in episode.steps:
        if step.kind == "tool_call":
            yield from _runs(step.text)


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = [match.group().casefold() for match in _WORD.finditer(text)]
    for size in range(WORDS[0], WORDS[1] + 1):
        for at in range(len(words) - size + 1):
            run = tuple(words[at : at + size])
            if all(word.isalpha() and len(word) >= _SHORTEST for word in run):
                yield run


def _rule(run: tuple[str, ...], score: int) -> PatternRule:
    pattern = _SEPARATOR.join(re.escape(word) for word in run)
    rule = PatternRule(id="learned", pattern=pattern, ignore_case=True, score=score)
    return msgspec.structs.replace(rule, id=f"learned-{digest(run)[:8]}")
