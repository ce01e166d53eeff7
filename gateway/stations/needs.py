"""Needs: what the clauses in force want to see of a reply before its caller does."""

from typing import Literal

from gateway.wire.blocks import Window
from gateway.wire.gate import BROUGHT, Needs
from policies.evaluate import Need, Ruleset


def needs_of(ruleset: Ruleset) -> Needs | None:
    """What the clauses in force want to see of a reply before the caller does; None where that is nothing."""
    text, reasoning, call = (ruleset.needs(kind, "response") for kind in ("model_text", "reasoning", "tool_call"))
    brought = [ruleset.needs(kind, "response") for kind in BROUGHT]
    needs = Needs(
        text=_held(text),
        reasoning=_held(reasoning),
        tool_call="whole" if _holds(call) else "idle",
        server_side="whole" if any(_holds(need) for need in (call, *brought)) else "idle",
    )
    return None if needs == Needs() else needs


def _holds(need: Need) -> bool:
    return need.hold in ("window", "whole")


def _held(need: Need) -> Literal["idle", "whole"] | Window:
    if need.hold == "window":
        return Window(need.window)
    return "whole" if need.hold == "whole" else "idle"
