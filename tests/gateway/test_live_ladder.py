"""Proposals on live traffic: what a session began under, shadow, canary, and the way back, over the wire."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import run
from policies.gate.canary import arm_of
from policies.vocabulary.bands import Band
from policies.vocabulary.ladder import Climb, Decision, RungName
from policies.vocabulary.revisions import Proposal, SetBands, Support
from storage.store import Store
from tests.fakes.gateway import config_text, free_port
from tests.fakes.provider import TURN, in_turn, say
from tests.gateway.house import CHAT, House, standing, waited
from tests.gateway.rawhttp import Response
from tests.gateway.test_optimizing import CLAUSE, RULES, WORD, entries
from tests.gateway.test_policies import calling, tools_of

OFFLINE: tuple[RungName, ...] = (
    "rollback", "lint", "headroom", "minibatch", "holdout", "anchors", "fp_budget", "second_opinion",
)  # fmt: skip

SHARE = 0.5

LIVE = """
[optimizer]
budget = 0.25
shadow_requests = {requests}
shadow_hours = 0.0
canary_share = 0.5
session_minutes = {minutes}
"""


def settings(folder: Path, *, requests: int = 5, minutes: float = 0.0) -> str:
    """`minutes`: how old sessions are when they are looked at."""
    rules = folder / "rules.toml"
    if not rules.exists():
        rules.write_text(RULES)
    live = LIVE.format(requests=requests, minutes=minutes)
    return f'[app.default]\npolicy = ["{rules}"]\nenforce = true\n{live}'


def filed(folder: Path, more: str) -> str:
    """A proposal that passed all that asks no live traffic, in a store that no gateway has open; its digest."""
    from gateway.config import Config  # noqa: PLC0415
    from gateway.standing import Standing  # noqa: PLC0415

    (folder / "stepwarden.toml").write_text(config_text(port=free_port(), folder=folder, providers={}, more=more))
    config = Config.load(folder / "stepwarden.toml", environ={}, overrides={"gateway.data_dir": str(folder / "data")})
    store = Store.open(folder / "data")
    try:
        held = Standing(store.revisions, config, newest=store.newest_session)
        held.settle()
        before = held.parameters("default")
        proposal = Proposal(
            app="default", parent=before.digest, author="optimizer:thresholds", support=Support(principals=("a", "b")),
            edits=(SetBands(clause=CLAUSE, action=(Band(at=50, do="reject"),)),),
        )  # fmt: skip
        passed = [Decision(rung=rung, outcome="passed") for rung in OFFLINE]
        waits = Decision(rung="shadow", outcome="waiting", why="watching")
        climb = Climb(
            proposal=proposal.digest, parent=before.digest, child="0" * 32, direction="tightens",
            decisions=(*passed, waits),
        )  # fmt: skip
        store.revisions.file(proposal, climb, now_ns=1)
        return proposal.digest
    finally:
        store.close()


def proposal(house: House, number: int = 1) -> dict[str, Any]:
    return json.loads(house.control(f"/api/proposals/{number}")[1])


def until(house: House, state: str, number: int = 1, rung: str | None = None) -> dict[str, Any]:
    def read() -> dict[str, Any] | None:
        found = proposal(house, number)
        there = found["state"] == state and rung in {None, found["rungs"][-1]["rung"]}
        return found if there else None

    return waited(read, seconds=60)


def asked(house: House, session: str, *, at: str = "dawn") -> Response:
    """One request of an agent in a session that it names, whose model wants to launch at such a time."""
    house.provider.script = in_turn(say("chat", calling("launch", json.dumps({"at": at}))), say("chat", TURN))
    messages = [{"role": "user", "content": f"{session} at {at}"}]
    body = CHAT.request_body(stream=False, messages=messages, tools=tools_of(CHAT, "launch"))
    return house.ask(CHAT.call(body=body, headers=[(b"stepwarden-session", session.encode())]))


def ran(house: House, session: str, *, at: str = "dawn") -> bool:
    """The same; whether the call came through."""
    return b'"launch"' in asked(house, session, at=at).body


def looked_at(house: House, state: str, **figures: int) -> None:
    """Wait until a trial's figures are as large, or it is over: agents are not as quick as this test."""

    def read() -> bool | None:
        found = proposal(house)
        if found["state"] != state:
            return True
        return True if all(found["trial"]["figures"][name] >= least for name, least in figures.items()) else None

    waited(read, seconds=60)


def looks(house: House) -> None:
    """Wait until sessions are looked at, if any more have to be: what comes before is not."""

    def read() -> bool | None:
        found = proposal(house)
        return True if found["trial"] or found["rungs"][-1]["rung"] == "approval" else None

    waited(read, seconds=60)


def drawn(house: House, digest: str, prefix: str, arm: str) -> str:
    """A session of one arm, which has begun by now."""
    for at in range(200):
        name = f"{prefix}-{at}"
        if arm_of(session_of(house, name), digest, SHARE) == arm:
            return name
    raise AssertionError(arm)


def session_of(house: House, name: str) -> str:
    """The id of a session that its caller names."""
    return asked(house, name).one(b"stepwarden-session").decode()


