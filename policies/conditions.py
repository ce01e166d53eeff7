"""Conditions: `when` of a clause, a CEL expression over facts of one step (https://cel.dev).

This is the only door to the `cel` package, which is imported when a policy has a condition. What could make an
expression slow on a hostile step is refused when it is read: `map` and `filter` copy what they have made for every
item, a condition inside a condition multiplies, and a regular expression from the step is the sender's to choose.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, Protocol, cast

import msgspec

from policies.errors import StepwardenError
from policies.mistakes import nearest
from policies.trail import Scene, arguments, utf8

LONGEST: Final = 2000
"""Characters of one condition."""

ARGUMENT_BYTES: Final = 64 << 10
"""Bytes of a call's arguments that a condition is shown; a longer call cannot be told, and `on_error` decides."""

ARGUMENT_DEPTH: Final = 64
"""Levels of arguments; deeper ones cannot be told."""

_TOKEN: Final = re.compile(
    r"""[rRbB]{0,2}(?P<text>"{3}(?:[^"\\]|\\.|"(?!""))*"{3}|'{3}(?:[^'\\]|\\.|'(?!''))*'{3}"""
    r"""|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|//[^\n]*|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[^\s\w])|\w+""",
    re.DOTALL,
)
_MACROS: Final = frozenset({"all", "exists", "exists_one"})
_SLOW_MACROS: Final = frozenset({"map", "filter"})
_FUNCTIONS: Final = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string", "type", "has"}
)
_WORDS: Final = frozenset({"true", "false", "null", "in"})


class BadCondition(StepwardenError):
    """A condition cannot be used; the message says why."""

    status = 400

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self._remedy = remedy

    def remedy(self) -> str:
        """How to mend it."""
        return self._remedy


class Untold(Exception):
    """A condition gives no answer on this step; the message is why, without content."""


class Moment:
    """One step as conditions see it. Facts are made when they are asked for, once."""

    def __init__(self, scene: Scene, *, app: str, tool: str | None) -> None:
        """`tool`: the name of the tool the step belongs to, whichever way it is known."""
        self._scene = scene
        self._app = app
        self._tool = tool

    @cached_property
    def size(self) -> int:
        """Bytes of the step's text."""
        return len(utf8(self._scene.step.text))

    @cached_property
    def calls(self) -> dict[str, int]:
        """Tool calls before this step, by tool."""
        parts = self._scene.trail.parts
        return dict(Counter(part.tool for part in parts if part.kind == "tool_call" and part.tool))

    @cached_property
    def args(self) -> Any:
        """The arguments of a call. Raises `Untold`."""
        if self._scene.step.kind != "tool_call":
            return {}
        if self.size > ARGUMENT_BYTES:
            raise Untold("the arguments are too long for a condition")
        read = arguments(self._scene.step)
        if not isinstance(read, dict) or _depth(read) > ARGUMENT_DEPTH:
            raise Untold("the arguments are no JSON object, or too deep")
        return cast("dict[str, Any]", read)

    @property
    def scene(self) -> Scene:
        """The step and what came before it."""
        return self._scene

    @property
    def app(self) -> str:
        """Name of the app."""
        return self._app

    @property
    def tool(self) -> str:
        """Name of the tool; empty where there is none."""
        return self._tool or ""


class Fact(msgspec.Struct, frozen=True):
    """One thing a condition may ask for."""

    says: str
    """For the documentation."""

    of: Callable[[Moment], Any]


FACTS: Final[Mapping[str, Fact]] = {
    "step.kind": Fact("the kind of step, as in `steps`", lambda moment: moment.scene.step.kind),
    "step.tool": Fact('name of the tool called or answering; "" without one', lambda moment: moment.tool),
    "step.size": Fact("bytes of the step's text", lambda moment: moment.size),
    "step.server_side": Fact("true where the provider ran the tool", lambda moment: moment.scene.step.server_side),
    "tool.tags": Fact("list of the tool's tags", lambda moment: sorted(moment.scene.trail.tags_of(moment.tool))),
    "args": Fact("the arguments of a tool call; elsewhere empty", lambda moment: moment.args),
    "session.calls": Fact("tool calls before this step: a map from tool to number", lambda moment: moment.calls),
    "session.steps": Fact("how many steps came before", lambda moment: len(moment.scene.trail.parts)),
    "app.name": Fact("the app, as in `[app.NAME]`", lambda moment: moment.app),
}
"""Everything a condition can name."""

_ROOTS: Final = frozenset(name.split(".")[0] for name in FACTS)


class _Program(Protocol):
    """What is used of a compiled CEL expression."""

    def execute(self, facts: Mapping[str, Any]) -> Any: ...


