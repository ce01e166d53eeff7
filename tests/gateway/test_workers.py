"""Several workers are one gateway: one record, one set of budgets, one control plane, one orderly end."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.gateway import ROOT, config_text, free_port
from tests.fakes.provider import always, events
from tests.gateway.house import ANTHROPIC, CHAT, PATIENT, House, fresh, standing, waited
from tests.gateway.rawhttp import BrokenOff, Pairs, Response, request
from tests.gateway.test_keys_live import cheap, spent, under
from tests.gateway.test_overload import UNHURRIED, assert_clean, held, under_way, until_nobody_listens


@pytest.fixture(scope="module")
def crew_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("crew"), more=f"{PATIENT}body_seconds = 1.0\n", workers=2) as house:
        yield house


@pytest.fixture
def crew(crew_house: House) -> House:
    return fresh(crew_house)


def workers_of(house: House) -> list[int]:
    """Process ids of the data-plane workers."""
    parent = house.gateway.process.pid
    children = map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return [child for child in children if b"spawn_main" in command_of(child)]


def command_of(process: int) -> bytes:
    """The command line of a process; nothing of one that is gone by now."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def inodes(pid: int) -> set[str]:
    """The sockets a process holds open."""
    names: list[str] = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            names.append(str(link.readlink()))
    return {name[8:-1] for name in names if name.startswith("socket:")}


def serving(house: House, local_port: int) -> int:
    """Which worker holds the server side of a client's connection."""
    gateway_port = house.gateway.address[1]

    def read() -> int | None:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            here, there = (int(part.rpartition(":")[2], 16) for part in fields[1:3])
            if (here, there) == (gateway_port, local_port):
                return next((pid for pid in workers_of(house) if fields[9] in inodes(pid)), None)
        return None

    return waited(read)


def asked_of_each(house: House, data: bytes) -> list[Response]:
    """The same request, once through every worker."""
    found: dict[int, Response] = {}
    while len(found) < 2:
        with house.wire() as wire:
            worker = serving(house, wire.socket.getsockname()[1])  # it may close the connection with its answer
            found.setdefault(worker, wire.send(data).response())
    return list(found.values())


@pytest.mark.parametrize("method", [b"GET", b"CONNECT"])
def test_a_control_request_without_its_body_keeps_nobody_else_waiting(crew: House, method: bytes) -> None:
    headers = [(b"connection", b"Upgrade"), (b"upgrade", b"h2c"), (b"content-length", b"60000")]
    attack = request(b"/readyz", b"", method=method, headers=headers)
    assert {got.status for got in asked_of_each(crew, attack)} <= {400, 408}
    honest = request(b"/readyz", method=b"GET")
    assert [got.status for got in asked_of_each(crew, honest) + asked_of_each(crew, honest)] == [200] * 4


def test_both_workers_serve(crew: House) -> None:
    assert len(workers_of(crew)) == 2
    assert [got.status for got in asked_of_each(crew, CHAT.call())] == [200, 200]


def test_a_conversation_through_both_workers_is_one_session(crew: House) -> None:
    messages = [{"role": "user", "content": "Only this test speaks of the blue lighthouse keeper."}]
    first = crew.ask(ANTHROPIC.call(body=ANTHROPIC.request_body(stream=False, messages=messages)))
    text = crew.facts(first.exchange)["steps"][-1]["text"]
    messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
    follow = asked_of_each(crew, ANTHROPIC.call(body=ANTHROPIC.request_body(stream=False, messages=messages)))
    sessions = {got.one(b"stepwarden-session") for got in follow}
    assert sessions == {first.one(b"stepwarden-session")}
    for got in follow:
        assert crew.kept(got.exchange, "response") == got.body


def as_owner(
    house: House, path: bytes, headers: Pairs = (), *, method: bytes = b"GET", body: bytes | None = None
) -> bytes:
    host = house.gateway.url.removeprefix("http://").encode()
    return request(path, body, method=method, headers=headers, host=host)


def test_the_control_plane_answers_through_every_worker(crew: House) -> None:
    crew.facts(crew.ask(CHAT.call()).exchange)
    for path in (b"/api/status", b"/api/exchanges", b"/api/sessions", b"/healthz", b"/readyz"):
        for got in asked_of_each(crew, as_owner(crew, path)):
            assert got.status == 200, (path, got)


def test_a_worker_relays_what_the_control_plane_says_of_a_body(crew: House) -> None:
    exchange = crew.ask(CHAT.call()).exchange
    crew.facts(exchange)
    for got in asked_of_each(crew, as_owner(crew, f"/api/exchanges/{exchange}/request".encode())):
        said = dict(got.headers)
        assert said[b"stepwarden-body-sha256"] == hashlib.sha256(got.body).hexdigest().encode()
        assert said[b"x-content-type-options"] == b"nosniff"


