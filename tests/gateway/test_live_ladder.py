"""Proposals on live traffic: what a session began under, shadow, canary, and the way back, over the wire."""

import json
from pathlib import Path
from typing import Any

from policies.gate.canary import arm_of
from policies.vocabulary.bands import Band
from policies.vocabulary.ladder import Climb, Decision, RungName
from policies.vocabulary.revisions import Proposal, SetBands, Support
from storage.store import Store
from tests.fakes.provider import TURN, in_turn, say
from tests.gateway.house import CHAT, House, standing, waited
from tests.gateway.test_optimizing import CLAUSE, RULES, WORD, entries
from tests.gateway.test_policies import asked, calling

OFFLINE: tuple[RungName, ...] = (
    "rollback", "lint", "headroom", "minibatch", "holdout", "anchors", "fp_budget", "second_opinion",
)  # fmt: skip

LIVE = """
[optimizer]
shadow_requests = {requests}
shadow_hours = 0.0
canary_share = {share}
session_minutes = 0.0
by_itself = {by_itself}
"""


def settings(folder: Path, *, requests: int = 5, share: float = 0.5, by_itself: int = 3) -> str:
    rules = folder / "rules.toml"
    if not rules.exists():
        rules.write_text(RULES)
    live = LIVE.format(requests=requests, share=share, by_itself=by_itself)
    return f'[app.default]\npolicy = ["{rules}"]\nenforce = true\n{live}'


def filed(folder: Path, at: int = 50) -> str:
    """A proposal that passed all that asks no live traffic, in a store that no gateway has open; its digest."""
    from gateway.config import Config  # noqa: PLC0415
    from gateway.standing import Standing  # noqa: PLC0415

    config = Config.load(folder / "stepwarden.toml", environ={}, overrides={"gateway.data_dir": str(folder / "data")})
    store = Store.open(folder / "data")
    try:
        held = Standing(store.revisions, config, newest=store.newest_session)
        held.settle()
        before = held.parameters("default")
        proposal = Proposal(
            app="default", parent=before.digest, author="optimizer:thresholds", support=Support(principals=("a", "b")),
            edits=(SetBands(clause=CLAUSE, action=(Band(at=at, do="reject"),)),),
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


def begun(folder: Path, more: str) -> None:
    """A data directory that a gateway has been in."""
    with standing(folder, more=more):
        pass


def proposal(house: House, number: int = 1) -> dict[str, Any]:
    return json.loads(house.control(f"/api/proposals/{number}")[1])


def until(house: House, state: str, number: int = 1, rung: str | None = None) -> dict[str, Any]:
    def read() -> dict[str, Any] | None:
        found = proposal(house, number)
        there = found["state"] == state and rung in {None, found["rungs"][-1]["rung"]}
        return found if there else None

    return waited(read, seconds=60)


def ran(house: House, session: str, *, at: str = "dawn", tool: str = "launch") -> bool:
    """One run of an agent in a session that it names; whether its call came through."""
    house.provider.script = in_turn(say("chat", calling(tool, json.dumps({"at": at}))), say("chat", TURN))
    headers = [(b"stepwarden-session", session.encode())]
    return f'"{tool}"'.encode() in asked(house, CHAT, stream=False, text=f"{session} at {at}", headers=headers).body


def test_a_session_finishes_under_what_it_began_under_in_every_worker_and_after_a_restart(tmp_path: Path) -> None:
    more = settings(tmp_path, requests=10_000)
    begun(tmp_path, more)
    filed(tmp_path)
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


def test_a_proposal_goes_from_shadow_over_a_canary_into_force(tmp_path: Path) -> None:
    more = settings(tmp_path, share=0.9)
    begun(tmp_path, more)
    digest = filed(tmp_path)
    with standing(tmp_path, more=more) as house:
        waited(lambda: proposal(house)["trial"])
        assert ran(house, "watched", at="noon"), "a candidate in shadow does not act"
        for at in range(300):
            assert ran(house, f"calm-{at}")
        found = until(house, "waiting", rung="approval")
        shadow = next(rung for rung in found["rungs"] if rung["rung"] == "shadow")
        assert shadow["scores"] == {"requests": shadow["scores"]["requests"], "extra": 1.0}
        assert shadow["scores"]["requests"] >= 5
        done = house.gateway.command("proposals", "approve", "1", *WORD)
        assert done.returncode == 0, done.stderr
        assert "canary" in done.stderr
        arms = {f"drawn-{at}": arm_of_named(house, f"drawn-{at}", digest) for at in range(12)}
        assert {ran(house, name, at="noon") for name, arm in arms.items() if arm == "in_force"} <= {True}
        told = [each["type"] for each in entries(house, "canary.begun", "proposal.judged", "revision.activated")]
        assert "canary.begun" in told


def arm_of_named(house: House, name: str, digest: str) -> str:
    """The arm of a session by the name that its caller gives it."""
    ran(house, name)
    listed = json.loads(house.control("/api/sessions?limit=200")[1])["sessions"]
    return next((arm_of(each["session_id"], digest, 0.9) for each in listed if each["name"] == name), "candidate")
