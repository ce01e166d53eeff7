"""The parts of a report that come from the log alone: rules, access, retention and losses."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gateway.evidence import rules
from gateway.evidence.findings import Findings, entry_link
from gateway.evidence.log_entries import LogEntry
from gateway.evidence.page import Html, el, facts, joined, table
from gateway.times import NotATime, nanoseconds
from policies.vocabulary.modes import EVERY, ModeChange

_NEAR_NS = 10_000_000_000
"""How far the time of a change and that of its entry may lie apart: they are taken one after the other."""

_SHOWN = 60


def activations(found: Findings) -> Iterator[tuple[LogEntry, LogEntry | None]]:
    """Each activation that put other clauses in force than were before, with the one before."""
    before = dict(found.tally.in_force)
    for entry in found.tally.sections["rules"].shown:
        if entry.type != "config.activated":
            continue
        app = entry.text("tenant")
        last = before.get(app)
        if last is None or _said(last) != _said(entry):
            yield entry, last
        before[app] = entry


def _said(entry: LogEntry) -> list[object]:
    return [entry.said.get(name) for name in ("policy", "enforce", "unseen", "audit", "clauses")]


def count(found: Findings) -> int:
    """How many changes of rules there were, restarts with the same rules and mere proposals left out."""
    sections = found.tally.sections
    others = [each for each in sections["rules"].shown if each.type != "config.activated"]
    revisions = [each for each in sections["revised"].shown if each.type.startswith("revision.")]
    return len(others) + len(revisions) + len(list(activations(found)))


def changed(found: Findings) -> Html:
    """What was in force at the beginning, and every change."""
    listed = found.tally.sections["rules"].shown
    rows = [_activation(found, entry, last) for entry, last in activations(found)]
    modes = [_mode(found, each) for each in listed if each.type == "clause.mode_changed"]
    proposed = found.tally.sections["revised"].shown
    lost = rules.unknown([*found.tally.in_force.values(), *listed], found.rulesets)
    heads = ("App", "Clauses", "Enforced", "Audit", "Since (UTC)", "Entry")
    began = [_in_force(found, each) for each in _began(found)]
    parts = [
        el("h3", "In force when the period began"),
        table(heads, began) if began else el("p", "The log tells of no rules before this period.", class_="none"),
        el("h3", "Changes of what is in force"),
        table(("When (UTC), app", "What changed", "Evidence", "Entry"), rows),
        el("h3", "Clauses taken out of force, or put back"),
        table(("When (UTC)", "Clause, app", "Change", "By whom, and why", "Entry"), modes),
    ]  # fmt: skip
    if proposed:
        parts += [el("h3", "Proposals, and revisions in force"), plain(found, proposed)]
    if lost:
        digests = ", ".join(sorted({each["policy"] for each in lost}))
        parts.append(el("p", f"Clauses with these digests were in force and are not kept: {digests}.", class_="small"))
    return joined(parts)


def _began(found: Findings) -> list[LogEntry]:
    app = found.order.app
    return [each for name, each in sorted(found.tally.in_force.items()) if app in {None, name}]


def _in_force(found: Findings, each: LogEntry) -> tuple[Html | str, ...]:
    return (
        each.text("tenant"),
        joined([_count(each), el("p", el("code", each.text("policy") or "none"))]),
        "yes" if each.said.get("enforce") else "no: findings are recorded only",
        each.text("audit") or "buffered",
        _moment(each.ts),
        entry_link(each.index, found.receipts),
    )


def _count(entry: LogEntry) -> Html:
    count = len(entry.said.get("clauses") or {})
    return el("p", f"{count} clauses" if count else "no clause")


def _activation(found: Findings, entry: LogEntry, last: LogEntry | None) -> tuple[Html | str, ...]:
    evidence = entry.text("evidence") or "none in the log: it was read from files at a start or a reload"
    return (
        joined([el("p", _moment(entry.ts)), el("p", entry.text("tenant"), class_="small")]),
        joined([el("p", each) for each in _difference(entry, last)]),
        evidence,
        entry_link(entry.index, found.receipts),
    )


def _difference(entry: LogEntry, last: LogEntry | None) -> list[str]:
    now: dict[str, str] = entry.said.get("clauses") or {}
    if last is None:
        return [f"first known: {len(now)} clauses in force"]
    then: dict[str, str] = last.said.get("clauses") or {}
    said = [f"added: {name}" for name in now if name not in then]
    said += [f"removed: {name}" for name in then if name not in now]
    said += [f"changed: {name}, {then[name]} to {now[name]}" for name in now if then.get(name, now[name]) != now[name]]
    for name, default in (("enforce", False), ("unseen", "flag"), ("audit", "buffered")):
        old, new = last.said.get(name, default), entry.said.get(name, default)
        if old != new:
            said.append(f"{name}: {old} to {new}".lower())
    rest = len(said) - _SHOWN
    return [*said[:_SHOWN], *([f"and {rest} more"] if rest > 0 else [])] or ["the order of clauses"]


def _mode(found: Findings, entry: LogEntry) -> tuple[Html | str, ...]:
    change = _change(entry, found.modes)
    until = entry.text("until")
    what = f"out of force until {_moment(until)}" if until else "back in force"
    who = [el("p", entry.text("by") if change is None else change.by)]
    if change is not None and change.reason:
        who.append(el("p", f"\u201c{change.reason}\u201d", class_="small"))
    return (
        _moment(entry.ts),
        joined([el("p", entry.text("clause")), el("p", entry.text("tenant") or "every app", class_="small")]),
        what,
        joined(who),
        entry_link(entry.index, found.receipts),
    )


def _change(entry: LogEntry, changes: Sequence[ModeChange]) -> ModeChange | None:
    """The change an entry tells of: the log has an alias and a commitment where the ledger has a name and a reason."""
    try:
        at_ns = nanoseconds(entry.ts)
    except NotATime:
        return None
    near = [
        each
        for each in changes
        if (each.clause, each.app, each.mode)
        == (entry.text("clause"), entry.text("tenant") or EVERY, entry.text("mode"))
        and abs(each.at_ns - at_ns) < _NEAR_NS
    ]
    return min(near, key=lambda each: abs(each.at_ns - at_ns), default=None)


def looked(found: Findings) -> Html:
    """Keys that were made or ended, content that was shown, evidence that was handed out."""
    sections = found.tally.sections
    reads = Counter((each.text("actor"), each.text("what")) for each in sections["read"].shown)
    rows = [(actor, what, f"{count:,}") for (actor, what), count in sorted(reads.items())]
    shown, count = len(sections["read"].shown), sections["read"].count
    partial = el("p", f"Of the first {shown:,} of {count:,} entries.", class_="small") if shown < count else Html("")
    return joined([
        el("h3", "Keys"),
        plain(found, sections["keys"].shown),
        el("h3", "Content that was shown"),
        partial,
        table(("Key", "What", "Times"), rows, kind="figures"),
        el("h3", "Exports"),
        plain(found, sections["exported"].shown),
    ])  # fmt: skip


def kept(found: Findings) -> Html:
    """How long things are kept, what was erased, and what is missing."""
    sections = found.tally.sections
    capture = {"encrypted": "kept, encrypted at rest", "digest": "not kept: digests only"}
    rows: list[tuple[str, Html | str]] = [
        ("The record is kept for", f"{found.retention_days:,} days, as configured when this was made"),
        ("Contents are", capture.get(found.content, found.content)),
        ("The log is kept", "for good: the gateway never removes an entry"),
    ]
    return joined([
        facts(rows),
        el("h3", "Files dropped because their time was over"),
        plain(found, sections["retained"].shown),
        el("h3", "Erasures and legal holds"),
        plain(found, sections["erased"].shown),
        el("h3", "Losses, and jumps of the clock"),
        plain(found, sections["lost"].shown),
        el("h3", "Verifications and witnesses in the log"),
        plain(found, sections["attested"].shown),
    ])  # fmt: skip


def plain(found: Findings, entries: Sequence[LogEntry]) -> Html:
    """Entries as they say it themselves."""
    rows = [(_moment(each.ts), each.type, _fields(each), entry_link(each.index, found.receipts)) for each in entries]
    return table(("When (UTC)", "What", "Details", "Entry"), rows)


def _fields(entry: LogEntry) -> Html:
    hidden = {"type", "ts", "seq", "v", "trace", "span"}
    said = [f"{name}: {_value(value)}" for name, value in entry.said.items() if name not in hidden]
    return joined(["; ".join(said)])


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value[:_SHOWN])  # type: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)[:400]


def _moment(ts: str) -> str:
    return f"{ts[:10]} {ts[11:19]}"
