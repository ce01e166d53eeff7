"""Critiques and labels: for those who watch over the app, with the words they stand on; hostile words do nothing."""

from pathlib import Path

import msgspec
import pytest

from gateway.cli.main import FAILED
from policies.vocabulary.exchanges import Recording
from storage.store import Store
from tests.contract.api_store import CLAUSE, HOSTILE, Plane, ask, filed, recorded, session_of
from tests.contract.test_cli_commands import HARMFUL, printed


def test_a_critique_is_shown_with_the_exact_words_it_quotes(plane: Plane, said: Recording) -> None:
    answer = ask(plane.app, f"/api/sessions/{session_of(said)}/critiques", key=plane.keys()["viewer"]).json()
    [critique] = answer["critiques"]
    [opinion] = critique["opinions"]
    assert (answer["distrusted"], answer["waiting"], critique["verdict"]) == (True, 0, "hold")
    assert [quote["text"] for quote in opinion["quotes"]] == [HOSTILE]
    kinds = [msgspec.json.decode(line)["type"] for line in plane.store.ledger.entries(0, 1000).lines]
    assert "content.read" in kinds


def test_another_apps_critiques_and_steps_are_as_if_they_were_not(plane: Plane, said: Recording) -> None:
    keys = plane.keys(app="other")
    session, step = session_of(said), said.steps[0].step_id
    given = {"label": "ok", "by": "Eve"}
    assert ask(plane.app, f"/api/sessions/{session}/critiques", key=keys["operator"]).status_code == 404
    assert (
        ask(plane.app, f"/api/steps/{step}/label", method="POST", body=given, key=keys["operator"]).status_code == 404
    )
    assert ask(plane.app, "/api/labels", key=keys["viewer"]).json() == {"labels": []}


def test_a_label_needs_a_name_and_one_of_two_words(plane: Plane, said: Recording) -> None:
    path = f"/api/steps/{said.steps[1].step_id}/label"
    for body in ({"label": "ok"}, {"label": "ok", "by": ""}, {"label": "fine", "by": "Eve"}, {"by": "Eve"}):
        assert ask(plane.app, path, method="POST", body=body).status_code == 400, body
    assert ask(plane.app, path, method="POST", body={"label": "ok", "by": "Eve"}).status_code == 200
    assert [each["label"] for each in ask(plane.app, "/api/labels").json()["labels"]] == ["ok"]


def test_nobody_is_asked_where_nobody_would_read(plane: Plane, said: Recording) -> None:
    answer = ask(plane.app, f"/api/sessions/{session_of(said)}/critique", method="POST")
    assert (answer.status_code, answer.json()["error"]["type"]) == (409, "no_supervisor")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """A data directory with a critique in it, and no gateway."""
    monkeypatch.chdir(tmp_path)
    store = Store.open(tmp_path / "stepwarden-data")
    recording = recorded()
    store.append([recording])
    store.critiques.add(filed(recording))
    store.close()
    return recording


def test_what_was_said_is_printed_and_does_nothing(house: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of(house)
    for arguments in (("critique", session, "--list"), ("sessions", "show", session)):
        shown = printed(capsys, *arguments)
        assert "violation 91" in shown
        assert "distrusted" in shown
        assert not any(each in shown for each in HARMFUL)
    assert "violation 91" in printed(capsys, "explain", house.exchange.exchange_id)


def test_a_person_labels_a_step_and_ends_a_distrust(house: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of(house)
    step = f"{house.exchange.exchange_id[:12]}.{house.steps[0].seq}"
    printed(capsys, "label", step, "violation", "--clause", CLAUSE, "--by", "Eve")
    assert "labelled violation by Eve" in " ".join(printed(capsys, "sessions", "show", session).split())
    printed(capsys, "sessions", "trust", session, "--by", "Eve")
    assert "distrusted" not in printed(capsys, "critique", session, "--list")
    printed(capsys, "critique", session, code=FAILED)
    printed(capsys, "label", "nothing", "ok", "--by", "Eve", code=FAILED)
