"""The scripted model: a small set of rules that stands in for a model in tests, examples and the demo. No model at all.

What it answers follows from the prompt alone, as a model's answer would, and the same prompt gets the same answer. It
reads clauses, facts and what is asked outside of fences, and takes fenced text for data, whatever that says. Its wits:

- *signs*: words in double quotes in a clause's text or guidance; a step that holds them breaks the clause;
- *facts*, where a clause speaks of data, strangers or what the user asked: an argument whose value stands in data,
  worse in an order there, better where the user named its source or a word of it; and what `provenance` scored. What
  else is known of the step moves the score a little (`scripted_weighing.py`);
- *citations*, where a clause speaks of what is cited: a mark like [doc-3] that no earlier call asked for;
- *counts*, where a clause speaks of numbers used once: arithmetic that does not use the user's numbers once each.

Everything else is ok to it. So its verdicts show that the machinery works, and nothing of how well a model judges.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from policies.arguments import leaves
from supervisors.models.interface import Completion, Prompt
from supervisors.models.scripted_reading import Read, ReadClause, ReadStep, read
from supervisors.models.scripted_weighing import weighed

NAME: Final = "scripted"

_IN_ORDERS: Final = (90, 80, 0)
_IN_DATA: Final = (50, 0, 0)
"""Scores of a value by how many things speak for it: that the user named its source, that he named it."""

_NEAR_CERTAIN: Final = 90
_LIKELY: Final = 75
_SECOND_LOOK: Final = 50
_CHARACTERS_A_TOKEN: Final = 4
_LONGEST_QUOTE: Final = 200

_SIGN: Final = re.compile(r'"([^"\n]{2,200})"')
_CITED: Final = re.compile(r"\[([A-Za-z]+-[0-9]+)\]")
_GIVEN: Final = re.compile(r"numbers ([0-9]+(?:, [0-9]+)+)")
_ARITHMETIC: Final = re.compile(r"[(0-9][0-9 ()]*(?:[-+*/][0-9 ()]+)+")
_ON_ORIGINS: Final = re.compile(r"\b(?:data|untrusted|strangers?|user|asked)\b", re.IGNORECASE)
_DATA: Final = ("tool_result", "retrieval")
_WORD: Final = re.compile(r"\w{4,}")
_CHECKED: Final = ("model_text", "tool_call")


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules see in one step under one clause."""

    step: str
    score: int
    quote: str
    """Exact words of the step; empty where it has none."""

    why: str


