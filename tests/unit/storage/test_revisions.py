"""Proposals and revisions on disk: every move with its entry, nothing changed afterwards, one pointer to go back by."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policies.gate.ladder import LADDER, climb
from policies.gate.trial import Trial
from policies.parameters import apply
from policies.vocabulary.holds import Review
from policies.vocabulary.revisions import AddLine, Line, Parameters, Proposal, Revision
from storage.errors import ProposalDecided, ProposalNotFound, RevisionNotFound
from storage.ledger import Ledger
from storage.revisions import Arrival, Filed, Kept, RevisionBook
from storage.secret import Secret
from tests.unit.policies.gate.cases import STRICTER, Given, case, pairs
from tests.unit.policies.revised import parameters

ANNA = Review(actor="owner", by="Anna", reason="looked at each")
START = parameters()
SECRET = "the quick brown fox never asks twice"


class Desk:
    """A book over files that can be closed and opened again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ledger = Ledger(folder)
        self.book = RevisionBook(self.ledger, Secret(bytes(32)))

    def restarted(self) -> "Desk":
        self.ledger.close()
        return Desk(self._folder)

    def said(self) -> list[dict[str, Any]]:
        lines = [msgspec.json.decode(line) for line in self.ledger.entries(0, 1000).lines]
        return [line for line in lines if line["type"] != "log.opened"]

    def filed(self, **given: Any) -> Filed:
        made = case(STRICTER, **given)
        return self.book.file(made.proposal, climb(made, LADDER), now_ns=10)

    def activated(self, edits: Any, now: Kept | None, number: int | None = None, proposal: str | None = None) -> Kept:
        after = apply(START if now is None else now.parameters, edits) if edits else START
        revision = Revision(
            app="shop", parent=None if now is None else now.revision.digest, parameters=after.digest,
            author="optimizer:test", proposal=proposal, at_ns=20,
        )  # fmt: skip
        kept = Kept(revision=revision, parameters=after)
        self.book.activate(kept, arrival=None if number is None else Arrival(number=number, at_ns=20), actor="gateway")
        return kept


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.ledger.close()


def test_a_refusal_is_kept_with_its_reason_and_stands_in_the_log(desk: Desk) -> None:
    found = desk.filed(trials=Given(kept=pairs(5, 5, 190)))
    assert (found.state, found.climb.last.rung) == ("refused", "holdout")
    filed, judged = desk.said()
    assert (filed["type"], filed["principals"], filed["sessions"]) == ("proposal.filed", 2, 3)
    assert (judged["rung"], judged["outcome"], judged["why"]) == ("holdout", "refused", "not_significant")
    assert judged["passed"] == ["rollback", "lint", "headroom", "minibatch"]
    with pytest.raises(ProposalDecided) as over:
        desk.book.judge(found.number, found.climb, now_ns=11)
    assert over.value.remedy()


def test_a_proposal_waits_for_a_person_and_goes_on_over_a_restart(desk: Desk) -> None:
    found = desk.filed(of={"confirm": True})
    assert (found.state, found.climb.last.why) == ("waiting", "needs_a_person")
    later = desk.restarted()
    approved = later.book.judge(found.number, found.climb, answer=ANNA, now_ns=30)
    assert (approved.state, approved.decided_by, approved.decided_reason) == ("waiting", "Anna", "looked at each")
    assert approved.climb == found.climb
    entry = later.said()[-2]
    assert (entry["type"], entry["decision"]) == ("proposal.reviewed", "approved")
    assert entry["by"].startswith("person_")
    assert "looked" not in str(entry)
    later.ledger.close()


def test_a_persons_no_is_final(desk: Desk) -> None:
    found = desk.filed(of={"confirm": True})
    assert desk.book.reject(found.number, ANNA, now_ns=30).state == "rejected"
    with pytest.raises(ProposalDecided):
        desk.book.judge(found.number, found.climb, answer=ANNA, now_ns=31)
    with pytest.raises(ProposalNotFound):
        desk.book.get(99)


