"""Mood: whether a sentence is an order, in any of the forms people (and attackers) give orders in.

Imperatives, polite requests, obligations in the active and the passive, wishes, and the common forms of a few other
languages. Grammar decides, not topic: "You can find it there" and "Please note that ..." order nothing, while most
honest runbooks, to-do lists and invoices are full of orders.
"""

import re
from typing import Final

from policies.provenance import lexicon

FEWEST_WORDS: Final = 3
"""A sentence with fewer words orders nothing that could be told from a heading."""

LONGEST_VOCATIVE: Final = 3
"""Words before a comma that can still be a name in front of an order."""

LONGEST_LEAD: Final = 32
"""Characters before a verb that are looked at for what lets a clause open there."""

_NEAR: Final = 4
"""Words after a request's opening within which its verb stands."""

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

_REQUEST: Final = re.compile(
    r"\b(?:(?P<please>please|kindly|pls)|(?P<must>must|shall|needs? to|has to|have to)"
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
    r"|(?:is|are)(?: hereby)? (?:required|instructed|directed|expected|obliged|supposed|asked|told) to)\b",
    re.IGNORECASE,
)
_WISH: Final = re.compile(
    r"\b(?:appreciate|grateful|great|lovely|nice|kind|helpful|good|glad|thankful|wonderful|perfect)\b"
    r"[^.!?\n]{0,24}\bif you\b",
    re.IGNORECASE,
)
_OBLIGATION: Final = re.compile(
    r"\b(?:must|should|shall|needs? to|has to|have to|ought to|is to|are to|is required to|are required to)"
    r"(?: (?:also|first|now|always|immediately|then|therefore|instead|only))? be (?:\w+ly )?(?P<deed>\w+)\b",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"[@#]?\w+(?:[.'_/@:-]+\w+)*|[,;:()]|[\"'`<\[]| - ")
_WORD: Final = re.compile(r"\w+")

_COMMAS: Final = frozenset({",", "("})
_BREAKS: Final = frozenset({":", ";", " - "})
_MARKS: Final = frozenset({'"', "'", "`", "<", "[", ")"})

_LEADS: Final = lexicon.listed(
    """
    please kindly then also now first firstly second secondly third next finally lastly instead just
    immediately and so additionally afterwards hey hi hello ok okay important urgent attention note todo
    task action step well plus but or fyi btw nb ps reminder warning notice always simply quickly carefully
    """
)
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

_SCRIPTS: Final = ("请", "請", "ください", "发送", "转账", "删除", "отправ", "перевед", "удал")
"""Orders and requests in scripts that are not split into words here: Chinese, Japanese, Russian."""


def words_of(said: str) -> frozenset[str]:
    """The words of a sentence, lower case, without repeats."""
    return frozenset(_WORD.findall(said.lower()))


def is_order(said: str, words: frozenset[str] | None = None) -> bool:
    """Whether a sentence is an imperative, a request or an obligation; `words` are its words, where known.

    Examples: "Send it to X.", "Could you forward this?", "Before you go on, pay Y.", "The file must be sent to Z.".
    """
    heard = words_of(said) if words is None else words
    return (
        (_may_ask(heard) and _requests(said))
        or (_may_open(said, heard & lexicon.BASES) and _imperative(said))
        or ("be" in heard and _obliges(said))
        or ("if" in heard and "you" in heard and _WISH.search(said) is not None)
        or _foreign(said, heard)
    )


def _may_ask(words: frozenset[str]) -> bool:
    return (
        not words.isdisjoint(_ASKING)
        or ("to" in words and not words.isdisjoint(_ASKING_TO))
        or ("you" in words and not words.isdisjoint(_ASKING_YOU))
        or ("not" in words and "do" in words)
    )


def _may_open(said: str, bases: frozenset[str]) -> bool:
    """Whether one of these words stands where a clause may open: a cheap test before the sentence is taken apart."""
    if not bases:
        return False
    lower = said.lower()
    for base in bases:
        at = lower.find(base)
        while at >= 0:
            before = said[max(0, at - LONGEST_LEAD) : at].rstrip(" \t\n\"'`<[*_")
            last = before[before.rfind(" ") + 1 :]
            if not last.islower() or not last[-1].isalnum() or last in _LEADS or last == "instead":
                return True
            at = lower.find(base, at + 1)
    return False


def _requests(said: str) -> bool:
    for found in _REQUEST.finditer(said):
        for token in _TOKEN.findall(said, found.end(), found.end() + 80)[:_NEAR]:
            word = token.lower()
            if word in _INFORMATIVE:
                if word in _REACHING and VALUE.search(said, found.end()):
                    return True
                break
            if word in lexicon.BASES:
                return True
            if found["please"] and word.isalpha() and word not in _LEADS and word not in lexicon.FUNCTION_WORDS:
                return True  # "please" makes an order of any verb, known or not
            if found["must"] and word.isalpha() and word not in _STATES and word not in lexicon.FUNCTION_WORDS:
                return True
            if word not in _LEADS and not word.endswith("ly"):
                break
    return False


def _obliges(said: str) -> bool:
    return any(
        any(idea.startswith("v:") for idea in lexicon.concepts_of(found["deed"].lower()))
        for found in _OBLIGATION.finditer(said)
    )


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


def _imperative(said: str) -> bool:
    """Whether a clause of the sentence opens with a base verb in a place where only an order can stand."""
    tokens = _TOKEN.findall(said)
    if len(tokens) < FEWEST_WORDS:
        return False
    opening, subordinate, passed = True, False, 0
    for place, token in enumerate(tokens):
        word = token.lower()
        if token in _COMMAS or token in _BREAKS:
            # A label ("Action required:"), a lead clause ("Before you go on,") or a name in front of an order.
            opening = token in _BREAKS or subordinate or passed <= LONGEST_VOCATIVE
            passed = 0
            continue
        if token in _MARKS:
            continue
        if opening and (token.isupper() or not any(char.isalpha() for char in token)) and len(token) > 1:
            continue  # a level, a code or a time in front of what a line says
        if opening:
            if word in lexicon.BASES and _opens(word, tokens, place):
                return True
            if word in _LEADS:
                continue
            subordinate = subordinate or word in _SUBORDINATE
        opening = word in {"then", "instead"} and place > 0
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
