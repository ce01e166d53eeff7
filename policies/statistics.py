"""The few figures that decisions rest on: exact binomial tests and bounds, and tests that may be looked at any time.

Exact where counts are small, and never an approximation whose error could let something pass. A test that is *anytime
valid* may be looked at after every observation, and stopped whenever it says something: its promise is about the whole
sequence at once (Ville's inequality). See Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", 2023; for two arms Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample
tests that allow for optional stopping", 2024.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

_STEPS: Final = 50
"""Halvings of a bisection over [0, 1]: the last is below the precision of a float."""

EXCESSES: Final = (0.04, 0.08, 0.16, 0.32)
"""By how much the rate may be above the claim, for those who bet on it: each takes the stake that gains most then."""

SHORTFALLS: Final = (0.25, 0.5, 0.75)
"""By which part of the claim the rate may be below it."""

HIGHEST_CLAIM: Final = 0.5
"""A claim above this says that nothing is known yet."""

SUREST: Final = 0.98
"""A rate above this is bet on by nobody."""

_EDGE: Final = 1e-6


def at_least(successes: int, trials: int, rate: float) -> float:
    """P(X >= successes) of a binomial with this rate."""
    if successes <= 0:
        return 1.0
    if successes > trials or rate <= 0.0:
        return 0.0
    if rate >= 1.0:
        return 1.0
    upper = successes > trials * rate
    terms = range(successes, trials + 1) if upper else range(successes)
    total = math.fsum(_terms(terms, trials, rate))
    return min(1.0, total if upper else 1.0 - total)


def at_most(successes: int, trials: int, rate: float) -> float:
    """P(X <= successes) of a binomial with this rate."""
    return at_least(trials - successes, trials, 1.0 - rate)


def _terms(counts: range, trials: int, rate: float) -> list[float]:
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    whole = math.lgamma(trials + 1)
    return [
        math.exp(
            whole
            - math.lgamma(count + 1)
            - math.lgamma(trials - count + 1)
            + count * log_rate
            + (trials - count) * log_rest
        )
        for count in counts
    ]


def rate_at_most(successes: int, trials: int, *, confidence: float = 0.95) -> float:
    """Clopper and Pearson's exact upper bound of a rate: the truth lies above it in at most 1 - confidence of cases."""
    if successes >= trials:
        return 1.0
    return _first(lambda rate: at_most(successes, trials, rate) <= 1.0 - confidence)


def rate_at_least(successes: int, trials: int, *, confidence: float = 0.95) -> float:
    """The exact lower bound of a rate."""
    return 1.0 - rate_at_most(trials - successes, trials, confidence=confidence)


def sign_test(wins: int, losses: int) -> float:
    """One-sided p-value of so many wins among the pairs that differ, where winning and losing were equally likely."""
    return at_least(wins, wins + losses, 0.5)


def more_often(harmed: int, of: int, others_harmed: int, others: int) -> float:
    """The chance that so much of the harm falls to some by luck, where they come to harm as often as others do.

    Fisher's exact test, one-sided: of all ways to deal the harm out among both, those that give them so much or more.
    """
    whole = harmed + others_harmed
    ways = math.comb(of + others, whole)
    hits = range(harmed, min(whole, of) + 1)
    return sum(math.comb(of, some) * math.comb(others, whole - some) for some in hits) / ways


def posterior_lower(confirmed: int, denied: int, *, confidence: float = 0.95) -> float:
    """Lower bound of a rate after so many reports, beginning from a uniform prior: 0.90 takes 28 that all agree."""
    trials = confirmed + denied + 1
    return _first(lambda rate: at_least(confirmed + 1, trials, rate) >= 1.0 - confidence)


def spent(alpha: float, attempt: int) -> float:
    """The share of an error budget that attempt number `attempt`, from 1, may use: all of them together use `alpha`."""
    return alpha / (attempt * (attempt + 1))


def _first(holds: Callable[[float], bool]) -> float:
    """The smallest rate from which on something holds that is false below it."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


# --------------------------------------------------------------------------------------------- looked at all the time


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a sequence of sessions came to harm."""

    harmed: int = 0
    sessions: int = 0

    def seen(self, *, harm: bool) -> "Tally":
        """With one more session."""
        return Tally(harmed=self.harmed + harm, sessions=self.sessions + 1)

    @property
    def rate(self) -> float:
        """The share so far; 0 before the first."""
        return self.harmed / self.sessions if self.sessions else 0.0


