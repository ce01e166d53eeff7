"""One session as a tree: branches hold exchanges and the branches that left them; exchanges hold steps."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from gateway.cli.screen import between, count, counted, ending, local, local_full, money, size
from gateway.shown import clean, clean_lines

Row = dict[str, Any]

SYMBOLS = {
    "instructions": ("§", "magenta"),
    "tool_definitions": ("☰", "magenta"),
    "user_input": ("▸", "bold green"),
    "model_text": ("◂", "bold blue"),
    "reasoning": ("∴", "dim"),
    "tool_call": ("→", "bold yellow"),
    "tool_result": ("←", "yellow"),
    "retrieval": ("⊕", "yellow"),
    "handoff": ("⇄", "magenta"),
}
"""A symbol and a style for each kind of step."""

FIDELITY = {"witnessed": "", "projected": "~", "reported": "^"}
"""How a step was seen, as a mark behind its kind."""

VERDICTS = {
    "flag": ("⚑ flagged", "yellow"),
    "redact": ("▒ redacted", "bold magenta"),
    "rewrite": ("✎ rewritten", "bold magenta"),
    "hold": ("⏸ held", "bold yellow"),
    "reject": ("✗ rejected", "bold red"),
    "terminate": ("■ terminated", "bold red"),
}
"""A mark and a style for every verdict but `allow`."""

_WOULD = {"redact": "redact", "rewrite": "rewrite", "hold": "hold", "reject": "reject", "terminate": "terminate"}

_KIND_WIDTH = 17
_NUMBER_WIDTH = 4
"""Of a step's number in its exchange: with it a person can label the step."""

_GUIDES = 9
"""Columns the tree's guides take on an ordinary branch; deeper ones are cut by the terminal's edge."""

_LEAST_TEXT = 20


def verdict_mark(said: Row) -> Text:
    """What was done with a step or an exchange, or would have been; nothing for `allow`."""
    mark = Text()
    if (shown := VERDICTS.get(said["verdict"])) is not None:
        mark.append(shown[0], shown[1])
        if said.get("reason"):
            mark.append(f" {clean(said['reason'])}", shown[1])
    if (would := _WOULD.get(said.get("shadow", "allow"))) is not None and would != said["verdict"]:
        mark.append(f"{' ' if mark else ''}(would {would})", "yellow")
    return mark


def session_tree(detail: Row, steps: Sequence[Row], *, full: bool, width: int) -> Iterator[RenderableType]:
    """Everything printed for one session, in order."""
    yield from _heading(detail["session"])
    drawing = _Drawing(detail, steps, full=full, width=width)
    yield from drawing.roots()
    yield from _legend(steps)


def _heading(session: Row) -> Iterator[Text]:
    who = " · ".join(clean(part) for part in (session["agent"], session["client"]) if part)
    yield Text.assemble(("session ", "bold"), (clean(session["session_id"]), "bold cyan"), f"  {who}")
    models = clean(", ".join(session["models"])) or "no model"
    yield Text(f"  {models} · app {clean(session['app'])} · started {local_full(session['started_at'])}")
    parts = [
        between(session["started_at"], session["last_at"]),
        counted(session["exchanges"], "exchange"),
        counted(session["steps"], "step"),
        counted(session["branches"], "branch", "branches"),
        f"{count(session['input_tokens'])} tokens in, {count(session['output_tokens'])} out",
        f"{cost(session['cost_micro_usd'], unpriced=session['unpriced'])}",
    ]
    yield Text("  " + " · ".join(parts))
    if session["terminated_at"]:
        yield Text(f"  ■ terminated {local_full(session['terminated_at'])}: later requests are refused", style="red")
    yield Text()


def _legend(steps: Sequence[Row]) -> Iterator[Text]:
    seen = {step["fidelity"] for step in steps}
    notes = {
        "projected": "~ rebuilt from later history: the act itself was not on this wire",
        "reported": "^ reported by the application itself",
    }
    for fidelity, note in notes.items():
        if fidelity in seen:
            yield Text(f"  {note}", style="dim")


