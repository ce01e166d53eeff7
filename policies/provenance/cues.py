"""Cues of address: what in a data text shows that its reader is meant to be an assistant at work.

Each cue is a way of speaking, not a phrase of some attack: naming an assistant as the reader, placing an order
relative to the reader's task, setting aside instructions, asking for silence, setting a chat role, claiming to be the
principal, urgency about a message, naming tools, and pretexts of workflow. One cue proves nothing; honest texts for
people have some of them. Patterns run only on sentences that hold one of their words.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from policies.provenance.lexicon import listed
from policies.provenance.utterance import Utterance, expression
from policies.views.linear import Linear

NAMING: Final = frozenset({"assistant", "role", "secrecy"})
"""Cues one of which already makes an order's reader plain, though no proof."""

PLAIN: Final = frozenset({"assistant", "override", "order", "role", "secrecy", "principal"})
"""Cues of which proof needs at least one."""


class Cue(msgspec.Struct, frozen=True):
    """One way of addressing an assistant."""

    name: str
    words: frozenset[str]
    """A sentence without any of these words, lower case, cannot hold it."""

    pattern: Linear
    """Run on the sentence's shadow."""

    proof: re.Pattern[str] | None
    """What must match besides, on the sentence in lower case, where the pattern cannot say it all: RE2 does not look
    ahead."""

    def holds(self, said: Utterance) -> bool:
        """Whether a sentence that has one of the words holds the cue."""
        return self.pattern.search(said.shadow) is not None and (
            self.proof is None or self.proof.search(said.lower) is not None
        )


def _cue(name: str, words: str, *patterns: str, unless: str = "") -> Cue:
    """`unless`: what must not follow the match."""
    proof = re.compile(rf"(?:{'|'.join(patterns)})(?!{unless})") if unless else None
    return Cue(name, listed(words), expression(*patterns), proof)


_TASK: Final = r"(?:tasks?|request|process|action|workflow|job|session)"

_ASSISTANT: Final = """
    ai ki assistant assistants assistent assistenten assistente asistente bot bots chatbot chatbots llm llms
    chatgpt gpt gpt3 gpt4 gpt5 claude gemini copilot copilots agent agents model models automation reader automated
    virtual digital
    """

