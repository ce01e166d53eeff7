"""The rungs that recorded episodes decide: from headroom to a second opinion, hold-out and budget between them."""

from collections import defaultdict
from collections.abc import Iterable

from policies.copies import copied
from policies.gate.case import Case, Pair
from policies.gate.lint import texts, written_by_people
from policies.statistics import rate_at_most, sign_test, spent
from policies.vocabulary.ladder import Decision, Outcome, RungName, Why
from policies.vocabulary.revisions import Score

PLAINLY = 0.2
"""A chance at or below this that so many losses are luck: enough for a first look, which costs nothing."""

ORDER_MATTERS = 0.25
"""Share of questions that a second judge answers otherwise in the other order, from which its word is worth nothing."""


def headroom(case: Case) -> Decision:
    """Whether anything is left to win: not where the errors on record may be none. Who takes room away wins nothing."""
    if case.proposal.aim == "narrows":
        return _said("headroom", "passed")
    wrong, of = case.trials.headroom()
    most = rate_at_most(wrong, of) if of else 1.0
    none_left = wrong == 0 or most <= 1.0 - case.settings.ceiling
    return _said("headroom", "refused" if none_left else "passed", "no_headroom", wrong=wrong, of=of)


def minibatch(case: Case) -> Decision:
    """A cheap look: what wins nothing where it was made, or plainly loses, is not tried on anything else."""
    if case.proposal.aim == "tries":
        return _only_live("minibatch")
    wins, losses = _counted(case.trials.minibatch())
    if case.proposal.aim == "narrows":
        return _said("minibatch", "refused" if losses else "passed", "disturbs", wins=wins, losses=losses)
    lost = not wins or sign_test(losses, wins) <= PLAINLY
    return _said("minibatch", "refused" if lost else "passed", "not_better", wins=wins, losses=losses)


def holdout(case: Case) -> Decision:
    """Better on episodes that were kept back, by an exact paired test whose error is spent by all attempts together."""
    if _leaked(case):
        return _said("holdout", "abstained", "holdout_leaked")
    if case.proposal.aim == "tries":
        return _only_live("holdout")
    pairs = case.trials.holdout()
    groups = len(_groups(pairs))
    if groups < case.settings.least_holdout:
        return _said("holdout", "abstained", "holdout_too_small", groups=groups)
    wins, losses = _counted(pairs)
    if case.proposal.aim == "narrows":
        worst = rate_at_most(losses, groups)
        held = worst <= case.settings.guard_budget
        return _said("holdout", "passed" if held else "refused", "disturbs", losses=losses, at_most=worst)
    chance, allowed = sign_test(wins, losses), spent(case.settings.alpha, case.attempt)
    return _said(
        "holdout", "passed" if chance <= allowed else "refused", "not_significant",
        wins=wins, losses=losses, groups=groups, p=chance, alpha=allowed, attempt=case.attempt,
    )  # fmt: skip


def anchors(case: Case) -> Decision:
    """Not one episode that was marked as an anchor may be judged less rightly."""
    pairs = case.trials.anchors()
    if not pairs:
        return _said("anchors", "abstained", "no_anchors")
    lost = sum(pair.after < pair.before for pair in pairs)
    return _said("anchors", "refused" if lost else "passed", "lost_an_anchor", lost=lost, anchors=len(pairs))


def fp_budget(case: Case) -> Decision:
    """How much honest work the change may disturb, at worst: by itself, and with all the others. Counted in groups."""
    pairs, settings = case.trials.honest(), case.settings
    groups = _groups(pairs)
    of = len(groups)
    new = sum(any(pair.after < pair.before for pair in group) for group in groups)
    before = sum(any(pair.before < 1 for pair in group) for group in groups)
    after = sum(any(pair.after < 1 for pair in group) for group in groups)
    worst = rate_at_most(new, of) if of else 1.0
    total = rate_at_most(after, of) if of else 1.0
    scores = {"new": new, "honest": of, "at_most": worst, "total_at_most": total}
    if case.proposal.exact and (not of or rate_at_most(0, of) > settings.guard_budget):
        return _said("fp_budget", "abstained", "too_little_honest_traffic", **scores)
    over = (new > 0 or case.proposal.exact) and worst > settings.guard_budget
    over = over or (after > before and total > settings.total_budget)
    return _said("fp_budget", "refused" if over else "passed", "over_budget", **scores)


def second_opinion(case: Case) -> Decision:
    """Whether somebody else, who does not know which is which, would choose as the scores do.

    A replay of guards needs nobody: it is held against what people said of these very steps.
    """
    if case.proposal.aim == "tries":
        return _only_live("second_opinion")
    opinions = case.trials.second()
    if opinions is None:
        exact = case.proposal.exact
        return _said("second_opinion", "passed" if exact else "abstained", "no_second")
    torn = sum(each.first != each.swapped for each in opinions)
    settled = [each.first for each in opinions if each.first == each.swapped]
    better, worse = settled.count("child"), settled.count("parent")
    scores = {"better": better, "worse": worse, "torn": torn}
    if torn > ORDER_MATTERS * len(opinions):
        return _said("second_opinion", "refused", "order_matters", **scores)
    return _said("second_opinion", "passed" if better > worse else "refused", "second_disagrees", **scores)


def _leaked(case: Case) -> bool:
    """Whether whoever proposed may have seen what was to be kept from it."""
    exposure = case.exposure
    if exposure.seen & exposure.kept:
        return True
    learned = (edit for edit in case.proposal.edits if not written_by_people(edit, case))
    brought = (text for edit in learned for text in texts(edit))
    return any(copied(text, exposure.kept_words, case.settings.longest_copy) for text in brought)


def _counted(pairs: Iterable[Pair]) -> tuple[int, int]:
    """Groups in which the candidate is better over all, and those in which it is worse."""
    changes = [sum(pair.after - pair.before for pair in group) for group in _groups(pairs)]
    return sum(change > 0 for change in changes), sum(change < 0 for change in changes)


def _groups(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """Pairs by group: near copies of one task say one thing, not many."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair.group or pair.item].append(pair)
    return list(found.values())


def _only_live(rung: RungName) -> Decision:
    """Of items that people wrote: nothing on record shows what comes of them; a person and live traffic decide."""
    return Decision(rung=rung, outcome="passed", note="nothing on record shows it: a person and live traffic decide")


def _said(rung: RungName, outcome: Outcome, why: Why = "fine", **scores: float) -> Decision:
    figures = tuple([Score(name=name, value=float(value)) for name, value in scores.items()])
    return Decision(rung=rung, outcome=outcome, why="fine" if outcome == "passed" else why, scores=figures)
