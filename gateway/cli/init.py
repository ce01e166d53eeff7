"""`stepwarden init`."""

import os
from importlib import resources
from pathlib import Path

import click

from gateway.cli.options import CONFIG_FILE, json_option
from policies.errors import StepwardenError

POLICY_FILE = "example-policy.toml"
"""Written beside the configuration."""


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
    """The commented configuration: `agent-baseline` watching, every other setting at its default."""
    return _shipped("template.toml")


def example_policy() -> str:
    """A commented policy to begin one's own with."""
    return _shipped("example_policy.toml")


def _shipped(name: str) -> str:
    return resources.files("gateway.cli").joinpath(name).read_text(encoding="utf-8")


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
@click.option("--force", is_flag=True, help="Replace the configuration where it exists.")
@json_option
def init(config_file: Path, force: bool, as_json: bool) -> None:  # noqa: FBT001 - flags by nature
    """Write a commented stepwarden.toml, in which agent-baseline watches and flags, and an example policy beside it.

    A policy file that is there already is left as it is.
    """
    _write(config_file, template(), replace=force)
    policy = config_file.with_name(POLICY_FILE)
    written, left = [str(config_file)], list[str]()
    try:
        _write(policy, example_policy(), replace=False)
        written.append(str(policy))
    except AlreadyThere:
        left.append(str(policy))
    if as_json:
        from gateway.cli.screen import print_json

        print_json({"written": written, "left": left})
        return
    kept = "".join(f"; {each} was there and was left as it is" for each in left)
    click.echo(f"wrote {' and '.join(written)}{kept}. Next: stepwarden check", err=True)


def _write(path: Path, text: str, *, replace: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise AlreadyThere(path) from error
    except OSError as error:
        raise NotWritten(path, error.strerror or "unknown reason") from error
