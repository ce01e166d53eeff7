"""Tools as texts describe them: how well a sentence calls for a tool, and whether a tool changes anything.

A tool is known by its name, its description and its parameters, as the application declared them. Comparing by verb
family and noun group, weighed by how rare a word is among the declared tools, needs no list of known tools.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec

from policies import definitions as definitions_of
from policies.provenance import lexicon
from policies.trail import UNTAGGED

_ACTING: Final = frozenset({"write", "outbound", "money", "irreversible", "code_exec", "auth"})
_READING: Final = lexicon.listed(
    """
    get list read search find check view show fetch retrieve lookup query describe count is has load browse
    navigate visit download summarize summarise explain scan track inspect see look analyze analyse
    calculate compute preview think compare translate detect identify estimate know access extract
    """
)
_SENTENCE_END: Final = re.compile(r"[.\n;]")
LEAST_WEIGHT: Final = 0.05
MOST_PARAMETERS: Final = 64
LONGEST_DESCRIPTION: Final = 600
"""Characters of a description that are read."""

ACTING_VERB: Final = 0.5
READING_VERB: Final = 0.25
"""What a fitting verb counts. Half of all requests are to get something, so a verb of reading says less."""


class Tool(msgspec.Struct, frozen=True):
    """One declared tool, as words."""

    name: str
    verb: frozenset[str]
    """Families of the first verb of its name, or else of its description."""

    nouns: tuple[frozenset[str], ...]
    """What each other word of the name can stand for."""

    about: frozenset[str]
    """What the words of its description and parameters can stand for."""

    reads: bool
    """Whether its first verb is one of reading."""

    literal: str
    """The name as a text would have to quote it; empty where the name is an ordinary word."""


class Toolbox(msgspec.Struct, frozen=True):
    """The declared tools, with the weight of each idea among them."""

    tools: Mapping[str, Tool]
    weights: Mapping[str, float]

    def tool(self, name: str | None) -> Tool:
        """A tool by name; one that was never declared is known by its name alone."""
        return self.tools.get(name or "") or tool_from(name or "", "", ())

    def match(self, tool: Tool, concepts: frozenset[str], said: str = "") -> float:
        """How well words call for a tool, 0 to 1: partly by the verb, partly by the things it is about."""
        if tool.literal and tool.literal in said:
            return 1.0
        verb = 1.0 if not tool.verb.isdisjoint(concepts) else 0.0
        if not verb and not any(idea.startswith("v:") for idea in concepts):
            verb = 0.5  # a passage in which no verb is known says nothing about which one it means
        whole = sum(self._weight(noun) for noun in tool.nouns)
        met = sum(self._weight(noun) for noun in tool.nouns if not noun.isdisjoint(concepts))
        extra = sum(self.weights.get(idea, 1.0) for idea in tool.about & concepts if not idea.startswith("v:"))
        things = min(1.0, (met + 0.5 * extra) / max(whole, 1.0))
        share = READING_VERB if tool.reads else ACTING_VERB
        return share * verb + (1.0 - share) * things

    def _weight(self, noun: frozenset[str]) -> float:
        return min((self.weights.get(idea, 1.0) for idea in noun if not idea.startswith(("n:", "v:"))), default=1.0)


def _rarity(times: int, count: int) -> float:
    """1 for an idea that one tool has, near 0 for one that all have: a prefix tells no tool from another."""
    return max(LEAST_WEIGHT, math.log(count / times) / math.log(count)) if count > 1 else 1.0


def toolbox(definitions: Iterable[tuple[str, str]]) -> Toolbox:
    """Read tool definitions, given as (name, definition JSON) in any wire's shape; broken ones count by name."""
    tools: dict[str, Tool] = {}
    for name, text in definitions:
        known = definitions_of.read(text)
        schema: Any = known.schema if known else None
        properties: Any = cast("dict[Any, Any]", schema).get("properties") if isinstance(schema, dict) else None
        parameters = (
            [str(key) for key in list(cast("dict[Any, Any]", properties))[:MOST_PARAMETERS]]
            if isinstance(properties, dict)
            else []
        )
        tools[name] = tool_from(name, known.description if known else "", parameters)
    seen: Counter[str] = Counter()
    for tool in tools.values():
        seen.update({idea for noun in tool.nouns for idea in noun} | tool.about)
    count = max(1, len(tools))
    weights = {idea: _rarity(times, count) for idea, times in seen.items()}
    return Toolbox(tools, weights)


def tool_from(name: str, description: str, parameters: Iterable[str]) -> Tool:
    """A tool from its name, its description and the names of its parameters."""
    parts = lexicon.name_words(name)
    first = next((part for part in parts if part in lexicon.BASES), None)
    summary = _SENTENCE_END.split(description.strip()[:LONGEST_DESCRIPTION], maxsplit=1)[0]
    if first is None:
        first = next((word for word in lexicon.words(summary)[:6] if word in lexicon.VERBS or word in _READING), None)
    verb = (
        frozenset({idea for idea in lexicon.concepts_of(first) if idea.startswith("v:")}) if first else frozenset[str]()
    )
    nouns = tuple(
        lexicon.concepts_of(part)
        for part in parts
        if part != first and part not in lexicon.FUNCTION_WORDS and len(part) > 1
    )
    about = lexicon.content_concepts(summary) | lexicon.content_concepts(
        " ".join(word for parameter in parameters for word in lexicon.name_words(parameter))
    )
    return Tool(
        name,
        verb,
        nouns,
        frozenset(idea for idea in about if not idea.startswith("v:")),
        first in _READING,
        name.lower() if len(parts) > 1 else "",
    )


def acts(tool: Tool, tags: frozenset[str]) -> bool:
    """Whether a tool changes something: by its tags where somebody gave it any, else by its first verb."""
    if tags != UNTAGGED:
        return not tags.isdisjoint(_ACTING)
    return not tool.reads
