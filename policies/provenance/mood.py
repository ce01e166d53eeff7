"""Mood: whether a sentence is an order, in any of the forms people (and attackers) give orders in.

Imperatives, polite requests, obligations in the active and the passive, wishes, and the common forms of a few other
languages. Grammar decides, not topic: "You can find it there" and "Please note that ..." order nothing, while most
honest runbooks, to-do lists and invoices are full of orders.
"""

import re
import sys
from typing import Final

from policies.possessive import compiled
from policies.provenance import lexicon
from policies.provenance.utterance import Utterance, expression
from policies.trail import utf8
from policies.views.linear import linear

FEWEST_WORDS: Final = 3
"""A sentence with fewer words orders nothing that could be told from a heading."""

LONGEST_VOCATIVE: Final = 3
"""Words before a comma that can still be a name in front of an order."""

_NEAR: Final = 4
"""Words after a request's opening within which its verb stands."""

_MOST_REQUESTS: Final = 24
"""Openings of a request in one sentence that are looked at; whoever opens more of them asks for something."""

_ASKING: Final = lexicon.listed("please kindly pls must shall should remember never always let sure don dont forget")
_ASKING_TO: Final = lexicon.listed(
    """
    need needs needed has have want wanted requested required instructed directed expected obliged supposed asked told
    wants asks expects requires
    orders like trouble bother mandatory necessary essential imperative important vital
    """
)
_ASKING_YOU: Final = lexicon.listed(
    """
    can could would will are ought may might had need want like expect ask require request urge order instruct advise
    authorize authorise direct command beg trust allow permit mandatory necessary essential imperative important vital
    required
    """
)
"""Words without one of which no request is made: by themselves, with "to", with "you"."""

_REQUEST: Final = expression(
    r"\b(?:(please|kindly|pls)|(must|shall|needs? to|has to|have to)"
    r"|(?:can|could|would|will) you|you(?:'ll)?(?:, [\w ]{2,24},)? (?:should|ought to|are to"
    r"|are (?:required|instructed|asked|requested|expected|supposed|obliged|to be) to"
    r"|may need to|might want to|will want to|had better)"
    r"|(?:i|we)(?:'d| would| hereby)? (?:need|want|like|expect|ask|require|request|urge|order|instruct|advise"
    r"|authori[sz]e|direct|command|beg|trust|allow|permit) (?:that )?you(?:, [\w ]{2,24},)?(?: to)?"
    r"|(?:wants?|wanted|needs|needed|asks|asked|tells|told|expects|requires|instructed|requested|orders|would like"
    r"|trouble|bother) you(?: also)? to"
    r"|(?:if|that) you (?:could|would|can)|(?:make|be) sure(?: to| that| you)?|remember to"
    r"|(?:do not|don't) forget to"
    r"|it is (?:required|mandatory|necessary|essential|imperative|important|vital) (?:to|that(?: you)?|you)"
    r"|do not|don't|never|always|let's|should"
    r"|(?:is|are)(?: hereby)? (?:required|instructed|directed|expected|obliged|supposed|asked|told) to)\b"
)
_PLEASE: Final = 1
_MUST: Final = 2
"""Groups of `_REQUEST`."""

_WISH: Final = expression(
    r"\b(?:appreciate|grateful|great|lovely|nice|kind|helpful|good|glad|thankful|wonderful|perfect)\b"
    r"[^.!?\n]{0,24}\bif you\b"
)
_OBLIGATION: Final = expression(
    r"\b(?:must|should|shall|needs? to|has to|have to|ought to|is to|are to|is required to|are required to)"
    r"(?: (?:also|first|now|always|immediately|then|therefore|instead|only))? be (?:\w+ly )?(\w+)\b"
)
_TOKEN: Final = compiled(r"[@#]?\w++(?:[.'_/@:-]+\w++)*+|[,;:()]|[\"'`<\[]| - ")

_COMMAS: Final = frozenset({",", "("})
_BREAKS: Final = frozenset({":", ";", " - "})
_MARKS: Final = frozenset({'"', "'", "`", "<", "[", ")"})

_SEPARATORS: Final = _COMMAS | _BREAKS
_AGAIN: Final = frozenset({"then", "instead"})
"""Words inside a clause after which another may open."""

