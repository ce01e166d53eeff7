import asyncio
import hashlib
import logging

import msgspec
import pytest

from gateway.viewers import Audience, Viewer
from tests.contract.api_store import HOSTILE, Plane, ask
from tests.fakes.screen import Screen


def session_of(plane: Plane, index: int) -> str:
    join = plane.recordings[index].exchange.join
    assert join is not None
    return join.session_id


@pytest.mark.parametrize("index", [0, 1])
def test_every_step_is_read_back_with_its_text_also_from_an_encoded_request(plane: Plane, index: int) -> None:
    shown = ask(plane.app, f"/api/sessions/{session_of(plane, index)}/steps").json()["steps"]
    assert [(each["kind"], each["side"]) for each in shown] == [
        ("instructions", "request"),
        ("tool_definitions", "request"),
        ("user_input", "request"),
        ("tool_call", "request"),
        ("tool_result", "request"),
        ("model_text", "response"),
    ]
    texts = [each["text"] for each in shown]
    assert texts[0] == "You are careful."
    assert texts[2] == HOSTILE
    assert msgspec.json.decode(texts[3]) == {"a": "b"}
    assert texts[4] == "the file's text"
    assert texts[5] == f"It says: {HOSTILE}"
    for each in shown:
        assert each["size"] == len(each["text"].encode())


def test_long_texts_are_cut_where_the_caller_says(plane: Plane) -> None:
    shown = ask(plane.app, f"/api/sessions/{session_of(plane, 0)}/steps?text=5").json()["steps"]
    assert shown[0]["text"] == "You a"
    assert shown[0]["truncated"]
    none = ask(plane.app, f"/api/sessions/{session_of(plane, 0)}/steps?text=0").json()["steps"]
    assert {each["text"] for each in none} == {None}


@pytest.mark.parametrize("side", ["request", "response"])
def test_bodies_come_back_exactly_and_are_never_rendered(plane: Plane, side: str) -> None:
    for recording in plane.recordings:
        answer = ask(plane.app, f"/api/exchanges/{recording.exchange.exchange_id}/{side}")
        raw = getattr(recording, side).raw
        assert answer.content == raw
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["stepwarden-body-sha256"] == hashlib.sha256(raw).hexdigest()
        assert answer.headers.get_list("x") == []


def test_lists_are_paged_newest_first(plane: Plane) -> None:
    first = ask(plane.app, "/api/sessions?limit=2").json()
    second = ask(plane.app, f"/api/sessions?limit=2&before={first['next']}").json()
    ids = [each["session_id"] for each in (*first["sessions"], *second["sessions"])]
    assert sorted(ids) == sorted(session_of(plane, index) for index in range(3))
    assert second["next"] is None
    assert ask(plane.app, "/api/sessions?since=2h").json()["sessions"]
    assert not ask(plane.app, "/api/sessions?since=2100-01-01T00:00:00Z").json()["sessions"]
    assert ask(plane.app, "/api/sessions?since=yesterday").status_code == 400


def test_a_session_and_its_exchange_show_join_times_and_unknown_costs(plane: Plane) -> None:
    detail = ask(plane.app, f"/api/sessions/{session_of(plane, 0)[:20]}").json()
    exchange = detail["exchanges"][0]
    assert detail["session"]["cost_micro_usd"] is None
    assert exchange["cost_micro_usd"] is None
    assert exchange["join"]["evidence"] == "none"
    assert exchange["started_at"].endswith("Z")
    assert detail["branches"][0]["relation"] == "opens"


def test_terminating_shows_in_the_session(plane: Plane) -> None:
    path = f"/api/sessions/{session_of(plane, 0)}"
    assert ask(plane.app, f"{path}/terminate", method="POST").json()["terminated_at"]
    assert ask(plane.app, path).json()["session"]["terminated_at"]


def test_a_key_is_shown_once_and_ends_when_revoked(plane: Plane) -> None:
    made = ask(plane.app, "/api/keys", method="POST", body={"name": "me", "role": "admin", "budget_usd": 1.5}).json()
    secret = made["secret"]
    assert made["key"]["budget_micro_usd"] == 1_500_000
    listed = ask(plane.app, "/api/keys", key=secret)
    assert secret not in listed.text
    assert listed.json()["keys"][0]["name"] == "me"
    assert ask(plane.app, f"/api/keys/{made['key']['key_id']}/revoke", method="POST", key=secret).json()["revoked_at"]
    assert ask(plane.app, "/api/keys", key=secret).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a\x1b[31m"},
        {"name": "a", "role": "root"},
        {"name": "a", "rle": "app"},
        {"name": "a", "app": "*"},
        {"name": "a", "app": "../x", "role": "viewer"},
        {"name": "a", "expires_at": "tomorrow"},
        {"name": "a", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "a", "budget_usd": -1},
        [],
        "x",
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(plane: Plane, body: object) -> None:
    answer = ask(plane.app, "/api/keys", method="POST", body=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["remedy"]
    assert plane.store.keys.list() == []


def test_the_openapi_document_describes_every_route(plane: Plane) -> None:
    document = ask(plane.app, "/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/api/sessions/{session_id}/steps" in document["paths"]
    assert "/api/live" in document["paths"]


def test_reading_the_openapi_document_leaves_the_logs_as_they_are(plane: Plane) -> None:
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    ask(plane.app, "/api/openapi.json")
    assert (root.handlers, root.level) == (handlers, level)


def test_a_viewer_sees_what_is_recorded_and_nothing_can_forge_an_event(plane: Plane) -> None:
    async def seen() -> bytes:
        screen = Screen()
        plane.live.enter(Audience("default", overseer=False), Viewer(screen))
        for recording in plane.recordings:
            plane.live.publish(recording)
        plane.live.close()
        return b"".join(screen.said)

    events = asyncio.run(seen()).removesuffix(b"\n\n").split(b"\n\n")
    assert [block.split(b"\n")[0] for block in events] == [*[b"event: step"] * 6, b"event: exchange"] * 2
    for block in events:
        name, identity, data = block.split(b"\n")
        assert name.startswith(b"event: ")
        assert identity.startswith(b"id: ")
        document = msgspec.json.decode(data.removeprefix(b"data: "))
        assert document.get("app", "default") == "default"
