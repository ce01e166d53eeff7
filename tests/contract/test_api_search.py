"""Searching contents: who may, for which apps, what comes back, and what the audit log says of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.vocabulary.keys import Role
from tests.contract.api_store import HOSTILE, Plane, ask

WORDS = "the FILE'S\ttext"
"""As it stands in a tool result, but for its case and its blank."""


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path)
    yield made
    made.store.close()


def searched(plane: Plane, words: str, key: str | None = None, **more: Any) -> list[tuple[str, Any]]:
    """The events of a search, as `(name, data)`."""
    answer = ask(plane.app, "/api/search", method="POST", key=key, body={"words": words, **more})
    assert answer.status_code == 200, answer.text
    lines = [line.partition(": ") for line in answer.text.splitlines() if line]
    names = [value for name, _, value in lines if name == "event"]
    return list(zip(names, [json.loads(value) for name, _, value in lines if name == "data"], strict=True))


def found(events: list[tuple[str, Any]]) -> list[Any]:
    return [data for name, data in events if name == "found"]


def entries(plane: Plane, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for _, line in plane.store.audit.entries(plane.store.audit.size, 100)]
    return [each for each in reversed(lines) if each["type"] == kind]


def test_words_are_found_in_any_case_and_whatever_blanks_stand_between_them(plane: Plane) -> None:
    events = searched(plane, WORDS)
    places = found(events)
    assert {each["exchange_id"] for each in places} == {
        each.exchange.exchange_id for each in plane.recordings if each.exchange.app == "default"
    }
    assert {(each["kind"], each["words"], each["times"]) for each in places} == {("tool_result", "the file's text", 1)}
    name, report = events[-1]
    assert (name, report["places"], report["exchanges"], report["whole"]) == ("report", 2, 2, True)


def test_apps_that_do_not_allow_it_are_not_searched(plane: Plane) -> None:
    assert {each["app"] for each in found(searched(plane, WORDS))} == {"default"}
    refused = ask(plane.app, "/api/search", method="POST", body={"words": WORDS, "app": "other"})
    assert (refused.status_code, "search = true" in refused.json()["error"]["remedy"]) == (403, True)
    plane.searched = {"other"}
    assert {each["app"] for each in found(searched(plane, WORDS))} == {"other"}
    assert ask(plane.app, "/api/search").json() == {"apps": ["other"]}


def test_a_viewer_searches_nothing(plane: Plane) -> None:
    key = plane.keys()["viewer"]
    assert ask(plane.app, "/api/search", method="POST", key=key, body={"words": WORDS}).status_code == 403
    assert ask(plane.app, "/api/search", key=key).status_code == 403


@pytest.mark.parametrize("role", ["auditor", "operator"])
def test_auditors_and_operators_search_in_their_own_app_alone(plane: Plane, role: Role) -> None:
    plane.searched = {"default", "other"}
    key = plane.keys(app="other")[role]
    assert {each["app"] for each in found(searched(plane, WORDS, key=key))} == {"other"}
    refused = ask(plane.app, "/api/search", method="POST", key=key, body={"words": WORDS, "app": "default"})
    assert refused.status_code == 403


def test_the_log_tells_of_a_search_and_of_every_exchange_shown_but_not_the_words(plane: Plane) -> None:
    shown = {each["exchange_id"] for each in found(searched(plane, WORDS))}
    assert shown
    searched(plane, " ".join(WORDS.split()).lower())
    searched(plane, "something else")
    told = entries(plane, "content.searched")
    assert told[0]["words"] == told[1]["words"] != told[2]["words"]
    read = [each for each in entries(plane, "content.read") if each["what"] == "search"]
    assert {each["exchange"] for each in read} == shown
    assert len(read) == 2 * len(shown)
    assert all("file" not in json.dumps(each).lower() for each in [*told, *read])


def test_no_words_that_were_looked_for_lie_on_the_disk(plane: Plane) -> None:
    words = "xylophone-4711 nobody said"
    assert found(searched(plane, words)) == []
    plane.store.audit.head()
    for file in plane.directory.rglob("*"):
        if file.is_file():
            assert b"xylophone-4711" not in file.read_bytes(), file


def test_a_search_ends_where_it_was_told_to_and_says_so(plane: Plane) -> None:
    plane.searched = {"default", "other"}
    for bound in ("most", "places"):
        events = searched(plane, WORDS, **{bound: 1})
        assert len(found(events)) == 1
        assert events[-1][1]["whole"] is False


def test_what_is_around_the_words_comes_with_them_and_hostile_text_starts_no_event(plane: Plane) -> None:
    events = searched(plane, "alert(1)")
    place = next(each for each in found(events) if each["kind"] == "user_input")
    assert (
        place["before"] + place["words"] + place["after"]
        == HOSTILE[-len(place["before"] + place["words"] + place["after"]) :]
    )
    assert {name for name, _ in events} <= {"found", "progress", "report"}


@pytest.mark.parametrize("words", ["", " a ", "  \t ab \n", "x" * 201])
def test_too_few_and_too_many_words_are_refused(plane: Plane, words: str) -> None:
    answer = ask(plane.app, "/api/search", method="POST", body={"words": words})
    assert answer.status_code == 400
    assert entries(plane, "content.searched") == []


def test_what_stands_as_a_pattern_is_only_text(plane: Plane) -> None:
    assert found(searched(plane, "file.s text")) == []
    assert found(searched(plane, "(.*)+$")) == []
