"""From labels to a guard in force and back, over the wire, in every worker and after a restart."""

import json
from pathlib import Path
from typing import Any

from gateway.cli.main import run
from tests.fakes.provider import TURN, in_turn, say
from tests.gateway.house import CHAT, House, same_day, standing
from tests.gateway.rawhttp import Response
from tests.gateway.test_policies import asked, calling

CLAUSE = "house/no-launch"

RULES = """
[policy]
id = "house"
description = "What holds in these tests."

[[clause]]
id = "no-launch"
text = "Nothing is launched."
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "pattern", rules = [
    { id = "dark", pattern = "midnight", score = 95 }, { id = "bright", pattern = "noon", score = 60 },
] }]
action = [{ at = 90, do = "reject" }, { at = 50, do = "flag" }]
recover = "answered"
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "launch", args = { at = "midnight" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "get_weather", args = { city = "Rome" } }]
"""

VIOLATING, HONEST = 44, 20
"""Labelled sessions: enough that either half of any split can tell a change that is right from one that is not."""

SETTINGS = """
[optimizer]
holdout = 10
share = 0.5
budget = 0.25
shadow_requests = 0
shadow_hours = 0.0
session_minutes = 60.0
"""

WORD = ("--by", "Eve", "--reason", "the labels say so")


def settings(folder: Path) -> str:
    rules = folder / "rules.toml"
    if not rules.exists():
        rules.write_text(RULES)
    return f'[app.default]\npolicy = ["{rules}"]\nenforce = true\n{SETTINGS}'


def called(house: House, tool: str, about: str) -> Response:
    """An agent whose model wants a tool, on a connection of its own: any worker may take it."""
    arguments = '{"at": "noon"}' if tool == "launch" else '{"city": "Rome"}'
    house.provider.script = in_turn(say("chat", calling(tool, arguments)), say("chat", TURN))
    return asked(house, CHAT, stream=False, text=about)


def passes(house: House, about: str) -> list[bool]:
    """Whether a launch passes, asked several times: with several workers each gets some."""
    return [b'"launch"' in called(house, "launch", f"{about} {turn}").body for turn in range(6)]


def labelled(
    house: House, *, violating: int = VIOLATING, honest: int = HONEST, by: tuple[str, ...] = ("Ann", "Bob")
) -> None:
    """Sessions on record, with what these persons said of their calls, one after the other."""
    calls = [(called(house, "launch", f"job {at}"), "violation") for at in range(violating)]
    calls += [(called(house, "get_weather", f"trip {at}"), "ok") for at in range(honest)]
    for at, (got, label) in enumerate(calls):
        steps = house.facts(got.exchange)["steps"]
        step = next(each["step_id"] for each in steps if each["kind"] == "tool_call")
        said = {"label": label, "by": by[at % len(by)]}
        assert house.control(f"/api/steps/{step}/label", method="POST", body=said)[0] in (200, 201)


def optimized(house: House, *flags: str) -> dict[str, Any]:
    done = house.gateway.command("optimize", "--json", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["apps"][0]


def waiting(house: House) -> dict[str, Any]:
    """The proposal that waits and moves the band of the clause."""
    listed = json.loads(house.gateway.command("proposals", "list", "--json", "--state", "waiting").stdout)["proposals"]
    assert listed, house.gateway.command("proposals", "list", "--json").stdout
    return next(each for each in listed if each["author"] == "optimizer:thresholds")


def revisions(house: House) -> list[dict[str, Any]]:
    return json.loads(house.gateway.command("revisions", "list", "--json").stdout)["revisions"]


def entries(house: House, *types: str) -> list[dict[str, Any]]:
    """The entries of these types, in order."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": 1 << 40}
    while page["next"] is not None:
        page = json.loads(house.control(f"/api/audit/entries?limit=1000&before={page['next']}")[1])
        said = [json.loads(each["entry"]) for each in page["entries"]]
        found += [entry for entry in said if entry["type"] in types]
    return found[::-1]


def test_labels_become_a_guard_in_force_and_one_command_takes_it_back(tmp_path: Path) -> None:
    more = settings(tmp_path)
    with standing(tmp_path, more=more, workers=2) as house:
        labelled(house)
        assert all(passes(house, "before"))
        rehearsed = optimized(house, "--dry-run")
        assert (rehearsed["episodes"], rehearsed["violating"]) == (VIOLATING + HONEST, VIOLATING)
        assert json.loads(house.gateway.command("proposals", "list", "--json").stdout)["proposals"] == []
        optimized(house)
        found = waiting(house)
        assert (found["direction"], found["principals"]) == ("tightens", 2)
        assert [each["outcome"] for each in found["rungs"]] == ["passed"] * 9 + ["waiting"]
        shown = house.gateway.command("proposals", "show", str(found["number"])).stdout
        assert "needs_a_person" in shown
        assert f"-{CLAUSE} action: " + '{"at":90,"do":"reject"}' in shown
        assert all(passes(house, "still"))
        again = optimized(house)
        assert (again["proposals"], again["known"] > 0) == ([], True)

        done = house.gateway.command("proposals", "approve", str(found["number"]), "--at-once", *WORD)
        assert done.returncode == 0, done.stderr
        assert not any(passes(house, "after"))
        clauses = json.loads(house.control("/api/clauses")[1])["apps"][0]["clauses"]
        acting = next(each for each in clauses if each["name"] == CLAUSE)["action"]
        assert max(band["at"] for band in acting if band["do"] == "reject") < 90

    with standing(tmp_path, more=more, workers=2) as house:
        assert not any(passes(house, "restarted"))
        kept = revisions(house)
        assert [each["in_force"] for each in kept] == [True, False]
        diff = house.gateway.command("revisions", "diff", kept[0]["revision"][:12]).stdout
        assert "reject" in diff
        back = house.gateway.command("revisions", "rollback", *WORD)
        assert back.returncode == 0, back.stderr
        assert all(passes(house, "back"))
        told = entries(house, "proposal.reviewed", "revision.activated", "revision.rolled_back", "config.activated")
        kinds = [each["type"] for each in told]
        at = kinds.index("proposal.reviewed")
        assert "revision.rolled_back" in kinds[at:]
        for each in ("revision.activated", "revision.rolled_back"):
            place = len(kinds) - 1 - kinds[::-1].index(each)
            assert kinds[place + 1] == "config.activated"
        assert "optimizer:thresholds" not in [each["author"] for each in optimized(house)["proposals"]]
        forth = house.gateway.command("revisions", "activate", kept[0]["revision"][:12], *WORD)
        assert forth.returncode == 0, forth.stderr
        assert not any(passes(house, "forth"))
    assert run(["audit", "verify", str(tmp_path / "data")]) == 0


def test_a_person_who_says_more_in_a_day_than_counts_is_heard_no_further(tmp_path: Path) -> None:
    same_day()
    more = settings(tmp_path) + "words_per_day = 3\n"
    with standing(tmp_path, more=more) as house:
        labelled(house, violating=5, honest=0, by=("Ann",))
        found = optimized(house, "--dry-run")
    assert (found["episodes"], found["violating"]) == (3, 3)
