"""Selection of lines: which of the items that people wrote are worth a try, and which are better left out.

Nothing on record shows what an agent would have done under other instructions, so no item is put in force by this. How
sessions ended in whose requests an item stood orders what is suggested; a person agrees, and the canary, which draws
sessions by lot, decides. No model is asked, and no word is written.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from policies.statistics import more_often
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import AddLine, DeleteLine, Proposal
from supervisors.optimizers.effect import tool_of, unstopped
from supervisors.optimizers.interface import Ideas, Task, behind, suggest

MOST: Final = 2
"""Items suggested at a time, one a proposal: what comes of two at once would be nobody's."""

BY_LUCK: Final = 0.05
"""A chance at or below this that sessions with an item came to harm so much more often than others."""


class Lines:
    """Picks items and leaves items out; it never writes one."""

    name = "lines"

    def propose(self, task: Task) -> Ideas:
        """First what got in the way, then what is most likely to help."""
        return Ideas(proposals=(*self._left_out(task), *self._picked(task)))

    def _left_out(self, task: Task) -> Iterator[Proposal]:
        for line in task.parameters.instructions:
            with_it, without = _apart(task.dev.episodes, line.id)
            hurt, others = _bad(with_it), _bad(without)
            if hurt and more_often(len(hurt), len(with_it), len(others), len(without)) <= BY_LUCK:
                why = (
                    f"{len(hurt)} of {len(with_it)} sessions with it went wrong, {len(others)} of {len(without)} others"
                )
                yield suggest(self, task, [DeleteLine(line=line.id)], support=behind(hurt), why=why, aim="tries")

    def _picked(self, task: Task) -> list[Proposal]:
        known = {line.id for line in task.parameters.instructions}
        left = unstopped(task)
        found: list[tuple[float, int, Proposal]] = []
        for place, choice in enumerate(task.choices):
            wrong = [episode for episode in left if not choice.tools or tool_of(episode) in choice.tools]
            if choice.line.id in known or not wrong:
                continue
            with_it, _ = _apart(task.dev.episodes, choice.line.id)
            hurt = len(_bad(with_it))
            # As a coin that nobody threw: what was never tried stands before what did as badly as well.
            well = (len(with_it) - hurt + 1) / (len(with_it) + 2)
            why = f"it is about what went wrong in {len(wrong)} sessions; with it {hurt} of {len(with_it)} did"
            support = msgspec.structs.replace(behind(wrong), library=f"lines/{choice.line.id}")
            proposal = suggest(self, task, [AddLine(line=choice.line)], support=support, why=why, aim="tries")
            if proposal.digest not in task.memory.refused:
                found.append((-well * len(wrong), place, proposal))
        return [proposal for _, _, proposal in sorted(found, key=lambda each: each[:2])[:MOST]]


def _apart(episodes: Sequence[Episode], line: str) -> tuple[list[Episode], list[Episode]]:
    """The episodes in whose requests an item stood, and the others."""
    with_it = [episode for episode in episodes if line in episode.lines]
    return with_it, [episode for episode in episodes if line not in episode.lines]


def _bad(episodes: Sequence[Episode]) -> list[Episode]:
    return [episode for episode in episodes if episode.bad]
