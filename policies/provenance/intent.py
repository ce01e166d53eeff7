"""Intent: what the user's own words ask for, as far as grammar shows it.

Two questions only, both answered without knowing any tool: do these words ask for anything but reading, and how
well do they call for a given tool. In doubt a request is not read-only: the guard leans on that fact to reject.
"""

import re
from typing import Final

import msgspec

from policies.provenance import lexicon
from policies.provenance.segments import sentences
from policies.provenance.tools import Tool, Toolbox

READ_CHARACTERS: Final = 16_384
"""Characters of one user turn that are read for what they ask."""

_QUESTION: Final = re.compile(
    r"^\W*(?:(?:and|so|ok|okay|hi|hey|hello|also|but|well|thanks)[\s,!.]+)*(?:what|who|whom|whose|when"
    r"|where|which|why|how|is|are|was|were|do|does|did|has|have|am)\b",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"\w+(?:['’-]\w+)*|[,;:.!?]")  # noqa: RUF001 - the typographic apostrophe is meant
_OPENERS: Final = lexicon.listed(
    """
    , ; : . ! ? to and then please you also or must should can could will just kindly now i we let let's
    them it not
    """
)
_TO_ME: Final = lexicon.listed("tell give show get fetch find bring let read list send name remind")
_HANDLING: Final = lexicon.listed(
    """
    handle deal process follow resolve fix apply implement complete carry perform execute work act take
    solve triage
    """
)
_WE: Final = frozenset({"i", "we"})
_PAST: Final = lexicon.listed("did do does have had")
_WHAT: Final = lexicon.DETERMINERS | {"what", "whatever", "everything"}
_ME: Final = frozenset({"me", "us"})
_READS: Final = lexicon.listed(
    lexicon.FAMILIES["read"]
    + """
    recommend suggest propose summarize summarise describe explain translate rank rate know analyze analyse compare
    calculate figure determine
    identify verify help want need like learn understand
    """
)
_NOT_DEEDS: Final = lexicon.listed(
    """
    do make have be let set see go use take keep look log plan record note alert
    """
)
_USERS: Final = re.compile(r"\busers?\b", re.IGNORECASE)


class Intent(msgspec.Struct, frozen=True):
    """What one user turn asks for."""

    sentences: tuple[frozenset[str], ...]
    """What each sentence's words can stand for."""

    whole: frozenset[str]
    lower: str
    reads: bool
    """Whether it asks for something that reading answers: a question, or a verb of reading."""

    acts: bool
    """Whether it has a verb, where a verb can stand, that is not one of reading."""

    names_users: bool
    """Whether its author speaks of "users" himself: then the word is his business, not an agent's jargon."""


def intent(text: str) -> Intent:
    """Read one user turn."""
    found: list[frozenset[str]] = []
    reads = acting = False
    for sentence in sentences(text, READ_CHARACTERS):
        said = text[sentence.start : min(sentence.end, sentence.start + 2000)]
        found.append(lexicon.content_concepts(said))
        asks, does = _deeds(said)
        reads, acting = reads or asks, acting or does
    head = text[:READ_CHARACTERS]
    return Intent(
        tuple(found),
        frozenset(idea for sentence in found for idea in sentence),
        head.lower(),
        reads,
        acting,
        _USERS.search(head) is not None,
    )


def _deeds(said: str) -> tuple[bool, bool]:
    """Whether a sentence asks to read, and whether it asks for anything else."""
    tokens = [token.lower() for token in _TOKEN.findall(said)]
    reads, acting = _QUESTION.match(said) is not None, False
    for place, word in enumerate(tokens):
        before = tokens[place - 1] if place else "."
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        if before not in _OPENERS and not before.endswith("ly"):
            continue
        if before in _WE and place > 1 and tokens[place - 2] in _PAST:
            continue  # "how much did I send" asks about a deed, not for one
        if (word in _TO_ME and after in _ME and word != "send") or word in _READS:
            reads = True
        elif (
            word in _HANDLING
            or (word == "do" and after in _WHAT)
            or word in lexicon.FOREIGN
            or (word in lexicon.BASES and word not in _NOT_DEEDS and _is_verb(word, before, after))
        ):
            acting = True
    return reads, acting


def _is_verb(word: str, before: str, after: str) -> bool:
    if word not in lexicon.NOUN_LIKE or before in {"to", "please", "you", "then", "."}:
        return True
    return after in lexicon.DETERMINERS or after in lexicon.FUNCTION_WORDS or after.isdecimal()


def read_only(turns: list[Intent]) -> bool:
    """Whether nothing in any of the user's turns asks for more than reading."""
    return any(turn.reads for turn in turns) and not any(turn.acts for turn in turns)


def entailment(turns: list[Intent], toolbox: Toolbox, tool: Tool, *, acting: bool) -> float:
    """How well the user's words call for a tool, 0 to 1: the best of the sentences.

    A request to read calls for no tool that changes something, whatever nouns they share.
    """
    if acting and read_only(turns):
        return 0.0
    return max(
        (toolbox.match(tool, sentence, turn.lower) for turn in turns for sentence in turn.sentences),
        default=0.0,
    )
