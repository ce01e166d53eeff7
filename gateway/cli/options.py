"""Options every command shares, and what they open."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gateway.cli.client import ApiClient
    from gateway.config import Config

F = TypeVar("F", bound=Callable[..., Any])


class Time(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - generic in newer clicks alone
    """A time, or a span of it, checked for how it is written; it goes on as text, for the gateway's own clock."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text. Fails where it is neither RFC 3339 nor a span such as `2h`."""
        from gateway.times import NotATime, moment_ns

        try:
            moment_ns(value, now_ns=0)
        except NotATime as error:
            self.fail(f"{value!r}: {error}. {error.remedy()}", param, ctx)
        return value


class Span(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]
    """A span of time such as `2h`, in nanoseconds."""

    name = "span"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Its length."""
        from gateway.times import NotATime, span_ns

        try:
            return value if isinstance(value, int) else span_ns(value)
        except NotATime as error:
            self.fail(f"{value!r}: {error}. Write one such as 90s, 30m, 2h, 7d.", param, ctx)


class Vkey(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]
    """A key that verifies a log or a witness, checked for how it is written."""

    name = "vkey"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text. Fails where it can be none."""
        from storage.audit.errors import NoteMalformed

        try:
            self.check(value)
        except NoteMalformed as error:
            self.fail(f"{value!r}: {str(error).removeprefix('malformed: ')}.", param, ctx)
        return value

    def check(self, value: str) -> None:
        """Raise `NoteMalformed` where it cannot be one."""
        from storage.audit.note import read_vkey

        read_vkey(value)


class KeyName(Vkey):
    """The name in such a key."""

    name = "key name"

    def check(self, value: str) -> None:
        """Raise `NoteMalformed` where it cannot be one."""
        from storage.audit.note import check_name

        check_name(value)


class Amount(click.FloatRange):
    """A finite number that is not negative; `nan` is in no range, and is not out of one either."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return found


TIME = Time()
SPAN = Span()
AMOUNT = Amount(min=0)
VKEY = Vkey()
KEY_NAME = KeyName()

CONFIG_FILE = Path("stepwarden.toml")
"""Read where it exists and no other is named."""

KEY_VARIABLE = "STEPWARDEN_KEY"


def named_config(said: str) -> Callable[[F], F]:
    """`--config F`, with what it is for."""
    return click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="F", help=said)


def config_option(command: F) -> F:
    """`--config F`."""
    return named_config("Configuration file [default: ./stepwarden.toml where it exists].")(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def json_lines_option(command: F) -> F:
    """`--json` of a command that goes on and on."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line on stdout.")(command)


def url_option(command: F) -> F:
    """`--url U`."""
    said = "Speak to the gateway at this address, with the key in STEPWARDEN_KEY."
    return click.option("--url", metavar="U", help=said)(command)


def reach_options(command: F) -> F:
    """`--config F`, `--url U` and `--json`, for commands that look at what was recorded."""
    return config_option(url_option(json_option(command)))


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
