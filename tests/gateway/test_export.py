"""What a running gateway exports while traffic goes on: whole, verified, and with everything that was logged before."""

import io
import json
import threading
import zipfile
from pathlib import Path

import pytest

from storage.audit.verify import verify
from tests.fakes.audit import quiet
from tests.fakes.provider import TURN, always, say
from tests.gateway.house import CHAT, standing
from tests.unit.storage.audit.house import memory_archive


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bundle_made_under_traffic_verifies_and_holds_what_was_served_before(tmp_path: Path, workers: int) -> None:
    with standing(tmp_path, workers=workers) as house:
        house.provider.script = always(say("chat", TURN))
        before = [house.ask(CHAT.call()).exchange for _ in range(3)]
        for exchange in before:
            house.facts(exchange)
        stop = threading.Event()

        def traffic() -> None:
            while not stop.is_set():
                house.ask(CHAT.call())

        asking = threading.Thread(target=traffic)
        asking.start()
        try:
            status, body = house.control("/api/audit/export?since=1h&content=true")
        finally:
            stop.set()
            asking.join()
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as made:
        files = {name: made.read(name) for name in made.namelist()}
    report = verify(memory_archive(files), None, progress=quiet)
    assert report.holds, report.flaws
    completed = [json.loads(line) for line in files["entries.jsonl"].splitlines()]
    assert {each["exchange"] for each in completed if each["type"] == "request.completed"} >= set(before)
    spans = b"".join(data for path, data in files.items() if path.startswith("spans/"))
    assert {json.loads(line)["exchange"]["exchange_id"] for line in spans.splitlines()} >= set(before)


def test_the_log_of_a_gateway_elsewhere_is_verified_here_and_its_head_can_be_kept(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        house.provider.script = always(say("chat", TURN))
        house.facts(house.ask(CHAT.call()).exchange)
        head = house.gateway.command("audit", "head")
        assert head.returncode == 0, head.stderr
        kept = tmp_path / "head"
        kept.write_text(head.stdout)
        report = house.gateway.command("audit", "verify", "--from-checkpoint", str(kept), "--json")
        assert report.returncode == 0, report.stderr
        shown = json.loads(report.stdout)
        assert (shown["ok"], shown["path"]) == (True, house.gateway.url)
        assert shown["size"] > int(head.stdout.splitlines()[1])
        twice = house.gateway.command("audit", "verify", str(tmp_path))
        assert (twice.returncode, "not both" in twice.stderr) == (2, True)
