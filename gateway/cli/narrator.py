"""The demo's story as it happens: one line for each thing the agent says, does or is told."""

import time
from collections.abc import Callable
from typing import Any

from rich.table import Table
from rich.text import Text

from gateway.cli.screen import clean, count, out
from gateway.cli.tree import SYMBOLS
from gateway.demo import agent


class Narrator:
    """Prints the events of `gateway.demo.story.tell`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = out()
        self._began = time.monotonic()
        self.requests = 0
        """Requests the agents have made so far, as their SDKs count them."""

    def opening(self, gateway_url: str, provider_url: str) -> None:
        """Who takes part."""
        self._say(
            Text("Stepwarden demo: recorded agent runs, lived again through a gateway. No key, no network.\n", "bold")
        )
        self._say(Text(f"  agent      the unmodified anthropic SDK, base URL {gateway_url}/anthropic"))
        self._say(Text(f"  gateway    {gateway_url}, a process of its own"))
        self._say(Text(f"  provider   {provider_url}, plays recorded model output with natural timing"))

    def act(self, title: str, *lines: str) -> None:
        """A new part of the story."""
        self._say(Text(f"\n{title}", "bold"))
        for line in lines:
            self._say(Text(f"  {line}", "dim"))

    def held_back(self, mark: Text, tool: str, arguments: str) -> None:
        """A call that the gateway did not pass on."""
        line = self._line("tool_call", "", "")
        line.append_text(mark.append("  "))
        line.append(f"{clean(tool)} ", "bold")
        line.append(clean(arguments))
        self._say(line)
        self._say(Text(f"{'':8}not run: the agent never saw this call, and the model was asked again", "bold red"))

    def written(self, text: str) -> None:
        """What was played where no recording can exist, in full."""
        if not self._quiet:
            grid = Table.grid()
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(self._line("model_text", "", ""), Text(clean(text)))
            self._console.print(grid)

    def rule(self, title: str) -> None:
        """A command, and what it prints below."""
        if not self._quiet:
            self._console.print()
            self._console.rule(Text(clean(title), "bold"), align="left")

    def show(self, *parts: Any) -> None:
        """Anything else, as it is."""
        if not self._quiet:
            for part in parts:
                self._console.print(part)

    def tell(self, event: agent.Event) -> None:
        """One event."""
        lines: dict[type[Any], Callable[[Any], Text | None]] = {
            agent.Began: lambda each: Text(f"\n{each.run.name}  ({each.run.model}, {each.run.outcome})", "bold"),
            agent.UserSaid: lambda each: self._line("user_input", "", each.text),
            agent.AgentSaid: lambda each: self._line("model_text", "", each.text),
            agent.AgentCalled: lambda each: self._line("tool_call", each.tool, str(each.arguments)),
            agent.ToolReturned: lambda each: self._line("tool_result", each.tool, each.text),
            agent.Strayed: lambda each: Text(f"  ! left the recording at {clean(each.tool)}", "red"),
            agent.Ended: self._ended,
        }
        told = lines.get(type(event), lambda _: None)(event)
        if told is not None:
            self._say(told)

    def _ended(self, event: agent.Ended) -> Text:
        self.requests += event.requests
        sums = f"{count(event.input_tokens)} tokens in, {count(event.output_tokens)} out"
        return Text(f"  ■ {event.requests} requests, {sums}", "dim")

    def _line(self, kind: str, tool: str, text: str) -> Text:
        symbol, style = SYMBOLS[kind]
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{time.monotonic() - self._began:6.1f}s ", "dim")
        line.append(f"{symbol} {kind:<12}", style)
        if tool:
            line.append(f"{clean(tool)} ", "bold")
        line.append(clean(text))
        return line

    def _say(self, line: Text) -> None:
        if not self._quiet:
            self._console.print(line, no_wrap=True, overflow="ellipsis")
