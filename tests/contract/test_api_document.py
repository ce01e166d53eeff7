"""The OpenAPI document against what the routes answer."""

from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.contract.api_store import Plane, ask, asked, session_of

SINCE = {"/api/audit/export": "?since=2h&format=jsonl"}
"""What a route needs beside its path."""


@pytest.fixture
def document(plane: Plane) -> dict[str, Any]:
    return ask(plane.app, "/api/openapi.json").json()


def described(document: dict[str, Any], operation: dict[str, Any], answer: httpx.Response) -> None:
    """Hold an answer against what the document says of it."""
    said = operation["responses"].get(str(answer.status_code), operation["responses"]["default"])
    kind = answer.headers["content-type"].partition(";")[0]
    content = said["content"].get(kind) or said["content"]["*/*"]
    if kind == "application/json":
        validator = jsonschema_rs.validator_for({**content["schema"], "components": document["components"]})
        validator.validate(answer.json())


def filled(plane: Plane, path: str) -> str:
    recording = plane.recordings[0]
    hold = plane.store.holds.join(asked(recording), now_ns=recording.exchange.started_ns, expires_ns=1 << 62)
    return path.format(
        session_id=session_of(recording),
        exchange_id=recording.exchange.exchange_id,
        step_id=f"{recording.exchange.exchange_id}.0000",
        hold_id=hold.hold_id,
        index=0,
        number=1,
        name="0123456789abcdef",
        key_id="key_unknown",
        server="s",
        tool="t",
    )


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if path != "/api/live"  # never ends
    ]


def test_what_is_read_is_answered_as_the_document_says(plane: Plane, document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if method == "GET":
            described(document, operation, ask(plane.app, filled(plane, path) + SINCE.get(path, "")))


def test_every_refusal_is_answered_as_the_document_says(plane: Plane, document: dict[str, Any]) -> None:
    key = plane.keys()["app"]
    for method, path, operation in operations(document):
        assert "400" not in operation["responses"]
        for said in ({}, {"key": key}):
            answer = ask(plane.app, filled(plane, path), method=method, body={}, **said)
            if answer.status_code != 200:
                described(document, operation, answer)


@pytest.mark.parametrize("number", [-1, 1 << 63, 10**30])
def test_a_number_that_nothing_can_have_is_refused_and_is_no_failure_of_ours(plane: Plane, number: int) -> None:
    session = session_of(plane.recordings[0])
    for path in (
        f"/api/proposals/{number}",
        f"/api/audit/entries/{number}",
        f"/api/audit/proof/{number}",
        f"/api/audit/entries?before={number}",
        f"/api/sessions/{session}/turns?after={number}",
        f"/api/sessions/{session}/steps?after={number}",
    ):
        assert ask(plane.app, path).status_code == 400, path


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
@pytest.mark.parametrize("path", ["/api/sessions?since=", "/api/sessions?until=", "/api/supervision?since="])
def test_no_time_whatever_is_a_failure_of_ours(plane: Plane, path: str, at: str) -> None:
    assert ask(plane.app, path + at).status_code == (400 if at > "2262" else 200)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 5000, b"{", b"\xff\xfe", b'"\\ud800"', b"1" * 5000])
def test_a_body_that_is_no_json_is_refused_with_the_reason(plane: Plane, content: bytes) -> None:
    answer = ask(plane.app, "/api/keys", method="POST", content=content)
    assert answer.status_code == 400
    assert "body" in answer.json()["error"]["message"]