def test_a_canary_is_told_apart_from_waiting(desk: Desk) -> None:
    assert desk.filed().state == "canary"
    assert [each.state for each in desk.book.list(app="shop", state="canary")] == ["canary"]
    assert desk.book.list(app="bank") == []


def test_a_proposal_is_shown_as_it_stood_between_two_moves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks while a trial ends finds it running or over, and never a proposal in trial that has none."""
    number = desk.filed().number
    desk.book.advance(number, Trial(stage="canary", cursor=1), [], now_ns=11)
    mover = threading.Thread(target=desk.book.reject, args=(number, ANNA), kwargs={"now_ns": 12})
    get = RevisionBook.get

    def meanwhile(book: RevisionBook, asked: int) -> Filed:
        found = get(book, asked)
        if mover.ident is None:  # the first to ask is whoever shows it; the mover asks as well
            mover.start()
            mover.join(1)
        return found

    monkeypatch.setattr(RevisionBook, "get", meanwhile)
    shown = desk.book.whole(number, woulds=1)
    mover.join()
    assert (shown.filed.state, shown.trial is None) == ("canary", False)
    assert (shown := desk.book.whole(number, woulds=1)).filed.state == "rejected"
    assert (shown.trial, shown.moves[-1].state, shown.woulds) == (None, "rejected", [])


def test_what_is_in_force_is_one_pointer_into_a_chain_that_never_changes(desk: Desk) -> None:
    assert desk.book.in_force("shop") is None
    first = desk.activated((), None)
    found = desk.filed()
    second = desk.activated((STRICTER,), first, number=found.number, proposal=found.proposal.digest)
    assert desk.book.in_force("shop") == second
    assert desk.book.chain("shop") == (second, first)
    assert desk.book.get(found.number).state == "active"
    with pytest.raises(RevisionNotFound):  # made from something that is not in force any more
        desk.activated((STRICTER,), first)
    back = desk.book.roll_back("shop", first.revision.digest, answer=ANNA, now_ns=40)
    assert back == first == desk.book.in_force("shop")
    assert desk.book.revision(second.revision.digest) == second
    assert desk.book.get(found.number).state == "rolled_back"
    kinds = [entry["type"] for entry in desk.said()]
    assert kinds[-2:] == ["revision.activated", "revision.rolled_back"]
    with pytest.raises(RevisionNotFound) as gone:
        desk.book.roll_back("shop", second.revision.digest, answer=ANNA, now_ns=41)
    assert gone.value.remedy()


def test_what_was_taken_back_is_remembered_until_its_time_is_over(desk: Desk) -> None:
    first = desk.activated((), None)
    found = desk.filed()
    desk.activated((STRICTER,), first, number=found.number, proposal=found.proposal.digest)
    desk.book.roll_back("shop", first.revision.digest, answer=ANNA, now_ns=1000)
    memory = desk.book.memory("shop", cooldown_ns=500)
    assert memory.refused == {found.proposal.digest}
    assert memory.resting == {"p/rule": 1500}
    assert desk.book.memory("bank", cooldown_ns=500).refused == frozenset()


def test_learned_text_stands_sealed_in_the_file_and_nowhere_in_the_log(desk: Desk, tmp_path: Path) -> None:
    edit = AddLine(line=Line(id="a", text=SECRET))
    made = case(edit)
    desk.book.file(made.proposal, climb(made), now_ns=1)
    kept = desk.activated((edit,), desk.activated((), None))
    assert kept.parameters.instructions[0].text == SECRET
    desk.ledger.close()
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    desk.ledger = Ledger(tmp_path)


def test_a_move_that_cannot_be_written_leaves_no_entry(desk: Desk) -> None:
    found = desk.filed()
    before = desk.said()
    desk.ledger._file.connection.execute("DROP TABLE revision")
    with pytest.raises(Exception, match="revision"):
        desk.activated((), None, number=found.number)
    assert desk.said() == before
    assert desk.book.get(found.number).state == "canary"


def test_parameters_and_proposals_are_read_as_they_were_written() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(START), type=Parameters) == START
    made = case(STRICTER).proposal
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Proposal) == made
