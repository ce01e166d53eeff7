"""The localiser: which ranges of a data text give orders, to whom, and how far each order reaches.

A sentence is read for its mood (imperative, request, obligation) and for cues of address (to an assistant, relative
to its task, about "the user", secrecy, claimed authority, ...). Neither says that a text is an attack: honest data is
full of requests. They are facts for the guard, which combines them with where a call's values came from.

Extent comes from structure. Sentences are chained into one passage only inside one field, and across paragraphs only
where the text itself links them: a lead-in that ends in a colon, a wrapped block, or address on both sides. A
declarative neighbour joins only where the order is incomplete without it (an order that names no destination or id,
followed by the sentence that does), so an honest address in the next paragraph stays honest.
"""

import re
from bisect import bisect_right
from typing import Final

import msgspec

from policies.provenance import lexicon
from policies.provenance.segments import Sentence, sentences

LOCALISED_CHARACTERS: Final = 1 << 18
"""Characters of one source that are read for orders; what lies behind counts as unscanned, never as plain data."""

SHORTEST_ORDER: Final = 8
FEWEST_WORDS: Final = 3
"""A sentence with fewer characters, or words, orders nothing that could be told from a heading."""

LONGEST_SENTENCE: Final = 2000
"""Characters of one sentence that are read."""

LONGEST_VOCATIVE: Final = 3
"""Words before a comma that can still be a name in front of an order."""

COMPLETION_WORDS: Final = 30
"""Longest declarative sentence that can complete an order: longer ones are prose of their own."""


class Passage(msgspec.Struct, frozen=True):
    """One sentence that gives an order, or belongs to one."""

    start: int
    end: int
    """Character offsets of the sentence."""

    run_start: int
    run_end: int
    """Character offsets of the whole passage it belongs to."""

    ordering: bool
    """Whether some sentence of the passage is an imperative, a request or an obligation."""

    own_order: bool
    """Whether this very sentence is, or completes one that is."""

    about_user: bool
    """An order that speaks of "the user" as a third person: written for whoever works on that user's behalf."""

    cues: frozenset[str]
    """Cues of address that reach this sentence."""

    concepts: frozenset[str]
    """What its words (and those of the order it completes) can stand for."""

    field: int
    unit: int

    @property
    def addressed(self) -> bool:
        """Whether two different cues say that the reader is an assistant at work, one of them plainly."""
        return self.ordering and (
            "override" in self.cues or (len(self.cues) > 1 and not self.cues.isdisjoint(PLAIN_CUES))
        )

    @property
    def spoken_to(self) -> bool:
        """Whether an assistant is named as the reader, a chat role is set or silence asked for: less than proof."""
        return self.ordering and not self.cues.isdisjoint(NAMING_CUES)


class Reading(msgspec.Struct, frozen=True):
    """What the localiser found in one text."""

    passages: tuple[Passage, ...]
    """In text order, not overlapping; sentences without mood or cue are absent."""

    starts: tuple[int, ...]
    scanned: int
    """Characters looked at; fewer than the text has where it is longer than `LOCALISED_CHARACTERS`."""

    def at(self, position: int) -> Passage | None:
        """The passage that covers a character."""
        index = bisect_right(self.starts, position) - 1
        return self.passages[index] if index >= 0 and position < self.passages[index].end else None


NAMING_CUES: Final = frozenset({"assistant", "role", "secrecy"})
PLAIN_CUES: Final = frozenset({"assistant", "override", "order", "role", "secrecy", "principal"})

