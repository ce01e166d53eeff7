"""Events of the live feed as lines."""

from typing import Any, Final

import click
import msgspec
from rich.text import Text

from gateway.cli.screen import between, clean, count, ending, err, local, out
from gateway.cli.tree import FIDELITY, SYMBOLS, cost, verdict_mark


class EventPrinter:
    """Prints one line an event."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = out()

    def show(self, name: str, data: Any) -> None:
        """One event, as soon as it is known."""
        if self._as_json:
            click.echo(msgspec.json.encode({"event": name, "data": data}))
        elif name == "dropped":
            err().print(f"{data['events']} events were lost: this terminal is too slow for them")
        else:
            line = _LINES[name](data) if name in _LINES else Text(clean(name))
            self._console.print(line, no_wrap=True, overflow="ellipsis")


def _step(step: dict[str, Any]) -> Text:
    symbol, style = SYMBOLS.get(step["kind"], ("?", ""))
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{local(step['started_at'])} ", "dim")
    line.append(f"{clean(step['session_id'])[-6:]} ", "cyan")
    line.append(f"{symbol} {step['kind']}{FIDELITY.get(step['fidelity'], '')}".ljust(20), style)
    if mark := verdict_mark(step):
        line.append_text(mark.append("  "))
    if step["tool"]:
        line.append(f"{clean(step['tool'])} ", "bold")
    line.append(clean(step["text"]) if step["text"] is not None else f"[{step['unread'] or 'not kept'}]")
    return line


def _exchange(exchange: dict[str, Any]) -> Text:
    join, usage = exchange["join"], exchange["usage"]
    line = Text(no_wrap=True, overflow="ellipsis", style="dim")
    session = clean(join["session_id"])[-6:] if join else "      "
    line.append(f"{local(exchange['ended_at'])} {session} ■ ")
    line.append(f"{exchange['status'] or '-'} ").append_text(ending(exchange))
    if mark := verdict_mark({"verdict": exchange["verdict"]}):
        line.append("  ").append_text(mark)
    tool_server = exchange["dialect"] == "mcp"
    what = f"{exchange['provider']} {exchange['operation']}" if tool_server else exchange["model"]
    line.append(f"  {clean(what or exchange['method'] + ' ' + exchange['path'])}")
    line.append(f"  {between(exchange['started_at'], exchange['ended_at'])}")
    if not tool_server:
        line.append(f"  {count(usage['input_tokens'])}→{count(usage['output_tokens'])} tok")
        line.append(f"  {cost(exchange['cost_micro_usd'])}")
    line.append(f"  {clean(exchange['exchange_id'])}")
    return line


def _begun(begun: dict[str, Any]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis", style="dim")
    line.append(f"{local(begun['started_at'])} {clean(begun['session_id'])[-6:]} □ under way  ")
    line.append(f"{clean(begun['model'] or '?')}  {clean(begun['exchange_id'])}")
    return line


def _hold(hold: dict[str, Any]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis", style="bold yellow" if hold["state"] == "waiting" else "dim")
    session = clean(hold["session_id"])[-6:] if hold["session_id"] else "      "
    line.append(f"{local(hold['decided_at'] or hold['asked_at'])} {session} ⏸ {hold['hold_id']} {hold['state']}  ")
    line.append(f"{clean(hold['tool'] or hold['kind'])} {clean(hold['text'])}")
    return line


_LINES: Final = {"begun": _begun, "step": _step, "exchange": _exchange, "hold": _hold}
