"""What stands in place of policy files: on whose word it changes, what wins, and what never changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import Config
from gateway.standing import FILES, NoEarlier, NotApplied, NotPassed, Stale, Standing
from policies.gate.trial import Trial
from policies.mistakes import BadPolicy
from policies.parameters import EditRefused, protected
from policies.vocabulary.bands import Band
from policies.vocabulary.holds import Review
from policies.vocabulary.ladder import Climb, Decision, Outcome, Why
from policies.vocabulary.modes import Modes
from policies.vocabulary.revisions import (
    AddLine,
    DeleteClause,
    DescribeTool,
    Edit,
    Line,
    Parameters,
    Proposal,
    SetBands,
)
from storage.errors import ProposalDecided
from storage.revisions import Kept
from storage.store import Store

EVE = Review(actor="owner", by="Eve", reason="the labels say so")

RULES = """
[policy]
id = "house"
description = "What holds in these tests."

[[clause]]
id = "no-launch"
text = "Nothing is launched."
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "pattern", rules = [{ id = "any", pattern = "noon", score = 95 }] }]
action = [{ at = 90, do = "reject" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "noon" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "dawn" } }]
"""

OTHER = (
    RULES.partition("[[clause]]")[2]
    .replace("no-launch", "kept")
    .replace('mode = "enforce"', 'mode = "enforce"\nprotected = true')
)


class House:
    def __init__(self, folder: Path, more: str = "") -> None:
        self.rules = folder / "rules.toml"
        self.rules.write_text(f"{RULES}\n[[clause]]{OTHER}")
        (folder / "stepwarden.toml").write_text(f'[app.default]\npolicy = ["{self.rules}"]\nenforce = true\n{more}')
        self.config = Config.load(
            folder / "stepwarden.toml", environ={}, overrides={"gateway.data_dir": str(folder / "data")}
        )
        self.store = Store.open(folder / "data")
        self.standing = self.started()

    def started(self) -> Standing:
        """As a gateway does that starts now."""
        standing = Standing(self.store.revisions, self.config, newest=self.store.newest_session)
        standing.settle()
        return standing

    def filed(self, edit: Edit | None = None, *, outcome: Outcome = "waiting", why: Why = "needs_a_person") -> int:
        """A proposal that came to the rung where a person answers, or was refused on the way."""
        parameters = self.standing.parameters("default")
        edit = edit or SetBands(clause="house/no-launch", action=(Band(at=60, do="reject"),))
        proposal = Proposal(app="default", parent=parameters.digest, author="optimizer:thresholds", edits=(edit,))
        offline = ("rollback", "lint", "headroom", "minibatch", "holdout", "anchors", "fp_budget", "second_opinion")
        passed = [Decision(rung=rung, outcome="passed") for rung in offline]
        last = Decision(rung="approval" if outcome == "waiting" else "holdout", outcome=outcome, why=why)
        decisions = (*passed, last) if outcome == "waiting" else (*passed[:4], last)
        climb = Climb(
            proposal=proposal.digest, parent=proposal.parent, child="0", direction="tightens", decisions=decisions
        )
        return self.store.revisions.file(proposal, climb, now_ns=1).number

    def put(self, number: int) -> Kept:
        """In force at once, on Eve's word."""
        assert self.standing.approve(number, EVE, at_once=True).state == "active"
        kept = self.store.revisions.in_force("default")
        assert kept is not None
        return kept

    def acting(self) -> int:
        """From which score on the clause acts."""
        return bands(self.standing.parameters("default"))


def bands(parameters: Parameters) -> int:
    return parameters.policies[0].clause[0].action[0].at


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


def test_a_persons_word_puts_it_in_force_and_takes_it_back(house: House) -> None:
    guarded = protected(house.standing.parameters("default"))
    assert (house.standing.of("default"), house.acting()) == (None, 90)
    kept = house.put(house.filed())
    assert (house.standing.of("anybody"), house.acting()) == (kept.revision.digest, 60)
    assert protected(house.standing.parameters("default")) == guarded
    assert house.started().of("default") == kept.revision.digest
    first = house.standing.roll_back("default", None, EVE)
    assert (first.revision.author, house.standing.of("default"), house.acting()) == (FILES, None, 90)
    with pytest.raises(NoEarlier):
        house.standing.roll_back("default", None, EVE)
    house.standing.activate(kept.revision.digest, EVE)
    assert house.acting() == 60


