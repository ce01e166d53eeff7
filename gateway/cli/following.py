"""Following long work of the gateway's to its end: a bar where somebody watches, then the report."""

from collections.abc import Callable
from typing import Any

from gateway.cli.client import ApiClient, GatewayRefused, NotStepwarden
from gateway.cli.screen import progress


def followed(
    api: ApiClient,
    path: str,
    ask: dict[str, Any],
    *,
    doing: str,
    quiet: bool,
    found: Callable[[Any], None] | None = None,
) -> dict[str, Any]:
    """Let it run to its end; the report. `found` hears of what comes up on the way.

    Raises `GatewayRefused` with what the gateway says went wrong.
    """
    ends: dict[str, Any] = {}
    with progress(doing, quiet=quiet) as shown:

        def on_event(name: str, data: Any) -> bool:
            if name == "progress":
                shown(data["done"], data["of"])
                return True
            if name == "found" and found is not None:
                found(data)
                return True
            ends[name] = data
            return False

        api.follow(path, on_event, body=ask)
    if "error" in ends:
        raise GatewayRefused(ends["error"]["message"], ends["error"]["remedy"])
    if "report" not in ends:
        raise NotStepwarden("it ended without a report")
    return ends["report"]
