"""What a gateway's audit log promises: order, receipts, and a line for everything that was decided or changed."""

import json
import signal
import sqlite3
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.answers import Answer, SeenRequest
from storage.audit.errors import ProofInvalid
from storage.audit.merkle import leaf_hash, verify_inclusion
from storage.audit.note import read_vkey
from storage.audit.proof import read_proof
from storage.audit.trust import Trust
from tests.fakes.audit import entries_of, header_of, lines_of, verified
from tests.fakes.gateway import ROOT
from tests.fakes.provider import TURN, always, say
from tests.gateway.house import ANTHROPIC, CHAT, PATIENT, RESPONSES, Dialect, House, fresh, standing, waited
from tests.gateway.rawhttp import PATIENCE, Response, request

STRICT = f'{PATIENT}\n[app.default]\naudit = "strict"\n'

RULES = """
[policy]
id = "house"
description = "One bird is nobody's business."

[[clause]]
id = "bird"
text = "The bird's name leaves nobody."
severity = "high"
steps = ["user_input"]
guards = [{ kind = "pattern", rules = [{ id = "bird", pattern = "bluebird-[0-9]+" }] }]
action = [{ at = 50, do = "reject" }]
reason = "sensitive_data"
on_error = "reject"

[[clause.example]]
expect = "violation"
steps = [{ kind = "user_input", text = "It is bluebird-1234." }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "user_input", text = "It is a bird." }]
"""


def data_of(house: House) -> Path:
    return house.gateway.folder / "data"


def logged(data: Path) -> list[dict[str, Any]]:
    """Every entry that is durable at this moment, read beside the gateway: out of the ledger, published or not."""
    with closing(sqlite3.connect(f"file:{data / 'ledger.db'}?mode=ro", uri=True, timeout=5)) as connection:
        rows = connection.execute("SELECT lines FROM audit_group ORDER BY first").fetchall()
    return [json.loads(line) for (lines,) in rows for line in lines.split(b"\n")]


def of_type(entries: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["type"] == kind]


def head(house: House) -> bytes:
    """The newest checkpoint, which has everything published that was logged before."""
    status, body = house.control("/api/audit/head")
    assert status == 200, body
    return body


def kinds_of(entries: list[dict[str, Any]], exchange: str) -> list[str]:
    return [entry["type"] for entry in entries if entry.get("exchange") == exchange and entry["type"] != "content.read"]


@pytest.fixture(scope="module")
def strict_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("strict"), more=STRICT) as house:
        yield house


@pytest.fixture
def strict(strict_house: House) -> House:
    return fresh(strict_house)


@pytest.mark.parametrize("dialect", [ANTHROPIC, CHAT, RESPONSES], ids=lambda each: each.name)
@pytest.mark.parametrize("stream", [False, True])
def test_a_strict_request_is_in_the_log_before_the_provider_sees_a_byte(
    strict: House,
    dialect: Dialect,
    stream: bool,  # noqa: FBT001 - a parameter by name
) -> None:
    before = len(of_type(logged(data_of(strict)), "request.accepted"))
    seen: list[int] = []
    answers = always(say(dialect.name, TURN, streamed=stream))

    def script(asked: SeenRequest) -> Answer:
        seen.append(len(of_type(logged(data_of(strict)), "request.accepted")))
        return answers(asked)

    strict.provider.script = script
    got = strict.ask(dialect.call(stream=stream))
    assert got.status == 200
    assert seen == [before + 1]


def test_so_is_one_whose_path_carries_no_steps(strict: House) -> None:
    before = len(of_type(logged(data_of(strict)), "request.accepted"))
    seen: list[int] = []

    def script(asked: SeenRequest) -> Answer:
        seen.append(len(of_type(logged(data_of(strict)), "request.accepted")))
        return say("chat")

    strict.provider.script = script
    assert strict.ask(request(b"/openai/v1/models", method=b"GET", headers=[CHAT.key])).status == 200
    assert seen == [before + 1]


