"""One section as it was given: who wrote which setting, and where to point at for what nobody wrote."""

import msgspec

from gateway.config.written import Given


class Table(msgspec.Struct, kw_only=True):
    """What was given of one section."""

    settings: dict[str, Given] = msgspec.field(default_factory=dict[str, Given])

    header: Given | None = None
    """The line `[provider.NAME]`; None where a section has no name, and where nobody wrote one."""

    def get(self, setting: str) -> Given | None:
        """A setting as it was given; None where nobody did."""
        return self.settings.get(setting)

    @property
    def somewhere(self) -> Given | None:
        """Where to show what is missing: the header, else the first setting."""
        return self.header or next(iter(self.settings.values()), None)
