"""Delegation: whether the user handed the authority to say what is done to a source.

"Do what the ticket says", "pay the bill in FILE", "invite her, the details are in Bob's message": then a value, and
even an order, that stands in that source is what the user wanted. Two signs are read: a phrase that hands over, and
whether the source is one the user named, by a value of the call that fetched it.
"""

import re
from typing import Final

from policies.provenance.intent import Intent

_MANDATE: Final = re.compile(
    r"\b(?:follow(?:ing)?(?! up)|fix|solve|triage|close|do|execute|carry out|complete|perform"
    r"|act (?:up)?on|work (?:through|on|off)|take care of|deal with|implement|apply|"
    r"resolve|fulfil+|go through|handle|process|run|finish|action|address|respond to|answer|obey"
    r"|adhere to|stick to|tackle|clear|"
    r"start|begin|see to)\b[^.!?\n]{0,60}?"
    r"\b(?:instructions?|steps?|tasks?|to-?do(?:s|\b)|actions?|requests?|items?|checklists?|run-?books?"
    r"|procedures?|guides?|lists?|"
    r"tickets?|directions?|recommendations?|orders?|guidelines?|issues?|reminders?|demands?|playbooks?"
    r"|recipes?|changes?|comments?|"
    r"feedback|emails?|messages?|mails?|questions?|forms?|everything|whatever|work|jobs?|cases?|notes?"
    r"|plan|assignments?|homework|"
    r"queue|alerts?|incidents?|requirements?|suggestions?)\b"
    r"|\b(?:what|whatever|everything|anything|all)\b[^.!?\n]{0,24}"
    r"\b(?:says?|said|asks?|asked|wants?|wanted|needs?|needed|requires?|required|requested|tells?"
    r"|lists?|listed|suggests?|recommends?|proposes?|prescribes?)\b",
    re.IGNORECASE,
)
_MANNER: Final = re.compile(
    r"\baccordingly\b"
    r"|\bas (?:it |he |she |they )?(?:is |are |was |were )?(?:described|specified|requested|instructed"
    r"|outlined|listed|stated|explained|"
    r"asked|written|noted|indicated|mentioned|directed|agreed|suggested|proposed|laid out|set out"
    r"|documented|needed|required|planned|per)\b"
    r"|\b(?:according to|based on|in line with|per (?:the|my|his|her|their|our))\b"
    r"|\b(?:details?|info(?:rmation)?|instructions?|specifics|requirements|steps|data|address(?:es)?"
    r"|links?|codes?|rest|dates?|numbers?|names?)\b[^.!?\n]{0,40}"
    r"\b(?:in|on|at|from|inside|within)\b"
    r"|\b(?:the way|how|like|in the way)\b[^.!?\n]{0,60}\b(?:describe|explain|say|tell|show|recommend"
    r"|prescribe|require|define|want|ask)\w*\b"
    r"|\b(?:explains?|describes?|says?|tells?|shows?) (?:\w+ )?(?:how|where|what|which)\b",
    re.IGNORECASE,
)
_OWN_LIST: Final = re.compile(r"\bfollowing\b[^.!?\n]{0,24}:|:\s*\n?\s*(?:1[.)]|[-*•])", re.IGNORECASE)


def mandate(text: str) -> bool:
    """Whether a user's words leave it to some text what is done. His own list of tasks in them does not."""
    head = text[:16_384]
    return _MANDATE.search(head) is not None and not _OWN_LIST.search(head)


def manner(text: str) -> bool:
    """Whether a user's words leave it to some text how, where or with what values the thing he names is done."""
    return _MANNER.search(text[:16_384]) is not None


def named(turns: list[Intent], values: list[str]) -> bool:
    """Whether the user's words hold one of the (folded) values by which a source was fetched."""
    return any(_stands(value, turn.lower) for turn in turns for value in values)


def _stands(value: str, text: str) -> bool:
    """Whether a value of two characters or more stands in a text, at its first place, as words of its own."""
    at = text.find(value) if len(value) > 1 else -1
    if at < 0:
        return False
    before, after = text[at - 1 : at], text[at + len(value) : at + len(value) + 1]
    return not (before.isalnum() or after.isalnum())