def test_a_receipt_is_proven_by_files_alone(strict: House) -> None:
    got = strict.ask(ANTHROPIC.call())
    receipt = got.one(b"stepwarden-receipt")
    index = int(receipt.split(b";")[0].removeprefix(b"index="))
    _, entry = strict.control(f"/api/audit/entries/{index}")
    assert receipt == header_of(entry, index)
    assert json.loads(entry)["exchange"] == got.exchange
    _, text = strict.control(f"/api/audit/proof/{index}")
    vkey = (data_of(strict) / "audit" / "vkeys.txt").read_text().splitlines()[0]
    assert read_proof(text).verify(entry, Trust.of_log(read_vkey(vkey)))
    with pytest.raises(ProofInvalid):
        read_proof(text).verify(entry + b" ", Trust.of_log(read_vkey(vkey)))


def test_the_record_of_an_exchange_is_proven_step_by_step(strict: House) -> None:
    got = strict.ask(CHAT.call())
    strict.facts(got.exchange)

    def receipt() -> dict[str, Any] | None:
        status, body = strict.control(f"/api/exchanges/{got.exchange}/receipt")
        return json.loads(body) if status == 200 else None

    found = waited(receipt)
    assert json.loads(found["accepted"]["entry"])["exchange"] == got.exchange
    inner = json.loads(read_proof(found["recorded"]["proof"].encode()).extra or b"")
    sealed = json.loads(found["recorded"]["entry"])
    assert inner["count"] == sealed["count"]
    assert len(inner["records"]) == 1 + len(strict.facts(got.exchange)["steps"])
    for record in inner["records"]:
        assert_leads_to(record, sealed["root"], inner["count"])
    inner["records"][0]["record"] += " "
    with pytest.raises(ProofInvalid):
        assert_leads_to(inner["records"][0], sealed["root"], inner["count"])


def assert_leads_to(record: dict[str, Any], root: str, count: int) -> None:
    hashes = [b64decode(each) for each in record["hashes"]]
    verify_inclusion(leaf_hash(record["record"].encode()), record["index"], count, hashes, b64decode(root))


