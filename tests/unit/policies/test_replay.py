"""Episodes judged again, and told apart."""

from hypothesis import given
from hypothesis import strategies as st

from policies.evaluate import Ruleset, Settings
from policies.parameters import apply
from policies.replay import Replay
from policies.splits import Split, divide, replays
from policies.trail import Scene, Trail
from policies.vocabulary.bands import Band
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import SetBands, SetMode
from policies.vocabulary.steps import Part
from policies.vocabulary.verdicts import STRENGTH
from tests.unit.policies.revised import clause, parameters

START = parameters()


def run(*texts: str, name: str = "e", group: str = "", at_ns: int = 0, **fields: frozenset[int]) -> Episode:
    steps = tuple(Part(kind="tool_call", tool="send", text=text) for text in texts)
    return Episode(
        episode_id=name, app="shop", group=group or name, principal="key", at_ns=at_ns, steps=steps, **fields
    )  # fmt: skip


def test_a_violation_has_to_be_stopped_in_time_and_honest_work_left_alone() -> None:
    def right(*texts: str, **fields: frozenset[int]) -> bool:
        return Replay([run(*texts, **fields)]).rights(START)[0]

    assert right("fine", "bad", bad=frozenset({1}))
    assert right("fine", "bad", "x", bad=frozenset({2}))  # stopped earlier, which is in time
    assert not right("fine", "x", "bad", bad=frozenset({1}))
    assert right("fine", "x")
    assert not right("fine", "bad")
    assert right("fine", "bad", undecided=frozenset({1}))


def test_what_only_watches_disturbs_nobody() -> None:
    shadow = apply(START, [SetMode(clause="p/rule", mode="shadow")])
    (found,) = Replay([run("bad")]).judge(shadow)
    assert (found.stopped, found.disturbed, found.flagged) == (None, None, 0)
    (found,) = Replay([run("bad")]).judge(START)
    assert (found.stopped, found.clauses) == (0, ("p/rule",))


TEXTS = st.lists(st.lists(st.sampled_from(["bad", "good", "worse", "x bad"]), min_size=1, max_size=4), max_size=5)


@given(TEXTS, st.integers(1, 80))
def test_remembering_what_guards_said_changes_nothing(runs: list[list[str]], at: int) -> None:
    episodes = [run(*texts, name=f"e{number}") for number, texts in enumerate(runs)]
    two = parameters(clause(), clause("two"))
    changed = two if at == 75 else apply(two, [SetBands(clause="p/rule", action=(Band(at=at, do="hold"),))])
    replay = Replay(episodes)
    replay.judge(two)
    assert [found.stopped for found in replay.judge(changed)] == [_first_stop(changed, each) for each in episodes]


def _first_stop(changed: object, episode: Episode) -> int | None:
    ruleset = Ruleset.compile(changed.policies, settings=Settings(enforce=True))  # type: ignore[attr-defined]
    for at, step in enumerate(episode.steps):
        scene = Scene(step=step, trail=Trail(parts=episode.steps[:at]))
        if STRENGTH[ruleset.judge(scene, clock=lambda: 0).verdict.name] >= STRENGTH["hold"]:
            return at
    return None


def test_a_part_of_a_replay_says_what_the_whole_says() -> None:
    whole = Replay([run("bad", name="a"), run("good", name="b")])
    part = whole.part(lambda episode: episode.episode_id == "b")
    assert part.judge(START) == whole.judge(START)[1:]


EPISODES = [run("x", name=f"e{at}", group=f"g{at % 40}", at_ns=at) for at in range(200)]


def test_no_group_is_torn_apart_and_the_same_salt_splits_alike() -> None:
    halves = divide(EPISODES, Split(salt="s"))
    assert not {each.group for each in halves.dev} & {each.group for each in halves.holdout}
    assert len(halves.dev) + len(halves.holdout) == len(EPISODES)
    assert halves.dev
    assert halves.holdout
    assert divide(EPISODES, Split(salt="s")) == halves
    assert divide(EPISODES, Split(salt="t")) != halves


def test_what_came_after_the_split_is_kept_back_with_its_whole_group() -> None:
    halves = divide(EPISODES, Split(salt="s", frozen_ns=190))
    late = {episode.group for episode in EPISODES if episode.at_ns >= 190}
    assert not late & {episode.group for episode in halves.dev}
    assert all(episode.at_ns < 190 for episode in halves.dev)


def test_sides_share_no_memory() -> None:
    dev, holdout = replays(EPISODES, Split(salt="s"))
    assert {episode.episode_id for episode in dev.episodes}.isdisjoint(each.episode_id for each in holdout.episodes)
    assert dev.rights(START) == (True,) * len(dev.episodes)
    assert len(holdout.rights(START)) == len(holdout.episodes)


def test_a_split_is_named_by_what_it_says() -> None:
    assert Split(salt="s").digest != Split(salt="t").digest


def test_a_clause_whose_judge_would_have_to_be_asked_is_left_out_and_stops_nobody() -> None:
    judged = parameters(clause().replace("guards = [", 'guards = [{ kind = "judge", seat = "gate" }, '))
    assert Replay([run("fine", "bad")]).judge(judged)[0].stopped is None


def test_other_episodes_share_what_guards_said() -> None:
    first = Replay([run("fine")])
    assert first.rights(START) == (True,)
    assert first.of([run("bad", name="other")]).rights(START) == (False,)
