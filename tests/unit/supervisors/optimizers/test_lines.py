"""Items that people wrote, picked and left out by how sessions ended, without a word of anybody else's."""

from policies.gate.memory import Memory
from policies.loader import load
from policies.replay import Replay
from policies.vocabulary.episodes import Episode
from policies.vocabulary.revisions import AddLine, Choice, DeleteLine, Line, Parameters
from policies.vocabulary.steps import Part
from supervisors.optimizers.interface import Task
from supervisors.optimizers.lines import MOST, Lines
from tests.unit.supervisors.optimizers.test_search import POLICY

OWN = Line(id="own", text="Be quick.")
START = Parameters(app="shop", policies=(load(POLICY, "p.toml").policy,), instructions=(OWN,))
CHOICES = (
    Choice(line=Line(id="pay", text="Ask before you pay."), tools=("pay",)),
    Choice(line=Line(id="send", text="Ask before you send."), tools=("send",)),
    Choice(line=Line(id="look", text="Look first.")),
)


def episode(at: int, *, bad: bool, tool: str = "send", lines: tuple[str, ...] = ()) -> Episode:
    call = Part(kind="tool_call", tool=tool, text='{"text": "fine"}')
    return Episode(
        episode_id=f"e{at}", app="shop", group=f"e{at}", principal="k", at_ns=at, steps=(call,),
        bad=frozenset({0} if bad else ()), lines=lines, voices=("anna", "ben"),
    )  # fmt: skip


def task(*episodes: Episode, choices: tuple[Choice, ...] = CHOICES, memory: Memory | None = None) -> Task:
    return Task(parameters=START, dev=Replay(episodes), choices=choices, memory=memory or Memory())


def picked(given: Task) -> list[str]:
    return [
        edit.line.id for each in Lines().propose(given).proposals for edit in each.edits if isinstance(edit, AddLine)
    ]


def test_what_is_about_the_tools_that_went_wrong_is_suggested_to_the_byte_and_one_at_a_time() -> None:
    given = task(*[episode(at, bad=True) for at in range(4)], episode(9, bad=False, tool="pay"))
    found = Lines().propose(given).proposals
    assert picked(given) == ["send", "look"]
    assert len(found) <= MOST
    for each in found:
        (edit,) = each.edits
        assert isinstance(edit, AddLine)
        assert edit.line in [choice.line for choice in CHOICES]
        assert (each.aim, each.exact, each.support.library) == ("tries", False, f"lines/{edit.line.id}")


def test_what_was_tried_and_did_badly_comes_behind_what_was_never_tried() -> None:
    tried = [episode(at, bad=True, lines=("send",)) for at in range(6)]
    assert picked(task(*tried)) == ["look", "send"]
    did_well = [episode(20 + at, bad=False, lines=("send",)) for at in range(30)]
    assert picked(task(*tried, *did_well)) == ["send", "look"]


def test_nothing_is_suggested_where_nothing_went_wrong_or_it_was_refused_before() -> None:
    assert picked(task(*[episode(at, bad=False) for at in range(9)])) == []
    given = task(*[episode(at, bad=True) for at in range(4)])
    refused = frozenset(each.digest for each in Lines().propose(given).proposals)
    again = task(*[episode(at, bad=True) for at in range(4)], memory=Memory(refused=refused))
    assert picked(again) == []


def test_what_sessions_went_wrong_with_beyond_luck_is_left_out() -> None:
    without = [episode(at, bad=at < 2) for at in range(20)]
    hurt = [episode(50 + at, bad=at < 9, lines=("own",)) for at in range(12)]
    found = Lines().propose(task(*without, *hurt, choices=())).proposals
    assert [each.edits for each in found] == [(DeleteLine(line="own"),)]
    assert "9 of 12" in found[0].why
    lucky = [episode(50 + at, bad=at < 2, lines=("own",)) for at in range(12)]
    assert not Lines().propose(task(*without, *lucky, choices=())).proposals
