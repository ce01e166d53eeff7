"""Tally: what the log says of a period, counted, and the first of what a person would want to read."""

from collections import Counter
from typing import Final, final

from gateway.evidence.log_entries import LogEntry
from gateway.evidence.order import Period

LISTED: Final = 500
"""Entries of one kind that a report shows; the rest is counted, and stands in `entries.jsonl`."""

SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "flagged": ("guard.decision",),
    "stopped": ("action.blocked", "kill_switch", "tool.denied"),
    "changed": ("action.modified",),
    "held": ("action.escalated",),
    "reviewed": ("human.review",),
    "overridden": ("override.used",),
    "rules": ("config.", "clause."),
    "revised": ("proposal.", "revision."),
    "supervised": ("critique.", "label.", "canary."),
    "distrusted": ("session.",),
    "tools": ("tool.pinned", "tool.changed", "tool.approved", "tool_server.authorised", "tool_server.withdrawn"),
    "keys": ("apikey.", "access.", "role.", "log.key_rotated"),
    "read": ("content.read", "content.searched"),
    "exported": ("content.exported",),
    "erased": ("content.erased", "legal_hold."),
    "retained": ("retention.",),
    "lost": ("ingest.dropped", "clock.skew"),
    "attested": ("verify.", "checkpoint."),
}
"""What belongs together in a report: types, or what they begin with where that ends in a dot."""

COUNTED: Final = frozenset({
    "log.opened", "request.accepted", "request.completed", "request.failed", "stream.aborted", "step.recorded",
    "optimizer.heard",
})  # fmt: skip
"""Types that belong to no section: the figures of the record tell of what they seal, proposals of who made them."""

NOTABLE: Final = frozenset(SECTIONS) - {"flagged", "read", "supervised"}
"""Sections whose entries get a receipt of their own."""


@final
class Listing:
    """The first entries of a section, and how many there are."""

    def __init__(self) -> None:
        self.shown: list[LogEntry] = []
        self.count = 0

    def add(self, entry: LogEntry) -> None:
        """One more."""
        self.count += 1
        if len(self.shown) < LISTED:
            self.shown.append(entry)


@final
class Tally:
    """Fed every entry of a log in order."""

    def __init__(self, period: Period, app: str | None) -> None:
        self._since, self._until, self._app = period.since, period.until, app
        self.types: Counter[str] = Counter()
        self.count = 0
        self.first: LogEntry | None = None
        self.last: LogEntry | None = None
        self.sections = {name: Listing() for name in SECTIONS}
        self.in_force: dict[str, LogEntry] = {}
        """By app: the newest `config.activated` before the period."""

    def counts(self, entry: LogEntry) -> bool:
        """Whether an entry belongs to the period and to the app, or to no app."""
        if not self._since <= entry.ts < self._until:
            return False
        return self._app is None or entry.said.get("tenant") in {None, self._app}

    def add(self, entry: LogEntry) -> None:
        """The next entry of the log, of whatever time."""
        if entry.ts < self._since and entry.type == "config.activated":
            self.in_force[entry.text("tenant")] = entry
        if not self.counts(entry):
            return
        self.count += 1
        self.types[entry.type] += 1
        self.first = self.first or entry
        self.last = entry
        section = section_of(entry.type)
        if section is not None:
            self.sections[section].add(entry)

    def notable(self) -> list[LogEntry]:
        """Entries that get a receipt of their own, in the order of the log."""
        found = [entry for name in NOTABLE for entry in self.sections[name].shown]
        return sorted(found, key=lambda entry: entry.index)


def section_of(kind: str) -> str | None:
    """The section that entries of a type belong to."""
    for name, types in SECTIONS.items():
        if any(kind == each or (each.endswith(".") and kind.startswith(each)) for each in types):
            return name
    return None
