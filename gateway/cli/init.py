"""`stepwarden init`."""

import os
from importlib import resources
from pathlib import Path

import click

from gateway.cli.options import CONFIG_FILE
from policies.errors import StepwardenError


class AlreadyThere(StepwardenError):
    """The file to write exists."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists and was left as it is")

    def remedy(self) -> str:
        """How to replace it."""
        return "Name another file with --config, or replace it with --force."


class NotWritten(StepwardenError):
    """The file cannot be written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}")

    def remedy(self) -> str:
        """Where to write instead."""
        return "Name a file in a directory of yours with --config."


def template() -> str:
    """The commented configuration: every setting at its default."""
    return resources.files("gateway.cli").joinpath("template.toml").read_text(encoding="utf-8")


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default=CONFIG_FILE,
    show_default=True,
    metavar="F",
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Replace the file where it exists.")
def init(config_file: Path, force: bool) -> None:  # noqa: FBT001 - a flag by nature
    """Write a commented stepwarden.toml: every setting at its default. Policies arrive with the next version."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(config_file, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError as error:
        raise AlreadyThere(config_file) from error
    except OSError as error:
        raise NotWritten(config_file, error.strerror or "unknown reason") from error
    click.echo(f"wrote {config_file}; policies arrive with the next version. Next: stepwarden doctor", err=True)