def test_a_buffered_app_gets_no_receipt_and_its_exchanges_are_logged_all_the_same(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        got = house.ask(CHAT.call())
        assert not got.all(b"stepwarden-receipt")
        house.facts(got.exchange)
        waited(lambda: len(kinds_of(logged(data_of(house)), got.exchange)) == 2 or None)
    entries = entries_of(tmp_path / "data")
    assert kinds_of(entries, got.exchange) == ["request.accepted", "request.completed"]
    checked = verified(tmp_path / "data")
    assert checked is not None
    assert checked.exchanges == 1


def test_a_strict_app_is_not_served_while_the_log_cannot_be_written_and_is_again_without_a_restart(
    tmp_path: Path,
) -> None:
    with standing(tmp_path, more=STRICT) as house:
        assert house.ask(ANTHROPIC.call()).status == 200
        asked = len(house.provider.requests)
        with closing(sqlite3.connect(tmp_path / "data" / "ledger.db", timeout=PATIENCE)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")  # the gateway's writes fail when it has waited long enough
            got = house.ask(CHAT.call())
            assert got.status == 503
            assert json.loads(got.body)["error"]["code"] == "supervision_unavailable"
            assert got.all(b"retry-after")
            assert len(house.provider.requests) == asked
            status, why = house.control("/readyz")
            assert (status, why) == (503, b"the audit log cannot be written\n")
            said_by_doctor = doctor_of(house)
            blocker.rollback()
        waited(lambda: house.control("/readyz")[0] == 200 or None)
        assert house.ask(ANTHROPIC.call()).all(b"stepwarden-receipt")
        assert "wrong" not in {each["state"] for each in doctor_of(house) if each["name"] == "gateway"}
    (wrong,) = [each for each in said_by_doctor if each["name"] == "gateway" and each["state"] == "wrong"]
    assert wrong["message"].startswith("the audit log cannot be written: ")
    assert "audit verify" in wrong["mend"]
    verified(tmp_path / "data")


def doctor_of(house: House) -> list[dict[str, Any]]:
    """What `stepwarden doctor` says of a gateway while it runs."""
    config = house.gateway.folder / "stepwarden.toml"
    command = [sys.executable, "-m", "gateway.cli.main", "doctor", "--config", str(config), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE * 4)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def settings(folder: Path) -> str:
    (folder / "house.toml").write_text(RULES)
    return f'{PATIENT}\n[app.default]\npolicy = ["{folder / "house.toml"}"]\nenforce = true\naudit = "strict"\n'


@pytest.mark.parametrize("workers", [1, 2])
def test_no_policy_judges_before_the_log_says_what_it_is(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, more=settings(tmp_path), workers=workers) as house:
        house.provider.script = always(say("chat", TURN))
        first = said(house, "It is bluebird-1.")
        (tmp_path / "house.toml").write_text(RULES.replace("bluebird", "heron"))
        house.gateway.process.send_signal(signal.SIGHUP)
        waited(lambda: rejected(said(house, "It is heron-1.")) or None)
        waited(lambda: len(of_type(logged(data_of(house)), "action.blocked")) >= 2 or None)
    entries = entries_of(tmp_path / "data")
    activated = of_type(entries, "config.activated")
    assert len(activated) == 2
    assert list(activated[0]["clauses"]) == ["house/bird"]
    assert activated[0]["clauses"] != activated[1]["clauses"]
    assert rejected(first)
    known = {entry["policy"]: entry["seq"] for entry in activated}
    for entry in of_type(entries, "guard.decision"):
        assert known[entry["policy"]] < entry["seq"]
    blocked = of_type(entries, "action.blocked")[0]
    assert (blocked["exchange"], blocked["reason"]) == (first.exchange, "sensitive_data")
    assert blocked["clauses"] == ["house/bird"]
    verified(tmp_path / "data")


def said(house: House, text: str) -> Response:
    messages = [{"role": "user", "content": text}]
    return house.ask(CHAT.call(body=CHAT.request_body(stream=False, messages=messages)))


def rejected(got: Response) -> bool:
    return got.one(b"stepwarden-verdict") == b"reject"


def test_the_log_holds_no_content_no_name_and_no_secret(strict: House) -> None:
    canaries = ["hedgehog-in-the-body", "hedgehog-user", "hedgehog-session", "hedgehog-agent", "Ada Hedgehog"]
    body = ANTHROPIC.request_body(
        stream=False,
        messages=[{"role": "user", "content": canaries[0]}],
        metadata={"user_id": canaries[1]},
    )
    headers = [(b"stepwarden-session", canaries[2].encode()), (b"user-agent", canaries[3].encode())]
    got = strict.ask(ANTHROPIC.call(body=body, headers=headers))
    session = got.one(b"stepwarden-session").decode()
    strict.facts(got.exchange)
    assert strict.control(f"/api/sessions/{session}/steps")[0] == 200
    assert strict.control(f"/api/sessions/{session}/terminate", method="POST")[0] in {200, 201}
    made = strict.key(name=canaries[4], role="viewer")
    assert strict.control(f"/api/keys/{made['key']['key_id']}/revoke", method="POST")[0] == 200
    head(strict)
    whole = b"\n".join(lines_of(data_of(strict)))
    for mark in ("kill_switch", "content.read", "apikey.created", "apikey.revoked"):
        assert mark.encode() in whole
    for canary in (*canaries, ANTHROPIC.key[1].decode(), made["secret"], "127.0.0.1"):
        assert canary.encode() not in whole, canary
    assert max(map(len, lines_of(data_of(strict)))) <= 1024


def test_whoever_reads_content_is_in_the_log_before_it_is_shown(strict: House) -> None:
    got = strict.ask(CHAT.call())
    strict.facts(got.exchange)
    before = len(of_type(logged(data_of(strict)), "content.read"))
    assert strict.control(f"/api/exchanges/{got.exchange}?text=0")[0] == 200
    assert len(of_type(logged(data_of(strict)), "content.read")) == before
    for path, what in (
        ("", "steps"),
        ("/request", "request"),
        ("/response", "response"),
        ("/explanation", "explanation"),
    ):
        assert strict.control(f"/api/exchanges/{got.exchange}{path}")[0] == 200
        read = of_type(logged(data_of(strict)), "content.read")[-1]
        assert (read["what"], read["exchange"], read["actor"]) == (what, got.exchange, "owner")
