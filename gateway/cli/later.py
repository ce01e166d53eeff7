"""Commands of later versions: they are in the help, and say plainly that they are not built yet."""

from typing import Any

import click

from gateway.cli.main import LATER
from policies.errors import StepwardenError
from storage.release import release

SUBCOMMANDS: dict[str, tuple[str, ...]] = {
    "proposals": ("list", "show", "approve", "reject"),
    "revisions": ("list", "show", "diff", "activate", "rollback"),
}


class NotBuiltYet(StepwardenError):
    """A command of a later version was called."""

    def __init__(self, command: str) -> None:
        version = release()
        super().__init__(f"`{command}` is not in this version ({version}); nothing was done")

    def remedy(self) -> str:
        """What works today."""
        return "This version records, judges and stops: see `stepwarden --help` for what it can do."


def _refuse(ctx: click.Context, /, **_: Any) -> None:
    raise NotBuiltYet(ctx.command_path)


def _command(name: str, line: str) -> click.Command:
    return click.Command(
        name,
        callback=click.pass_context(_refuse),
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=f"{line} Not in this version.",
        context_settings={"ignore_unknown_options": True},
    )


def _built(name: str) -> click.Command:
    line = LATER[name][1]
    if name not in SUBCOMMANDS:
        return _command(name, line)
    commands = {each: _command(each, f"{name} {each}.") for each in SUBCOMMANDS[name]}
    return click.Group(name, commands=commands, help=f"{line} Not in this version.")


def __getattr__(name: str) -> click.Command:
    """The command of this name."""
    if name not in LATER:
        raise AttributeError(name)
    return _built(name)