class _Drawing:
    """One session being drawn."""

    def __init__(self, detail: Row, steps: Sequence[Row], *, full: bool, width: int) -> None:
        self._branches: Sequence[Row] = detail["branches"]
        self._full = full
        self._width = width
        self._exchanges: Mapping[str, list[Row]] = defaultdict(list)
        self._steps: Mapping[str, list[Row]] = defaultdict(list)
        for exchange in detail["exchanges"]:
            join = exchange["join"]
            self._exchanges[join["branch_id"] if join else ""].append(exchange)
        for step in steps:
            self._steps[step["exchange_id"]].append(step)
        self._tools = {step["call_id"]: step["tool"] for step in steps if step["kind"] == "tool_call" and step["tool"]}

    def roots(self) -> Iterator[Tree]:
        """The trees of branches that left no other branch of this session."""
        known = {branch["branch_id"] for branch in self._branches}
        for branch in self._branches:
            if branch["parent_branch_id"] not in known:
                yield self._branch(branch, set())

    def _branch(self, branch: Row, above: set[str]) -> Tree:
        tree = Tree(self._branch_line(branch), guide_style="dim")
        above = above | {branch["branch_id"]}
        leaving = [
            each
            for each in self._branches
            if each["parent_branch_id"] == branch["branch_id"] and each["branch_id"] not in above
        ]
        for exchange in self._exchanges[branch["branch_id"]]:
            node = tree.add(self._exchange_line(exchange))
            for line in self._step_lines(self._steps[exchange["exchange_id"]]):
                node.add(line)
        for child in leaving:
            tree.add(self._branch(child, above))
        return tree

    def _branch_line(self, branch: Row) -> Text:
        name = clean(branch["agent_name"]) if branch["agent_name"] else "branch"
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{name} ", "bold")
        line.append(clean(branch["branch_id"]), "dim")
        line.append(f"  {branch['relation']}", "")
        line.append(f" ({evidence(branch['evidence'])})", "dim")
        return line

    def _exchange_line(self, exchange: Row) -> Text:
        usage = exchange["usage"]
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{local(exchange['started_at'])} ", "dim")
        line.append(clean(exchange["exchange_id"]), "cyan")
        failed = exchange["outcome"] != "complete" or exchange["error_type"] is not None
        if failed or (exchange["status"] or 0) >= 400:  # noqa: PLR2004 - HTTP's first error status
            line.append(f"  {exchange['status'] or '-'} ", "bold red").append_text(ending(exchange))
        line.append(f"  {between(exchange['started_at'], exchange['ended_at'])}")
        if exchange["dialect"] == "mcp":
            line.append(f"  {clean(exchange['provider'])} {clean(exchange['operation'])}{self._called(exchange)}")
        else:
            line.append(f"  {count(usage['input_tokens'])}→{count(usage['output_tokens'])} tok")
            line.append(f"  {cost(exchange['cost_micro_usd'])}")
        if mark := verdict_mark({"verdict": exchange["verdict"]}):
            line.append("  ").append_text(mark)
        if exchange["in_place_of"]:
            line.append(f"  asked again for {clean(exchange['in_place_of'])}", "dim")
        elif join := exchange["join"]:
            line.append(f"  {join['relation']} ({evidence(join['evidence'])})", "dim")
        return line

    def _called(self, exchange: Row) -> str:
        """The tool that a message to an MCP server calls."""
        calls = (step["tool"] for step in self._steps[exchange["exchange_id"]] if step["kind"] == "tool_call")
        tool = next(calls, None)
        return f" {clean(tool)}" if tool else ""

    def _step_lines(self, steps: Sequence[Row]) -> Iterator[Text]:
        """One line a step; the definitions of many tools share one, unless everything is asked for."""
        for kind, group in groupby(steps, key=lambda step: step["kind"]):
            same = list(group)
            plain = [step for step in same if not verdict_mark(step)]
            if kind == "tool_definitions" and len(plain) > 1 and not self._full:
                yield self._toolbox(plain)
                same = [step for step in same if verdict_mark(step)]
            yield from (self._step_line(step) for step in same)

    def _toolbox(self, definitions: Sequence[Row]) -> Text:
        symbol, style = SYMBOLS["tool_definitions"]
        names = ", ".join(clean(step["tool"] or "unnamed") for step in definitions)
        line = Text(" " * _NUMBER_WIDTH, no_wrap=True, overflow="ellipsis")
        line.append(f"{symbol} {'tool_definitions'.ljust(_KIND_WIDTH)}", style)
        line.append(f"{len(definitions)} tools: {names}")
        return line

    def _step_line(self, step: Row) -> Text:
        symbol, style = SYMBOLS.get(step["kind"], ("?", ""))
        line = Text(no_wrap=not self._full, overflow="fold" if self._full else "ellipsis")
        line.append(f".{step['seq']}".ljust(_NUMBER_WIDTH), "dim")
        line.append(f"{symbol} ", style)
        line.append(f"{step['kind']}{FIDELITY.get(step['fidelity'], '')}".ljust(_KIND_WIDTH), style)
        tool = step["tool"] or self._tools.get(step["call_id"])
        if mark := verdict_mark(step):
            line.append_text(mark.append("  "))
        if tool:
            line.append(f"{clean(tool)} ", "bold")
        if step["server_side"]:
            line.append("[run by the provider] ", "dim")
        line.append_text(self._said(step, len(line)))
        return line

    def _said(self, step: Row, before: int) -> Text:
        if step["unread"]:
            return Text(f"[{clean(step['unread'])}, {size(step['size'])}: no guard can read it]", style="red")
        if step["text"] is None:
            return Text(f"[{size(step['size'])}, not kept]", style="dim")
        text = clean_lines(step["text"]) if self._full else clean(step["text"])
        room = max(_LEAST_TEXT, self._width - _GUIDES - before)
        if not self._full and (len(text) > room or step["truncated"]):
            length = size(step["size"])
            return Text.assemble(f"{text[: room - len(length) - 2]}… ", (length, "dim"))
        return Text(text)


def cost(micro_usd: int | None, *, unpriced: int = 0) -> str:
    """A cost that can stand by itself."""
    return "cost unknown" if micro_usd is None else money(micro_usd, unpriced=unpriced)


def evidence(name: str) -> str:
    """Why an exchange was joined, in words."""
    return "new" if name == "none" else f"by {name.replace('_', ' ')}"
