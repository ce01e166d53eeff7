"""Watch: one alert's rule. Occurrences and moments in, notices out; it reads no clock and sends nothing."""

from collections import deque
from collections.abc import Iterator
from typing import final

import msgspec

from gateway.alerts.occurrences import Occurrence
from gateway.config import Alert, Occasion


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told."""

    alert: str
    newest: Occurrence
    count: int
    """How many of the kind since the last notice about it."""

    usd: float | None = None
    """Of `spent`: how much within the alert's time."""


class _Seen:
    """What happened of one kind in one app."""

    def __init__(self) -> None:
        self.recent: deque[tuple[float, int]] = deque(maxlen=10_000)
        self.untold = 0
        self.newest: Occurrence | None = None
        self.quiet_until = float("-inf")


@final
class Watch:
    """Tells once enough has happened in a while, keeps quiet for a while, and then says what there was meanwhile."""

    def __init__(self, alert: Alert) -> None:
        self._alert = alert
        self._seen: dict[tuple[Occasion, str], _Seen] = {}

    def hear(self, occurrence: Occurrence, now: float) -> Notice | None:
        """Take note of something at a moment, in seconds of any clock that never goes back."""
        alert = self._alert
        if occurrence.occasion not in alert.on or (alert.apps and occurrence.app and occurrence.app not in alert.apps):
            return None
        seen = self._seen.setdefault((occurrence.occasion, occurrence.app), _Seen())
        seen.recent.append((now, occurrence.micro_usd))
        seen.untold += 1
        seen.newest = occurrence
        return self._told(seen, now)

    def due(self, now: float) -> Iterator[Notice]:
        """What was kept quiet about and may be told by now."""
        for seen in self._seen.values():
            if seen.untold and (notice := self._told(seen, now)) is not None:
                yield notice

    def _told(self, seen: _Seen, now: float) -> Notice | None:
        alert = self._alert
        while seen.recent and seen.recent[0][0] <= now - alert.within_seconds:
            seen.recent.popleft()
        if now < seen.quiet_until or seen.newest is None:
            return None
        usd = None
        if seen.newest.occasion == "spent":
            usd = sum(spent for _, spent in seen.recent) / 1e6
            if usd < (alert.over_usd or 0):
                return None
        elif len(seen.recent) < alert.at and not self._went_on(seen):
            return None
        notice = Notice(alert=alert.name, newest=seen.newest, count=seen.untold, usd=usd)
        seen.untold = 0
        seen.quiet_until = now + alert.quiet_seconds
        return notice

    def _went_on(self, seen: _Seen) -> bool:
        """Whether enough happened while it kept quiet, though most of that is over by now."""
        return seen.quiet_until > float("-inf") and seen.untold >= self._alert.at
