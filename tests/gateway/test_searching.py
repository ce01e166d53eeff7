"""Contents are searched beside live traffic, through any worker; what is erased is found no more, nor lies anywhere."""

import json
import secrets
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.house import CHAT, PATIENT, House, kept_in, standing
from tests.gateway.test_policies import asked

ALLOWED = f"{PATIENT}\n[app.default]\nsearch = true\n"


def found(house: House, words: str) -> list[dict[str, Any]]:
    """What a search finds, asked for over TCP as a browser does."""
    answer = httpx.post(f"{house.gateway.url}/api/search", json={"words": words}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.text.rstrip().rpartition("event: ")[2].startswith("report"), answer.text
    lines = [line.partition(": ")[2] for line in answer.text.splitlines() if line.startswith('data: {"exchange_id"')]
    return [json.loads(line) for line in lines]


def test_words_are_found_through_any_worker_until_their_session_is_erased(tmp_path: Path) -> None:
    mark = f"heliotrope-{secrets.token_hex(6)}"
    with standing(tmp_path, more=ALLOWED, workers=2) as house:
        exchange = asked(house, CHAT, stream=False, text=f"Look for the {mark} in the garden.").exchange
        session = house.facts(exchange)["join"]["session_id"]
        for _ in range(4):  # on connections of their own, so that either worker carries some
            [place] = found(house, f"the {mark.upper()}")
            assert (place["exchange_id"], place["session_id"], place["kind"]) == (exchange, session, "user_input")
        order = {"scope": f"session:{session}", "basis": "art. 17 (1) a", "by": "Eve"}
        assert house.control("/api/erasures", method="POST", body=order)[0] in (200, 201)
        assert found(house, mark) == []
    for name, content in kept_in(tmp_path / "data"):
        assert mark.encode() not in content, name
    assert mark not in house.gateway.log
