"""A running gateway forgets what was erased, whichever worker carried it, and goes on with who comes again."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.fakes.audit import verified
from tests.gateway.house import ANTHROPIC, House, kept_in, standing

MARK = "heliotrope-4711"
USER = "alice-of-example"
ERASED = 410


def asked(house: House, text: str) -> str:
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 64,
        "system": f"You help {MARK}.",
        "metadata": {"user_id": USER},
        "messages": [{"role": "user", "content": text}],
    }
    answered = house.ask(ANTHROPIC.call(body=json.dumps(body).encode()))
    exchange = dict(answered.headers)[b"stepwarden-exchange"].decode()
    house.facts(exchange)
    return exchange


def holding(folder: Path, needle: str) -> list[str]:
    return [name for name, content in kept_in(folder) if needle.encode() in content]


def order(scope: str) -> dict[str, Any]:
    return {"scope": scope, "basis": "GDPR Art. 17", "by": "the officer"}


def test_a_running_gateway_erases_an_end_user_and_serves_on(tmp_path: Path) -> None:
    with standing(tmp_path, workers=2) as house:
        data = house.gateway.folder / "data"
        exchanges = [asked(house, f"{MARK} {number}") for number in range(6)]
        sessions = [house.facts(each)["join"]["session_id"] for each in exchanges]
        assert holding(data, USER) == []
        status, said = house.control("/api/erasures", method="POST", body=order(f"user:{USER}"))
        assert (status, json.loads(said)["exchanges"]) == (200, 6)
        for needle in (USER, MARK, *sessions):
            assert holding(data, needle) == []
        for path in (f"/api/exchanges/{exchanges[0]}", f"/api/sessions/{sessions[0]}"):
            status, said = house.control(path)
            assert status == ERASED
            assert b"GDPR Art. 17" in said
        status, said = house.control(f"/api/exchanges/{exchanges[0]}/explanation")
        assert status == ERASED
        status, _ = house.control("/api/erasures", method="POST", body=order(f"user:{USER}"))
        assert status == 404
        again = asked(house, f"{MARK} 0")
        assert house.facts(again)["join"]["relation"] == "opens"
        assert MARK.encode() in house.kept(again, "request")
        assert house.control("/api/audit/head")[0] == 200
        status, _ = house.control("/api/erasures", method="POST", body=order("user:") | {"basis": "for alice@x"})
        assert status == 400
    verified(data)


def test_an_erasure_that_waits_for_a_reader_is_said_to_and_its_session_is_forgotten_at_once(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        data = house.gateway.folder / "data"
        first = asked(house, MARK)
        session = house.facts(first)["join"]["session_id"]
        with closing(sqlite3.connect(next(data.glob("spans-*.db")))) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM exchange").fetchone()
            status, said = house.control("/api/erasures", method="POST", body=order(f"session:{session}"))
            assert status == 503
            assert b"Do not ask again" in said
            assert house.control(f"/api/sessions/{session}")[0] == ERASED
            again = asked(house, MARK)
            assert house.facts(again)["join"]["relation"] == "opens"
    with standing(tmp_path):
        assert holding(data, session) == []
    verified(data)