_CUES: Final = re.compile(
    r"(?P<assistant>\b(?:(?:ai|virtual|digital|automated|personal|language"
    r"|intelligent)[ -](?:assistants?|agents?|models?|"
    r"systems?|bots?|helpers?|tools?|readers?|processors?)|assistants?|(?:chat)?bots?|llms?|chatbots?"
    r"|chatgpt|gpt-?\d\w*|claude|gemini|copilot|"
    r"(?:dear|attention|hey|hi|hello|note to|as the|as an|notes? for|message to|to the|to all|to any"
    r"|for the|for any|for all|any|the|you,?|as an?|if you are an?)"
    r",? (?:ai|agents?|models?|bots?|llm|machine reader|automation)s?\b(?! (?:number|name|year|no\b|fee"
    r"|s\b)))|\bki[ -]?assistent\w*|\bassistente?\b|\basistente\b)"
    r"|(?P<order>\b(?:before|after|once|prior to|instead of|until|unless|first|when|while|bevor"
    r"|avant de|antes de|prima di)\b[^.!?\n]{0,70}"
    r"\b(?:tasks?|requests?|question|query|anything else|answer(?:ing)?|respond(?:ing)?|continu(?:e"
    r"|ing)|proceed(?:ing)?|"
    r"summari[sz](?:e|ing)|summary|reply(?:ing)?|do (?:that|this|so)|done (?:that|this|so)|finish(?:ed|ing)?|"
    r"work(?:ing)? on|(?:any|every|all)(?: \w+)? (?:steps?|work|else)|aufgabe|tâche|tarea|compito)\b"
    r"|\byou (?:can|may) (?:then |now )?(?:solve|continue|proceed|resume|go on|return)\b)"
    r"|(?P<override>\b(?:ignore|disregard|forget|override|overrides|overriding|supersedes?|bypass|drop"
    r"|ignoriere\w*|ignorez|ignora|olvida)\b"
    r"[^.!?\n]{0,48}\b\w*(?:instruction|instruccion|anweisung|istruzion|prompt|rule|guideline|directive|"
    r"constraint|everything|command|safeguard|restriction|limitation)\w*)"
    r"|(?P<orders>\b(?:previous|prior|original|earlier|initial|system|hidden|new"
    r"|updated)\s+(?:\w+\s)?(?:instructions?|prompts?|directives?|"
    r"commands?|guidelines|tasks?)\b|\byour (?:\w+ )?(?:instructions?|prompts?|directives?|guidelines|rules)\b)"
    r"|(?P<secrecy>\b(?:do not|don['’]?t|never|must not|should not|shall not|may not|without|no need to"  # noqa: RUF001 - typographic forms are meant
    r"|avoid|refrain from)\s+(?:\w+\s+){0,3}?"
    r"(?:tell|telling|mention|mentioning|inform|informing|notify|notifying|reveal|revealing|disclose"
    r"|disclosing|alert|alerting|"
    r"ask(?:ing)?|confirm(?:ing|ation)?|consent|report(?:ing)?|show(?:ing)?|bring up|discuss)\b"
    r"|\bsilently\b|\bsecretly\b|\bdiscreetly\b|"
    r"\bkeep (?:this|it|that) (?:secret|quiet|hidden|confidential|between)\b)"
    r"|(?P<role><\|?(?:system|im_start|assistant|instructions?|admin)\b|\[/?(?:system|inst"
    r"|instructions?|admin|override)\b"
    r"|^\W*(?:system|assistant|human|developer)(?: message| prompt| note)?\s*:|#{2,}\s*(?:instructions?"
    r"|system|new task)\b"
    r"|</(?:tool|function|data|document|context|result|output)\w*>)"
    r"|(?P<principal>\bi (?:gave|asked|told|assigned|instructed|hired)\b[^.!?\n]{0,24}\byou\b"
    r"|\byou (?:were|have been|are) "
    r"(?:given|asked|told|assigned|instructed|required|authori[sz]ed|now)\b"
    r"|\b(?:i am|i'm|this is|it is|it's|from|by)\b[^.!?\n]{0,40}\b(?:your (?:developer|administrator"
    r"|admin|operator|creator|owner|user|"
    r"supervisor|principal)|the (?:developer|system administrator|account owner|platform operator))\b"
    r"|\bfrom me\b|\b(?:on behalf of|approved by|authori[sz]ed by|requested by) (?:the|your) (?:user"
    r"|owner|account)\b)"
    r"|(?P<urgency>\b(?:important|urgent|critical|mandatory|attention|high[- ]priority|priority"
    r"|required|emergency|crucial)\b[^.\n]{0,24}"
    r"\b(?:message|notice|instructions?|note|information|update|tasks?|actions?|alert|step|request"
    r"|directive|requirement)\b|!{3,}|"
    r"\b(?:immediately|at once|right away|without delay)\b)"
    r"|(?P<tool>\b(?:us(?:e|ing)|call(?:ing)?|invok(?:e|ing)|run(?:ning)?|execut(?:e|ing)|with) (?:the "
    r"|your |a |available )?"
    r"[`'\"]?[\w.-]{2,40}[`'\"]?(?: \w+)? (?:tools?|functions?|plugin|api|command)\b|\byour (?:tools?"
    r"|functions?|capabilities|access)\b"
    r"|\b[a-z]{2,20}_[a-z_]{2,40}\()"
    r"|(?P<pretext>\bso (?:that )?(?:the|this|your|my) (?:tasks?|request|process|action|workflow|job"
    r"|session) can\b|\b(?:in order )?to (?:complete|finish|continue|proceed with|fulfil+"
    r"|process) (?:the|this|your|my) (?:task|request|"
    r"process|action|workflow|verification|session|work)\b|\b(?:automated|agentic|assistant"
    r"|ai) (?:workflow|processing|pipeline|policy)\b"
    r"|\bpart of (?:your|this|the) (?:tasks?|workflow|work|processing|jobs?|session|duties)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_USER: Final = re.compile(
    r"\b(?:the|this|your|current|their) (?:current |end[- ]|logged[- ]in |human )?(?:users?|human"
    r"|operator)\b(?! (?:guide|manual|interface|name|id|experience|agent|stor))|\buser['’]{1,2}s\b",  # noqa: RUF001 - typographic forms are meant
    re.IGNORECASE,
)
_REQUEST: Final = re.compile(
    r"\b(?P<please>please|kindly|pls)\b|\b(?:(?:can|could|would|will) you|you(?:'ll"
    r"|’ll)?(?:, [\w ]{2,24},)? (?:must|should|shall|"  # noqa: RUF001 - typographic forms are meant
    r"need to|have to|ought to|are to|are (?:required|instructed|asked|requested|expected|supposed"
    r"|obliged|to be) to|will need to|"
    r"will want to|may need to|might want to|had better)|"
    r"(?:i|we)(?:'d|’d| would| hereby)? (?:need|want|like|expect|ask|require|request|urge|order"  # noqa: RUF001 - typographic forms are meant
    r"|instruct|advise|authori[sz]e|direct|"
    r"command|beg|trust|allow|permit) (?:that )?you(?:, [\w ]{2,24},)?(?: to)?|"
    r"(?:if|that) you (?:could|would|can)|(?:make|be) sure(?: to| that| you)?|remember to|(?:do not"
    r"|don'?t) forget to|"
    r"it is (?:required|mandatory|necessary|essential|imperative|important|vital) (?:to|that|you)|"
    r"(?:do not|don['’]t|never|always|let['’]s)|"  # noqa: RUF001
    r"(?:must|shall|should|needs? to|has to|have to|(?:is|are) (?:required|instructed|expected|obliged"
    r"|supposed|asked|told) to))\b",
    re.IGNORECASE,
)
_WISH: Final = re.compile(
    r"\b(?:appreciate|grateful|great|lovely|nice|kind|helpful|good|glad|thankful|wonderful"
    r"|perfect)\b[^.!?\n]{0,24}\bif you\b",
    re.IGNORECASE,
)
_OBLIGATION: Final = re.compile(
    r"\b(?:must|should|shall|needs? to|has to|have to|ought to|is to|are to|is required to|are required to)"
    r"(?: (?:also|first|now|always|immediately|then|therefore|instead|only))? be (?:\w+ly )?(?P<deed>\w+)\b",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"[@#]?\w+(?:[.'’_/@:-]+\w+)*|[,;:()]|[\"'“‘`<\[]|—|–| - ")  # noqa: RUF001