class Wager(msgspec.Struct, frozen=True, kw_only=True):
    """Money bet against a claim about a rate, on one observation after the other, each stake by itself.

    While the claim is true, what is won has mean 1 at most: to have come to 1/alpha ever is as likely as alpha at most.
    The claim may differ from observation to observation, as long as it was made before.
    """

    fortunes: tuple[float, ...]
    """Logarithms of what each stake has come to."""

    @property
    def won(self) -> float:
        """What one unit has come to, an equal part of it on each stake."""
        return sum(math.exp(min(fortune, 700.0)) for fortune in self.fortunes) / len(self.fortunes)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions of two arms that are looked at together; which are in it does not depend on what became of them."""

    candidate: Tally = Tally()
    in_force: Tally = Tally()


ABOVE: Final = Wager(fortunes=(0.0,) * len(EXCESSES))
"""Before the first bet that a rate is higher than is claimed."""

BELOW: Final = Wager(fortunes=(0.0,) * len(SHORTFALLS))
"""Before the first bet that a rate is lower."""


def bet_above(wager: Wager, claimed: float, *, harm: bool) -> Wager:
    """One more observation, after a bet that the rate is above `claimed`; of nothing known (near 1) nothing is bet."""
    if not 0.0 < claimed <= HIGHEST_CLAIM:
        return wager
    gain = (float(harm) - claimed) / claimed
    shares = [excess / (1.0 - claimed) for excess in EXCESSES]
    return _paid(wager, shares, gain)


def bet_below(wager: Wager, claimed: float, *, harm: bool) -> Wager:
    """One more observation, after a bet that the rate is below `claimed`."""
    if not 0.0 < claimed <= HIGHEST_CLAIM:
        return wager
    gain = (claimed - float(harm)) / (1.0 - claimed)
    return _paid(wager, SHORTFALLS, gain)


def bet_more(wager: Wager, margin: float, block: Block, expected: float) -> Wager:
    """One more block, after a bet that the candidate's rate is above the other arm's by more than `margin`.

    `expected`: the other arm's rate, by what was seen before this block.
    """
    return _compared(wager, margin, block, expected, [expected + margin + excess for excess in EXCESSES])


def bet_less(wager: Wager, margin: float, block: Block, expected: float) -> Wager:
    """One more block, after a bet that the candidate's rate is above the other arm's by less than `margin`."""
    return _compared(wager, margin, block, expected, [expected + margin * (1.0 - part) for part in SHORTFALLS])


def _compared(wager: Wager, margin: float, block: Block, expected: float, rates: Sequence[float]) -> Wager:
    """Each stake is the likelihood of its two rates over that of the nearest pair of rates that are `margin` apart.

    Nearest in the mean of the logarithm of that ratio: so, over the pairs that are `margin` apart, the mean of the
    ratio is largest at the nearest, where it is 1, because it is a product of powers of linear functions, and its
    logarithm concave; further on the side of the claim it only falls. Hence no claim that is true makes it gain.
    """
    pairs = zip(wager.fortunes, rates, strict=True)
    return Wager(fortunes=tuple([fortune + _gain(rate, expected, margin, block) for fortune, rate in pairs]))


def _gain(rate: float, expected: float, margin: float, block: Block) -> float:
    if not (block.candidate.sessions and block.in_force.sessions and 0.0 < rate < SUREST):
        return 0.0
    other = _nearest(rate, expected, margin, block)
    return _log_ratio(block.candidate, rate, other + margin) + _log_ratio(block.in_force, expected, other)


def _nearest(rate: float, expected: float, margin: float, block: Block) -> float:
    """The rate of the other arm, of the pair `margin` apart that is nearest to (`rate`, `expected`)."""

    def beyond(other: float) -> bool:
        mine = other + margin
        slope = block.candidate.sessions * (mine - rate) / (mine * (1.0 - mine))
        return slope + block.in_force.sessions * (other - expected) / (other * (1.0 - other)) >= 0.0

    low = max(min(expected, rate - margin), _EDGE)
    high = min(max(expected, rate - margin, _EDGE), 1.0 - margin - _EDGE)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high


def _log_ratio(seen: Tally, rate: float, other: float) -> float:
    spared = seen.sessions - seen.harmed
    return seen.harmed * math.log(rate / other) + spared * math.log((1.0 - rate) / (1.0 - other))


def _paid(wager: Wager, shares: Sequence[float], gain: float) -> Wager:
    """`gain` is at least -1, and its mean is 0 at most while the claim holds; shares are below 1."""
    pairs = zip(wager.fortunes, shares, strict=True)
    return Wager(fortunes=tuple([fortune + math.log1p(share * gain) for fortune, share in pairs]))
