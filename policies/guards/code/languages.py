"""Languages: what a value of a call's arguments is written in, and everything that is found in it."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec

from policies.guards.code import inline, sql
from policies.guards.code.match import Match
from policies.guards.code.rules import SHELL_RULES
from policies.guards.code.shell.trace import Snippet, Trace, trace, trace_program

Hint: TypeAlias = Literal["shell", "sql", "code", "any"]
"""What the name of an argument says of its value."""

_DEEPEST: Final = 3
"""Languages inside each other: a shell in Python in a shell."""

_CODE: Final = re.compile(
    r"""^[ \t]*+(?:
        import\s+[\w{*"'] | from\s+[\w.]+\s+import\b | (?:async\s+)?def\s+\w+\s*\( | class\s+\w+\s*[:({]
      | with\s+\w+\(.*:$ | for\s+\w+\s+in\s+.*:$ | print\s*\( | \w+(?:\.\w+)*\s+=\s+\S | \w+(?:\.\w+)+\( | @\w+
      | (?:const|let|var)\s+[\w{\[] | (?:async\s+)?function\s+\w+\s*\([^)\n]*\)\s*\{ | console\.\w+\( | require\s*\(
      | <\?php | use\s+(?:strict|warnings) | package\s+main | \#include\b | \#!\S*(?:python|node|perl|ruby|php)
    )""",
    re.MULTILINE | re.VERBOSE,
)
"""Lines that stand in Python, JavaScript, PHP, Perl, Go or C, and in no shell script."""

_SHELLS_OWN: Final = re.compile(
    r"[\s(;]*(?:kill|shutdown|exec|execute|declare|set|do|begin|use|show|describe)\b", re.IGNORECASE
)
"""Words that begin a statement of SQL, and a command of the shell as well."""

_POWERSHELL: Final = re.compile(r"\bnew-object\b|\biex\b|\binvoke-expression\b|\[System\.", re.IGNORECASE)
"""PowerShell's own ways to run and to connect, which no shell reader follows."""

_NAMES: Final[tuple[tuple[Hint, frozenset[str]], ...]] = (
    ("sql", frozenset({"sql", "query", "statement", "queries", "statements"})),
    (
        "shell",
        frozenset(
            {"command", "cmd", "bash", "shell", "commands", "cmds", "cmdline", "sh", "zsh", "powershell", "terminal"}
        ),
    ),
    ("code", frozenset({"code", "script", "python", "javascript", "source", "program", "cell", "snippet"})),
)
_TOKEN: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")


@lru_cache(maxsize=1024)
def hint_of(name: str) -> Hint | None:
    """What an argument's name says: `shell_command` is shell, `sqlQuery` is SQL; None where it says nothing."""
    tokens = {token.lower() for token in _TOKEN.findall(name[:128])}
    return next((hint for hint, words in _NAMES if not tokens.isdisjoint(words)), None)


def examine(text: str, hint: Hint) -> Iterator[Match]:
    """Everything the rules find in a text, whatever it is written in; positions are characters of the text.

    A match labelled `incomplete` stands for what nests or repeats beyond what is followed.
    """
    if sql.looks_like_sql(text) and not (hint == "shell" and _SHELLS_OWN.match(text)):
        yield from sql.matches(text, 0, len(text))
    if hint == "sql":
        return
    if _POWERSHELL.search(text):
        yield from inline.matches(Snippet("powershell", text, 0, len(text)))
    is_code = hint != "shell" and bool(_CODE.search(text))
    if is_code or hint == "code":
        yield from _of_snippet(Snippet("", text, 0, len(text)), 0)
    if not is_code:
        yield from _of_trace(trace(text), 0)


def examine_program(words: list[str]) -> Iterator[Match]:
    """Everything the rules find in a program and its arguments; all positions are 0."""
    yield from _of_trace(trace_program(words), 0)


def _of_trace(found: Trace, depth: int) -> Iterator[Match]:
    for rule in SHELL_RULES.values():
        yield from rule(found)
    for snippet in found.snippets:
        yield from _of_snippet(snippet, depth)
    if not found.complete and found.invocations:
        yield Match("incomplete", "incomplete", 50, 0, 0)


def _of_snippet(snippet: Snippet, depth: int) -> Iterator[Match]:
    if snippet.language == "sql":
        yield from sql.matches(snippet.text, snippet.start, snippet.end)
        return
    yield from inline.matches(snippet)
    if depth >= _DEEPEST:
        return
    for each in inline.handed(snippet.text):
        inner = trace(each.words[0]) if each.in_shell else trace_program(each.words)
        for match in _of_trace(inner, depth + 1):
            yield msgspec.structs.replace(match, start=snippet.start, end=snippet.end)
