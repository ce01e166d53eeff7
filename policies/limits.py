"""Limits: what an operator says the arguments of a tool may be, beyond what the tool says itself."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Protocol, TypeAlias, cast

import msgspec
import re2  # pyright: ignore[reportMissingTypeStubs] - ships no types; `_Regex` and `_Re2` say what is used
from msgspec import Meta

from policies.arguments import Leaf, Scalar
from policies.errors import StepwardenError
from policies.trail import utf8

Plain: TypeAlias = str | int | float | bool

_LONGEST_NUMBER: Final = 64
"""Characters of a string that may still be read as a number."""

_LARGEST_PROGRAM: Final = 4096
"""RE2 instructions of one pattern: bounds its work per byte."""


class BadLimit(StepwardenError):
    """A limit makes no sense; the message says why."""

    status = 400


class ArgumentLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one argument of one tool may be."""

    tool: Annotated[str, Meta(min_length=1)]
    """Name of the tool; `*` stands for any run of characters."""

    pointer: Annotated[str, Meta(pattern="^/")]
    """RFC 6901 pointer of the argument; a token `*` stands for any one key or index. Values below it count too."""

    min: int | float | None = None
    """Smallest number. Text that reads as a number counts as that number; anything else breaks the limit."""

    max: int | float | None = None
    """Largest number, read in the same way."""

    one_of: tuple[Plain, ...] | None = None
    """The only values it may have."""

    none_of: tuple[Plain, ...] = ()
    """Values it must not have."""

    pattern: str | None = None
    """RE2 expression that the whole value must match; a value that is no text is matched as it is written."""

    required: bool = False
    """The argument must be there."""

    forbidden: bool = False
    """The argument must not be there."""


class _Regex(Protocol):
    """What is used of a compiled expression."""

    @property
    def programsize(self) -> int: ...

    def fullmatch(self, text: bytes) -> object | None: ...


class _Re2(Protocol):
    """What is used of the module."""

    error: type[Exception]

    def Options(self) -> Any: ...  # noqa: N802 - RE2's own name

    def compile(self, pattern: bytes, options: Any) -> _Regex: ...


_RE2 = cast("_Re2", re2)


class Limit:
    """One limit, ready to be held against calls."""

    def __init__(self, spec: ArgumentLimit) -> None:
        """Raises `BadLimit` for a limit that says nothing, that nothing can meet, or that holds no RE2 expression."""
        where = f"limit of `{spec.tool}` at `{spec.pointer}`"
        bounds = (spec.min, spec.max, spec.one_of, spec.pattern)
        if not (any(bound is not None for bound in bounds) or spec.none_of or spec.required or spec.forbidden):
            raise BadLimit(
                f"{where}: says nothing; give one of min, max, one_of, none_of, pattern, required, forbidden"
            )
        if spec.forbidden and (spec.required or any(bound is not None for bound in bounds) or spec.none_of):
            raise BadLimit(f"{where}: `forbidden` leaves nothing for another limit to say")
        if spec.min is not None and spec.max is not None and not spec.min <= spec.max:
            raise BadLimit(f"{where}: no number lies between min and max")
        self.spec = spec
        self._tokens = tuple(_tokens(spec.pointer))
        self._any_key = "*" in self._tokens
        self._one_of = None if spec.one_of is None else frozenset(map(_exact, spec.one_of))
        self._none_of = frozenset(map(_exact, spec.none_of))
        self._regex = None if spec.pattern is None else _regex(where, spec.pattern)

    def breaks(self, found: Sequence[Leaf], data: bytes) -> Iterator[tuple[str, Leaf | None]]:
        """Each way in which arguments break this limit: a label, and the leaf that does (None: it is missing).

        `data` is the UTF-8 of the text the leaves came from. `limit_unreadable` says that the value may stand in a
        leaf that was not taken apart.
        """
        there = False
        for leaf in found:
            if not (self._any_key or leaf.opaque or leaf.pointer.startswith(self.spec.pointer)):
                continue
            tokens = tuple(_tokens(leaf.pointer))
            if leaf.opaque and _fit(self._tokens, tokens):
                yield "limit_unreadable", leaf
                there = True
            elif len(tokens) >= len(self._tokens) and _fit(self._tokens, tokens):
                there = True
                label = self._broken_by(leaf, data)
                if label:
                    yield label, leaf
        if self.spec.required and not there:
            yield "required", None

    def _broken_by(self, leaf: Leaf, data: bytes) -> str | None:
        if self.spec.forbidden:
            return "forbidden"
        if self._one_of is not None and _exact(leaf.value) not in self._one_of:
            return "one_of"
        if _exact(leaf.value) in self._none_of:
            return "none_of"
        if self._regex is not None and not self._regex.fullmatch(_written(leaf, data)):
            return "pattern"
        return self._out_of_bounds(leaf.value)

    def _out_of_bounds(self, value: Scalar) -> str | None:
        low, high = self.spec.min, self.spec.max
        if low is None and high is None:
            return None
        number = _number(value)
        if number is None:
            return "not_a_number"
        # Written so that NaN, which is neither smaller nor larger, is out of bounds.
        if low is not None and not number >= low:
            return "min"
        return "max" if high is not None and not number <= high else None


def _regex(where: str, pattern: str) -> _Regex:
    options = _RE2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        regex = _RE2.compile(utf8(pattern), options)
    except _RE2.error:
        raise BadLimit(f"{where}: pattern is not an RE2 expression") from None
    if regex.programsize > _LARGEST_PROGRAM:
        raise BadLimit(f"{where}: pattern is too large; lower its counted repetitions")
    return regex


def _tokens(pointer: str) -> Iterator[str]:
    return (token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def _fit(limit: Sequence[str], leaf: Sequence[str]) -> bool:
    """Whether one pointer leads into the other, as far as both go."""
    return all(wanted in ("*", token) for wanted, token in zip(limit, leaf, strict=False))


def _exact(value: Scalar) -> tuple[bool, Scalar]:
    """A value that equals another only where JSON says so: 1 is 1.0, and true is not 1."""
    return isinstance(value, bool), value


def _number(value: Scalar) -> int | float | None:
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER:
            return None
        try:
            return float(value.replace(",", ""))
        except ValueError:
            return None
    return None if isinstance(value, bool) else value


def _written(leaf: Leaf, data: bytes) -> bytes:
    return utf8(leaf.value) if isinstance(leaf.value, str) else data[leaf.start : leaf.end]