class Condition:
    """One compiled expression. Immutable, shared by all sessions."""

    def __init__(self, source: str) -> None:
        """Raises `BadCondition` for what is no CEL, names no known fact, or could become slow."""
        self.source: Final = source
        reader = _Reader(source)
        self.facts: Final = frozenset(reader.facts())
        """Names of the facts it needs."""
        self._program = _compiled(source)
        for pattern in reader.patterns:
            _try_pattern(pattern)

    def holds(self, moment: Moment) -> bool:
        """Whether it is true of a step. Raises `Untold` where it says nothing, as of an argument that is not there."""
        known: dict[str, Any] = {}
        for name in self.facts:
            root, _, field = name.partition(".")
            value = FACTS[name].of(moment)
            if field:
                known.setdefault(root, {})[field] = value
            else:
                known[root] = value
        return self.of(known)

    def of(self, known: Mapping[str, Any]) -> bool:
        """Whether it is true of given facts, nested by root. Raises `Untold`."""
        try:
            answer = self._program.execute(known)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise Untold(f"the condition failed: {type(error).__name__}") from None
        if not isinstance(answer, bool):
            raise Untold("the condition is neither true nor false")
        return answer


def _compiled(source: str) -> _Program:
    import cel  # noqa: PLC0415 - an eighth of a second and 5 MB that only policies with conditions need

    try:
        return cast("_Program", cel.compile(source))
    except ValueError as error:
        place = re.search(r"ERROR: <input>:(\d+):(\d+): ([^\n]{1,160})", str(error))
        reason = f"{place[3]} (line {place[1]}, column {place[2]})" if place else "it cannot be read"
        raise BadCondition(f"no CEL expression: {reason}", "See docs/POLICIES.md, Conditions.") from None


def _try_pattern(literal: str) -> None:
    """Raise `BadCondition` for a regular expression that would fail on every step that comes as far as it."""
    try:
        _compiled(f'"".matches({literal})').execute({})
    except (RuntimeError, ValueError):
        remedy = "Use RE2 syntax: no look-around, no back-references."
        raise BadCondition(f"{literal[:64]} is no regular expression", remedy) from None


class _Reader:
    """Checks the names of an expression without evaluating it."""

    def __init__(self, source: str) -> None:
        if len(source) > LONGEST:
            raise BadCondition(f"longer than {LONGEST} characters", "Split the clause in two.")
        self._tokens = [found for found in _TOKEN.finditer(source) if not found[0].startswith("//")]
        self._scopes: list[str | None] = []
        """For every open bracket, the item name of the macro it belongs to."""
        self.patterns: Final[list[str]] = []
        """Expressions of `matches` as they are written, once `facts` has been read."""

    def facts(self) -> Iterator[str]:
        """The facts it names. Raises `BadCondition`."""
        for at, token in enumerate(self._tokens):
            if token["mark"] in ("(", "[", "{"):
                self._scopes.append(self._item(at))
            elif token["mark"] in (")", "]", "}"):
                self._scopes = self._scopes[:-1]
            elif token["name"] and self._text(at - 1) != ".":
                yield from self._named(at)
            elif token["name"] and self._text(at + 1) == "(":
                self._function(at)

    def _text(self, at: int) -> str:
        return self._tokens[at][0] if 0 <= at < len(self._tokens) else ""

    def _item(self, at: int) -> str | None:
        """The name a macro gives to each item, where the bracket at `at` opens a macro."""
        if self._text(at) != "(" or self._text(at - 1) not in _MACROS or self._text(at - 2) != ".":
            return None
        if any(self._scopes):
            raise BadCondition("a macro inside a macro", "Ask one question of the items; use a second clause.")
        name = self._text(at + 1)
        if name in _ROOTS:
            raise BadCondition(f"`{name}` is a fact and cannot name an item", "Call the item `x`.")
        return name

    def _named(self, at: int) -> Iterator[str]:
        name = self._text(at)
        if name in _WORDS or name in self._scopes or (self._text(at - 2) in _MACROS and self._text(at - 1) == "("):
            return
        if self._text(at + 1) == "(":
            self._function(at)
            return
        if name not in _ROOTS:
            raise BadCondition(f"there is no fact `{name[:64]}`", nearest(name, FACTS))
        if name == "args":
            if any(self._scopes):
                raise BadCondition("`args` inside a macro", "Inside `exists(x, ...)` only `x` can be asked about.")
            yield name
            return
        field = self._text(at + 2) if self._text(at + 1) == "." else ""
        full = f"{name}.{field}" if field else name
        if full not in FACTS:
            raise BadCondition(f"there is no fact `{full[:64]}`", nearest(full, FACTS))
        yield full

    def _function(self, at: int) -> None:
        name = self._text(at)
        if name in _SLOW_MACROS:
            raise BadCondition(f"`{name}` is not available", "Use all, exists or exists_one.")
        if name not in _FUNCTIONS | _MACROS:
            raise BadCondition(f"there is no function `{name[:64]}`", nearest(name, _FUNCTIONS | _MACROS))
        if name == "matches" and not (
            self._text(at - 1) == "."
            and self._tokens[at + 2 : at + 3]
            and self._tokens[at + 2]["text"]
            and self._text(at + 3) == ")"
        ):
            raise BadCondition("`matches` needs its expression written out", 'Write `x.matches("...")`.')
        if name == "matches":
            self.patterns.append(self._tokens[at + 2][0])


def _depth(value: Any) -> int:
    """Levels of containers; stops counting behind `ARGUMENT_DEPTH`."""
    level, depth = [value], 0
    while level and depth <= ARGUMENT_DEPTH:
        level = [inner for each in level for inner in _children(each)]
        depth += 1
    return depth


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).values())
    return cast("list[Any]", value) if isinstance(value, list) else []