_LEADS: Final = lexicon.listed(
    """
    please kindly then also now first firstly second secondly third next finally lastly instead just
    immediately and so additionally afterwards hey hi hello ok okay important urgent attention note todo
    task action step well plus but or fyi btw nb ps reminder warning notice always simply quickly carefully
    """
)
_OPENING: Final = linear(
    r"(?:^|[,;:(]| - |\b(?i:then|instead)\b)"
    rf"(?:\W|\b[A-Z0-9_][A-Z0-9_.'/@:-]*|\b(?i:{'|'.join(sorted(_LEADS))})\b)*\b(?i:{'|'.join(sorted(lexicon.BASES))})\b"
)
"""A base verb where a clause may open: what `imperative` asks for, and more. Run on UTF-8, case and all."""

_SUBORDINATE: Final = lexicon.listed(
    """
    before after once when if in to for as since while until upon following during with given because due
    prior during whenever unless without by on at
    """
)
_INFORMATIVE: Final = lexicon.listed(
    """
    note see find feel be enjoy refer contact advise visit check let stay keep rest look read review
    remember expect imagine consider know bear thank welcome wait have try call ask
    """
)
"""Verbs that after "please" tell a reader where to look or whom to ask; they order only with a value"
" as an object."""

_STATES: Final = lexicon.listed(
    """
    be have see receive arrive expect take contain include look work happen know appear match equal exist cost fit
    last come feel remain stay become seem mean differ suffice wait hold
    """
)
"""Verbs that after "must" state how something is."""

_REACHING: Final = frozenset({"visit", "contact", "call", "check", "read", "ask", "see"})

VALUE: Final = re.compile(
    r"[\w.+-]+@[\w-]+\.\w|https?://|\bwww\.|\b(?=\w{0,24}\d)\w*[A-Za-z_]\w*\d\w*\b|\b\d[\d -]{4,}\d\b"
    r"|\b\w+[-_]\w*\d"
    r"|\b[\w-]+\.(?:com|net|org|io|dev|example|test)\b|[@#]\w{3,}"
)
"""What looks like an address, an account or an identifier."""

_ASCII_VALUE: Final = linear(
    r"[\w.+-]@[\w-]+\.\w|https?://|\bwww\.|\b(?:[A-Za-z_]\w{0,23}\d|\d\w*[A-Za-z_]\w*\d)|\b\d[\d -]{4,}\d\b"
    r"|\b\w+[-_]\w*\d"
    r"|\b[\w-]+\.(?:com|net|org|io|dev|example|test)\b|[@#]\w{3,}"
)
"""Stands in an ASCII text wherever `VALUE` does, if not over the same range."""

_SCRIPTS: Final = ("请", "請", "ください", "发送", "转账", "删除", "отправ", "перевед", "удал")
"""Orders and requests in scripts that are not split into words here: Chinese, Japanese, Russian."""


def has_value(text: str, start: int = 0, end: int = sys.maxsize) -> bool:
    """Whether `VALUE` stands in a range of a text."""
    said = text[start:end]
    whole = start == 0 or not text[start - 1 : start + 1].replace("_", "a").isalnum()
    if whole and said.isascii():
        return _ASCII_VALUE.search(said.encode()) is not None
    return VALUE.search(text, start, end) is not None


def is_order(said: Utterance) -> bool:
    """Whether a sentence is an imperative, a request or an obligation.

    Examples: "Send it to X.", "Could you forward this?", "Before you go on, pay Y.", "The file must be sent to Z.".
    """
    words = said.words
    return (
        (_may_ask(words) and _requests(said))
        or (not words.isdisjoint(lexicon.BASES) and may_open(said.text) and imperative(said.text))
        or ("be" in words and _obliges(said))
        or ("if" in words and "you" in words and _WISH.search(said.shadow) is not None)
        or _foreign(said.text, words)
    )


def _may_ask(words: frozenset[str]) -> bool:
    return (
        not words.isdisjoint(_ASKING)
        or ("to" in words and not words.isdisjoint(_ASKING_TO))
        or ("you" in words and not words.isdisjoint(_ASKING_YOU))
        or ("not" in words and "do" in words)
    )