def test_nobody_gains_powers_by_asking_a_worker(tmp_path: Path) -> None:
    with standing(tmp_path, workers=2) as house:
        viewer = (b"authorization", b"Bearer " + house.key(name="v", role="viewer", app="a")["secret"].encode())
        app = (b"authorization", b"Bearer " + house.key(name="a", role="app", app="a")["secret"].encode())
        create = json.dumps({"name": "evil", "role": "admin", "app": "*"}).encode()
        forged: list[Pairs] = [
            [],
            [(b"stepwarden-peer", b"127.0.0.1")],
            [(b"stepwarden-control-socket", b"1")],
            [(b"x-forwarded-for", b"127.0.0.1")],
            [app],
            [viewer],
            [viewer, (b"stepwarden-peer", b"127.0.0.1")],
        ]
        for headers in forged:
            sent = [*headers, (b"content-type", b"application/json")]
            for got in asked_of_each(house, as_owner(house, b"/api/keys", sent, method=b"POST", body=create)):
                assert got.status in {401, 403}, (headers, got)
            for got in asked_of_each(house, as_owner(house, b"/api/keys", headers)):
                assert got.status in {401, 403}
        for got in asked_of_each(house, as_owner(house, b"/api/status", [viewer])):
            assert got.status == 200
        names = [key["name"] for key in json.loads(house.control("/api/keys")[1])["keys"]]
        assert sorted(names) == ["a", "v"]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"origin", b"https://evil.test")],
        [(b"sec-fetch-site", b"cross-site")],
    ],
    ids=["origin", "fetch site"],
)
def test_a_web_page_gains_nothing_by_asking_a_worker(crew: House, headers: Pairs) -> None:
    for got in asked_of_each(crew, as_owner(crew, b"/api/status", headers)):
        assert got.status == 403, got
    for got in asked_of_each(crew, request(b"/api/status", method=b"GET", host=b"rebound.test")):
        assert got.status == 403


def test_a_budget_holds_across_workers(tmp_path: Path) -> None:
    with standing(tmp_path, workers=2) as house:
        usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
        house.provider.script = always(cheap(usage))
        key = house.key(name="bound", budget_usd=0.02)
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(house.ask, [under(key["secret"])] * 300))
        assert {got.status for got in answers} == {200, 429}
        costs = [house.facts(got.exchange)["cost_micro_usd"] for got in answers if got.status == 200]
        assert sum(costs) <= 20_000
        assert waited(lambda: spent(house, key["key"]["key_id"]) == sum(costs) or None)


def test_a_revoked_key_is_refused_by_every_worker_at_once(tmp_path: Path) -> None:
    with standing(tmp_path, workers=2) as house:
        house.key(name="another")
        key = house.key(name="short-lived")
        assert [got.status for got in asked_of_each(house, under(key["secret"]))] == [200, 200]
        house.control(f"/api/keys/{key['key']['key_id']}/revoke", method="POST")
        assert [got.status for got in asked_of_each(house, under(key["secret"]))] == [401, 401]


def test_a_killed_worker_is_replaced_and_the_other_serves_on(tmp_path: Path) -> None:
    with standing(tmp_path, workers=2) as house:
        gate, answer = held(CHAT)
        house.provider.script = always(answer)
        streams: dict[int, tuple[object, Response]] = {}
        while len(streams) < 2:
            wire, head = under_way(house, CHAT)
            pid = serving(house, wire.socket.getsockname()[1])
            if pid in streams:
                wire.close()
                house.facts(head.exchange)  # so that the death of its worker loses one exchange only
            else:
                streams[pid] = (wire, head)
        victim, survivor = streams
        os.kill(victim, signal.SIGKILL)
        with streams[victim][0] as wire, pytest.raises(BrokenOff):  # type: ignore[attr-defined]
            list(wire.pieces(streams[victim][1]))
        gate.open()
        with streams[survivor][0] as wire:  # type: ignore[attr-defined]
            assert b"".join(wire.pieces(streams[survivor][1])) == b"".join(events("chat"))
        waited(lambda: len(set(workers_of(house)) - {victim}) == 2 or None)
        fresh(house)
        assert [got.status for got in asked_of_each(house, CHAT.call())] == [200, 200]
        assert house.facts(streams[survivor][1].exchange)["outcome"] == "complete"
        assert "a worker died" in house.gateway.log
        counters = json.loads(house.control("/api/status")[1])["counters"]
        assert counters["dropped"] == 1
        house.gateway.process.send_signal(signal.SIGTERM)
        assert house.gateway.ended() == 1


def test_two_workers_told_to_end_finish_their_streams_and_lose_nothing(tmp_path: Path) -> None:
    with standing(tmp_path, more=UNHURRIED, workers=2) as house:
        gate, answer = held(CHAT)
        done = [house.ask(CHAT.call()) for _ in range(40)]
        house.provider.script = always(answer)
        streams = [under_way(house, CHAT) for _ in range(8)]
        house.gateway.process.send_signal(signal.SIGTERM)
        until_nobody_listens(house)
        gate.open()
        for wire, head in streams:
            assert b"".join(wire.pieces(head)) == b"".join(events("chat"))
            wire.close()
        assert house.gateway.ended() == 0
    with standing(tmp_path) as house:
        for got in [*done, *(head for _, head in streams)]:
            assert house.facts(got.exchange)["outcome"] == "complete"


def test_a_second_gateway_on_the_same_directory_is_refused(crew: House, tmp_path: Path) -> None:
    config = tmp_path / "second.toml"
    providers = {"anthropic": "http://127.0.0.1:9"}
    config.write_text(config_text(port=free_port(), folder=crew.gateway.folder, providers=providers))
    command = [sys.executable, "-m", "gateway.cli.main", "serve", "--config", str(config)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr
    assert str(crew.gateway.folder / "data") in ended.stderr
    assert crew.ask(CHAT.call()).status == 200


def test_64_streams_on_two_workers_are_clean(crew: House) -> None:
    assert_clean(crew, 64)


@pytest.mark.torture
def test_512_streams_on_two_workers_are_clean(tmp_path: Path) -> None:
    with standing(tmp_path, more="", workers=2) as house:
        assert_clean(house, 512)
