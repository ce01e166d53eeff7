"""Configuration as written: a TOML file, the environment and flags, laid over each other setting by setting.

Nothing here knows what a setting means. It finds out who gave each value and on which line, so that every
mistake can be shown where it was made, all of them at once. Values are never echoed: one may be a secret.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import msgspec

from policies.errors import StepwardenError
from policies.mistakes import NOT_TOML, not_toml

ENVIRONMENT_PREFIX = "STEPWARDEN_"
LARGEST_FILE = 1 << 20
"""Bytes. No honest configuration is larger; a wrong path easily is."""

_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_TOML_PLACE = re.compile(r"\(at line (\d+), column \d+\)")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who gave a value."""

    place: str
    """A file's path, `environment` or `command line`."""

    line: int | None = None
    """1-based line of the file; None where there are no lines."""

    base: Path
    """Relative paths given here are relative to this directory."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as somebody wrote it."""

    path: tuple[str, ...]
    """`("gateway", "port")` or `("provider", "anthropic", "base_url")`; without a key, only the section's presence."""

    value: Any
    origin: Origin
    text: bool = False
    """True where the value is text that still has to be read as its type (environment variables)."""


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with the configuration."""

    place: str
    line: int | None = None
    message: str
    remedy: str

    def __str__(self) -> str:
        """`FILE:LINE: message remedy`, on one line."""
        where = self.place if self.line is None else f"{self.place}:{self.line}"
        return f"{where}: {self.message}. {self.remedy}"


class ConfigError(StepwardenError):
    """The configuration does not mean anything safe; holds every mistake, not only the first."""

    status = 500

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def remedy(self) -> str:
        """What to do next."""
        return "Mend what is listed, then run `stepwarden check`."


def mistaken(given: Given | None, message: str, remedy: str) -> Mistake:
    """A mistake at the place of a value, or at no place where nobody gave one."""
    if given is None:
        return Mistake(place="configuration", message=message, remedy=remedy)
    return Mistake(place=given.origin.place, line=given.origin.line, message=message, remedy=remedy)


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy that names the nearest known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean `{close[0]}`?" if close else f"Known here: {', '.join(names)}."


def read_file(path: Path) -> tuple[list[Given], list[Mistake]]:
    """Every setting a file gives, in its order; or the one mistake that keeps it from being read."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return [], [
                Mistake(place=str(path), message="is larger than 1 MiB", remedy="Point --config at a TOML file.")
            ]
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return [], [Mistake(place=str(path), message="is not UTF-8 text", remedy="Save the file as UTF-8.")]
    except OSError as error:
        reason = error.strerror or "cannot be read"
        return [], [Mistake(place=str(path), message=reason, remedy="Give the path of a readable file, or none.")]
    try:
        document = tomllib.loads(text)
    except NOT_TOML as error:
        found = _TOML_PLACE.search(str(error))
        message = _TOML_PLACE.sub("", not_toml(error)).strip().rstrip(".")
        line = int(found[1]) if found else None
        return [], [Mistake(place=str(path), line=line, message=message, remedy="See https://toml.io for the syntax.")]
    lines = key_lines(text)
    base = path.absolute().parent
    return [
        Given(path=found, value=value, origin=Origin(place=str(path), line=_line(lines, found), base=base))
        for found, value in _flatten(document)
    ], []


def _flatten(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Settings of a document: tables are opened down to where a value or a named section's key stands."""
    for section, table in document.items():
        opened = _table(table)
        if opened is None:
            yield (section,), table
            continue
        yield (section,), {}
        for key, value in opened.items():
            inner = _table(value)
            if inner is None:
                yield (section, key), value
            else:
                yield (section, key), {}
                yield from (((section, key, name), leaf) for name, leaf in inner.items())


def _table(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The 1-based line on which each table and key of a TOML text first stands."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    quote: str | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if quote is not None:
            quote = None if line.count(quote) % 2 else quote
            continue
        if header := _HEADER.match(line):
            table = _names(header[1])
            _note(lines, table, number)
        elif key := _KEY.match(line):
            _note(lines, table + _names(key[1]), number)
        quote = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), None)
    return lines


def _note(lines: dict[tuple[str, ...], int], path: tuple[str, ...], number: int) -> None:
    for length in range(1, len(path) + 1):
        lines.setdefault(path[:length], number)


def _names(dotted: str) -> tuple[str, ...]:
    """The names of a dotted TOML key, quotes removed."""
    return tuple(
        part.strip().strip("\"'") for part in re.findall(r"""[^."']+|"[^"]*"|'[^']*'""", dotted) if part.strip()
    )


def _line(lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> int | None:
    """The line of a path, or of the nearest table around it (inline tables)."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def read_environment(environ: Mapping[str, str], *, base: Path) -> list[Given]:
    """Settings given as `STEPWARDEN_SECTION__KEY` or `STEPWARDEN_SECTION__NAME__KEY`.

    A NAME that is not all in capitals is kept as it is written: tools are called `WebFetch`.
    """
    return [
        Given(
            path=_path(name.removeprefix(ENVIRONMENT_PREFIX)),
            value=environ[name],
            origin=Origin(place=f"environment {name}", base=base),
            text=True,
        )
        for name in sorted(environ)
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name
    ]


def _path(variable: str) -> tuple[str, ...]:
    section, *between, key = variable.split("__")
    return (section.lower(), *(part.lower() if part.isupper() else part for part in between), key.lower())


def read_value(given: Given, kind: Any) -> Any:
    """The value as `kind`, relative paths made absolute. Raises `msgspec.ValidationError` or `ValueError`."""
    value = given.value
    if given.text:
        if not value:
            raise ValueError("is empty")
        if get_origin(kind) is tuple:
            value = [piece.strip() for piece in value.split(",") if piece.strip()]

    def beyond_json(wanted: type, raw: Any) -> Any:
        if wanted is Path and isinstance(raw, str) and raw and "\0" not in raw:
            return given.origin.base / _at_home(raw)
        raise ValueError("must be a path")

    read = msgspec.convert(value, kind, strict=not given.text, dec_hook=beyond_json)
    if isinstance(read, float) and not math.isfinite(read):
        raise ValueError("must be a finite number")
    return read


def _at_home(path: str) -> Path:
    """A path, `~` and `~NAME` opened. Raises `ValueError` where nobody here is called so."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError("begins with a home directory that there is not") from error


def choices(kind: Any) -> tuple[str, ...]:
    """The values that a Literal admits, a list of them or one that may be missing; empty for every other type."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((found for inner in get_args(kind) if (found := choices(inner))), ())


def in_words(kind: Any) -> str:
    """A type as a reader of TOML would name it, with its range."""
    arguments = get_args(kind)
    metadata = [each for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta)]
    if metadata:
        bounds = (("≥", metadata[0].ge), (">", metadata[0].gt), ("≤", metadata[0].le))
        said = [f"{sign} {value}" for sign, value in bounds if value is not None]
        return f"{in_words(kind.__origin__)} {', '.join(said)}"
    if get_origin(kind) is tuple:
        return "list of text"
    if admitted := choices(kind):
        return " or ".join(f'`"{choice}"`' for choice in admitted)
    if type(None) in arguments:
        return in_words(next(each for each in arguments if each is not type(None)))
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path"}[
        kind.__name__
    ]
