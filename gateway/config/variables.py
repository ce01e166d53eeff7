"""Environment variables that hold secrets: the configuration has their names, and a secret is read when it is used."""

import re
from collections.abc import Iterator, Mapping

from gateway.config.written import Given, Mistake, mistaken

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def secret(environ: Mapping[str, str], name: str | None) -> str | None:
    """What a variable holds, without the newline a secret file ends in; None where there is no name or nothing.

    Never keep or print it.
    """
    return (environ.get(name, "").strip() or None) if name else None


def variable_mistakes(given: Given | None, name: str | None, label: str) -> Iterator[Mistake]:
    """What is wrong with a variable's name; `label` is the setting that holds it."""
    if name is not None and not _VARIABLE.fullmatch(name):
        remedy = "Write the variable's NAME; a secret never belongs in this file."
        yield mistaken(given, f"{label} is not the name of an environment variable", remedy)
