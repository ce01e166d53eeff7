"""Break glass, over the wire: a clause out of force in every worker at once, seen wherever one looks, and back."""

import json
from pathlib import Path
from typing import Any

from tests.fakes.provider import TURN, always, in_turn, say
from tests.gateway.house import CHAT, House, standing, waited
from tests.gateway.rawhttp import Response
from tests.gateway.test_policies import asked, calling, settings

CLAUSE = "house/no-launch"


def launched(house: House, about: str) -> Response:
    """An agent whose model wants to launch, on a connection of its own: any worker may take it."""
    house.provider.script = in_turn(say("chat", calling("launch")), say("chat", TURN))
    return asked(house, CHAT, stream=False, text=about)


def judged(house: House, got: Response) -> Any:
    house.facts(got.exchange)
    return json.loads(house.control(f"/api/exchanges/{got.exchange}")[1])["judged"]


def clause(house: House) -> dict[str, Any]:
    apps = json.loads(house.control("/api/clauses")[1])["apps"]
    return next(each for each in apps[0]["clauses"] if each["name"] == CLAUSE)


def test_a_clause_goes_out_of_force_and_comes_back_in_every_worker(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path), workers=2) as house:
        assert all(b'"launch"' not in launched(house, f"first {turn}").body for turn in range(4))
        word = ("--by", "Eve", "--reason", "false alarm at noon")
        done = house.gateway.command("clauses", "mode", CLAUSE, "shadow", "--for", "1h", *word)
        assert done.returncode == 0, done.stderr
        assert "out of force until" in done.stderr
        passed = [launched(house, f"then {turn}") for turn in range(8)]
        assert all(b'"launch"' in got.body for got in passed)
        said = judged(house, passed[0])
        assert (said["verdict"], said["shadow"]) == ("allow", "reject")
        rows = {row["clause"]: row["shadow"] for step in said["steps"] for row in step["coverage"]}
        assert rows[CLAUSE] is True
        assert rows["agent-baseline/no-orders-from-data"] is False
        shown = clause(house)
        assert (shown["mode"], shown["acts"], shown["out_of_force"]["by"]) == ("shadow", False, "Eve")
        listed = house.gateway.command("clauses", "list").stdout
        assert "out of force" in listed
        assert "false alarm at noon" in listed
        assert "Eve: false alarm at noon" in house.gateway.command("explain", passed[0].exchange).stdout
        back = house.gateway.command("clauses", "mode", CLAUSE, "enforce", "--by", "Ann", "--reason", "over")
        assert back.returncode == 0, back.stderr
        assert all(b'"launch"' not in launched(house, f"last {turn}").body for turn in range(8))
        assert clause(house)["out_of_force"] is None
        again = house.gateway.command("clauses", "mode", CLAUSE, "enforce", "--by", "Ann", "--reason", "over")
        assert (again.returncode, "nobody has taken" in again.stderr) == (3, True)


def test_it_takes_a_person_a_reason_a_time_and_for_protected_clauses_an_admin(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path)) as house:
        whole = {"clause": CLAUSE, "mode": "shadow", "by": "Eve", "reason": "r", "seconds": 60}

        def status(key: str | None = None, **changes: Any) -> int:
            body = {name: value for name, value in {**whole, **changes}.items() if value is not None}
            if key is None:
                return house.control("/api/clauses/mode", method="POST", body=body)[0]
            from http.client import HTTPConnection  # noqa: PLC0415 - over TCP, where keys count

            connection = HTTPConnection(*house.gateway.address, timeout=60)
            headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
            connection.request("POST", "/api/clauses/mode", json.dumps(body), headers)
            answer = connection.getresponse()
            connection.close()
            return answer.status

        assert [status(by=None), status(by=" "), status(reason=None), status(seconds=None)] == [400] * 4
        assert [status(seconds=8 * 24 * 3600), status(mode="enforce")] == [400] * 2
        assert status(clause="house/no-lunch") == 404
        keys = {role: house.key(role=role)["secret"] for role in ("operator", "admin")}
        viewer = house.key(role="viewer")["secret"]
        guarded = "agent-baseline/no-orders-from-data"
        assert status(viewer) == 403
        assert status(keys["operator"]) == 200
        assert status(keys["operator"], app="other") == 403
        assert status(keys["operator"], clause=guarded) == 403
        assert status(keys["admin"], clause=guarded) == 200


def test_a_clause_stays_out_of_force_when_the_gateway_starts_again(tmp_path: Path) -> None:
    more = settings(tmp_path)
    with standing(tmp_path, more=more) as house:
        body = {"clause": CLAUSE, "mode": "shadow", "by": "Eve", "reason": "r", "seconds": 3600}
        assert house.control("/api/clauses/mode", method="POST", body=body)[0] == 200
    with standing(tmp_path, more=more) as house:
        house.provider.script = always(say("chat", calling("launch")))
        assert b'"launch"' in asked(house, CHAT, stream=False).body
        assert waited(lambda: clause(house)["out_of_force"])["by"] == "Eve"
