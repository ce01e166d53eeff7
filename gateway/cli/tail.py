"""`stepwarden tail`."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.options import config_option, json_lines_option, reach, url_option
from policies.errors import StepwardenError


class NothingHappens(StepwardenError):
    """There is no running gateway to follow."""

    def __init__(self, where: str) -> None:
        super().__init__(f"no gateway is running on {where}")

    def remedy(self) -> str:
        """How to get one."""
        return "Start `stepwarden serve`, or name a gateway elsewhere with --url."


class FeedEnded(StepwardenError):
    """The gateway tells nothing more, though more was wanted."""

    def __init__(self, where: str) -> None:
        super().__init__(f"the gateway at {where} ended its live feed")

    def remedy(self) -> str:
        """What may be the case."""
        return "It is about to stop, or this key has expired or was revoked; then try again."


@click.command()
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@config_option
@url_option
@json_lines_option
def tail(count: int | None, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Follow exchanges and steps as they happen, until Ctrl-C."""
    from gateway.cli.events import EventPrinter

    with reach(config_file, url) as api:
        if not api.get("/api/status")["serving"]:
            raise NothingHappens(api.where)
        printer = EventPrinter(as_json=as_json)
        left = count

        def on_event(name: str, data: Any) -> bool:
            nonlocal left
            printer.show(name, data)
            if left is not None:
                left -= 1
            return left != 0

        api.follow("/api/live", on_event)
        if left != 0:
            raise FeedEnded(api.where)