CUES: Final[Sequence[Cue]] = (
    _cue(
        "assistant",
        _ASSISTANT,
        r"\b(?:ai|virtual|digital|automated|personal|language|intelligent)[ -](?:assistant|agent|model"
        r"|system|bot|helper"
        r"|tool|reader|processor)s?\b",
        r"\b(?:assistants?|bots?|chatbots?|llms?|chatgpt|gpt-?\d?\w*|claude|gemini|copilots?)\b",
        r"\bki[ -]?assistent\w*|\bassistente?\b|\basistente\b",
    ),
    _cue(
        "assistant",
        _ASSISTANT,
        r"\b(?:dear|attention|hey|hi|hello|note to|notes? for|message to|to the|to all|to any|for the"
        r"|for any|for all|any"
        r"|the|you|as an?|as the|are an?),? (?:ai|agent|model|bot|machine reader|automation)s?\b",
        unless=r" (?:number|name|year|no\b|fee)",
    ),
    _cue(
        "order",
        """
        before after once prior instead until unless first when while bevor avant antes prima
        solve continue proceed resume return go
        """,
        r"\b(?:before|after|once|prior to|instead of|until|unless|first|when|while|bevor|avant de"
        r"|antes de|prima di)\b"
        r"[^.!?\n]{0,70}\b(?:tasks?|requests?|question|query|anything else|answer(?:ing)?"
        r"|respond(?:ing)?|continu(?:e|ing)"
        r"|proceed(?:ing)?|summari[sz](?:e|ing)|summary|reply(?:ing)?|do (?:that|this|so)|done (?:that|this|so)"
        r"|finish(?:ed|ing)?|work(?:ing)? on|(?:any|every|all)(?: \w+)? (?:steps?|work|else)|aufgabe"
        r"|tâche|tarea|compito)\b",
        r"\byou (?:can|may) (?:then |now )?(?:solve|continue|proceed|resume|go on|return)\b",
    ),
    _cue(
        "override",
        """
        ignore disregard forget override overrides overriding supersede supersedes bypass drop ignoriere ignorieren
        ignorez ignora olvida
        """,
        r"\b(?:ignore|disregard|forget|override|overrides|overriding|supersedes?|bypass|drop"
        r"|ignoriere\w*|ignorez|ignora"
        r"|olvida)\b[^.!?\n]{0,48}\b\w*(?:instruction|instruccion|anweisung|istruzion|prompt|rule"
        r"|guideline|directive"
        r"|constraint|everything|command|safeguard|restriction|limitation)\w*",
    ),
    _cue(
        "orders",
        "previous prior original earlier initial system hidden new updated your",
        r"\b(?:previous|prior|original|earlier|initial|system|hidden|new"
        r"|updated)\s+(?:\w+\s)?(?:instructions?|prompts?"
        r"|directives?|commands?|guidelines|tasks?)\b",
        r"\byour (?:\w+ )?(?:instructions?|prompts?|directives?|guidelines|rules)\b",
    ),
    _cue(
        "secrecy",
        "not don dont never without need avoid refrain silently secretly discreetly keep may",
        r"\b(?:do not|don't|dont|never|must not|should not|shall not|may not|without|no need to|avoid"
        r"|refrain from)\s+"
        r"(?:\w+\s+){0,3}?(?:tell|telling|mention|mentioning|inform|informing|notify|notifying|reveal"
        r"|revealing|disclose"
        r"|disclosing|alert|alerting|ask|asking|confirm|confirming|confirmation|consent|report"
        r"|reporting|show|showing"
        r"|bring up|discuss)\b",
        r"\b(?:silently|secretly|discreetly)\b",
        r"\bkeep (?:this|it|that) (?:secret|quiet|hidden|confidential|between)\b",
    ),
    _cue(
        "role",
        """
        system im_start assistant instruction instructions admin inst override human developer task tool function
        data document context result output tool_result tool_results function_results tool_output
        """,
        r"<\|?(?:system|im_start|assistant|instructions?|admin)\b",
        r"\[/?(?:system|inst|instructions?|admin|override)\b",
        r"^\W*(?:system|assistant|human|developer)(?: message| prompt| note)?\s*:",
        r"#{2,}\s*(?:instructions?|system|new task)\b",
        r"</(?:tool|function|data|document|context|result|output)\w*>",
    ),
    _cue(
        "principal",
        """
        gave asked told assigned instructed hired given required authorised authorized now am developer administrator
        admin operator creator owner user boss human supervisor principal me behalf approved requested
        """,
        r"\bi (?:gave|asked|told|assigned|instructed|hired)\b[^.!?\n]{0,24}\byou\b",
        r"\byou (?:were|have been|are) (?:given|asked|told|assigned|instructed|required|authori[sz]ed|now)\b",
        r"\b(?:i am|i'm|this is|it is|it's|from|by)\b[^.!?\n]{0,40}\b(?:your (?:\w+ )?(?:developer"
        r"|administrator|admin"
        r"|operator|creator|owner|user|supervisor|principal)|the (?:developer|system administrator|account owner"
        r"|platform operator))\b",
        r"\b(?:the|your) (?:user|owner|boss|operator|human|developer|customer)\b[^.!?\n]{0,24}"
        r"\b(?:asked|told|wants?|wanted|instructed|requested|needs?|authori[sz]ed|expects?) you\b",
        r"\bfrom me\b",
        r"\b(?:on behalf of|approved by|authori[sz]ed by|requested by) (?:the|your) (?:user|owner|account)\b",
    ),
    _cue(
        "urgency",
        """
        important urgent critical mandatory attention priority required emergency crucial immediately once away delay
        """,
        r"\b(?:important|urgent|critical|mandatory|attention|high[- ]priority|priority|required"
        r"|emergency|crucial)\b"
        r"[^.\n]{0,24}\b(?:message|notice|instructions?|note|information|update|tasks?|actions?|alert|step|request"
        r"|directive|requirement)\b",
        r"\b(?:important|urgent|attention)\W{0,2}!{2,}",
        r"\b(?:immediately|at once|right away|without delay)\b",
    ),
    _cue(
        "tool",
        "tool tools function functions plugin api command capabilities access",
        r"\b(?:use|using|call|calling|invoke|invoking|run|running|execute|executing|with) (?:the |your "
        r"|a |available )?"
        r"[`'\"]?[\w.-]{2,40}[`'\"]?(?: \w+)? (?:tools?|functions?|plugin|api|command)\b",
        r"\byour (?:tools?|functions?|capabilities|access)\b",
    ),
    _cue(
        "pretext",
        """
        task tasks request process action workflow job jobs session verification work processing pipeline policy duties
        """,
        rf"\bso (?:that )?(?:the|this|your|my) {_TASK} can\b",
        r"\b(?:complete|finish|continue|proceed with|fulfil|fulfill|process) (?:the|this|your|my) "
        rf"(?:{_TASK}|verification|work)\b",
        r"\b(?:automated|agentic|assistant|ai) (?:workflow|processing|pipeline|policy)\b",
        r"\bpart of (?:your|this|the) (?:tasks?|workflow|work|processing|jobs?|session|duties)\b",
    ),
)


def _by_word() -> Mapping[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for at, cue in enumerate(CUES):
        for word in cue.words:
            found[word] = (*found.get(word, ()), at)
    return found


_BY_WORD: Final = _by_word()
_WORDS: Final = frozenset(_BY_WORD)


def cues_in(said: Utterance) -> frozenset[str]:
    """The cues of one sentence, which is given with plain quotes."""
    hints = said.words & _WORDS
    if not hints:
        return frozenset()
    chosen = {at for word in hints for at in _BY_WORD[word]}
    return frozenset(CUES[at].name for at in chosen if CUES[at].holds(said))
