"""Findings: all that a report of a period is made of."""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.evidence.controls import Controls, Row
from gateway.evidence.figures import Figures
from gateway.evidence.order import Order
from gateway.evidence.page import Html, el
from gateway.evidence.tally import Tally
from policies.evaluate import Ruleset
from policies.vocabulary.holds import Hold
from policies.vocabulary.modes import ModeChange
from storage.audit.findings import Report


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a report is made of."""

    order: Order
    actor: str
    """On whose behalf it was made: a key's id, or `owner`."""

    release: str
    tally: Tally
    figures: Figures
    controls: Controls
    rows: Sequence[Row]
    rulesets: Mapping[str, Ruleset]
    verified: Report
    holds: Mapping[str, Hold]
    """By id, those that the shown entries name and that are kept."""

    modes: Sequence[ModeChange]
    retention_days: int
    content: str
    """How contents are captured."""

    receipts: frozenset[int]
    """Indexes of entries that have a file of their own."""


def entry_link(index: int, receipts: frozenset[int]) -> Html:
    """An entry by its index; a link where it has a file of its own."""
    if index in receipts:
        return el("a", f"entry {index}", href=f"receipts/{index}.json")
    return Html(f"entry {index}")
