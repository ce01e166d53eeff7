"""Where the optimizer's figures start from stays where it is, and pictures are pictures."""

from xml.etree import ElementTree as ET

from bench.optimizer_recorded import WEAK
from bench.plots import Axes, Series, lines
from bench.sheet import interval
from policies.analysis import analyse
from policies.examples import run_examples
from policies.loader import load

DIGEST = "159abba3ba83a9ed7bef49252f5723ca"


def test_the_weak_policy_is_the_one_that_was_committed_before_any_optimizer() -> None:
    loaded = load(WEAK.read_text("utf-8"), "weak.toml")
    assert loaded.digest == DIGEST
    assert run_examples(loaded) == ()
    assert [mistake for mistake in analyse([loaded], {}) if mistake.severity == "error"] == []
    assert not any(clause.protected for clause in loaded.policy.clause)


def test_a_picture_is_whole_whatever_is_drawn() -> None:
    axes = Axes(title="a < b & c", x="x", y="y", high=1.0)
    for series in (
        [],
        [Series("one", ((0.0, 0.5),))],
        [Series("two", ((0, 0), (1, 2)), ((0, 0), (1, 1)), dashed=True)],
    ):
        root = ET.fromstring(lines(axes, series))
        assert root.tag.endswith("svg")


def test_an_interval_lies_around_its_mean() -> None:
    middle, low, high = interval([10.0, 20.0, 30.0])
    assert (middle, round(low, 1), round(high, 1)) == (20.0, -4.8, 44.8)
    assert interval([5.0]) == (5.0, 5.0, 5.0)