def test_what_a_rung_refused_no_word_puts_in_force(house: House) -> None:
    for outcome, why in (("refused", "not_significant"), ("abstained", "holdout_too_small")):
        with pytest.raises(NotPassed, match=why):
            house.standing.approve(house.filed(outcome=outcome, why=why), EVE)  # type: ignore[arg-type]
    assert house.standing.of("default") is None


def test_what_was_made_from_something_else_is_stale_and_what_was_decided_stays_so(house: House) -> None:
    first, second = house.filed(), house.filed(SetBands(clause="house/no-launch", action=(Band(at=70, do="reject"),)))
    house.put(first)
    with pytest.raises(Stale):
        house.standing.approve(second, EVE)
    house.standing.reject(second, EVE)
    with pytest.raises(ProposalDecided):
        house.standing.reject(second, EVE)


def test_a_protected_clause_never_changes(house: House) -> None:
    with pytest.raises(EditRefused) as refused:
        house.standing.approve(house.filed(DeleteClause(clause="house/kept")), EVE)
    assert refused.value.why == "protected"
    assert house.standing.of("default") is None


def test_what_was_in_force_once_brings_back_nothing_that_is_protected_otherwise_by_now(house: House) -> None:
    kept = house.put(house.filed())
    house.rules.write_text(house.rules.read_text().replace("at = 90", "at = 80"))
    house.standing.settle()
    with pytest.raises(EditRefused) as refused:
        house.standing.activate(kept.revision.digest, EVE)
    assert refused.value.why == "protected"
    assert (house.standing.of("default"), house.acting()) == (None, 80)


def test_files_that_a_person_changed_win_and_there_is_no_way_back_beyond_them(house: House) -> None:
    kept = house.put(house.filed())
    house.rules.write_text(house.rules.read_text().replace("at = 90", "at = 80"))
    house.standing.settle()
    assert (house.standing.of("default"), house.acting()) == (None, 80)
    with pytest.raises(NoEarlier):
        house.standing.roll_back("default", kept.revision.digest, EVE)
    authors = [each.revision.author for each in house.store.revisions.chain("default")]
    assert authors == [FILES, "optimizer:thresholds", FILES]
    assert house.started().of("default") is None


def test_of_each_app_the_audit_log_is_told_what_is_in_force(house: House) -> None:
    from gateway.activation import activation  # noqa: PLC0415
    from gateway.in_force import in_force  # noqa: PLC0415

    files = activation(house.config, in_force(house.config))
    assert house.standing.corrected(files) == files
    house.put(house.filed())
    (told,) = house.standing.corrected(files)
    assert told.policy == house.standing.rulesets(Modes(()), 0)["default"].revision
    assert told.clauses["house/kept"] == files[0].clauses["house/kept"]
    assert told.clauses["house/no-launch"] != files[0].clauses["house/no-launch"]


