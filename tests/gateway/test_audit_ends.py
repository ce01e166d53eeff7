"""A running gateway changes its log's key, verifies itself, and gives no receipt that it could not keep."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from gateway.alerts.bell import Bell
from gateway.api.self_check import AlreadyVerifying, NotVerified, SelfCheck
from gateway.app import open_keeper
from gateway.config import Config
from gateway.keeper import Opening
from gateway.refusals import AuditUnavailable
from policies.vocabulary.audit import ApiKeyRevoked, RequestAccepted
from storage.audit.archive import Folder
from storage.audit.note import read_vkey
from storage.audit.trust import Trust
from storage.audit.verify import verify
from storage.errors import StorageFailed
from storage.store import Store
from tests.fakes.audit import entries_of, quiet, verified
from tests.gateway.house import ANTHROPIC, House, standing
from tests.gateway.test_audit import STRICT


@pytest.mark.parametrize("workers", [1, 2])
def test_the_key_of_a_serving_gateway_is_changed_and_receipts_go_on(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, more=STRICT, workers=workers) as house:
        first = house.ask(ANTHROPIC.call()).one(b"stepwarden-receipt")
        changed = house.gateway.command("audit", "rotate", "--by", "Ada", "--reason", "the yearly change", "--json")
        assert changed.returncode == 0, changed.stderr
        done = json.loads(changed.stdout)
        assert house.ask(ANTHROPIC.call()).one(b"stepwarden-receipt") != first
        checked = checked_by_itself(house)
        assert (checked["ok"], checked["successors"], checked["flaws"]) == (True, [done["vkey"]], [])
    entries = entries_of(tmp_path / "data")
    (run,) = [entry for entry in entries if entry["type"] == "verify.run"]
    assert (run["ok"], run["size"], run["flaws"], run["actor"]) == (True, checked["size"], 0, "owner")
    for vkey in (done["retired"], done["vkey"]):
        report = verify(Folder(tmp_path / "data" / "audit"), Trust.of_log(read_vkey(vkey)), progress=quiet)
        assert report.flaws == ()
    verified(tmp_path / "data")


def checked_by_itself(house: House) -> dict[str, object]:
    status, body = house.control("/api/audit/verify", method="POST")
    assert status == 200, body
    return json.loads(body)


def test_a_gateway_says_in_its_log_that_it_does_not_hold(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.audit.note(*[ApiKeyRevoked(actor="owner", key="key_1")] * 300)
    store.audit.head()
    tile = tmp_path / "audit" / "tile" / "0" / "000"
    tile.write_bytes(b"\xff" + tile.read_bytes()[1:])
    report = asyncio.run(SelfCheck(store.audit).run("key_1"))
    assert not report.ok
    said = json.loads(store.audit.entry(store.audit.size - 1))
    assert (said["type"], said["ok"], said["first"], said["actor"]) == ("verify.run", False, "tile/0/000", "key_1")
    store.close()


def test_one_verification_at_a_time_and_none_for_ever(tmp_path: Path) -> None:
    async def twice() -> None:
        check = SelfCheck(store.audit)
        first = asyncio.create_task(check.run("owner"))
        await asyncio.sleep(0)
        with pytest.raises(AlreadyVerifying):
            await check.run("owner")
        assert (await first).ok
        with pytest.raises(NotVerified):
            await SelfCheck(store.audit, seconds=0.0).run("owner")

    store = Store.open(tmp_path)
    asyncio.run(twice())
    store.close()


def test_a_ledger_that_does_not_fit_its_log_stops_strict_apps_and_no_others(tmp_path: Path) -> None:
    """An older `ledger.db` was put back: receipts given now could never be proven."""
    store = Store.open(tmp_path)
    store.audit.head()
    store.close()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "older.db")
    store = Store.open(tmp_path)
    store.audit.note(*[ApiKeyRevoked(actor="owner", key="key_1")] * 9)
    store.audit.head()
    store.close()
    shutil.move(tmp_path / "older.db", tmp_path / "ledger.db")
    asyncio.run(judged(tmp_path))


async def judged(data: Path) -> None:
    overrides = {"gateway.data_dir": str(data), "app.careful.audit": "strict"}
    keeper = open_keeper(Config.load(None, environ={}, overrides=overrides), Bell((), {}, str))
    try:
        keeper.store.publisher.start()
        assert keeper.store.publisher.state().broken
        with pytest.raises(AuditUnavailable) as refused:
            await keeper.open(opening("careful"))
        assert (refused.value.status, refused.value.code) == (503, "supervision_unavailable")
        assert (await keeper.open(opening("default"))).receipt is None
    finally:
        keeper.recorder.stop(5.0)
        keeper.store.close()


def opening(app: str) -> Opening:
    accepted = RequestAccepted(actor="owner", tenant=app, exchange="x", provider="openai", operation="chat")
    return Opening(accepted=accepted)


def test_a_full_disk_does_not_stop_receipts_that_will_be_kept(tmp_path: Path) -> None:
    """What cannot be published for a while waits in the ledger, durably: a strict app is served."""
    in_the_way = tmp_path / "audit"
    Store.open(tmp_path).close()
    in_the_way.write_text("no folder")

    async def served() -> None:
        overrides = {"gateway.data_dir": str(tmp_path), "app.careful.audit": "strict"}
        keeper = open_keeper(Config.load(None, environ={}, overrides=overrides), Bell((), {}, str))
        try:
            with pytest.raises(StorageFailed):
                keeper.store.publisher.publish()
            receipt = (await keeper.open(opening("careful"))).receipt
            assert receipt is not None
            in_the_way.unlink()
            keeper.store.publisher.publish()
            assert json.loads(keeper.store.audit.entry(receipt.index))["exchange"] == "x"
        finally:
            keeper.recorder.stop(5.0)
            keeper.store.close()

    asyncio.run(served())
