"""The policies that come with the package."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

FOLDER: Final = "library"


@cache
def shipped() -> Mapping[str, str]:
    """TOML text of every shipped policy, by id, in the order of the alphabet."""
    found = [entry for entry in files("policies").joinpath(FOLDER).iterdir() if entry.name.endswith(".toml")]
    ordered = sorted(found, key=lambda entry: entry.name)
    return MappingProxyType({entry.name.removesuffix(".toml"): entry.read_text("utf-8") for entry in ordered})
