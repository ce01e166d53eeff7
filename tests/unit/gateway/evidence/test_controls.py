"""Every row of the control matrix asks for what exists, and admits what it does not cover."""

from typing import Any

import msgspec
import pytest

from gateway.evidence.controls import Matrix, shipped
from gateway.evidence.figures import Figures
from gateway.evidence.log_entries import LogEntry
from gateway.evidence.tally import COUNTED, SECTIONS, section_of
from tests.contract.test_audit_entries import entry_types

CONTROLS = shipped()


def entry(index: int, kind: str) -> LogEntry:
    said: dict[str, Any] = {"type": kind, "seq": index}
    return LogEntry(index, said, msgspec.json.encode(said))


@pytest.mark.parametrize("control", CONTROLS.control, ids=lambda each: f"{each.framework} {each.reference}")
def test_a_row_asks_for_entries_and_figures_that_exist(control: Any) -> None:
    assert set(control.entries) <= set(entry_types())
    assert set(control.figures) <= {*Figures().named(), "retention_days"}
    assert control.framework in {each.id for each in CONTROLS.framework}
    assert control.missing
    assert (control.covered == "no") == (not control.entries)
    assert bool(control.shows) == (control.covered == "partly")


def test_every_framework_that_is_asked_for_has_rows_and_admits_something() -> None:
    for framework in ("ai-act", "iso-42001", "nist-ai-rmf", "gdpr"):
        assert {each.covered for each in CONTROLS.control if each.framework == framework} == {"partly", "no"}
    articles = " ".join(each.reference for each in CONTROLS.control if each.framework == "ai-act")
    assert all(f"Article {number}" in articles for number in (12, 14, 19, 26))


def test_a_row_counts_its_own_entries_and_names_the_first_of_them() -> None:
    matrix = Matrix(CONTROLS)
    for index in range(8):
        matrix.add(entry(index, "human.review" if index % 2 else "request.accepted"))
    rows = {
        (row.control.framework, row.control.reference): row
        for row in matrix.rows(dict.fromkeys(Figures().named(), 0) | {"retention_days": 190})
    }
    row = rows["ai-act", "Article 14(4)(d)"]
    assert (row.count, row.first, row.last, row.samples) == (4, 1, 7, (1, 3, 5, 7))
    assert (
        row.control.query
        == 'jq -c \'select(.type | IN("action.escalated", "human.review", "override.used"))\' entries.jsonl'
    )
    assert rows["ai-act", "Article 19(1)"].figures == {"retention_days": 190}
    assert rows["gdpr", "Article 15"].count == 0


def test_every_type_of_entry_has_its_place_in_the_report_and_speaks_to_a_requirement() -> None:
    asked = {kind for control in CONTROLS.control for kind in control.entries}
    assert [kind for kind in entry_types() if section_of(kind) is None and kind not in COUNTED] == []
    assert [kind for kind in COUNTED if section_of(kind) is not None or kind not in entry_types()] == []
    assert [kind for kind in entry_types() if kind not in asked] == []


def test_every_section_of_a_report_means_types_that_exist_or_are_kept_for_later() -> None:
    later = {"tool.denied", "role.", "content.erased", "legal_hold.", "verify.", "checkpoint.", "log.key_rotated"}
    for name, types in SECTIONS.items():
        for kind in types:
            met = [each for each in entry_types() if section_of(each) == name]
            assert met or kind in later, kind