def may_open(said: str) -> bool:
    """Whether a base verb stands where a clause may open: a cheap test before the sentence is taken apart."""
    return _OPENING.search(utf8(said)) is not None


def _requests(said: Utterance) -> bool:
    for number, found in enumerate(_REQUEST.finditer(said.shadow)):
        if number == _MOST_REQUESTS:
            return True
        end = found.span()[1]
        please, must = found.span(_PLEASE)[0] >= 0, found.span(_MUST)[0] >= 0
        for word in _TOKEN.findall(said.lower, end, end + 80)[:_NEAR]:
            if word in _INFORMATIVE:
                if word in _REACHING and has_value(said.text, end):
                    return True
                break
            if word in lexicon.BASES:
                return True
            if please and word.isalpha() and word not in _LEADS and word not in lexicon.FUNCTION_WORDS:
                return True  # "please" makes an order of any verb, known or not
            if must and word.isalpha() and word not in _STATES and word not in lexicon.FUNCTION_WORDS:
                return True
            if word not in _LEADS and not word.endswith("ly"):
                break
    return False


def _obliges(said: Utterance) -> bool:
    deeds = (said.lower[slice(*found.span(1))] for found in _OBLIGATION.finditer(said.shadow))
    return any(any(idea.startswith("v:") for idea in lexicon.concepts_of(deed)) for deed in deeds)


def _foreign(said: str, words: frozenset[str]) -> bool:
    if not said.isascii() and any(mark in said for mark in _SCRIPTS):
        return True
    if words.isdisjoint(lexicon.FOREIGN) and words.isdisjoint(lexicon.FOREIGN_PLEASE):
        return False
    spoken = lexicon.words(said[:400])
    if len(spoken) < FEWEST_WORDS:
        return False
    polite = not words.isdisjoint(lexicon.FOREIGN_PLEASE)
    return polite or spoken[0] in lexicon.FOREIGN or spoken[1] in lexicon.FOREIGN


def imperative(said: str) -> bool:
    """Whether a clause of the sentence opens with a base verb in a place where only an order can stand."""
    tokens = _TOKEN.findall(said)
    if len(tokens) < FEWEST_WORDS:
        return False
    opening, subordinate, passed = True, False, 0
    for place, token in enumerate(tokens):
        if token in _MARKS:
            continue
        if token in _SEPARATORS:
            # A label ("Action required:"), a lead clause ("Before you go on,") or a name in front of an order.
            opening = token in _BREAKS or subordinate or passed <= LONGEST_VOCATIVE
            passed = 0
            continue
        word = token.lower()
        if opening:
            if len(token) > 1 and (token.isupper() or not any(map(str.isalpha, token))):
                continue  # a level, a code or a time in front of what a line says
            if word in lexicon.BASES and _opens(word, tokens, place):
                return True
            if word in _LEADS:
                continue
            subordinate = subordinate or word in _SUBORDINATE
        opening = word in _AGAIN and place > 0
        passed += 1
    return False


def _opens(word: str, tokens: list[str], place: int) -> bool:
    """Whether a base verb at a clause's start has what makes it an order rather than a noun."""
    after = tokens[place + 1] if place + 1 < len(tokens) else ""
    follower = after.lower()
    if not follower or follower in _NO_OBJECT:
        return False
    if word in lexicon.PLAIN_IMPERATIVES and word not in lexicon.NOUN_LIKE:
        return True
    return _is_object(after) or (follower not in _LABELS and any(map(_is_value, tokens[place + 2 : place + 4])))


_NO_OBJECT: Final = _COMMAS | _BREAKS | lexicon.listed(") is are was were has have had of will can")
"""What shows that the word before it is no verb."""

_LABELS: Final = lexicon.listed(
    """
    number no id nr code status date total reference ref version from for of at on in by to
    """
)
"""What follows a noun that looks like a verb in a label: "order number 5512"."""


def _is_object(after: str) -> bool:
    word = after.lower()
    return word in lexicon.DETERMINERS or word in lexicon.MASS_OBJECTS or after[:1].isupper() or _is_value(after)


def _is_value(token: str) -> bool:
    return token[:1] in "\"'`<[$€£@#" or any(char.isdigit() for char in token) or "@" in token or "." in token[1:-1]