_COMMAS: Final = frozenset({",", "(", " - "})
_BREAKS: Final = frozenset({":", ";", "—", "–"})  # noqa: RUF001 - the dash is meant
_MARKS: Final = frozenset({'"', "'", "“", "‘", "`", "<", "[", ")"})  # noqa: RUF001 - typographic quotes are meant

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

_REACHING: Final = frozenset({"visit", "contact", "call", "check", "read", "ask", "see"})

_ANAPHOR: Final = re.compile(
    r"\b(?:it|this|that|them|these|those|there|here|him|her|same|above|following|below)\b", re.IGNORECASE
)
_VALUE: Final = re.compile(
    r"[\w.+-]+@[\w-]+\.\w|https?://|\bwww\.|\b(?=\w{0,24}\d)\w*[A-Za-z_]\w*\d\w*\b|\b\d[\d -]{4,}\d\b"
    r"|\b\w+[-_]\w*\d|\b[\w-]+\.(?:com|net|org|io|dev|example|test)\b|[@#]\w{3,}"
)


def read(text: str) -> Reading:
    """Find the passages that give orders in one text.

    Linear in the text, and bounded: only the first `LOCALISED_CHARACTERS` are read.
    """
    found = sentences(text, LOCALISED_CHARACTERS)
    notes = [_note(text, sentence) for sentence in found]
    passages = _passages(text, found, notes)
    return Reading(tuple(passages), tuple(p.start for p in passages), min(len(text), LOCALISED_CHARACTERS))


