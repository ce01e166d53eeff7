"""Bundle: the log, the record and a report of a period in one zip file, made while it is sent."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from itertools import groupby
from typing import Any, final

import msgspec

from gateway.api import answers
from gateway.evidence import controls, rules
from gateway.evidence.contents import content_line
from gateway.evidence.controls import Matrix
from gateway.evidence.figures import Figures
from gateway.evidence.findings import Findings
from gateway.evidence.log_entries import LogEntry, bundled, every_entry
from gateway.evidence.order import Order
from gateway.evidence.report import report
from gateway.evidence.sources import Sources
from gateway.evidence.tally import Tally
from gateway.evidence.zip_stream import ZipStream
from policies.errors import StepwardenError
from policies.evaluate import Ruleset
from policies.vocabulary.holds import Hold
from storage.audit.findings import Report
from storage.audit.snapshot import Snapshot
from storage.audit.verify import verify
from storage.partitions import day_of
from storage.release import release
from storage.rows import RecordedRow

_POLICY = """\
# Whom to trust, in the form of C2SP tlog-policy. These are the keys that the log names itself.
# Compare the first with what its operator told you in another way, and add the witnesses you know.
"""


def bundle(order: Order, sources: Sources, snapshot: Snapshot, actor: str) -> Iterator[bytes]:
    """The zip file, a piece at a time. In memory: one file of the log, one page of the record, and counts."""
    yield from _Bundle(order, sources, snapshot, actor).pieces()


@final
class _Bundle:
    def __init__(self, order: Order, sources: Sources, snapshot: Snapshot, actor: str) -> None:
        self._order = order
        self._sources = sources
        self._snapshot = snapshot
        self._actor = actor
        self._zip = ZipStream(order.made_ns)
        self._tally = Tally(order.period, order.app)
        self._matrix = Matrix(controls.shipped())
        self._figures = Figures()

    def pieces(self) -> Iterator[bytes]:
        yield from self._log()
        yield from self._entries()
        receipts = self._tally.notable()
        yield from self._receipts(receipts)
        rulesets = self._rulesets()
        yield from self._configs(rulesets)
        yield from self._spans()
        if self._order.content:
            yield from self._contents()
        verified = verify(self._snapshot, None, progress=_unseen)
        yield from self._told(self._findings(rulesets, verified, receipts))
        yield from self._zip.close()

    def _log(self) -> Iterator[bytes]:
        """The log as it stands, counted on the way."""
        for path in self._snapshot.names():
            data = self._snapshot.read(path)
            yield from self._zip.add(path, [data])
            for entry in bundled(path, data):
                self._tally.add(entry)
                if self._tally.counts(entry):
                    self._matrix.add(entry)
        lines = "".join(f"log {vkey}\n" for vkey in self._snapshot.vkeys)
        yield from self._zip.add("policy.tlog-policy", [f"{_POLICY}{lines}quorum none\n".encode()])

    def _entries(self) -> Iterator[bytes]:
        chosen = (entry.line + b"\n" for entry in every_entry(self._snapshot) if self._tally.counts(entry))
        yield from self._zip.add("entries.jsonl", chosen)

    def _receipts(self, entries: Iterable[LogEntry]) -> Iterator[bytes]:
        for entry in entries:
            yield from self._zip.add(f"receipts/{entry.index}.json", [entry.line])
            yield from self._zip.add(f"receipts/{entry.index}.tlog-proof", [self._snapshot.receipt(entry.index)])

    def _rulesets(self) -> Mapping[str, Ruleset]:
        found = self._sources.in_force.rulesets()
        return {name: each for name, each in found.items() if self._order.app in {None, name}}

    def _configs(self, rulesets: Mapping[str, Ruleset]) -> Iterator[bytes]:
        known = [*self._tally.in_force.values(), *self._tally.sections["rules"].shown]
        for number, (app, ruleset) in enumerate(sorted(rulesets.items())):
            yield from self._zip.add(f"configs/{number}.json", [_json(rules.document(app, ruleset, known))])
        lost = rules.unknown(known, rulesets)
        yield from self._zip.add("configs/not-kept.json", [_json({"clauses_known_by_digest_only": lost})])

    def _rows(self) -> Iterator[tuple[str, Iterator[RecordedRow]]]:
        period, app = self._order.period, self._order.app
        rows = self._sources.records.period(period.since_ns, period.until_ns, app=app)
        yield from groupby(rows, key=lambda row: day_of(row.exchange.started_ns))

    def _spans(self) -> Iterator[bytes]:
        for day, rows in self._rows():
            yield from self._zip.add(f"spans/{day}.jsonl", self._counted(day, rows))

    def _counted(self, day: str, rows: Iterable[RecordedRow]) -> Iterator[bytes]:
        for row in rows:
            self._figures.add(row, day)
            yield span_line(row)

    def _contents(self) -> Iterator[bytes]:
        records, reader = self._sources.records, self._sources.reader
        for day, rows in self._rows():
            yield from self._zip.add(f"content/{day}.jsonl", (content_line(row, records, reader) for row in rows))

    def _findings(self, rulesets: Mapping[str, Ruleset], verified: Report, receipts: Iterable[LogEntry]) -> Findings:
        stats = self._sources.records.stats()
        figures = {**self._figures.named(), "retention_days": stats.retention_days}
        return Findings(
            order=self._order,
            actor=self._actor,
            release=release(),
            tally=self._tally,
            figures=self._figures,
            controls=self._matrix.controls,
            rows=self._matrix.rows(figures),
            rulesets=rulesets,
            verified=verified,
            holds=self._holds(),
            modes=self._sources.modes.changes(),
            retention_days=stats.retention_days,
            content=stats.content,
            receipts=frozenset(entry.index for entry in receipts),
        )

    def _holds(self) -> dict[str, Hold]:
        """The holds that the shown entries name, as far as they are kept."""
        listed = [*self._tally.sections["held"].shown, *self._tally.sections["reviewed"].shown]
        found: dict[str, Hold] = {}
        for hold_id in dict.fromkeys(entry.text("hold") for entry in listed):
            try:
                found[hold_id] = self._sources.holds.get(hold_id)
            except StepwardenError:
                continue  # it is gone; the entry says what became of it
        return found

    def _told(self, found: Findings) -> Iterator[bytes]:
        matrix = {
            "period": {"since": self._order.period.since, "until": self._order.period.until, "app": self._order.app},
            "frameworks": msgspec.to_builtins(found.controls.framework),
            "controls": [row.document() for row in found.rows],
        }
        yield from self._zip.add("controls.json", [_json(matrix)])
        yield from self._zip.add("report.html", [report(found)])
        yield from self._zip.add("VERIFY.md", [(files("gateway.evidence") / "verify.md").read_bytes()])


def span_line(row: RecordedRow) -> bytes:
    """One line of `spans/DAY.jsonl`: an exchange with its steps, as the control plane shows them without content."""
    said = {} if row.judged is None else {each.seq: each for each in row.judged.steps}
    steps = tuple([answers.Step.of(step, None, longest=0, said=said.get(step.seq)) for step in row.steps])
    judged = None if row.judged is None else answers.Judgement.of(row.judged)
    detail = answers.ExchangeDetail(exchange=answers.Exchange.of(row.exchange), steps=steps, judged=judged)
    return msgspec.json.encode(detail) + b"\n"


def _json(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2) + b"\n"


def _unseen(done: int, total: int) -> None:
    """Nobody watches the gateway verify."""
