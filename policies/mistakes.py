"""Mistakes: what is wrong with a policy, where, and how to mend it."""

import difflib
import tomllib
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from policies.errors import StepwardenError

MistakeSeverity: TypeAlias = Literal["error", "warning"]


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a policy."""

    place: str
    """The name the policy text was given: a file's path, say."""

    line: int | None = None
    """1-based line; None where there is none."""

    message: str
    """What is wrong. Never a value that may be secret."""

    remedy: str
    """What to do, as a sentence."""

    severity: MistakeSeverity = "error"
    """`warning`: the policy means something safe, but perhaps not what was meant."""

    def __str__(self) -> str:
        """`FILE:LINE: message. remedy`, on one line."""
        where = self.place if self.line is None else f"{self.place}:{self.line}"
        kind = "" if self.severity == "error" else "warning: "
        return f"{where}: {kind}{self.message}. {self.remedy}"


class BadPolicy(StepwardenError):
    """A policy does not check; holds every mistake, not only the first."""

    status = 400

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def remedy(self) -> str:
        """What to do next."""
        return "Mend what is listed, then run `stepwarden check`."


NOT_TOML: Final = (ValueError, RecursionError)
"""What reading TOML raises; a number of thousands of digits is no `TOMLDecodeError`."""


def not_toml(error: Exception) -> str:
    """What is wrong with a text that is no TOML."""
    if isinstance(error, tomllib.TOMLDecodeError | RecursionError):
        return f"is not TOML: {error}"
    return "is not TOML: a number in it is too long"


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that this one was probably meant to be."""
    return next(iter(difflib.get_close_matches(name[:128], sorted(known), n=1, cutoff=0.6)), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy that names the nearest known name, or all of them."""
    names = sorted(known)
    meant = closest(name, names)
    return f"Did you mean `{meant}`?" if meant else f"Known here: {', '.join(names)}."