class _Note(msgspec.Struct, frozen=True):
    """What one sentence says by itself."""

    mood: bool
    cues: frozenset[str]
    about_user: bool
    colon: bool


_SILENT: Final = _Note(False, frozenset(), False, False)


def _note(text: str, sentence: Sentence) -> _Note:
    size = sentence.end - sentence.start
    if size < SHORTEST_ORDER:
        return _SILENT
    said = text[sentence.start : min(sentence.end, sentence.start + LONGEST_SENTENCE)]
    if " " not in said:
        return _SILENT
    cues = frozenset(match.lastgroup or "" for match in _CUES.finditer(said))
    mood = is_order(said)
    about_user = mood and _USER.search(said) is not None
    return _Note(mood, cues, about_user, said.rstrip().endswith((":", "：")))  # noqa: RUF001 - full-width colon


def is_order(said: str) -> bool:
    """Whether a sentence is an imperative, a request or an obligation.

    Examples: "Send it to X.", "Could you forward this?", "Before you go on, pay Y.", "The file must be sent to Z.".
    "You can find it there" and "Please note that ..." are not.
    """
    return _requests(said) or _imperative(said) or _obliges(said) or _WISH.search(said) is not None or _foreign(said)


def _requests(said: str) -> bool:
    for found in _REQUEST.finditer(said):
        rest = _TOKEN.findall(said, found.end(), found.end() + 80)
        for token in rest[:4]:
            word = token.lower()
            if word in _INFORMATIVE:
                if word in _REACHING and _VALUE.search(said, found.end()):
                    return True
                break
            if word in lexicon.BASES:
                return True
            if found["please"] and word.isalpha() and word not in _LEADS and word not in lexicon.FUNCTION_WORDS:
                return True  # "please" makes an order of any verb, known or not
            if word not in _LEADS and not word.endswith("ly"):
                break
    return False


def _obliges(said: str) -> bool:
    return any(
        any(idea.startswith("v:") for idea in lexicon.concepts_of(found["deed"].lower()))
        for found in _OBLIGATION.finditer(said)
    )


def _foreign(said: str) -> bool:
    if said.isascii() and not any(mark in said.lower() for mark in _FOREIGN_ASCII):
        return False
    spoken = lexicon.words(said[:400])
    if any(mark in said for mark in ("请", "請", "ください", "发送", "转账", "删除", "отправ", "перевед", "удал")):
        return True
    if len(spoken) < FEWEST_WORDS:
        return False
    return (
        spoken[0] in lexicon.FOREIGN
        or spoken[1] in lexicon.FOREIGN
        or any(word in lexicon.FOREIGN_PLEASE for word in spoken)
    )


LONG_WORD: Final = 5
"""Letters of a word that cannot be taken for an English one."""

