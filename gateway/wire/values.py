"""JSON from strangers: each function takes any value and gives the type it names, or that type's nothing.

Decoded JSON holds no subclasses, so the exact type is asked for: half the cost of `isinstance`.
"""

import re
from typing import Any, Final, cast

import msgspec

_COMPACT: Final = msgspec.json.Encoder()
_LABEL: Final = re.compile(r"[^A-Za-z0-9_.:-]")
_LABEL_LENGTH: Final = 48
_LISTED: Final = frozenset({"auto", "default", "standard", "standard_only", "on_demand", "global", "not_available"})
"""What providers call what their price lists give for a model without saying more."""


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if type(value) is dict else {}  # pyright: ignore[reportUnknownVariableType] - JSON keys are strings


def sequence(value: Any) -> list[Any]:
    """`value` if it is a JSON array, else an empty one."""
    return value if type(value) is list else []  # pyright: ignore[reportUnknownVariableType] - any JSON


def text(value: Any) -> str:
    """`value` if it is a string, else an empty one."""
    return value if type(value) is str else ""


def word(value: Any) -> str | None:
    """`value` if it is a string with something in it, else None."""
    return value if type(value) is str and value else None


def count(value: Any) -> int | None:
    """`value` if it is a whole number of at least 0, else None."""
    return value if type(value) is int and value >= 0 else None


def number(value: Any) -> float | None:
    """`value` as a float if it is a number, else None."""
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def off_list(*said: Any) -> bool:
    """Whether one of these, a tier, a speed or a region where it is given, is billed otherwise than by the list."""
    return any(each is not None and not (type(each) is str and each in _LISTED) for each in said)


def compact(value: Any) -> str:
    """JSON text without spaces; a string stays as it is."""
    return value if type(value) is str else _COMPACT.encode(value).decode("utf-8", "replace")


def laid_out(value: Any) -> str:
    """A value as whoever reads it reads it: each name and each scalar on a line of its own, strings as they are.

    In JSON a line end is two characters, and whoever looks for what begins a line would not see what begins one there.
    """
    if type(value) is str:
        return value
    lines: list[str] = []
    waiting: list[tuple[str | None, Any]] = [(None, value)]
    while waiting:
        name, each = waiting.pop()
        if name is not None:
            lines.append(f"{name}:")
        if isinstance(each, dict):
            waiting += reversed(cast("dict[str, Any]", each).items())
        elif isinstance(each, list):
            waiting += [(None, item) for item in reversed(cast("list[Any]", each))]
        else:
            lines.append(compact(each))
    return "\n".join(lines)


def label(value: Any) -> str:
    """A wire's type name, safe to show: 48 characters of the ASCII names are made of."""
    return _LABEL.sub("_", text(value)[:_LABEL_LENGTH]) or "without a type"