def test_a_revision_whose_guard_no_longer_parses_leaves_the_files_in_force(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    kept = house.put(house.filed())
    broken = msgspec.to_builtins(kept.parameters)
    broken["policies"][0]["clause"][0]["guards"] = [{"kind": "of-a-newer-version"}]
    content = {"revision": msgspec.to_builtins(kept.revision), "parameters": broken}
    name = kept.revision.digest
    book: Any = house.store.revisions
    sealed = book._sealer.seal(msgspec.msgpack.encode(content), name.encode())
    change = "UPDATE revision SET content = ? WHERE revision_id = ?"
    house.store.ledger.write([(change, (sealed, name))], entries=())
    started = house.started()
    assert started.of("default") is None
    assert bands(started.parameters("default")) == 90
    assert "cannot be read" in caplog.text


def test_lines_of_a_file_are_kept_as_the_beginning_and_a_file_that_changes_wins(tmp_path: Path) -> None:
    (tmp_path / "lines.toml").write_text('[[line]]\nid = "a"\ntext = "Ask first."\n')
    house = House(tmp_path, more='instructions = "lines.toml"\n')
    try:
        (first,) = house.store.revisions.chain("default")
        assert (first.revision.author, [line.text for line in first.parameters.instructions]) == (FILES, ["Ask first."])
        assert house.standing.of("default") is None
        number = house.filed(AddLine(line=Line(id="b", text="Say what you did.")))
        kept = house.put(number)
        assert [line.id for line in house.standing.parameters("default").instructions] == ["a", "b"]
        assert house.started().of("default") == kept.revision.digest
        (tmp_path / "lines.toml").write_text('[[line]]\nid = "c"\ntext = "Ask twice."\n')
        assert house.started().of("default") is None
        assert [line.id for line in house.standing.parameters("default").instructions] == ["a", "b"]
    finally:
        house.store.close()


def test_what_would_be_in_no_request_cannot_be_put_in_force(house: House) -> None:
    for edit in (AddLine(line=Line(id="b", text="Say it.")), DescribeTool(tool="pay", description="Pays.")):
        with pytest.raises(NotApplied):
            house.standing.approve(house.filed(edit), EVE, at_once=True)
    guided = AddLine(line=Line(id="noon", text="Noon is a launch, too."), clause="house/no-launch")
    house.put(house.filed(guided))
    (rule, _) = house.standing.rulesets(Modes(()), 0)["default"].rules
    assert rule.guidance == "Noon is a launch, too."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[line]]", "is no instruction set"),
        ("line = 3", "is no instruction set"),
        ("[[", "is not TOML"),
        ('[[line]]\nid = "a"\ntext = "x"\n[[line]]\nid = "a"\ntext = "y"', "a second item `a`"),
        ('[[line]]\nid = "a"\ntext = "' + "x" * 401 + '"', "is no instruction set"),
    ],
)
def test_an_instruction_set_that_does_not_check_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "lines.toml").write_text(text)
    with pytest.raises(BadPolicy, match=said):
        House(tmp_path, more='instructions = "lines.toml"\n')


def test_a_proposal_that_cannot_be_read_keeps_no_other_from_going_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    book: Any = house.store.revisions
    stricter = SetBands(clause="house/no-launch", action=(Band(at=50, do="reject"),))
    readable, other = house.filed(), book.get(house.filed(stricter))
    broken = msgspec.to_builtins(other.proposal)
    broken["edits"] = [{"edit": "add_guard", "clause": "house/no-launch", "guard": {"kind": "of-a-newer-version"}}]
    sealed = book._sealer.seal(msgspec.msgpack.encode(broken), other.proposal.digest.encode())
    change = "UPDATE proposal SET content = ? WHERE id = ?"
    house.store.ledger.write([(change, (sealed, other.number))], entries=())
    assert [each.number for each in book.list(app="default")] == [readable]
    assert [each.number for each in book.live(asleep=True)] == [readable]
    assert book.memory("default", cooldown_ns=1).refused == frozenset()
    assert "cannot be read" in caplog.text
    house.put(readable)
    assert house.standing.of("default") is not None


def test_what_an_older_version_wrote_is_read(house: House) -> None:
    """Items had counters of their own, and trials the keys that were seen."""
    kept = house.put(house.filed())
    older = msgspec.to_builtins(kept)
    older["parameters"]["instructions"] = [{"id": "a", "text": "Be kind.", "helped": 3, "hurt": 1, "expires_ns": None}]
    assert msgspec.convert(older, Kept).parameters.instructions == (Line(id="a", text="Be kind."),)
    trial = msgspec.to_builtins(Trial(stage="watch", cursor=4)) | {"keys": ["k1"], "harmed": ["k1"]}
    assert msgspec.convert(trial, Trial).harmed == ("k1",)
