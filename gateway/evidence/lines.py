"""Lines: a period as JSON objects, one a line, for systems that take in logs."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from gateway.evidence.bundle import span_line
from gateway.evidence.log_entries import LogEntry, every_entry
from gateway.evidence.ocsf import Events
from gateway.evidence.order import Order
from gateway.evidence.rules import Taxonomy
from gateway.evidence.sources import Sources
from gateway.evidence.tally import Tally
from storage.audit.snapshot import Snapshot
from storage.release import release
from storage.rows import RecordedRow

_PIECE = 1 << 16
_encode = msgspec.json.Encoder().encode


def ocsf_lines(order: Order, sources: Sources, snapshot: Snapshot) -> Iterator[bytes]:
    """OCSF events: first those of the log, then exchange by exchange; each begins with `class_uid`."""
    taxonomy = Taxonomy(sources.in_force.rulesets())
    events = Events(release=release(), origin=snapshot.head.origin, taxonomy=taxonomy)

    def every() -> Iterator[bytes]:
        for entry in _entries(order, snapshot):
            yield from map(_line, events.of_entry(entry))
        for row in _rows(order, sources):
            yield from map(_line, events.of_exchange(row))

    return _gathered(every())


def json_lines(order: Order, sources: Sources, snapshot: Snapshot) -> Iterator[bytes]:
    """Entries as `{"entry": ...}`, then exchanges as `{"exchange": ..., "steps": ..., "judged": ...}`."""

    def every() -> Iterator[bytes]:
        for entry in _entries(order, snapshot):
            yield b'{"entry":' + entry.line + b"}\n"
        for row in _rows(order, sources):
            yield span_line(row)

    return _gathered(every())


def _entries(order: Order, snapshot: Snapshot) -> Iterator[LogEntry]:
    wanted = Tally(order.period, order.app).counts
    return (entry for entry in every_entry(snapshot) if wanted(entry))


def _rows(order: Order, sources: Sources) -> Iterator[RecordedRow]:
    return sources.records.period(order.period.since_ns, order.period.until_ns, app=order.app)


def _line(event: dict[str, Any]) -> bytes:
    return _encode(event) + b"\n"


def _gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth sending."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
