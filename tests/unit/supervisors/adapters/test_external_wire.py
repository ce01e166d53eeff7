"""What `external` sends, and what it takes for an answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.asking import behind
from policies.guards.interface import UNSCANNED
from policies.trail import Scene, Trail, utf8
from policies.vocabulary.steps import Part
from supervisors.adapters.excerpt import excerpt
from supervisors.adapters.external_wire import Unusable, hits, request

TEXT = "Grüße an alle: geheim."


def scene(text: str = TEXT, **fields: Any) -> Scene:
    return Scene(step=Part(**{"kind": "model_text", "text": text, **fields}))


def sent(one: Scene, most: int = 1000) -> dict[str, Any]:
    return json.loads(request(one, most)[0])


def answered(document: Any, text: str = TEXT, most: int = 1000) -> Any:
    return hits(json.dumps(document).encode(), excerpt(text, most))


# ------------------------------------------------------------------------------------------------------- what leaves


def test_a_step_leaves_with_kind_text_and_size_and_nothing_else() -> None:
    whole = Part(kind="tool_result", text="x", pointer="/secret/place", call_id="call_7", started_ns=7)
    before = Trail(parts=(Part(kind="user_input", text="earlier"),))
    assert sent(behind(Scene(step=whole, trail=before), 0)) == {
        "version": 1,
        "step": {"kind": "tool_result", "text": "x", "size": 1},
    }


def test_a_call_leaves_with_its_tool_and_arguments() -> None:
    assert sent(scene('{"to": "Ann"}', kind="tool_call", tool="pay"))["step"] == {
        "kind": "tool_call",
        "tool": "pay",
        "text": '{"to": "Ann"}',
        "size": 13,
        "arguments": {"to": "Ann"},
    }


@pytest.mark.parametrize("text", ["{broken", "[" * 5000])
def test_arguments_that_are_no_json_leave_as_text_alone(text: str) -> None:
    assert "arguments" not in sent(scene(text, kind="tool_call", tool="pay"), 10_000)["step"]


def test_as_many_steps_before_leave_as_the_clause_declares() -> None:
    trail = Trail(parts=tuple(Part(kind="user_input", text=str(at), call_id="c") for at in range(5)))
    shown = behind(Scene(step=Part(kind="model_text", text="now"), trail=trail), 2)
    assert [step["text"] for step in sent(shown)["before"]] == ["3", "4"]
    assert all("call_id" not in step for step in sent(shown)["before"])


@given(st.text(alphabet=st.characters(codec=None), max_size=60), st.integers(1, 80))
def test_an_excerpt_is_whole_characters_at_the_bytes_they_had(text: str, most: int) -> None:
    shown = excerpt(text, most)
    assert shown.size <= most
    assert len(shown.text.encode()) == shown.size
    assert shown.whole == len(utf8(text))
    assert shown.size > most - 4 or shown.size == shown.whole
    clean = utf8(text)[: shown.size].decode("utf-8", "surrogatepass")
    assert all(two in {one, "\ufffd"} for one, two in zip(clean, shown.text, strict=True))


def test_what_was_not_shown_is_an_unscanned_tail() -> None:
    (hit,) = excerpt("ab" * 10, 4).tail()
    (evidence,) = hit.evidence
    assert (hit.score, hit.state, evidence.label, evidence.start, evidence.end) == (50, "unsure", UNSCANNED, 4, 20)
    assert excerpt("abcd", 4).tail() == ()


# ---------------------------------------------------------------------------------------------------- what comes back


def test_findings_become_evidence_at_their_bytes() -> None:
    found = {"state": "violation", "score": 90, "label": "secret", "note": "n", "spans": [{"start": 17, "end": 23}]}
    (hit,) = answered({"findings": [found]})
    assert (hit.score, hit.state, hit.note) == (90, "violation", "n")
    (evidence,) = hit.evidence
    assert (evidence.label, TEXT.encode()[evidence.start : evidence.end]) == ("secret", b"geheim")


def test_a_finding_without_a_range_keeps_its_label() -> None:
    (hit,) = answered({"findings": [{"state": "unsure", "score": 40}]})
    assert [(each.start, each.end, each.label) for each in hit.evidence] == [(0, 0, "external")]


def test_ok_and_no_findings_say_nothing() -> None:
    assert answered({"findings": []}) == answered({"findings": [{"state": "ok"}]}) == ()


OK: dict[str, Any] = {"state": "violation", "score": 90}
HOSTILE: list[Any] = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"not json",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"findings": ' + b"[" * 100_000,
    {"findings": None},
    {"findings": {}},
    {"findings": [OK] * 65},
    {"findings": [{**OK, "spans": [{"start": 0, "end": 1}] * 257}]},
    *[{"findings": [{**OK, "score": score}]} for score in (-1, 101, 90.5, "90", True, None, 10**30)],
    *[{"findings": [{**OK, "state": state}]} for state in ("error", "VIOLATION", None, 1)],
    *[
        {"findings": [{**OK, "spans": [{"start": start, "end": end}]}]}
        for start, end in ((-1, 3), (3, 3), (5, 4), (0, 26), (0, 10**30), (0.5, 2), ("0", "3"), (0, True))
    ],
    *[{"findings": [{**OK, "label": label}]} for label in ("", "Secret", "a b", "a]", "a" * 33, "a\n", "9a", None)],
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_an_answer_that_is_not_exactly_one_is_none(body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Unusable, match="answer_invalid"):
        hits(data, excerpt(TEXT, 1000))


def test_a_range_in_what_was_not_shown_is_no_answer() -> None:
    found = {**OK, "spans": [{"start": 0, "end": 6}]}
    assert answered({"findings": [found]}, "a" * 50, 6)
    with pytest.raises(Unusable):
        answered({"findings": [found]}, "a" * 50, 5)


@pytest.mark.parametrize("error", ["out of memory", {"code": 1}, 0, False])
def test_an_error_is_one_whatever_findings_stand_beside_it(error: Any) -> None:
    with pytest.raises(Unusable, match="answer_error"):
        answered({"error": error, "findings": []})


def test_members_nobody_knows_are_passed_over() -> None:
    assert answered({"findings": [], "model": "judge-2", "error": None}) == ()


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        ("Looks like a key.", "Looks like a key."),
        ("one\nline\x1b[31m\u202e", "one line [31m"),
        ("x" * 1000, "x" * 240),
        ("it says alle: geheim.", "the service's note repeated the text and was dropped"),
    ],
)
def test_a_note_is_one_printable_line_that_quotes_nothing(note: str, kept: str) -> None:
    (hit,) = answered({"findings": [{**OK, "note": note}]})
    assert hit.note == kept
