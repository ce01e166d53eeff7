"""Matches: what a rule says of one command."""

import msgspec

from policies.vocabulary.findings import Score


class Match(msgspec.Struct, frozen=True, gc=False):
    """One thing a rule found in one text."""

    rule: str
    """The rule by its name in a policy."""

    label: str
    """What stands there, as a low-cardinality word."""

    score: Score
    start: int
    end: int
    """Characters of the text."""
