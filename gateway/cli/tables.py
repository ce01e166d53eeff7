"""Lists as tables that fit 80 columns and use more where there are more."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from gateway.cli.screen import clean, count, duration, ending, local, money, styled

Row = dict[str, Any]

_SHOWN = 300
"""Characters of a held step's arguments that a table shows."""

_SEVERITIES = {"critical": "bold red", "high": "red", "medium": "yellow"}


def _table(*columns: tuple[str, Literal["left", "right"]], flexible: str, yielding: str = "") -> Table:
    """An empty table; `flexible` names the column that takes what room there is, `yielding` one that may lose some."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for title, justify in columns:
        if title == flexible:
            # Only columns that may wrap are made narrower before all others; their cells, `styled`, do not wrap.
            table.add_column(styled(title), justify=justify, overflow="ellipsis", ratio=1, min_width=8)
        elif title == yielding:
            table.add_column(styled(title), justify=justify, overflow="ellipsis", min_width=8)
        else:
            table.add_column(title, justify=justify, no_wrap=True)
    return table


def session_table(sessions: Sequence[Row]) -> Table:
    """Sessions, one a line."""
    table = _table(
        ("session", "left"),
        ("last", "left"),
        ("agent · model", "left"),
        ("steps", "right"),
        ("exch", "right"),
        ("in/out", "right"),
        ("cost", "right"),
        flexible="agent · model",
    )
    for each in sessions:
        ended = " ■" if each["terminated_at"] else ""
        table.add_row(
            styled(each["session_id"] + ended, "cyan"),
            local(each["last_at"]),
            styled(_who(each)),
            count(each["steps"]),
            count(each["exchanges"]),
            f"{count(each['input_tokens'])}/{count(each['output_tokens'])}",
            money(each["cost_micro_usd"], unpriced=each["unpriced"]),
        )
    return table


def _who(session: Row) -> str:
    """What ran: the agent's name, else its client, and the models it used."""
    client = (session["client"] or "").split(" ")[0]
    models = ", ".join(session["models"])
    return " · ".join(part for part in (session["agent"] or client, models) if part) or "-"


def exchange_table(exchanges: Sequence[Row]) -> Table:
    """Exchanges, one a line."""
    table = _table(
        ("exchange", "left"),
        ("at", "left"),
        ("call", "left"),
        ("status", "right"),
        ("outcome", "left"),
        ("cost", "right"),
        flexible="call",
        yielding="outcome",
    )
    for each in exchanges:
        table.add_row(
            styled(each["exchange_id"], "cyan"),
            local(each["started_at"]),
            styled(f"{each['provider']} {_what(each)}"),
            status_text(each),
            ending(each),
            money(each["cost_micro_usd"]) if each["operation"] != "other" else "-",
        )
    return table


def _what(exchange: Row) -> str:
    """The model, where there is one, and the call: a path that only looks a model up is told from a use of it.

    Of a message to an MCP server: its method.
    """
    if exchange["dialect"] == "mcp":
        return exchange["operation"]
    model = exchange["model"] or exchange["model_requested"]
    method = "" if model and exchange["method"] == "POST" else exchange["method"]
    return " ".join(part for part in (model, method, exchange["path"]) if part)


def status_text(exchange: Row) -> Text:
    """The HTTP status, red where it is none or an error."""
    status = exchange["status"]
    good = status is not None and status < 400  # noqa: PLR2004 - HTTP's first error status
    return Text(str(status or "-"), style="green" if good else "red")


def key_table(keys: Sequence[Row]) -> Table:
    """Keys, one a line."""
    table = _table(
        ("key", "left"),
        ("name", "left"),
        ("role", "left"),
        ("app", "left"),
        ("starts", "left"),
        ("spent/budget", "right"),
        ("state", "left"),
        flexible="name",
    )
    for each in keys:
        budget = each["budget_micro_usd"]
        spent = money(each["spent_micro_usd"])
        table.add_row(
            styled(each["key_id"], "cyan"),
            styled(each["name"]),
            each["role"],
            styled(each["app"]),
            styled(each["hint"], "dim"),
            spent if budget is None else f"{spent}/{money(budget)}",
            _state(each),
        )
    return table