class ScriptedModel:
    """The model that `provider = "scripted"` names."""

    def __init__(self, name: str = NAME) -> None:
        self.name = name

    async def ready(self) -> None:
        """Nothing is loaded."""

    async def complete(self, prompt: Prompt, *, seconds: float) -> Completion:
        """The rules' answer, at once."""
        del seconds
        text = answer(prompt)
        shown = sum(map(len, (prompt.system, *prompt.history, prompt.question)))
        return Completion(
            text=text,
            model=self.name,
            input_tokens=-(-shown // _CHARACTERS_A_TOKEN),
            cached_tokens=0,
            cache_write_tokens=0,
            output_tokens=-(-len(text) // _CHARACTERS_A_TOKEN),
        )

    async def close(self) -> None:
        """Nothing is open."""


def answer(prompt: Prompt) -> str:
    """What the rules say: a word, or a critique as JSON; `unsure` to a prompt that holds no clause."""
    seen = read(prompt)
    if not seen.clauses:
        return "unsure"
    opinions = [_opinion(clause, seen) for clause in seen.clauses]
    if seen.asked != "critique":
        labels = [opinion["label"] for opinion in opinions]
        return next((label for label in ("violation", "unsure") if label in labels), "ok")
    blamed = [{"component": "model", "name": "", "rank": 1}]
    bad = any(opinion["label"] == "violation" for opinion in opinions)
    return msgspec.json.encode({"opinions": opinions, "blamed": blamed if bad else []}).decode()


def _opinion(clause: ReadClause, seen: Read) -> dict[str, Any]:
    """One clause of a critique."""
    sights = [sight for step in seen.steps for sight in _sights(clause, step, seen)]
    new = [sight for sight in sights if sight.step in seen.about]
    worst = max(new, key=lambda sight: sight.score, default=None)
    if worst is None:
        return _said(clause, "ok", 0)
    sure = worst.score >= _LIKELY and bool(worst.quote)
    quotes = [{"step": worst.step, "text": worst.quote}] if worst.quote else []
    first = next(sight.step for sight in sights if sight.score >= min(worst.score, _LIKELY))
    why = " ".join(dict.fromkeys(sight.why for sight in new if sight.step == worst.step))
    label = "violation" if sure else "unsure" if worst.score >= _SECOND_LOOK else "ok"
    return _said(
        clause, label, worst.score, quotes=quotes, first_bad_step=None if label == "ok" else first, feedback=why
    )


def _said(clause: ReadClause, label: str, score: int, **more: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"quotes": [], "first_bad_step": None, "feedback": ""}
    return {"clause": clause.name, **nothing, **more, "label": label, "score": score}


def _sights(clause: ReadClause, step: ReadStep, seen: Read) -> Iterator[Sight]:
    """What each of the wits sees, as far as the view asked for looks there."""
    if seen.view in ("policy", "intent"):
        yield from _signs(clause, step)
        yield from _citations(clause, step, seen)
        yield from _counts(clause, step, seen)
    if seen.view in ("policy", "provenance"):
        yield from _facts(clause, step, seen)


def _signs(clause: ReadClause, step: ReadStep) -> Iterator[Sight]:
    if step.kind not in _CHECKED:
        return
    for sign in _SIGN.findall(clause.words):
        found = re.search(re.escape(sign), step.text, re.IGNORECASE)
        if found:
            yield Sight(
                step=step.name,
                score=_NEAR_CERTAIN,
                quote=found[0],
                why=f"The clause names `{sign}`, and the step has it.",
            )


def _facts(clause: ReadClause, step: ReadStep, seen: Read) -> Iterator[Sight]:
    """What the gateway knows of a step: of its values, and from its own guards."""
    if not _ON_ORIGINS.search(clause.words):
        return
    quote = step.text[:_LONGEST_QUOTE]
    for says in [fact.says for fact in seen.facts if fact.step == step.name]:
        score = weighed(_value_score(says, step, seen) if "value" in says else _guard_score(says), step, seen)
        if score:
            yield Sight(step=step.name, score=score, quote=quote, why=_told(says))


def _told(says: Mapping[str, str]) -> str:
    """One fact as a sentence."""
    if "value" not in says:
        return f"The guard {says.get('guard', '')} scored {says.get('score', '')}."
    place = "an order in" if says.get("in_order") == "yes" else "nothing but"
    source = f"what {says['tool']} returned" if "tool" in says else "a document"
    return f"The value of {says['value']} stands in {place} {source}."


def _value_score(says: Mapping[str, str], step: ReadStep, seen: Read) -> int:
    """What the origin of one argument says: worse in an order, better where the user named the source or the value."""
    if says.get("origin") not in _DATA:
        return 0
    excuses = (says.get("delegated") == "yes") + _is_named(says["value"], step, seen)
    scores = _IN_ORDERS if says.get("in_order") == "yes" else _IN_DATA
    return scores[excuses]


def _guard_score(says: Mapping[str, str]) -> int:
    """What a local guard says of origins; others speak of other things than this clause."""
    return int(says.get("score", "0")) if says.get("guard", "").startswith("provenance.") else 0


def _is_named(pointer: str, step: ReadStep, seen: Read) -> bool:
    """Whether a word of the argument stands in what the user said."""
    leaf = next((leaf for leaf in leaves(step.text) if leaf.pointer == pointer), None)
    asked = " ".join(other.text.lower() for other in seen.steps if other.kind == "user_input")
    return leaf is not None and any(word.lower() in asked for word in _WORD.findall(str(leaf.value)))


def _citations(clause: ReadClause, step: ReadStep, seen: Read) -> Iterator[Sight]:
    if step.kind != "model_text" or "cite" not in clause.words.lower():
        return
    asked_for = " ".join(call.text for call in _before(step, seen) if call.kind == "tool_call")
    for name in _CITED.findall(step.text):
        if name not in asked_for:
            yield Sight(
                step=step.name, score=80, quote=f"[{name}]", why=f"{name} is cited, and no earlier call asked for it."
            )


def _counts(clause: ReadClause, step: ReadStep, seen: Read) -> Iterator[Sight]:
    if step.kind not in _CHECKED or "numbers" not in clause.words.lower():
        return
    users = [other.text for other in seen.steps if other.kind == "user_input"]
    given = next((found[1].split(", ") for text in users if (found := _GIVEN.search(text))), None)
    written = _ARITHMETIC.search(step.text)
    if given is None or written is None:
        return
    used = re.findall(r"[0-9]+", written[0])
    if Counter(used) != Counter(given):
        why = f"It uses {', '.join(used)}, and the user gave {', '.join(given)}."
        yield Sight(step=step.name, score=85, quote=written[0].strip(), why=why)


def _before(step: ReadStep, seen: Read) -> Sequence[ReadStep]:
    return seen.steps[: seen.steps.index(step)]
