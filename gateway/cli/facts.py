"""One exchange in facts: what was asked, how long each part took, why it belongs where it does, what it cost."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.screen import between, clean, count, ending, local_full, money, styled
from gateway.cli.tables import status_text
from gateway.cli.tree import FIDELITY, SYMBOLS, evidence, verdict_mark
from gateway.times import nanoseconds
from policies.vocabulary.monitoring import LATER

Row = dict[str, Any]

_LIKELY = 75
"""From this score on a finding is likely a violation."""

_BAR = 40
"""Columns of the longest bar."""


def exchange_facts(detail: Row, *, width: int) -> Iterator[RenderableType]:
    """Everything printed for one exchange, in order."""
    exchange = detail["exchange"]
    yield _heading(exchange)
    yield _grid(_what(exchange))
    yield Text("\ntimings", style="bold")
    yield _timings(exchange, min(_BAR, max(10, width - 50)))
    yield Text("\ntokens and cost", style="bold")
    yield _grid(_usage(exchange))
    if exchange["join"]:
        yield Text("\nsession", style="bold")
        yield _grid(_join(exchange["join"]))
    if detail["steps"]:
        yield Text("\nsteps", style="bold")
        for step in detail["steps"]:
            yield _step(step, width)
    if detail.get("judged"):
        yield Text("\njudged", style="bold")
        yield _grid(_judged(detail["judged"]))
        if any(step["coverage"] for step in detail["judged"]["steps"]):
            yield Text("\ncoverage", style="bold")
            yield coverage_table(detail["judged"]["steps"])


def _judged(judged: Row) -> Iterator[tuple[str, str]]:
    yield "verdict", judged["verdict"] + (f", {judged['reason']}" if judged["reason"] else "")
    if judged["shadow"] not in ("allow", judged["verdict"]):
        yield "would have been", judged["shadow"]
    if judged["clauses"]:
        yield "asked for by", ", ".join(judged["clauses"])
    if judged["unread"]:
        yield "unread", f"{judged['unread']}: no guard could look at it"
    if judged["asked_again"]:
        times = "once" if judged["asked_again"] == 1 else f"{judged['asked_again']} times"
        yield "asked again", f"{times}, in the caller's place"
    for label, name in (("provider got", "forwarded_sha256"), ("caller got", "delivered_sha256")):
        if judged[name]:
            yield label, f"a changed body, SHA-256 {judged[name]}"
    if judged["instructed"]:
        yield "instructed", f"with what parameters {judged['instructed'][:12]} add to the app's request"
    if judged["uninstructed"]:
        yield "instructed", f"not: {judged['uninstructed']}; the app's own bytes went on"
    yield "clauses", judged["ruleset"]


def coverage_table(steps: Sequence[Row]) -> Table:
    """Which guards looked at which bytes of which step, what they found, and which did not look and why."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("guard", no_wrap=True)
    table.add_column("clause", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("found", overflow="fold")
    table.add_column("took", justify="right", no_wrap=True)
    for said in steps:
        for row in said["coverage"]:
            found = [
                each for each in said["findings"] if (each["clause"], each["guard"]) == (row["clause"], row["guard"])
            ]
            table.add_row(
                _place(said),
                styled(row["guard"]),
                styled(row["clause"], "cyan"),
                _scanned(row),
                _found(row, found),
                f"{row['micros'] / 1000:.2f} ms",
            )
    return table


def _place(said: Row) -> str:
    """The step's number; with its kind where the exchange has no steps that could be listed."""
    return str(said["seq"]) if said["where"] is None else f"{said['seq']} {said['where']['kind']}"


def _scanned(row: Row) -> Text:
    """How much was looked at; a tail that was not is said."""
    if row["skipped"] is not None:
        return Text("-", style="dim")
    whole = row["scanned"] >= row["size"]
    return Text(str(row["scanned"]) if whole else f"{row['scanned']} of {row['size']}", style="" if whole else "yellow")


def _found(row: Row, findings: Sequence[Row]) -> Text:
    if row["skipped"] == LATER:
        return Text("left to the monitor", style="dim")
    if row["skipped"] is not None:
        return Text(f"did not run: {clean(row['skipped'])}", style="bold red")
    if not findings:
        return Text("nothing", style="dim")
    labels = dict.fromkeys(each["label"] for finding in findings for each in finding["evidence"] if each["label"])
    score = max(finding["score"] for finding in findings)
    return Text(f"{score} {clean(', '.join(labels))}".strip(), style="red" if score >= _LIKELY else "yellow")


def _heading(exchange: Row) -> Text:
    line = Text.assemble(("exchange ", "bold"), (clean(exchange["exchange_id"]), "bold cyan"), "  ")
    line.append_text(status_text(exchange))
    return line.append(" ").append_text(ending(exchange))


def _what(exchange: Row) -> Iterator[tuple[str, str]]:
    yield "call", f"{exchange['method']} /{exchange['provider']}{exchange['path']}"
    yield "dialect", f"{exchange['dialect']}, {exchange['operation']}{', streamed' if exchange['stream'] else ''}"
    asked, got = exchange["model_requested"], exchange["model"]
    if asked or got:
        yield "model", f"{got or asked}" + (f" (asked for {asked})" if asked and got and asked != got else "")
    yield "app", exchange["app"] + (f", key {exchange['key_id']}" if exchange["key_id"] else ", the caller's own key")
    if exchange["client"]:
        yield "client", exchange["client"] + (f" (retry {exchange['retry']})" if exchange["retry"] else "")
    if exchange["in_place_of"]:
        yield "asked by", f"the gateway, in the place of {exchange['in_place_of']}"
    if exchange["upstream_status"] not in (None, exchange["status"]):
        yield "provider's status", str(exchange["upstream_status"])
    if exchange["finish_reasons"]:
        yield "finished by", ", ".join(exchange["finish_reasons"])
    for label, name in (("response id", "response_id"), ("provider's request id", "provider_request_id")):
        if exchange[name]:
            yield label, exchange[name]
    if exchange["tags"]:
        yield "tags", ", ".join(f"{name}={value}" for name, value in exchange["tags"])
    yield "verdict", exchange["verdict"]
    if exchange["note"]:
        yield "note", exchange["note"]


def _usage(exchange: Row) -> Iterator[tuple[str, str]]:
    usage = exchange["usage"]
    details = (("cache read", "cache_read_tokens"), ("cache written", "cache_write_tokens"))
    inside = [f"{label} {count(usage[name])}" for label, name in details if usage[name] is not None]
    yield "input", count(usage["input_tokens"]) + (f" ({', '.join(inside)})" if inside else "")
    reasoning = usage["reasoning_tokens"]
    yield "output", count(usage["output_tokens"]) + ("" if reasoning is None else f" (reasoning {count(reasoning)})")
    if usage["estimated"]:
        yield "", "the stream ended before the provider's final count"
    prices = f" (prices of {exchange['price_version']})" if exchange["price_version"] else ""
    yield "cost", money(exchange["cost_micro_usd"]) + prices


def _join(join: Row) -> Iterator[tuple[str, str]]:
    yield "session", join["session_id"] + (" (id made by the gateway)" if join["derived"] else " (id of the client)")
    yield "branch", join["branch_id"] + (f", agent {join['agent_name']}" if join["agent_name"] else "")
    yield "relation", f"{join['relation']}, {evidence(join['evidence'])}"
    yield "known before", f"{count(join['known'])} messages"
    if join["replaces"]:
        yield "history rewritten at", ", ".join(str(place) for place in join["replaces"])
    yield "trace", join["trace_id"]


def _grid(rows: Iterator[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=14)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(f"  {label}", Text(clean(value)))
    return grid


def _timings(exchange: Row, bar: int) -> Table:
    """The moments of an exchange, each with its bar on one time axis."""
    start, end = exchange["started_at"], exchange["ended_at"]
    whole = max(1, nanoseconds(end) - nanoseconds(start))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim", min_width=14)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True)
    grid.add_row("  began", "", Text(local_full(start)))
    moments = (
        ("sent upstream", "upstream_started_at"),
        ("first byte", "first_byte_at"),
        ("first token", "first_token_at"),
        ("ended", "ended_at"),
    )
    for label, name in moments:
        if exchange[name] is None:
            continue
        length = max(0, nanoseconds(exchange[name]) - nanoseconds(start))
        cells = min(bar, round(bar * length / whole))
        grid.add_row(f"  {label}", between(start, exchange[name]), Text("━" * max(1, cells), style="blue"))
    return grid


def _step(step: Row, width: int) -> Text:
    symbol, style = SYMBOLS.get(step["kind"], ("?", ""))
    line = Text("  ", no_wrap=True, overflow="ellipsis")
    line.append(f"{symbol} {step['kind']}{FIDELITY.get(step['fidelity'], '')}".ljust(20), style)
    if mark := verdict_mark(step):
        line.append_text(mark.append("  "))
    if step["tool"]:
        line.append(f"{clean(step['tool'])} ", "bold")
    line.append(clean(step["text"]) if step["text"] is not None else f"[{clean(step['unread'] or 'not kept')}]")
    line.truncate(width, overflow="ellipsis")
    return line