def hold_table(holds: Sequence[Row]) -> Table:
    """Holds, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("hold", no_wrap=True)
    table.add_column("asked", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("step, and the clause that asks", overflow="fold")
    for each in holds:
        table.add_row(
            styled(each["hold_id"], "cyan"),
            local(each["asked_at"]),
            _hold_state(each),
            Text.assemble(
                (clean(each["tool"] or each["kind"]), "bold"),
                f" {_shortened(each['text'])}\n",
                (clean(", ".join(each["clauses"])), "dim"),
            ),
        )
    return table


def pin_table(tools: Sequence[Row]) -> Table:
    """Tools of MCP servers, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("server", no_wrap=True)
    table.add_column("tool", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("since", no_wrap=True)
    table.add_column("its server proposes", overflow="fold")
    for each in tools:
        changed = each["state"] == "changed"
        table.add_row(
            styled(each["server"], "cyan"),
            styled(each["tool"], "bold"),
            styled(each["state"], "yellow" if changed else "dim"),
            local(each["seen_at"]),
            clean(f"tags = {json.dumps(each['tags'])}" if each["tags"] else ""),
        )
        if changed:
            table.add_row("", "", "", "was", clean(_shortened(each["definition"])))
            table.add_row("", "", "", "is", clean(_shortened(each["proposed"])))
    return table


def _shortened(text: str) -> str:
    shown = clean(text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _hold_state(hold: Row) -> Text:
    import time

    from gateway.times import nanoseconds

    if hold["state"] != "waiting":
        by = f" by {clean(hold['decided_by'])}" if hold["decided_by"] else ""
        style = {"approved": "green", "used": "green", "rejected": "red"}.get(hold["state"], "dim")
        return Text(f"{hold['state']}{by}", style=style)
    left = nanoseconds(hold["expires_at"]) - time.time_ns()
    return Text(f"{duration(left)} left", style="yellow") if left > 0 else Text("expired", style="dim")


def clause_table(clauses: Sequence[Row]) -> Table:
    """Clauses of one app, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("clause", no_wrap=True, overflow="fold")
    table.add_column("severity", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    table.add_column("judges", overflow="fold")
    table.add_column("actions", overflow="fold")
    table.add_column("fired", justify="right", no_wrap=True)
    policy = ""
    for each in clauses:
        of, _, name = each["name"].partition("/")
        if of != policy:
            policy = of
            table.add_row(Text(clean(policy), style="bold"))
        mode = "enforce" if each["acts"] else "flags" if each["mode"] == "enforce" else "shadow"
        table.add_row(
            Text(f"  {clean(name)}", style="cyan"),
            styled(each["severity"], _SEVERITIES.get(each["severity"], "")),
            Text(mode, style="green" if each["acts"] else "dim"),
            Text(clean(_judges(each))),
            Text(", ".join(_band(band) for band in each["action"])),
            count(each["fired"]),
        )
    return table


def out_of_force(change: Row) -> Text:
    """Who took a clause out of force, until when and why, in a line."""
    line = Text.assemble(("  out of force  ", "bold yellow"), (clean(change["clause"]), "cyan"))
    line.append(f"  until {local(change['until'])}, by {clean(change['by'])}: {clean(change['reason'])}")
    return line


def _judges(clause: Row) -> str:
    """What it looks at, with what."""
    tools = clause["tools"]
    only = f" [{', '.join((*tools['tags'], *tools['names']))}]" if tools else ""
    kinds = dict.fromkeys(guard.partition(".")[0] for guard in clause["guards"])
    return f"{', '.join(clause['steps'])}{only} · {', '.join(kinds)}"


def _band(band: Row) -> str:
    other = f" else {band['else']}" if band.get("else") else ""
    return f"{band['at']}: {band['do']}{other}"


def _state(key: Row) -> Text:
    import time

    from gateway.times import nanoseconds

    if key["revoked_at"]:
        return Text(f"revoked {local(key['revoked_at'])}", style="red")
    if key["expires_at"] is None:
        return Text("active", style="green")
    over = nanoseconds(key["expires_at"]) <= time.time_ns()
    return Text(f"{'expired' if over else 'until'} {local(key['expires_at'])}", style="red" if over else "green")
