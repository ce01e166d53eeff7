"""Controls: which entries and figures speak to which requirement, and how much each of them leaves open."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, Literal, final

import msgspec

from gateway.evidence.log_entries import LogEntry

_SAMPLES: Final = 5
"""Entries behind a row that are named one by one."""


class Framework(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A law, a standard or a set of criteria."""

    id: str
    name: str
    applies: str
    """To whom, and since or from when."""


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One requirement."""

    framework: str
    reference: str
    requirement: str
    """In our words; its text is in the source."""

    covered: Literal["partly", "no"]
    missing: str
    """What is needed beside the entries, or why nothing here covers it."""

    shows: str = ""
    entries: tuple[str, ...] = ()
    """Types of entries: the query."""

    figures: tuple[str, ...] = ()
    """Names in `Figures.named`, and `retention_days`."""

    @property
    def query(self) -> str:
        """The same query for who has the bundle and `jq`."""
        types = ", ".join(f'"{each}"' for each in self.entries)
        return f"jq -c 'select(.type | IN({types}))' entries.jsonl" if types else ""


class Controls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them, in the order of the file."""

    framework: tuple[Framework, ...]
    control: tuple[Control, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement beside what a period has to say to it."""

    control: Control
    count: int
    first: int | None
    last: int | None
    """Indexes in the log."""

    samples: tuple[int, ...]
    """The first few indexes."""

    figures: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """For `controls.json`."""
        said = msgspec.to_builtins(self.control)
        return {
            **said,
            "query": self.control.query,
            "found": {"entries": self.count, "first": self.first, "last": self.last, "samples": list(self.samples)},
            "figures": dict(self.figures),
        }


def shipped() -> Controls:
    """The matrix as it comes with this release."""
    text = (files("gateway.evidence") / "controls.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Controls)


@final
class Matrix:
    """Fed the entries of a period."""

    def __init__(self, controls: Controls) -> None:
        self.controls: Final = controls
        self._by_type: dict[str, list[int]] = {}
        for at, control in enumerate(controls.control):
            for kind in control.entries:
                self._by_type.setdefault(kind, []).append(at)
        self._counts = [0] * len(controls.control)
        self._samples: list[list[int]] = [[] for _ in controls.control]
        self._last: list[int | None] = [None] * len(controls.control)

    def add(self, entry: LogEntry) -> None:
        """One more."""
        for at in self._by_type.get(entry.type, ()):
            self._counts[at] += 1
            self._last[at] = entry.index
            if len(self._samples[at]) < _SAMPLES:
                self._samples[at].append(entry.index)

    def rows(self, figures: Mapping[str, int]) -> list[Row]:
        """Every requirement with what was found."""
        return [
            Row(
                control=control,
                count=self._counts[at],
                first=self._samples[at][0] if self._samples[at] else None,
                last=self._last[at],
                samples=tuple(self._samples[at]),
                figures={name: figures[name] for name in control.figures},
            )
            for at, control in enumerate(self.controls.control)
        ]
