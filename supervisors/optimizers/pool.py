"""The Pareto pool: candidates that are best on some episode, each kept for what it alone does well.

After GEPA (https://arxiv.org/abs/2507.19457), where a pool did better than always going on from the best.
"""

import random
from collections.abc import Sequence

import msgspec

from policies.vocabulary.revisions import Edit, Parameters


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters that were tried."""

    parameters: Parameters
    edits: tuple[Edit, ...] = ()
    """What leads to them from where the pool began."""

    why: str = ""
    scores: tuple[float, ...]
    """One for each episode, 0 to 1."""

    @property
    def total(self) -> float:
        """Over all episodes."""
        return sum(self.scores)


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A few candidates; the first is where it began."""

    candidates: tuple[Candidate, ...]
    most: int = 8

    def front(self) -> tuple[Candidate, ...]:
        """Enough of them that for each episode one that does best on it is there; of two that would do, the better."""
        kept = set(range(len(self.candidates)))
        tops = [
            {at for at, score in enumerate(column) if score == max(column)}
            for column in zip(*[each.scores for each in self.candidates], strict=True)
        ]
        for at in sorted(kept, key=lambda at: (self.candidates[at].total, -at)):
            if len(kept) > 1 and all((top & kept) - {at} for top in tops if at in top):
                kept.discard(at)
        return tuple([self.candidates[at] for at in sorted(kept)])

    def drawn(self, lot: random.Random) -> Candidate:
        """A parent: of the front, each as likely as it is best on many episodes."""
        front = self.front()
        return lot.choices(front, weights=[max(1, wins) for wins in _wins(front)])[0]

    def admitted(self, candidate: Candidate) -> "Pool":
        """With one more; where there are too many, the one that is best on fewest episodes goes."""
        kept = Pool(candidates=(*self.candidates, candidate), most=self.most).front()
        while len(kept) > self.most:
            wins = _wins(kept)
            weakest = min(range(len(kept)), key=lambda at: (wins[at], kept[at].total))
            kept = (*kept[:weakest], *kept[weakest + 1 :])
        return Pool(candidates=kept, most=self.most)

    def best(self) -> Candidate:
        """The one that does best over all episodes; of equals the first."""
        return max(self.candidates, key=lambda each: each.total)


def _wins(front: Sequence[Candidate]) -> list[int]:
    if not front:
        return []
    tops = [max(column) for column in zip(*[each.scores for each in front], strict=True)]
    return [sum(score == top for score, top in zip(each.scores, tops, strict=True)) for each in front]
