"""Every event fits the published schema of OCSF 1.8.0, and one that is broken does not."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway.evidence.log_entries import LogEntry
from gateway.evidence.ocsf import ELSEWHERE, Events
from gateway.evidence.rules import Taxonomy
from tests.contract.api_store import CLAUSE, ask
from tests.contract.test_audit_entries import entry_types
from tests.unit.gateway.evidence.house import Eventful

SCHEMA = Path(__file__).parents[3] / "corpus" / "ocsf" / "ocsf-1.8.0.schema.json"
API, FINDING, ENTITY = 6003, 2004, 3004


@pytest.fixture(scope="module")
def published() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(SCHEMA.read_text()))


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Eventful, bytes]]:
    plane = Eventful(tmp_path_factory.mktemp("events") / "data")
    plane.bundle()
    secret = plane.keys()["admin"]
    plane.store.keys.revoke(next(each for each in plane.store.keys.list() if each.role == "app").key_id, 2)
    yield plane, plane.export("since=1h&format=ocsf", key=secret)
    plane.store.close()


@pytest.fixture
def events(happened: tuple[Eventful, bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in happened[1].splitlines()]


def of_class(events: list[dict[str, Any]], uid: int) -> list[dict[str, Any]]:
    return [each for each in events if each["class_uid"] == uid]


def test_every_event_fits(events: list[dict[str, Any]], published: jsonschema_rs.Draft202012Validator) -> None:
    for event in events:
        assert not [str(each) for each in published.iter_errors(event)], event
    kinds = {each["type_uid"] for each in events}
    assert kinds >= {600301, 600302, 200401, 200403, 300401, 300404, 300410, 300412}


@pytest.mark.parametrize("kind", entry_types())
def test_every_type_of_entry_gives_an_event_that_fits_or_is_told_of_elsewhere(
    kind: str, published: jsonschema_rs.Draft202012Validator
) -> None:
    fields = dict.fromkeys(entry_types()[kind].__struct_fields__, "x") | {"verdict": "hold", "decision": "approved"}
    said = {**fields, "type": kind, "seq": 7, "ts": "2026-07-28T10:00:00Z", "clauses": {}}
    events = Events(release="1", origin="log", taxonomy=Taxonomy({})).of_entry(LogEntry(7, said, b""))
    found = list(events)
    assert bool(found) == (kind not in ELSEWHERE)
    assert [str(each) for event in found for each in published.iter_errors(event)] == []


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda event: event.pop(name)


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "no time": without("time"),
    "no metadata": without("metadata"),
    "no class": without("class_uid"),
    "no type": without("type_uid"),
    "another type": lambda event: event.update(type_uid=event["type_uid"] + 1),
    "another category": lambda event: event.update(category_uid=9),
    "a class we never send": lambda event: event.update(class_uid=1001),
    "a severity there is not": lambda event: event.update(severity_id=42),
    "an attribute there is not": lambda event: event.update(verdict="reject"),
    "time as text": lambda event: event.update(time="now"),
    "no version": lambda event: event["metadata"].pop("version"),
    "a nameless product": lambda event: event["metadata"].update(product={"version": "1"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_event_does_not(
    events: list[dict[str, Any]], published: jsonschema_rs.Draft202012Validator, name: str
) -> None:
    for event in events:
        BROKEN[name](event)
        assert not published.is_valid(event)


def test_nor_does_one_that_uses_a_profile_it_does_not_name(
    events: list[dict[str, Any]], published: jsonschema_rs.Draft202012Validator
) -> None:
    for event in [*of_class(events, FINDING), *[each for each in of_class(events, API) if "ai_model" in each]]:
        event["metadata"]["profiles"] = []
        assert not published.is_valid(event)


def test_nor_one_without_what_its_class_asks_for(
    events: list[dict[str, Any]], published: jsonschema_rs.Draft202012Validator
) -> None:
    for uid, names in ((API, ("actor", "api", "src_endpoint")), (FINDING, ("finding_info",)), (ENTITY, ("entity",))):
        for event in of_class(events, uid):
            for name in names:
                assert not published.is_valid({key: value for key, value in event.items() if key != name})


def test_an_exchange_names_model_session_app_and_outcome(
    happened: tuple[Eventful, bytes], events: list[dict[str, Any]]
) -> None:
    exchange = happened[0].stopped.exchange
    assert exchange.join is not None
    found = next(each for each in events if each["metadata"]["uid"] == exchange.exchange_id)
    assert found["ai_model"] == {"ai_provider": "anthropic", "name": "claude-haiku-4-5"}
    assert found["message_context"]["uid"] == exchange.join.session_id
    assert "prompt_tokens" not in found["message_context"]  # unknown stays unknown
    assert (found["metadata"]["tenant_uid"], found["status_id"]) == ("default", 1)


def test_a_finding_carries_the_ids_of_the_very_clause_that_judged(
    happened: tuple[Eventful, bytes], events: list[dict[str, Any]]
) -> None:
    plane, _ = happened
    found = {each["finding_info"]["uid"]: each for each in of_class(events, FINDING)}
    known = found[f"{plane.stopped.exchange.exchange_id}:{CLAUSE}"]
    assert "OWASP-LLM01" in known["finding_info"]["types"]
    assert {"technique": {"uid": "AML.T0051.001"}} in known["finding_info"]["attacks"]
    assert (known["severity_id"], known["action_id"], known["disposition_id"], known["is_alert"]) == (5, 2, 2, True)
    gone = found[f"{plane.earlier.exchange.exchange_id}:{CLAUSE}"]
    assert not {"types", "attacks", "desc"} & set(gone["finding_info"])
    assert gone["severity_id"] == 0


def test_no_event_holds_content(events: list[dict[str, Any]]) -> None:
    assert "alert(1)" not in json.dumps(events)
    assert "the file's text" not in json.dumps(events)


def test_a_key_of_one_app_gets_lines_of_its_own_and_no_bundle(plane: Eventful) -> None:
    key = plane.keys(app="other")["auditor"]
    assert ask(plane.app, "/api/audit/export?since=1h", key=key).status_code == 403
    assert ask(plane.app, "/api/audit/export?since=1h&format=ocsf&app=default", key=key).status_code == 403
    events = plane.lines("since=1h&format=ocsf", key=key)
    assert {each["metadata"].get("tenant_uid", "other") for each in events} == {"other"}
    lines = plane.lines("since=1h&format=jsonl", key=key)
    assert {each["exchange"]["app"] for each in lines if "exchange" in each} == {"other"}
    assert {each["entry"].get("tenant") for each in lines if "entry" in each} <= {"other", None}


def test_plain_lines_hold_every_entry_and_every_exchange(plane: Eventful) -> None:
    lines = plane.lines("since=1h&format=jsonl")
    assert [each["entry"]["seq"] for each in lines if "entry" in each] == list(range(plane.store.audit.size - 1))
    assert len([each for each in lines if "exchange" in each]) == 5