def test_a_session_finishes_under_what_it_began_under_in_every_worker_and_after_a_restart(tmp_path: Path) -> None:
    more = settings(tmp_path, requests=10_000, minutes=60.0)
    filed(tmp_path, more)
    with standing(tmp_path, more=more, workers=2) as house:
        assert ran(house, "old", at="noon")
        done = house.gateway.command("proposals", "approve", "1", "--at-once", *WORD)
        assert done.returncode == 0, done.stderr
        for turn in range(4):
            assert ran(house, "old", at="noon")
            assert not ran(house, f"new-{turn}", at="noon")
    with standing(tmp_path, more=more, workers=2) as house:
        assert ran(house, "old", at="noon")
        assert not ran(house, "new-0", at="noon")
        assert house.gateway.command("revisions", "rollback", *WORD).returncode == 0
        assert ran(house, "new-0", at="noon"), "what was taken back ends at once"
        revision = json.loads(house.gateway.command("revisions", "list", "--json").stdout)["revisions"][0]["revision"]
        assert house.gateway.command("revisions", "activate", revision[:16], *WORD).returncode == 0
        assert not ran(house, "old", at="noon"), "what a person puts in force by name holds for all"


def test_shadow_acts_on_nothing_a_canary_on_its_share_and_what_harms_ends(tmp_path: Path) -> None:
    more = settings(tmp_path)
    digest = filed(tmp_path, more)
    with standing(tmp_path, more=more) as house:
        looks(house)
        assert ran(house, "watched", at="noon"), "a candidate in shadow does not act"
        for at in range(20):
            assert ran(house, f"calm-{at}")
        found = until(house, "waiting", rung="approval")
        shadow = next(rung for rung in found["rungs"] if rung["rung"] == "shadow")
        assert (shadow["scores"]["extra"], shadow["outcome"]) == (1, "passed")
        done = house.gateway.command("proposals", "approve", "1", *WORD)
        assert (done.returncode, "in its canary" in done.stderr) == (0, True), done.stderr
        mine, other = drawn(house, digest, "one", "candidate"), drawn(house, digest, "two", "in_force")
        assert (ran(house, mine, at="noon"), ran(house, other, at="noon")) == (False, True)
        shown = house.gateway.command("proposals", "show", "1").stdout
        assert "would_reject" in shown
        harmed = 0
        while proposal(house)["state"] == "canary":
            harmed += not ran(house, f"harmed-{harmed}-{os.urandom(4).hex()}", at="noon")
            assert harmed < 60, proposal(house)["trial"]
            looked_at(house, "canary", harmed=harmed // 2)
        assert (proposal(house)["state"], proposal(house)["rungs"][-1]["why"]) == ("refused", "worse_live")
        assert ran(house, mine, at="noon"), "sessions of a canary that ended go back at once"
        kinds = [each["type"] for each in entries(house, "canary.begun", "proposal.judged", "proposal.reviewed")]
        assert kinds == ["proposal.judged", "proposal.judged", "proposal.reviewed", "proposal.judged",
                         "proposal.judged", "canary.begun", "proposal.judged"], kinds  # fmt: skip
    assert run(["audit", "verify", str(tmp_path / "data")]) == 0


def test_a_regression_that_is_in_force_is_taken_back_by_itself(tmp_path: Path) -> None:
    """Ten sessions in a hundred are stopped more than before."""
    more = settings(tmp_path)
    filed(tmp_path, more)
    with standing(tmp_path, more=more) as house:
        done = house.gateway.command("proposals", "approve", "1", "--at-once", *WORD)
        assert done.returncode == 0, done.stderr
        sessions = 0
        while proposal(house)["state"] == "active":
            for _ in range(10):
                ran(house, f"run-{sessions}", at="noon" if sessions % 10 == 3 else "dawn")
                sessions += 1
            assert sessions <= 400, proposal(house)["trial"]
            looked_at(house, "active", sessions=sessions // 2)
        found = until(house, "rolled_back")
        last = found["rungs"][-1]
        assert (last["rung"], last["why"], found["decided_by"]) == ("rollback", "worse_live", "gateway")
        assert last["scores"]["sessions"] <= 200
        assert ran(house, "afterwards", at="noon")
        back = entries(house, "revision.rolled_back")[-1]
        assert (back["actor"], "by" in back) == ("gateway", False)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_of_a_move_nothing_is_lost_and_nothing_doubled(tmp_path: Path, workers: int) -> None:
    more = settings(tmp_path)
    filed(tmp_path, more)
    for turn in range(2):
        with standing(tmp_path, more=more, workers=workers) as house:
            looks(house)
            for at in range(6):
                ran(house, f"turn-{turn}-{at}")
            if turn == 1:
                until(house, "waiting", rung="approval")
                assert house.gateway.command("proposals", "approve", "1", *WORD).returncode == 0
            os.kill(house.gateway.process.pid, signal.SIGKILL)
            house.gateway.process.wait()
    with standing(tmp_path, more=more, workers=workers) as house:
        found = until(house, "canary")
        moves = [(each["state"], each["rung"]) for each in found["moves"]]
        assert moves == [("waiting", "shadow"), ("waiting", "approval"), ("waiting", "approval"), ("canary", "canary")]
        told = [each["type"] for each in entries(house, "proposal.reviewed", "canary.begun")]
        assert told == ["proposal.reviewed", "canary.begun"]
