"""A disk that is full while a gateway serves: a strict app is refused in its own protocol, the others go on."""

import json
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.fakes.audit import entries_of, header_of, lines_of, receipt_in, verified
from tests.gateway.house import ANTHROPIC, DIALECTS, PATIENT, Dialect, House, standing, waited
from tests.gateway.rawhttp import Response
from tests.unit.storage.test_disk_full import filled

QUEUE: Final = 16
MORE: Final = f'{PATIENT}queue_exchanges = {QUEUE}\n\n[app.careful]\naudit = "strict"\n'


def asked(house: House, dialect: Dialect, secret: str, *, stream: bool = False) -> Response:
    headers = [(b"stepwarden-key", secret.encode())]
    return house.ask(dialect.call(headers=headers, stream=stream))


def refused(house: House, dialect: Dialect, secret: str) -> bytes:
    """What a strict app is told once the disk takes nothing any more; room that SQLite had before goes first."""
    for _ in range(400):
        got = asked(house, dialect, secret)
        if got.status != 200:
            assert got.status == 503
            return got.body
    return pytest.fail("the disk never filled")


def answered(house: House, secret: str) -> Response | None:
    got = asked(house, ANTHROPIC, secret)
    return got if got.status == 200 else None


def raised_by_the_sdks(house: House, secret: str) -> None:
    """The refusal is an error of the protocol's own: its SDKs raise it and do not ask again."""
    more: dict[str, Any] = {"max_retries": 0, "default_headers": {"stepwarden-key": secret}}
    with anthropic.Anthropic(base_url=f"{house.gateway.url}/anthropic", api_key="sk-ant-caller", **more) as client:
        messages: list[Any] = [{"role": "user", "content": "Hello."}]
        with pytest.raises(anthropic.InternalServerError, match="audit log") as told:
            client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=messages)
        assert told.value.status_code == 503
    with openai.OpenAI(base_url=f"{house.gateway.url}/openai/v1", api_key="sk-caller", **more) as other:
        with pytest.raises(openai.InternalServerError, match="audit log"):
            other.chat.completions.create(model="gpt-4.1-mini", messages=messages)
        with pytest.raises(openai.InternalServerError, match="audit log"):
            other.responses.create(model="gpt-4.1-mini", input="Hello.")


def test_a_full_disk_stops_strict_apps_alone_and_nothing_needs_a_restart(small: Path) -> None:
    with standing(small, more=MORE) as house:
        secret, easy = (house.key(app=app)["secret"] for app in ("careful", "default"))
        receipts = [asked(house, dialect, secret).one(b"stepwarden-receipt") for dialect in DIALECTS]
        assert house.control("/api/audit/head")[0] == 200
        ballast = small / "data" / "ballast"
        filled(ballast)
        for dialect in DIALECTS:
            told = json.loads(refused(house, dialect, secret))
            assert "supervision_unavailable" in (told["error"].get("type"), told["error"].get("code"))
            assert ("type" in told) == (dialect.name == "anthropic")
            sent = len(house.provider.requests)
            assert asked(house, dialect, secret, stream=True).status == 503
            assert len(house.provider.requests) == sent
        raised_by_the_sdks(house, secret)
        for at in range(3 * QUEUE):
            assert asked(house, DIALECTS[at % 3], easy, stream=bool(at % 2)).status == 200
        waited(lambda: house.status()["counters"]["dropped"] or None)
        ballast.unlink()
        receipts.append(waited(lambda: answered(house, secret)).one(b"stepwarden-receipt"))
        waited(lambda: None if house.status()["counters"]["waiting"] else True)
        lost = house.status()["counters"]["dropped"]
        assert house.control("/api/audit/head")[0] == 200
    told_of = [entry["exchanges"] for entry in entries_of(small / "data") if entry["type"] == "ingest.dropped"]
    assert sum(told_of) == lost > 0
    lines = lines_of(small / "data")
    for header in receipts:
        receipt = receipt_in(header)
        assert header_of(lines[receipt.index], receipt.index) == header
    verified(small / "data")
