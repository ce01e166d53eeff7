"""`code`: commands, statements and scripts in the arguments of a call, judged by what they would do."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from policies.arguments import Leaf, Ruler, fragments, leaves, named
from policies.guards.code.languages import Hint, examine, examine_program, hint_of
from policies.guards.code.match import Match
from policies.guards.code.rules import RuleName
from policies.guards.interface import SCANNED_BYTES, UNSCANNED, BadGuard
from policies.trail import Scene, utf8
from policies.vocabulary.findings import Evidence, Hit

EXAMINED: Final = 64 << 10
"""Characters of one value that are read as code; what lies behind is reported as an unscanned tail."""

_REMEMBERED: Final = 16 << 10
"""Values up to so many characters are examined once and remembered."""

_VIOLATION: Final = 75
_MOST_EVIDENCE: Final = 16
_RULES: Final[tuple[RuleName, ...]] = (
    "destructive",
    "pipe_to_shell",
    "credential_and_network",
    "persistence",
    "reverse_shell",
    "sql",
)
_ARGUMENT_LISTS: Final = frozenset({"args", "argv", "arguments", "parameters"})
_NOTES: Final[dict[str, str]] = {
    "destructive": "a command that destroys what cannot be brought back",
    "pipe_to_shell": "a shell runs what was fetched or hidden a moment before",
    "credential_and_network": "credentials and a program that speaks to other machines",
    "persistence": "a command that makes something run again later, or lets somebody in again",
    "reverse_shell": "a shell is handed to another machine",
    "sql": "a statement that destroys, opens up or reaches beyond the data",
    "incomplete": "a script that nests or repeats beyond what is followed",
}


class CodeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="code"):
    """Shell commands and SQL statements that do harm, however they are spelled."""

    rules: tuple[RuleName, ...] = _RULES
    """What to look for."""

    arguments: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """Names or RFC 6901 pointers of arguments that hold code. Empty: those named like `command`, `cmd`, `script`,
    `code`, `query`, `sql`, `bash` or `shell`, and every argument of a tool tagged `code_exec`."""


class CodeGuard:
    """Reads arguments as the shell, the database or the interpreter would that they are meant for."""

    def __init__(self, spec: CodeSpec) -> None:
        """Raises `BadGuard` for a spec without rules."""
        if not spec.rules:
            raise BadGuard("rules: name at least one rule, or leave it out for all of them")
        self._rules = frozenset([*spec.rules, "incomplete"])
        self._names = frozenset(name if name.startswith("/") else name.casefold() for name in spec.arguments)

    @property
    def window(self) -> int | None:
        """None: a call is judged whole."""
        return None

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """Of `tool_call` steps; nothing of other kinds."""
        step = scene.step
        if step.kind != "tool_call" or not step.text:
            return ()
        data = utf8(step.text)
        text = step.text if len(data) <= SCANNED_BYTES else data[:SCANNED_BYTES].decode("utf-8", "ignore")
        executes = "code_exec" in scene.trail.tags_of(step.tool)
        found = [each for leaf in leaves(text) for each in _readable(leaf, data)]
        hint = hint_of(step.tool or "") or ("any" if executes else None)
        programs = list(_programs(found))
        lists = frozenset(program.list for program in programs)
        alone = [leaf for leaf in found if leaf.pointer.rpartition("/")[0] not in lists] if lists else found
        hits = [hit for leaf, known in self._chosen(alone, hint) for hit in self._hits(data, leaf, known)]
        hits += [hit for program in programs for hit in self._program_hits(program)]
        if len(data) > SCANNED_BYTES:
            hits.append(_unscanned(SCANNED_BYTES, len(data), ""))
        return hits

    def _chosen(self, found: Sequence[Leaf], of_tool: Hint | None) -> Iterator[tuple[Leaf, Hint]]:
        """The values to read, each with what its name says of it; `of_tool` is what the tool itself says."""
        if self._names:
            for leaf in named(found, self._names):
                yield leaf, hint_of(leaf.name) or of_tool or "any"
            return
        for leaf in found:
            hint = hint_of(leaf.name)
            if hint is None and (leaf.opaque or of_tool == "any"):
                hint = of_tool
            if hint:
                yield leaf, hint

    def _hits(self, data: bytes, leaf: Leaf, hint: Hint) -> Iterator[Hit]:
        if not isinstance(leaf.value, str) or not leaf.value.strip():
            return
        value = leaf.value[:EXAMINED]
        matches = _remembered(value, hint) if len(value) <= _REMEMBERED else _examined(value, hint)
        ruler = Ruler(data, leaf) if matches or len(value) < len(leaf.value) else None
        for match in matches:
            if match.rule in self._rules and ruler is not None:
                yield _hit(match, ruler.span(match.start, match.end or len(value)), leaf.pointer)
        if len(value) < len(leaf.value) and ruler is not None:
            yield _unscanned(*ruler.span(EXAMINED, len(leaf.value)), leaf.pointer)

    def _program_hits(self, program: "_Program") -> Iterator[Hit]:
        for match in _program_examined(program.words):
            if match.rule in self._rules:
                yield _hit(match, (program.start, program.end), program.pointer)


def _readable(leaf: Leaf, data: bytes) -> Sequence[Leaf]:
    """A leaf, or the texts inside one that is JSON not taken apart."""
    begins = leaf.value.lstrip()[:1] if leaf.opaque and isinstance(leaf.value, str) else ""
    return fragments(leaf, data) if begins and begins in '{[,"' else (leaf,)


class _Program(msgspec.Struct, frozen=True):
    """A program whose arguments are separate values of the call."""

    words: tuple[str, ...]
    list: str
    """Pointer of the list that holds the arguments."""

    pointer: str
    start: int
    end: int


def _programs(found: Sequence[Leaf]) -> Iterator[_Program]:
    """`{"command": ["rm", "-rf", "/"]}` and `{"command": "rm", "args": ["-rf", "/"]}`."""
    lists: dict[str, list[Leaf]] = {}
    for leaf in found:
        above, _, last = leaf.pointer.rpartition("/")
        if last.isdecimal() and isinstance(leaf.value, (str, int)):
            lists.setdefault(above, []).append(leaf)
    for pointer, members in lists.items():
        above, _, name = pointer.rpartition("/")
        words = tuple(str(member.value) for member in members)
        first = members[0]
        if name.casefold() in _ARGUMENT_LISTS:
            head = next((leaf for leaf in found if _starts(leaf, above)), None)
            if head is not None:
                yield _Program(
                    (*str(head.value).split(), *words), pointer, above, min(head.start, first.start), members[-1].end
                )
        elif hint_of(name) == "shell" and not name.casefold().endswith("s") and not any(map(str.isspace, words[0])):
            yield _Program(words, pointer, pointer, first.start, members[-1].end)


def _starts(leaf: Leaf, above: str) -> bool:
    """Whether a leaf beside a list of arguments names the program they are for."""
    place, _, name = leaf.pointer.rpartition("/")
    return place == above and isinstance(leaf.value, str) and hint_of(name) == "shell"


def _examined(value: str, hint: Hint) -> tuple[Match, ...]:
    """The worst match of each rule and label, in the order of the text."""
    return _distinct(examine(value, hint))


_remembered = lru_cache(maxsize=256)(_examined)


@lru_cache(maxsize=64)
def _program_examined(words: tuple[str, ...]) -> tuple[Match, ...]:
    return _distinct(examine_program(list(words))) if sum(map(len, words)) <= EXAMINED else ()


def _distinct(matches: Iterator[Match]) -> tuple[Match, ...]:
    worst: dict[tuple[str, str, int], Match] = {}
    for match in matches:
        key = (match.rule, match.label, match.start)
        if key not in worst or worst[key].score < match.score:
            worst[key] = match
    return tuple(sorted(worst.values(), key=lambda match: (-match.score, match.start))[:_MOST_EVIDENCE])


def _hit(match: Match, span: tuple[int, int], pointer: str) -> Hit:
    place = Evidence(start=span[0], end=span[1], label=match.label, pointer=pointer)
    state = "violation" if match.score >= _VIOLATION else "unsure"
    return Hit(score=match.score, state=state, evidence=(place,), note=_NOTES[match.rule])


def _unscanned(start: int, end: int, pointer: str) -> Hit:
    place = Evidence(start=start, end=end, label=UNSCANNED, pointer=pointer)
    return Hit(score=50, state="unsure", evidence=(place,), note="longer than what is read as code")