_FOREIGN_ASCII: Final = tuple(lexicon.FOREIGN_PLEASE) + tuple(
    word for word in lexicon.FOREIGN if word.isascii() and len(word) >= LONG_WORD
)


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
    return token[:1] in "\"'“‘`<[$€£@#" or any(char.isdigit() for char in token) or "@" in token or "." in token[1:-1]  # noqa: RUF001 - typographic quotes are meant


def _passages(text: str, found: list[Sentence], notes: list[_Note]) -> list[Passage]:
    passages: list[Passage] = []
    index, count = 0, len(found)
    while index < count:
        if not (notes[index].mood or notes[index].cues):
            index += 1
            continue
        last = index
        while last + 1 < count and _linked(text, found, notes, last):
            last += 1
        first = index
        if first > 0 and _leans_back(text, found, notes, first):
            first -= 1
        passages += _members(text, found, notes, first, last)
        index = last + 1
    return passages


def _linked(text: str, found: list[Sentence], notes: list[_Note], at: int) -> bool:
    """Whether the sentence after `at` belongs to the same passage."""
    here, there, note, following = found[at], found[at + 1], notes[at], notes[at + 1]
    if here.field != there.field or here.block != there.block:
        return False
    active = following.mood or bool(following.cues)
    if here.block >= 0:
        return active or note.mood or bool(note.cues)
    if note.colon:
        return there.unit - here.unit <= 1 or following.mood
    if here.unit != there.unit:
        # Across paragraphs only a preamble that gives no order itself, or address on both sides, carries on.
        return there.unit == here.unit + 1 and bool(note.cues) and active and (bool(following.cues) or not note.mood)
    return active or (note.mood and _completes(text, here, there))


def _completes(text: str, order: Sentence, other: Sentence) -> bool:
    """Whether a declarative sentence supplies the value that the order before it lacks, or repeats its value."""
    said, told = text[order.start : order.end], text[other.start : other.end]
    if told.count(" ") >= COMPLETION_WORDS:
        return False
    given = _VALUE.findall(told)
    return bool(given) and (not _VALUE.search(said) or any(value in said for value in given))


def _leans_back(text: str, found: list[Sentence], notes: list[_Note], at: int) -> bool:
    """Whether an order points back ("send it there") at a value that the sentence before it states."""
    before, order = found[at - 1], found[at]
    if before.unit != order.unit or not notes[at].mood:
        return False
    said, told = text[order.start : order.end], text[before.start : before.end]
    return (
        told.count(" ") < COMPLETION_WORDS
        and not _VALUE.search(said)
        and _ANAPHOR.search(said) is not None
        and _VALUE.search(told) is not None
    )


def _complete(text: str, sentence: Sentence, note: _Note) -> bool:
    """Whether a sentence is an order of its own, with its value: then its address is not about the one before."""
    return note.mood and _VALUE.search(text, sentence.start, sentence.end) is not None


def _members(text: str, found: list[Sentence], notes: list[_Note], first: int, last: int) -> list[Passage]:
    """The sentences of one passage. Cues reach forward through it, and back by one sentence."""
    ordering = any(notes[at].mood for at in range(first, last + 1))
    reached: frozenset[str] = frozenset()
    members: list[Passage] = []
    parent, about_user = frozenset[str](), False
    for at in range(first, last + 1):
        note, sentence = notes[at], found[at]
        reached |= note.cues
        cues: frozenset[str] = reached
        if at < last and not _complete(text, found[at + 1], notes[at + 1]):
            cues = reached | notes[at + 1].cues
        concepts = lexicon.content_concepts(text[sentence.start : min(sentence.end, sentence.start + 600)])
        own = note.mood or bool(parent) or (at < last and notes[at + 1].mood and not note.cues)
        if note.mood:
            parent, about_user = concepts, note.about_user
        members.append(
            Passage(
                sentence.start,
                sentence.end,
                found[first].start,
                found[last].end,
                ordering,
                own,
                about_user,
                cues | {"user"} if about_user else cues,
                concepts | parent,
                sentence.field,
                sentence.unit,
            )
        )
    return members
