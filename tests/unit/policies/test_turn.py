"""What a turn says in several texts is read in a row, as its clients read it."""

from typing import Any

import msgspec
import pytest

from policies.evaluate import Judgement, Settings
from policies.guards.interface import UNSCANNED
from policies.guards.pattern import PatternSpec
from policies.trail import Scene, Trail
from policies.turn import said_before
from policies.vocabulary.clauses import Band
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import Part, StepKind
from tests.unit.policies.test_evaluate import REJECT, Scripted, Ticking, clause, ruleset, spec

ENFORCED = Settings(enforce=True)
REDACT = (Band(at=75, do="redact"),)


def text(said: str, pointer: str = "/content/0", **fields: Any) -> Part:
    return Part(kind="model_text", text=said, pointer=pointer, **fields)


def before(step: Part, *parts: Part, most: int = 100) -> str:
    return said_before(Scene(step=step, trail=Trail(parts=parts)), most)


def judged(pattern: str, *parts: Part, **fields: Any) -> Judgement:
    given: dict[str, Any] = {"steps": ("model_text", "user_input", "tool_result")} | fields
    given.setdefault("guards", (spec(pattern or "a"),))
    scene = Scene(step=parts[-1], trail=Trail(parts=parts[:-1]))
    return ruleset(clause(**given), settings=ENFORCED).judge(scene, clock=Ticking())


def test_texts_are_put_in_a_row_whatever_stands_between_them() -> None:
    call = Part(kind="tool_call", text="{}", tool="look")
    fetched = Part(kind="tool_result", text="a page", server_side=True)
    thought = Part(kind="reasoning", text="Hm.")
    assert before(text("now"), text("One "), call, fetched, text("two "), thought) == "One two "
    assert before(text("now"), text("One "), text("two "), most=5) == " two "
    assert before(Part(kind="reasoning", text="So."), text("One "), thought) == "Hm."


@pytest.mark.parametrize("kind", ["user_input", "tool_result", "instructions", "tool_definitions", "retrieval"])
def test_a_turn_begins_where_the_model_was_told_something(kind: StepKind) -> None:
    assert before(text("now"), text("One "), Part(kind=kind, text="Go on."), text("two ")) == "two "


def test_what_is_no_speech_is_in_no_row() -> None:
    cited = text('{"cited_text": "elsewhere"}', "/content/0/citations/0")
    assert before(text("now"), text("One "), cited) == "One "
    assert before(cited, text("One ")) == ""
    assert before(text("now"), text("{}", unread="unknown block x")) == ""
    assert before(text("{}", unread="unknown block x"), text("One ")) == ""
    assert before(Part(kind="tool_call", text="{}"), text("One ")) == ""
    assert before(Part(kind="user_input", text="Hi"), text("One ")) == ""


def test_choices_are_rows_of_their_own_and_each_goes_on_from_what_was_begun_for_it() -> None:
    first, second = "/choices/0/message/content", "/choices/1/message/content"
    begun = text("Begun ", "/content")
    assert before(text("now", second), begun, text("One ", first), text("two ", second)) == "Begun two "


def test_what_stands_over_the_seam_of_two_texts_is_found_and_said_where_it_ends() -> None:
    found = judged("secret", text("the sec"), text("ret is out"))
    assert found.verdict.name == "reject"
    (finding,) = found.findings
    assert [(each.start, each.end) for each in finding.evidence] == [(0, 3)]
    assert finding.note == "begins 3 bytes before this text, in what the same turn said before it"
    assert found.edits == ()
    assert judged("secret", text("the sec"), Part(kind="user_input", text="ret"), text("ret is out")).findings == ()


def test_what_has_to_go_is_said_with_the_bytes_before_the_text_that_go_with_it() -> None:
    found = judged("secret", text("thé sec"), text("ret and ä secret"), action=REDACT)
    assert [(edit.start, edit.end) for edit in found.edits] == [(0, 3), (11, 17)]
    assert found.reach == 3
    assert judged("secret", text("a secret"), text(" and a secret"), action=REDACT).reach == 0


def test_what_begins_before_is_told_from_the_same_words_without_their_beginning() -> None:
    rule = {"kind": "pattern", "rules": [{"id": "any", "pattern": "s?ecret"}]}
    guards = (msgspec.convert(rule, PatternSpec),)
    assert judged("", text("the s"), text("ecret"), action=REDACT, guards=guards).reach == 1


def test_all_that_any_clause_takes_out_before_a_text_goes() -> None:
    scene = Scene(step=text("ret now"), trail=Trail(parts=(text("the sec"),)))
    long, short, none = (clause(name, action=REDACT, guards=(spec(name),)) for name in ("secret", "cret", "now"))
    for rules in ((long, short, none), (none, short, long)):
        found = ruleset(*rules, settings=ENFORCED).judge(scene, clock=Ticking())
        assert (found.reach, found.verdict.name) == (3, "redact")


