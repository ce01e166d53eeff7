"""`stepwarden check`."""

from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.cli.options import config_option, json_option, load_config


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[F...]")
@config_option
@json_option
def check(files: tuple[Path, ...], config_file: Path | None, as_json: bool) -> int:  # noqa: FBT001 - a flag by nature
    """Check configuration files: every error with its file, line and remedy.

    Without F, the configuration this directory would run with, environment included. Policies arrive with a
    later version. Exits 1 where something is wrong.
    """
    from gateway.cli.screen import print_json
    from gateway.config_file import Mistake

    mistakes: list[Mistake] = []
    notes: list[str] = []
    for file in files or (config_file,):
        found, said = _examine(file)
        mistakes += found
        notes += said
    if as_json:
        document: dict[str, Any] = {"ok": not mistakes, "mistakes": msgspec.to_builtins(mistakes), "notes": notes}
        print_json(document)
    else:
        _print(mistakes, notes, ", ".join(str(file) for file in files) or "configuration")
    return 1 if mistakes else 0


def _examine(file: Path | None) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    from gateway.config_file import ConfigError

    try:
        return (), load_config(file).notes
    except ConfigError as error:
        return error.mistakes, ()


def _print(mistakes: list[Any], notes: list[str], what: str) -> None:
    from gateway.cli.screen import clean

    for mistake in mistakes:
        click.echo(clean(str(mistake)))
    for note in notes:
        click.echo(clean(f"note: {note}"))
    if not mistakes:
        click.echo(f"{clean(what)}: ok")
