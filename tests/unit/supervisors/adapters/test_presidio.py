"""`presidio` with a library that obeys Presidio's interface; the real one is tested in its own environment."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from policies.guards.presidio import PresidioSpec
from policies.trail import Scene, utf8
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import Part
from supervisors.adapters.presidio import installed, load
from supervisors.adapters.threaded import Unloadable

LIBRARY: Final = Path(__file__).parents[3] / "fakes" / "presidio_library"
IBAN: Final = "DE89370400440532013000"


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library on the path, imported anew."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(LIBRARY))
    monkeypatch.setenv("REGEX_TIMEOUT_SECONDS", "0")
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("presidio_analyzer", "tldextract"):
            del sys.modules[name]


def examined(text: str, **fields: Any) -> tuple[Hit, ...]:
    spec = msgspec.convert({"kind": "presidio", **fields}, PresidioSpec)
    return load(spec)(Scene(step=Part(kind="model_text", text=text)))


def test_what_presidio_finds_is_a_hit_for_each_type_at_its_bytes() -> None:
    text = f"Für {IBAN} \ud800, 536-22-1234 und 536-22-1235."
    iban, ssn = examined(text)
    assert (iban.score, iban.state, iban.note) == (100, "violation", "iban_code found")
    assert [utf8(text)[each.start : each.end] for each in iban.evidence] == [IBAN.encode()]
    assert (ssn.score, ssn.state, [each.label for each in ssn.evidence]) == (50, "unsure", ["us_ssn"] * 2)
    assert [utf8(text)[each.start : each.end] for each in ssn.evidence] == [b"536-22-1234", b"536-22-1235"]


def test_what_scores_less_than_the_clause_says_is_left_out() -> None:
    assert [hit.score for hit in examined(f"{IBAN} 536-22-1234", least=51)] == [100]


def test_only_what_the_clause_names_is_looked_for() -> None:
    assert [hit.note for hit in examined(f"{IBAN} 536-22-1234", entities=["US_SSN"])] == ["us_ssn found"]


def test_very_many_places_become_one_range() -> None:
    (hit,) = examined("536-22-1234 " * 300)
    assert [(each.start, each.end) for each in hit.evidence] == [(0, 300 * 12 - 1)]


def test_the_rest_of_a_long_text_is_an_unscanned_tail() -> None:
    (tail,) = examined(f"well {IBAN}", max_bytes=5)
    assert [(each.label, each.start, each.end) for each in tail.evidence] == [("unscanned_tail", 5, 27)]


def test_what_takes_a_model_is_refused_instead_of_never_found() -> None:
    with pytest.raises(Unloadable, match="PERSON"):
        examined("Ann", entities=["PERSON", "US_SSN"])


def test_nothing_is_fetched_and_no_pattern_is_passed_over() -> None:
    examined("ann@example.com")  # the library raises if it would fetch its list
    assert os.environ["REGEX_TIMEOUT_SECONDS"] == "60"


def test_whether_the_extra_is_there_is_known_without_importing_it() -> None:
    assert installed()
    assert "presidio_analyzer" not in sys.modules
