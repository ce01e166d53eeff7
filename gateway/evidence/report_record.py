"""The parts of a report that come from the record: what ran, what was done about it, and what guards looked at."""

from collections.abc import Mapping

from gateway.evidence.figures import Acted, Figures, GuardCoverage
from gateway.evidence.findings import Findings, entry_link
from gateway.evidence.log_entries import LogEntry
from gateway.evidence.page import Html, el, facts, joined, table
from gateway.evidence.tally import Listing
from gateway.times import rfc3339
from policies.vocabulary.holds import Hold

_TOP = 20
_MILLION = 1_000_000


def ran(figures: Figures) -> Html:
    """Calls by app, model, client, tool, outcome and day."""
    rows: list[tuple[str, Html | str]] = [
        ("Calls", f"{figures.exchanges:,}, of which {figures.outcomes['complete']:,} were relayed whole"),
        ("Sessions that began", f"{figures.sessions_begun:,}"),
        ("Tokens, as billed", f"{figures.input_tokens:,} in, {figures.output_tokens:,} out"),
        ("Cost", _cost(figures)),
        ("Asked again", f"{figures.asked_again:,} times in a caller's place, after a rejection"),
        ("Run by the provider", f"{figures.server_side:,} steps of tools that were seen only after the act"),
    ]
    counts = (
        ("App", figures.apps.counts),
        ("Model", figures.models.counts),
        ("Client", figures.clients.counts),
        ("Tool that was called", figures.tools.counts),
        ("Outcome", figures.outcomes),
        ("Kind of step", figures.kinds),
    )
    tables = [joined([_counted(what, found)]) for what, found in counts if found]
    days = sorted(figures.days.items())
    per_day = table(("Day (UTC)", "Calls"), [(_dashed(day), f"{count:,}") for day, count in days], kind="figures")
    return joined([facts(rows), *tables, *([per_day] if days else [])])


def _cost(figures: Figures) -> str:
    """Unknown stays unknown, and a sum that misses some says so."""
    if figures.unpriced == figures.exchanges:
        return "unknown" if figures.exchanges else "none"
    cost = f"${figures.cost_micro_usd / _MILLION:,.4f}"
    return f"at least {cost}; {figures.unpriced:,} calls have no known price" if figures.unpriced else cost


def _counted(what: str, counts: Mapping[str, int]) -> Html:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    rows: list[tuple[Html | str, ...]] = [(name, f"{count:,}") for name, count in ordered[:_TOP]]
    if len(ordered) > _TOP:
        rows.append((f"and {len(ordered) - _TOP} more", f"{sum(count for _, count in ordered[_TOP:]):,}"))
    return table((what, "Count"), rows, kind="figures")