def test_a_text_is_not_blamed_for_what_the_text_before_it_holds() -> None:
    found = judged("secret", text("a secret"), text("and on"))
    assert (found.verdict.name, found.findings) == ("allow", ())
    alone = judged("secret", text("a secret"), text("a secret"))
    assert [[(each.start, each.end) for each in finding.evidence] for finding in alone.findings] == [[(2, 8)]]


def test_only_policies_that_act_take_anything_out() -> None:
    assert judged("secret", text("sec"), text("ret"), action=REDACT, mode="shadow").reach == 0


class Contextual(Scripted):
    """Finds a number where the word before it says what it is."""

    def examine(self, scene: Scene) -> list[Hit]:
        super().examine(scene)
        at = scene.step.text.find("pin: 1234")
        evidence = Evidence(start=at + 5, end=at + 9, label="pin")
        return [Hit(score=90, evidence=(evidence,))] if at >= 0 else []


def test_a_text_that_means_something_behind_the_one_before_it_is_found_as_its_own() -> None:
    guard = Contextual()
    scene = Scene(step=text("1234 it is"), trail=Trail(parts=(text("The pin: "),)))
    found = ruleset(clause(action=REDACT), guards=[guard], settings=ENFORCED).judge(scene, clock=Ticking())
    assert [(edit.start, edit.end) for edit in found.edits] == [(0, 4)]
    assert (found.reach, found.findings[0].note) == (0, "")
    assert [each.step.text for each in guard.scenes] == ["1234 it is", "The pin: 1234 it is"]


class Everywhere(Scripted):
    """Finds an `a` with the one before it, and says how much it did not look at."""

    def examine(self, scene: Scene) -> list[Hit]:
        super().examine(scene)
        said = scene.step.text
        places = [(at, at + 2) for at in range(len(said)) if said[at : at + 2] == "aa"]
        found = [Evidence(start=start, end=end, label="a") for start, end in places]
        tail = Evidence(start=4, end=len(said), label=UNSCANNED)
        return [
            Hit(score=50, state="unsure", evidence=(tail,)),
            *([Hit(score=90, evidence=tuple(found))] if found else []),
        ]


@pytest.mark.parametrize("window", [2, None])
def test_a_guard_says_of_a_text_behind_another_only_what_is_new(window: int | None) -> None:
    guard = Everywhere(window=window)
    scene = Scene(step=text("a-aab"), trail=Trail(parts=(text("aa-a"),)))
    clock = Ticking(1000)
    found = ruleset(clause(action=REDACT), guards=[guard], settings=ENFORCED).judge(scene, clock=clock)
    assert [[(each.start, each.end) for each in finding.evidence] for finding in found.findings] == [
        [(4, 5)],
        [(2, 4)],
        [(0, 1)],
    ]
    assert found.reach == 1
    assert [(row.scanned, row.size, row.micros) for row in found.coverage] == [(4, 5, 2)]


class Both(Scripted):
    """Finds what stands over the seam and, only behind the text before, something further on."""

    def examine(self, scene: Scene) -> list[Hit]:
        super().examine(scene)
        if "|" not in scene.step.text:
            return []
        return [Hit(score=90, evidence=(Evidence(start=6, end=7, label="b"), Evidence(start=2, end=5, label="a")))]


def test_how_far_a_hit_begins_before_a_text_is_that_of_its_first_range() -> None:
    scene = Scene(step=text("defgh"), trail=Trail(parts=(text("ab|c"),)))
    found = ruleset(clause(action=REDACT), guards=[Both()], settings=ENFORCED).judge(scene, clock=Ticking())
    assert found.reach == 2
    assert [(edit.start, edit.end) for edit in found.edits] == [(0, 1), (2, 3)]


def test_a_guard_looks_once_at_a_text_that_is_the_first_of_its_turn() -> None:
    guard = Scripted()
    scene = Scene(step=text("One"), trail=Trail(parts=(Part(kind="user_input", text="Hi"),)))
    ruleset(clause(), guards=[guard], settings=ENFORCED).judge(scene, clock=Ticking())
    assert guard.asked == 1


class Failing(Scripted):
    """A guard that fails on what is long."""

    def examine(self, scene: Scene) -> list[Hit]:
        if len(scene.step.text) > 5:
            raise ValueError("too long")
        return [Hit(score=10, state="unsure")]


def test_a_guard_that_fails_over_the_seam_did_not_run() -> None:
    scene = Scene(step=text("two"), trail=Trail(parts=(text("One "),)))
    found = ruleset(clause(action=REJECT), guards=[Failing()], settings=ENFORCED).judge(scene, clock=Ticking())
    assert found.verdict.name == "hold"
    assert [(row.state, row.skipped) for row in found.coverage] == [("error", "raised:ValueError")]
    assert [finding.score for finding in found.findings if finding.state != "error"] == [10]
