"""Proposals on live traffic, move by move: killed at any write, the next process goes on where it was."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config import Config
from gateway.optimizing.live import LiveLadder
from gateway.standing import Standing
from policies.gate.trial import Looked, Trial
from policies.vocabulary.bands import Band
from policies.vocabulary.ladder import Climb, Decision
from policies.vocabulary.revisions import Proposal, SetBands
from storage.revisions import Filed
from storage.store import Store
from tests.unit.gateway.test_standing import EVE, OTHER, RULES

SETTINGS = """
[optimizer]
shadow_requests = 20
shadow_hours = 0.0
"""

Becomes = Callable[[Trial, int], Looked]


class Killed(BaseException):
    """The process is gone."""


class House:
    """One data directory, and the process that has it open."""

    def __init__(
        self, folder: Path, becomes: Becomes, *, killed_at: int = 0, before: bool = True, keys: int = 0
    ) -> None:
        rules = folder / "rules.toml"
        rules.write_text(f"{RULES}\n[[clause]]{OTHER}")
        (folder / "stepwarden.toml").write_text(f'[app.default]\npolicy = ["{rules}"]\nenforce = true\n{SETTINGS}')
        self.config = Config.load(
            folder / "stepwarden.toml", environ={}, overrides={"gateway.data_dir": str(folder / "data")}
        )
        self._folder = folder
        self._becomes = becomes
        self._keys = keys
        self._left, self._before = killed_at, before
        self.seen = 0
        """Number of the newest session."""
        self.open()

    def open(self) -> None:
        """As a process does that starts."""
        self.store = Store.open(self._folder / "data")
        self.standing = Standing(self.store.revisions, self.config, newest=lambda: self.seen)
        self.standing.settle()
        self.ladder = LiveLadder(
            self.standing, self.store.revisions, self, newest=lambda: self.seen, configured={},  # type: ignore[arg-type]
            keys=lambda _: self._keys, revise=lambda change: change(self.standing), rest=lambda: None,
        )  # fmt: skip

    def mortal(self) -> None:
        """From here on the process dies at a write."""
        append = self.store.ledger.append

        def write(*given: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._before:
                raise Killed
            kept = append(*given, **more)
            if self._left == 0:
                raise Killed
            return kept

        self.store.ledger.append = write  # type: ignore[method-assign]

    # What it has in place of the record: sessions come as they are asked for.

    def due(self, app: str, after: int, *, now_ns: int, most: int) -> list[tuple[int, Any]]:
        del app, now_ns, most
        self.seen = max(self.seen, after) + 4
        return [(number, None) for number in range(after + 1, after + 5)]

    def look(self, number: int, row: Any, trial: Trial, beside: Any) -> Looked:
        del row, beside
        return self._becomes(trial, number)

    def filed(self) -> None:
        parameters = self.standing.parameters("default")
        edit = SetBands(clause="house/no-launch", action=(Band(at=60, do="reject"),))
        proposal = Proposal(app="default", parent=parameters.digest, author="optimizer:thresholds", edits=(edit,))
        rungs = ("rollback", "lint", "headroom", "minibatch", "holdout", "anchors", "fp_budget", "second_opinion")
        passed = [Decision(rung=rung, outcome="passed") for rung in rungs]
        waits = Decision(rung="shadow", outcome="waiting", why="watching")
        climb = Climb(
            proposal=proposal.digest, parent=proposal.parent, child="0", direction="tightens",
            decisions=(*passed, waits),
        )  # fmt: skip
        self.store.revisions.file(proposal, climb, now_ns=1)

    def one(self) -> Filed:
        return self.store.revisions.get(1)

    def lived(self, until: str, most: int = 400) -> None:
        """Look until the proposal is in a state; a person agrees as soon as one is asked."""
        for _ in range(most):
            filed = self.one()
            if filed.state == until:
                return
            if filed.climb.last.why == "needs_a_person" and filed.state == "waiting":
                self.standing.approve(1, EVE)
            else:
                self.ladder.look()
        raise AssertionError((self.one().state, self.one().climb.last, self.store.revisions.trial(1)))

    def moves(self) -> list[tuple[str, str, str]]:
        return [(each.state, each.rung, each.why) for each in self.store.revisions.moves(1)]

    def told(self) -> list[str]:
        kinds = ("proposal.", "canary.", "revision.")
        return [each for each in map(_type, self.store.ledger.entries(0, 1000).lines) if each.startswith(kinds)]


def _type(line: bytes) -> str:
    return line.partition(b'"type":"')[2].partition(b'"')[0].decode()


def regressing(trial: Trial, number: int) -> Looked:
    """Harmless as long as it is in its canary; in force, ten sessions in a hundred are stopped."""
    arm = None if trial.stage == "shadow" else "candidate"
    return Looked(
        number=number, session_id=f"s{number}", arm=arm, requests=1, harm=trial.stage == "watch" and number % 10 == 0
    )


WHOLE = [
    ("waiting", "shadow", "watching"),
    ("waiting", "approval", "needs_a_person"),
    ("waiting", "approval", "person_approved"),
    ("canary", "canary", "comparing"),
    ("active", "canary", "fine"),
    ("rolled_back", "rollback", "worse_live"),
]


def test_a_proposal_goes_up_the_ladder_and_back_down_by_itself(tmp_path: Path) -> None:
    house = House(tmp_path, regressing)
    house.filed()
    house.lived("active", 2000)
    assert house.standing.of("default") is not None
    house.lived("rolled_back")
    assert (house.moves(), house.standing.of("default")) == (WHOLE, None)
    assert house.told()[-2:] == ["proposal.judged", "revision.rolled_back"]
    house.store.close()


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_write_nothing_is_lost_and_nothing_doubled(tmp_path: Path, seed: int) -> None:
    lot = random.Random(seed)
    house = House(tmp_path, regressing, killed_at=lot.randrange(1, 70), before=lot.random() < 0.5)
    house.filed()
    house.mortal()
    try:
        house.lived("rolled_back", 2000)
    except Killed:
        house.store.close()
        house.open()
        house.lived("rolled_back", 2000)
    assert (house.moves(), house.standing.of("default")) == (WHOLE, None)
    told = house.told()
    for once in ("proposal.filed", "proposal.reviewed", "canary.begun", "revision.rolled_back"):
        assert told.count(once) == 1
    assert told.count("revision.activated") == 2  # what the files say, and the proposal
    house.store.close()


def test_a_canary_that_harms_ends_and_its_sessions_go_back_at_once(tmp_path: Path) -> None:
    def harming(trial: Trial, number: int) -> Looked:
        arm = None if trial.stage == "shadow" else "candidate"
        return Looked(number=number, session_id=f"s{number}", arm=arm, requests=1, harm=number % 3 == 0)

    house = House(tmp_path, harming)
    house.filed()
    house.lived("canary")
    arm = house.standing.line("default").arm
    assert arm is not None
    assert arm.revision in house.standing.line("default").kept
    assert house.standing.line("nobody-configured") == house.standing.line("default"), "in the canary like everybody"
    house.lived("refused")
    assert (house.one().climb.last.why, house.standing.line("default").arm) == ("worse_live", None)
    assert house.standing.line("default").kept == {""}
    assert house.one().proposal.digest in house.store.revisions.memory("default", cooldown_ns=1).refused
    house.store.close()


def test_what_was_made_from_something_else_ends_and_may_be_made_again(tmp_path: Path) -> None:
    house = House(tmp_path, regressing)
    house.filed()
    house.lived("canary")
    rules = tmp_path / "rules.toml"
    rules.write_text(rules.read_text().replace("at = 90", "at = 80"))
    house.standing.settle()
    house.ladder.look()
    assert (house.one().state, house.one().climb.last.why) == ("refused", "overtaken")
    assert house.store.revisions.memory("default", cooldown_ns=1).refused == frozenset()
    assert house.standing.line("default").arm is None
    house.store.close()


def test_what_a_person_put_in_force_while_sessions_were_looked_at_stays(tmp_path: Path) -> None:
    """The deciding look takes a while; the word that comes meanwhile is not overturned by it."""
    meanwhile: list[str] = []

    def becomes(trial: Trial, number: int) -> Looked:
        looked = regressing(trial, number)
        if trial.stage == "watch" and not meanwhile:
            meanwhile.append(house.store.revisions.chain("default")[-1].revision.digest)
            house.standing.activate(meanwhile[0], EVE)
        return msgspec.structs.replace(looked, harm=looked.harm or trial.stage == "watch")

    house = House(tmp_path, becomes)
    house.filed()
    house.lived("active", 2000)
    for _ in range(40):
        house.ladder.look()
    assert meanwhile
    assert house.standing.of("default") is None, "what the files say, as Eve wanted"
    assert "revision.rolled_back" not in house.told()
    house.store.close()


def test_what_one_key_of_several_speaks_against_waits_for_a_person_and_is_told_once(tmp_path: Path) -> None:
    def becomes(trial: Trial, number: int) -> Looked:
        return msgspec.structs.replace(regressing(trial, number), key="k1" if number < 20_000 else f"k{number % 2}")

    house = House(tmp_path, becomes, keys=3)
    house.filed()
    house.lived("active", 2000)
    for _ in range(200):
        house.ladder.look()
    assert house.moves()[-1] == ("active", "rollback", "one_voice")
    assert [why for *_, why in house.moves()].count("one_voice") == 1
    assert house.standing.of("default") is not None, "it stays until somebody else speaks"
    house.seen = 20_000
    trial = house.store.revisions.trial(1)
    assert trial is not None
    house.standing.advance(1, msgspec.structs.replace(trial, cursor=20_000), [])
    house.lived("rolled_back")
    assert house.moves()[-1] == ("rolled_back", "rollback", "worse_live")
    house.store.close()
