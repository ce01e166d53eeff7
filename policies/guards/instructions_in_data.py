"""Instructions in data: text in a tool result or a retrieved document that gives orders to an assistant.

Honest data is full of orders to people, so an order alone is no finding. What is found is an order whose own words
show that it is meant for an assistant at work; its evidence is the exact range, so that a clause can take it out of
the data (`rewrite`) before the model reads it. Whether a call obeys such a text is the `provenance` guard's question;
of a call it is only said here that it comes after one, so that a clause can have it looked at (`judge`).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from policies.guards.interface import UNSCANNED
from policies.provenance.localiser import LOCALISED_CHARACTERS, Passage
from policies.provenance.sources import Analyst
from policies.trail import Scene, utf8
from policies.vocabulary.findings import Evidence, Hit, Score
from policies.vocabulary.steps import StepKind

DATA: Final[frozenset[StepKind]] = frozenset({"tool_result", "retrieval"})
AFTER: Final = "after_order"
AFTER_SCORES: Final = {90: 50, 60: 30}
"""What a call scores that comes after an order of such a score."""

MOST_HITS: Final = 64
"""Passages reported of one step, in text order."""


class InstructionsInDataSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="instructions_in_data"
):
    """Watches data for orders to an assistant; of a call says that it comes after one."""


class InstructionsInDataGuard:
    """Finds orders to an assistant in what tools and searches return, and calls that come after them."""

    def __init__(self, spec: InstructionsInDataSpec, analyst: Analyst | None = None) -> None:
        del spec
        self._analyst = analyst or Analyst()

    @property
    def window(self) -> int | None:
        """None: a passage is judged with what stands around it."""
        return None

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """One hit for each passage of data that addresses an assistant, or for a call that comes after one.

        90: two cues of address, or the setting aside of instructions. 60: one cue that names the reader, or an order
        about "the user", which people who have users write too. A call after them: 50 and 30.
        """
        text = scene.step.text
        if scene.step.kind == "tool_call":
            return self._after(scene)
        if scene.step.kind not in DATA or not text:
            return ()
        runs: dict[tuple[int, int], tuple[Score, Passage]] = {}
        for passage in self._analyst.reading(text).passages:
            score = _score(passage)
            if score and score > runs.get((passage.run_start, passage.run_end), (0, passage))[0]:
                runs[passage.run_start, passage.run_end] = (score, passage)
        hits = [_hit(text, start, end, score) for (start, end), (score, _) in list(runs.items())[:MOST_HITS]]
        if len(text) > LOCALISED_CHARACTERS:
            hits.append(_unscanned(text))
        return hits

    def _after(self, scene: Scene) -> Sequence[Hit]:
        """That a call comes after an order in data, by the plainest of them; the first of equals."""
        orders = [
            (_score(passage), at, passage)
            for at, part in enumerate(scene.trail.parts)
            if part.kind in DATA and part.text
            for passage in self._analyst.reading(part.text).passages
        ]
        score, at, passage = max(orders, key=lambda order: (order[0], -order[1]), default=(0, 0, None))
        if passage is None or not score:
            return ()
        start, end = _range(scene.trail.parts[at].text, passage.run_start, passage.run_end)
        evidence = Evidence(label=AFTER, source=at, source_start=start, source_end=end)
        note = "the call comes after data that gives orders to an assistant"
        return (Hit(score=AFTER_SCORES[score], state="unsure", evidence=(evidence,), note=note),)


def _score(passage: Passage) -> Score:
    if passage.addressed:
        return 90
    return 60 if passage.spoken_to or passage.about_user else 0


def _hit(text: str, start: int, end: int, score: Score) -> Hit:
    first, last = _range(text, start, end)
    return Hit(
        score=score,
        state="violation" if score >= 75 else "unsure",  # noqa: PLR2004 - the anchor of a likely violation
        evidence=(Evidence(start=first, end=last, label="order_to_assistant"),),
        note="data holds an order that is addressed to an assistant",
    )


def _range(text: str, start: int, end: int) -> tuple[int, int]:
    """Characters as bytes."""
    first = len(utf8(text[:start]))
    return first, first + len(utf8(text[start:end]))


def _unscanned(text: str) -> Hit:
    first, size = len(utf8(text[:LOCALISED_CHARACTERS])), len(utf8(text))
    evidence = Evidence(start=first, end=size, label=UNSCANNED)
    return Hit(score=50, state="unsure", evidence=(evidence,), note="the step is longer than is read for orders")
