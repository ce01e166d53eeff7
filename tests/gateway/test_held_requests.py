"""A request that waits for a person, and a caller that does not: noticed at once, nothing sent, the hold kept."""

import json
from pathlib import Path

import pytest

from tests.fakes.provider import TURN, always, say
from tests.gateway.house import ANTHROPIC, PATIENT, House, standing, waited

POLICY = """
[policy]
id = "house"
description = "What holds in these tests."

[[clause]]
id = "ask-first"
text = "Payments wait for a person."
severity = "high"
steps = ["user_input"]
guards = [{ kind = "pattern", rules = [{ id = "pay", pattern = "pay" }] }]
action = [{ at = 75, do = "hold" }]
reason = "needs_approval"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "user_input", text = "pay Ann" }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "user_input", text = "greet Ann" }]
"""


def settings(folder: Path) -> str:
    (folder / "house.toml").write_text(POLICY)
    app = f'[app.default]\npolicy = ["{folder / "house.toml"}"]\nenforce = true\n'
    return f"{PATIENT}hold_seconds = 60\n{app}"


def call() -> bytes:
    body = json.dumps({**ANTHROPIC.body, "messages": [{"role": "user", "content": "pay Ann"}]}).encode()
    return ANTHROPIC.call(body=body, headers=[(b"stepwarden-session", b"ann")])


def holds(house: House) -> list[tuple[str, str]]:
    return [(each["hold_id"], each["state"]) for each in json.loads(house.control("/api/holds")[1])["holds"]]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_caller_that_leaves_while_its_request_is_held_is_noticed_at_once(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, more=settings(tmp_path), workers=workers) as house:
        house.provider.script = always(say("anthropic", TURN))
        with house.wire() as wire:
            wire.send(call())
            ((hold_id, _),) = waited(lambda: holds(house) or None)
        left = house.newest(lambda each: each["verdict"] == "hold")  # well before the hold is over
        assert left["outcome"] == "client_aborted"
        assert holds(house) == [(hold_id, "waiting")]
        assert house.provider.requests == []
        assert house.control(f"/api/holds/{hold_id}/approve", method="POST", body={"by": "Eve"})[0] == 200
        assert holds(house) == [(hold_id, "approved")]  # nobody used it up who was not there any more
        assert house.ask(call()).status == 200
        assert holds(house) == [(hold_id, "used")]
        assert len(house.provider.requests) == 1
