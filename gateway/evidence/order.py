"""Order: what an export is asked for."""

import msgspec

from gateway.times import rfc3339
from policies.errors import StepwardenError
from policies.vocabulary.audit import ContentExported, ExportFormat


class PeriodEmpty(StepwardenError):
    """The period ends before it begins."""

    status = 400

    def __init__(self) -> None:
        super().__init__("the period ends before it begins")

    def remedy(self) -> str:
        """How to write one."""
        return "Give --since an earlier time than --until, such as --since 30d, or 2026-10-01T00:00:00Z."


class Period(msgspec.Struct, frozen=True):
    """From a moment on until before another: wall clock, Unix epoch, nanoseconds, UTC."""

    since_ns: int
    until_ns: int

    def __post_init__(self) -> None:
        """Raise `PeriodEmpty`."""
        if self.since_ns >= self.until_ns:
            raise PeriodEmpty

    @property
    def since(self) -> str:
        """RFC 3339, as entries of the log have it."""
        return rfc3339(self.since_ns)

    @property
    def until(self) -> str:
        """RFC 3339, as entries of the log have it."""
        return rfc3339(self.until_ns)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be handed out."""

    period: Period
    format: ExportFormat
    app: str | None = None
    """Only this app's record; None for every app's. The log is whole in any case."""

    content: bool = False
    """With bodies and texts."""

    made_ns: int
    """Now: wall clock, Unix epoch, nanoseconds, UTC."""

    def entry(self, actor: str) -> ContentExported:
        """What the audit log is told before anything is handed out."""
        return ContentExported(
            actor=actor,
            tenant=self.app,
            format=self.format,
            since=self.period.since,
            until=self.period.until,
            content=self.content,
        )
