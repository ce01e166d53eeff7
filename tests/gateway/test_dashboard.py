"""The dashboard as a gateway serves it: through workers too, to whoever may see it, and to no provider."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gateway import ENDED_WITHIN, READY_WITHIN, ROOT, config_text, free_port
from tests.gateway.house import ANTHROPIC, House, standing, waited


@pytest.fixture(scope="module", params=[1, 2])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("served"), workers=request.param) as house:
        yield house


def asked(
    house: House, path: str, *, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(*house.gateway.address, timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body)
        connection.request(
            method, path, content, {**named, **({"content-type": "application/json"} if content else {})}
        )
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_page_and_its_files_come_from_every_worker(served: House) -> None:
    for _ in range(4):
        status, headers, body = asked(served, "/")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "script-src 'self'" in headers["content-security-policy"]
        assert b"/assets/app.js" in body
        assert asked(served, "/assets/app.js")[0] == 200
    assert asked(served, "/assets/nothing.js")[0] == 404
    assert asked(served, "/nothing")[0] == 404


def test_a_browser_signs_in_and_changes_something_through_a_worker(served: House) -> None:
    secret = served.key(name="ada", role="admin", app="*")["secret"]
    status, headers, body = asked(served, "/api/sign-in", method="POST", body={"key": secret})
    assert status == 200, body
    cookie, csrf = headers["set-cookie"].partition(";")[0], json.loads(body)["csrf"]
    assert json.loads(asked(served, "/api/me", cookie=cookie)[2])["name"] == "ada"
    assert asked(served, "/api/me")[0] == 401
    new = {"name": "another", "role": "viewer"}
    assert asked(served, "/api/keys", method="POST", body=new, cookie=cookie)[0] == 403
    assert asked(served, "/api/keys", method="POST", body=new, cookie=cookie, stepwarden_csrf=csrf)[0] == 201
    assert asked(served, "/api/sign-out", method="POST", body={}, cookie=cookie, stepwarden_csrf=csrf)[0] == 200
    assert asked(served, "/api/me", cookie=cookie)[0] == 401
    assert secret not in served.gateway.log
    assert cookie.partition("=")[2] not in served.gateway.log


def test_no_provider_is_sent_the_cookie(served: House) -> None:
    caller = served.key(name="page")["secret"]
    sent = b"theirs=1; stepwarden=secret; __Host-stepwarden=secret"
    assert served.ask(ANTHROPIC.call(headers=[(b"cookie", sent), (b"stepwarden-key", caller.encode())])).status == 200
    seen = served.provider.requests[-1]
    cookies = [value for name, value in seen.headers if name.lower() == b"cookie"]
    assert cookies == [b"theirs=1"]


def told(folder: Path, *, terminal: bool, more: str) -> str:
    """What a gateway says on stderr from its start to its end, to a terminal or into a pipe."""
    config = folder / "stepwarden.toml"
    text = config_text(port=free_port(), folder=folder, providers={}).replace("[gateway]", f"[gateway]\n{more}")
    config.write_text(text)
    command = [sys.executable, "-m", "gateway.cli.main", "serve", "--config", str(config)]
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""

    def listening() -> bool | None:
        nonlocal said
        said += os.read(ours, 65536)
        return b'"listening"' in said or None

    try:
        waited(listening, seconds=READY_WITHIN)
        process.terminate()
        process.wait(ENDED_WITHIN)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return said.decode()


def test_the_first_admin_key_is_shown_to_a_person_once_and_to_no_log(tmp_path: Path) -> None:
    reachable = 'allowed_hosts = ["gateway.example"]'
    assert "swk_" not in told(tmp_path, terminal=False, more=reachable)
    shown = told(tmp_path, terminal=True, more=reachable)
    (secret,) = [word for word in shown.split() if word.startswith("swk_")]
    assert len(secret) == 4 + 43 + 6
    assert all(secret not in line for line in shown.splitlines() if line.startswith("{"))
    assert "swk_" not in told(tmp_path, terminal=True, more=reachable)


def test_on_loopback_no_key_is_made_that_nobody_asked_for(tmp_path: Path) -> None:
    assert "swk_" not in told(tmp_path, terminal=True, more="")


def test_metrics_are_scraped_with_a_key_that_may_see_every_app(served: House) -> None:
    every = served.key(name="prometheus", role="viewer", app="*")["secret"]
    one = served.key(name="one app's", role="viewer", app="default")["secret"]
    caller = served.key(name="agent")["secret"]
    assert served.ask(ANTHROPIC.call(headers=[(b"stepwarden-key", caller.encode())])).status == 200

    def counted() -> str | None:
        status, headers, body = asked(served, "/metrics", authorization=f"Bearer {every}")
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        return body.decode() if b"gen_ai_client_inference_duration_seconds_count" in body else None

    text = waited(counted)
    assert 'gen_ai_request_model="claude-haiku-4-5"' in text
    for name in ("recorded_total", "dropped_total", "waiting", "holds_waiting", "event_loop_lag_seconds"):
        assert f"\nstepwarden_{name} " in text
    assert asked(served, "/metrics", authorization=f"Bearer {one}")[0] == 403
    assert asked(served, "/metrics")[0] == 401