def _dashed(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def acted(found: Findings) -> Html:
    """Verdicts in numbers, then each call that was acted on."""
    figures, sections = found.figures, found.tally.sections
    words = ("flag", "redact", "rewrite", "hold", "reject", "terminate")
    numbers = [
        (el("span", word, class_=f"word {word}"), f"{figures.verdicts[word]:,}", f"{figures.shadow[word]:,}")
        for word in words
    ]
    by_exchange: dict[str, LogEntry] = {}
    for name in ("changed", "held", "stopped"):
        by_exchange |= {each.text("exchange"): each for each in sections[name].shown}
    rows = [_acted(each, by_exchange.get(each.exchange.exchange_id), found.receipts) for each in figures.acted]
    return joined([
        el("p", "A call counts under its strongest verdict. In shadow: what clauses out of force would have done."),
        table(("Verdict", "In force", "In shadow"), numbers, kind="figures"),
        el("h3", "Each call that was changed, held or stopped"),
        _more(len(figures.acted), figures.acted_count, "`spans/`"),
        table(("When (UTC), app", "Verdict", "Tools, model", "Clauses and what was found", "Entry"), rows),
        *_ended(found),
    ])  # fmt: skip


def _acted(each: Acted, entry: LogEntry | None, receipts: frozenset[int]) -> tuple[Html | str, ...]:
    exchange = each.exchange
    what = [el("p", clause) for clause in each.clauses]
    if each.labels:
        what.append(el("p", f"found: {', '.join(each.labels[:8])}", class_="small"))
    verdict = [el("span", exchange.verdict, class_=f"word {exchange.verdict}")]
    if each.reason:
        verdict.append(el("p", each.reason, class_="small"))
    return (
        joined([el("p", _moment(rfc3339(exchange.started_ns))), el("p", exchange.app, class_="small")]),
        joined(verdict),
        joined([el("p", ", ".join(each.tools) or "no tool"), el("p", exchange.model or "", class_="small")]),
        joined([*what, el("p", el("code", exchange.exchange_id))]),
        "not in this log" if entry is None else entry_link(entry.index, receipts),
    )


def _ended(found: Findings) -> list[Html]:
    ended = [each for each in found.tally.sections["stopped"].shown if each.type == "kill_switch"]
    if not ended:
        return []
    rows = [
        (_moment(each.ts), each.text("session"), _whose(each.text("actor")), entry_link(each.index, found.receipts))
        for each in ended
    ]
    return [el("h3", "Sessions that were ended"), table(("When (UTC)", "Session", "By", "Entry"), rows)]


def decided(found: Findings) -> Html:
    """Steps that waited for a person, and what became of them."""
    sections = found.tally.sections
    reviews = [_review(found, each) for each in sections["reviewed"].shown]
    uses = [
        (_moment(each.ts), each.text("hold"), el("code", each.text("exchange")), entry_link(each.index, found.receipts))
        for each in sections["overridden"].shown
    ]
    used = table(("When (UTC)", "Hold", "Call", "Entry"), uses)
    waiting = [hold for hold in found.holds.values() if hold.state == "waiting"]
    return joined([
        el("p", f"{sections['held'].count:,} steps began to wait for a person; {len(waiting):,} still do."),
        _more_of(sections["reviewed"]),
        table(("When (UTC)", "Step", "Decision", "By whom, and why", "Entry"), reviews),
        *([el("h3", "Approvals that let a step pass"), used] if uses else []),
    ])  # fmt: skip


def _review(found: Findings, entry: LogEntry) -> tuple[Html | str, ...]:
    hold = found.holds.get(entry.text("hold"))
    decision = entry.text("decision")
    return (
        _moment(entry.ts),
        joined([
            el("p", "unknown" if hold is None else hold.ask.tool or hold.ask.kind),
            el("p", ", ".join(() if hold is None else hold.ask.clauses), class_="small"),
        ]),
        el("span", decision, class_=f"word {decision}"),
        _by(entry, hold),
        entry_link(entry.index, found.receipts),
    )  # fmt: skip


def _by(entry: LogEntry, hold: Hold | None) -> Html | str:
    if entry.text("decision") == "expired":
        return "nobody, in time"
    actor = _whose(entry.text("actor"))
    if hold is None or hold.decided_by is None:
        return joined([entry.text("by") or actor])
    said = [el("p", f"{hold.decided_by} ({actor})")]
    if hold.decided_reason:
        said.append(el("p", f"\u201c{hold.decided_reason}\u201d", class_="small"))
    return joined(said)


def covered(figures: Figures) -> Html:
    """How much of what ran guards looked at, and why not at the rest."""
    rows: list[tuple[str, Html | str]] = [
        ("Calls judged by clauses", f"{figures.judged:,} of {figures.exchanges:,}"),
        ("Calls under no clause", f"{figures.unjudged:,}"),
        ("Steps nothing can read", _reasons(figures.unread) or "0"),
        ("Calls of which nothing could be judged", _reasons(figures.whole_unread) or "0"),
        ("Looks that did not happen", _reasons(figures.skipped) or "0"),
    ]
    looks = [_look(clause, guard, each) for (clause, guard), each in sorted(figures.coverage.items())]
    heads = ("Clause and guard", "Steps", "Bytes read", "Violations", "Unsure", "Errors", "Skipped", "In shadow")
    return joined([facts(rows), table(heads, looks, kind="figures")])


def _look(clause: str, guard: str, each: GuardCoverage) -> tuple[Html | str, ...]:
    share = f"{each.scanned:,} of {each.size:,}" if each.scanned != each.size else f"{each.size:,}"
    counts = (each.violations, each.unsure, each.errors, each.skipped, each.shadow)
    name = joined([el("p", clause), el("p", guard, class_="small")])
    return (name, f"{each.steps:,}", share, *[f"{count:,}" for count in counts])


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda each: -each[1])[:_TOP])


def _more(shown: int, count: int, where: str) -> Html:
    return Html("") if shown == count else el("p", f"The first {shown:,} of {count:,}; all of them stand in {where}.")


def _more_of(listing: Listing) -> Html:
    return _more(len(listing.shown), listing.count, "`entries.jsonl`")


def _whose(actor: str) -> str:
    words = {"owner": "the owner of the data directory", "gateway": "the gateway by itself"}
    return words.get(actor, f"key {actor}")


def _moment(ts: str) -> str:
    return f"{ts[:10]} {ts[11:19]}"
