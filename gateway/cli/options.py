"""Options every command shares, and what they open."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from policies.errors import StepwardenError

if TYPE_CHECKING:
    from gateway.cli.client import ApiClient
    from gateway.config import Config

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_FILE = Path("stepwarden.toml")
"""Read where it exists and no other is named."""

KEY_VARIABLE = "STEPWARDEN_KEY"


def config_option(command: F) -> F:
    """`--config F`."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="F",
        help="Configuration file [default: ./stepwarden.toml where it exists].",
    )(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def reach_options(command: F) -> F:
    """`--config F`, `--url U` and `--json`, for commands that look at what was recorded."""
    url = click.option(
        "--url", metavar="U", help="Speak to the gateway at this address, with the key in STEPWARDEN_KEY."
    )
    return config_option(url(json_option(command)))


def load_config(config_file: Path | None, **flags: Any) -> "Config":
    """The configuration of this call; flags by dotted name with `__` for the dot, `gateway__port=9000`."""
    from gateway.config import Config

    path = config_file or (CONFIG_FILE if CONFIG_FILE.is_file() else None)
    overrides = {name.replace("__", "."): value for name, value in flags.items()}
    return Config.load(path, environ=os.environ, overrides=overrides)


def reach(config_file: Path | None, url: str | None, *, create: bool = False) -> "ApiClient":
    """The way to what was recorded: a gateway elsewhere, the one running here, or the data directory itself."""
    from gateway.cli import client

    if url is not None:
        return client.elsewhere(url, os.environ.get(KEY_VARIABLE))
    return client.here(load_config(config_file), create=create)


def later_ns(text: str) -> int:
    """A time to come: RFC 3339, or a span from now such as `30d`."""
    from gateway.times import nanoseconds, span_ns

    try:
        return time.time_ns() + span_ns(text)
    except StepwardenError:
        return nanoseconds(text)
