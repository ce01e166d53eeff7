"""Report: a period in one page that a compliance officer reads, prints and files."""

from gateway.evidence import report_record, report_rules, report_supervised
from gateway.evidence.controls import Row
from gateway.evidence.findings import Findings, entry_link
from gateway.evidence.page import Html, el, facts, joined, page, table
from gateway.evidence.tally import Tally
from gateway.times import rfc3339
from storage.audit.encoding import to_base64

_PROVES = (
    "That no entry of the log was changed, removed, inserted or moved since this head was signed, to whoever trusts "
    "the key and hashes the files anew; the commands stand in VERIFY.md and need none of our code."
)
_CANNOT = """\
That the gateway logged everything that happened: what never passed it, or was never logged, no log shows. Compare
receipts kept by applications, and the providers' own usage records.

That the log is the only one its key ever signed. Whoever holds the key and the directory could have rewritten both
before this export, or show somebody else another history. A witness in other hands, or a head kept elsewhere from
before, rules that out: give it to `audit verify --from-checkpoint`.

When an entry was made, against the operator's word, unless a witness cosigned a head soon after.

What this page says beyond the log: names, reasons and the record in `spans/` are the gateway's own. The log holds
seals and commitments to them, and `stepwarden audit verify DATA_DIR` derives the seals anew where the record is.
"""


def report(found: Findings) -> bytes:
    """The page."""
    period, scope = found.order.period, found.order.app or "every app"
    title = f"Evidence for {scope}, {_day(period.since)} to {_day(period.until)}"
    return page(
        title,
        el("h1", "What the agents did, and what was done about it"),
        el(
            "p",
            f"Evidence for {scope}, from {_moment(period.since)} up to {_moment(period.until)} (UTC).",
            class_="lead",
        ),
        _summary(found),
        *_section("Verification", _verification(found)),
        *_section("What ran", report_record.ran(found.figures)),
        *_section("What was flagged, changed, held and stopped", report_record.acted(found)),
        *_section("What people decided", report_record.decided(found)),
        *_section("What a supervisor said, and what people said of it", report_supervised.supervised(found)),
        *_section("Which rules changed, and on what evidence", report_rules.changed(found)),
        *_section("What the guards covered", report_record.covered(found.figures)),
        *_section("Keys, and who looked at content", report_rules.looked(found)),
        *_section("Retention, erasures and losses", report_rules.kept(found)),
        *_section("Controls", _controls(found)),
        *_section("What this cannot prove", el("ul", *[el("li", each) for each in _CANNOT.split("\n\n")])),
    )


def _section(title: str, *children: Html) -> tuple[Html, ...]:
    return (el("h2", title), *children)


def _summary(found: Findings) -> Html:
    sections, figures = found.tally.sections, found.figures
    blocked = sections["stopped"].count
    tiles = (
        (figures.exchanges, "calls to models"),
        (figures.steps, "steps recorded"),
        (figures.verdicts["flag"], "calls flagged"),
        (sections["changed"].count, "calls changed (redacted, rewritten)"),
        (sections["held"].count, "steps held for a person"),
        (blocked, "stopped"),
        (report_rules.count(found), "changes of rules"),
        (sections["lost"].count, "entries about losses and clocks"),
    )
    shown = [el("div", el("b", f"{count:,}"), el("span", what), class_="tile") for count, what in tiles]
    nothing = [] if found.tally.count or figures.exchanges else [_nothing(found)]
    return joined([*nothing, el("div", *shown, class_="tiles")])


def _nothing(found: Findings) -> Html:
    return el(
        "div",
        el("p", el("b", "Nothing happened in this period.")),
        el("p", f"The log has {found.verified.entries:,} entries in all, and none of them falls into it."),
        class_="box",
    )


def _verification(found: Findings) -> Html:
    verified, head = found.verified, found.verified.head
    holds = verified.holds and head is not None
    says = "The log holds" if holds else "The log does not hold"
    detail = (
        f"{verified.entries:,} entries were hashed anew and every tile derived from them when this was made."
        if holds
        else "; ".join(map(str, verified.flaws[:5]))
    )
    witnesses = [each for each in verified.signed if each.at is not None]
    rows: list[tuple[str, Html | str]] = [
        ("Log", head.origin if head else "unknown"),
        ("Entries under the head", f"{head.size:,}" if head else "unknown"),
        ("Root hash", el("code", to_base64(head.root) if head else "")),
        ("Signed by", joined([el("code", each.verifier.vkey) for each in verified.signed if each.at is None], " ")),
        ("Witnesses", f"{len(witnesses)} cosigned this head" if witnesses else "none: see the last section"),
        ("Entries in this period", _range(found.tally)),
        ("Made", f"{_moment(rfc3339(found.order.made_ns))} (UTC) by Stepwarden {found.release}, for {found.actor}"),
    ]
    box = el("div", el("p", el("b", says)), el("p", detail), class_=f"box {'good' if holds else 'bad'}")
    return joined([box, facts(rows), el("p", el("b", "It proves: "), _PROVES)])


def _range(tally: Tally) -> str:
    if tally.first is None or tally.last is None:
        return "none"
    return f"{tally.count:,}, from entry {tally.first.index} to entry {tally.last.index}"


def _controls(found: Findings) -> Html:
    note = el(
        "p",
        "Each row names the entries that speak to a requirement, and what they leave open. A log supports a control "
        "and never is one; \u201cnot covered\u201d means that nothing here speaks to it. Requirements are put in our "
        "words. The queries run over entries.jsonl and stand in controls.json, too.",
    )
    parts = [note]
    for framework in found.controls.framework:
        rows = [row for row in found.rows if row.control.framework == framework.id]
        parts += [
            el("h3", framework.name),
            el("p", framework.applies, class_="small"),
            table(("Requirement", "Covered", "Behind it"), [_control(found, row) for row in rows], kind="controls"),
        ]
    return joined(parts)


def _control(found: Findings, row: Row) -> tuple[Html | str, ...]:
    control = row.control
    word = "not covered" if control.covered == "no" else "partly"
    said: list[Html] = [el("p", control.requirement)]
    if control.entries:
        said += [
            el("p", control.shows),
            el("p", el("b", _found(row)), " ", _samples(found, row), " ", _figures(row)),
            el("p", el("code", control.query)),
        ]
    said.append(el("p", el("b", "Missing: ") if control.entries else "", control.missing))
    return (control.reference, el("span", word, class_=f"word {control.covered}"), joined(said))


def _found(row: Row) -> str:
    return f"{row.count:,} entries." if row.count else "No entries in this period."


def _samples(found: Findings, row: Row) -> Html:
    links = [entry_link(each, found.receipts) for each in row.samples]
    rest = f" and others up to {row.last}" if row.count > len(row.samples) else ""
    return joined([joined(links, ", "), rest]) if links else Html("")


def _figures(row: Row) -> str:
    return " ".join(f"{name.replace('_', ' ')}: {value:,}." for name, value in row.figures.items())


def _day(ts: str) -> str:
    return ts[:10]


def _moment(ts: str) -> str:
    return f"{ts[:10]} {ts[11:19]}"
