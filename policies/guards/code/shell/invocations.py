"""Invocations: one program with its arguments, with everything that merely starts it taken away.

`sudo -u root env A=1 nohup rm -rf x` is an invocation of `rm`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from policies.guards.code.shell.expansion import CLEAN, EMPTY, Field, Taints, Value
from policies.guards.code.shell.syntax import UNKNOWN, literal

SHELLS: Final = frozenset(
    {"sh", "bash", "zsh", "dash", "ksh", "ash", "fish", "mksh", "rbash", "csh", "tcsh", "pwsh", "powershell"}
)
INTERPRETERS: Final = frozenset(
    {"python", "perl", "ruby", "node", "nodejs", "deno", "bun", "php", "lua", "osascript", "tclsh"}
)

_NAMES: Final = (
    "rm",
    "dd",
    "cat",
    "sh",
    "bash",
    "curl",
    "wget",
    "nc",
    "ncat",
    "base64",
    "chmod",
    "python",
    "perl",
    "mkfs",
)
"""Names that a pattern in place of a program is held against."""

_PATTERN: Final = frozenset("*?[")
_SUFFIXES: Final = (".exe", ".cmd", ".bat")
_DEEPEST: Final = 16
"""Starters in front of each other."""


class Starter(msgspec.Struct, frozen=True, gc=False):
    """How a program that starts another one takes its own arguments."""

    valued: str = ""
    """Letters of options that take a value."""

    valued_long: tuple[str, ...] = ()
    """Long options that take a value in the next argument."""

    positional: int = 0
    """Arguments of its own that stand before the program it starts."""

    assigns: bool = False
    """Whether `NAME=value` may stand before the program."""


_STARTERS: Final[dict[str, Starter]] = {
    "sudo": Starter(valued="ugpCrtTUDRh", valued_long=("--user", "--group", "--host", "--chdir"), assigns=True),
    "doas": Starter(valued="uC"),
    "pkexec": Starter(valued_long=("--user",)),
    "env": Starter(valued="uC", valued_long=("--unset", "--chdir"), assigns=True),
    "command": Starter(),
    "builtin": Starter(),
    "exec": Starter(valued="a"),
    "nohup": Starter(),
    "setsid": Starter(),
    "time": Starter(valued="fo"),
    "nice": Starter(valued="n", valued_long=("--adjustment",)),
    "ionice": Starter(valued="cn"),
    "chrt": Starter(positional=1),
    "taskset": Starter(positional=1),
    "timeout": Starter(valued="sk", valued_long=("--signal", "--kill-after"), positional=1),
    "stdbuf": Starter(valued="ioe"),
    "unbuffer": Starter(),
    "strace": Starter(valued="eopsP"),
    "ltrace": Starter(valued="eop"),
    "chroot": Starter(positional=1),
    "unshare": Starter(),
    "nsenter": Starter(valued="tSG"),
    "setarch": Starter(positional=1),
    "faketime": Starter(positional=1),
    "fakeroot": Starter(),
    "proxychains": Starter(valued="f"),
    "proxychains4": Starter(valued="f"),
    "torsocks": Starter(),
    "systemd-run": Starter(valued="pu", valued_long=("--unit", "--property")),
    "caffeinate": Starter(valued="tw"),
    "busybox": Starter(),
    "toybox": Starter(),
    "xargs": Starter(
        valued="adEILnPs", valued_long=("--arg-file", "--delimiter", "--max-args", "--max-procs", "--replace")
    ),
    "runuser": Starter(valued="ugG"),
    "flock": Starter(valued="wE", positional=1),
}


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """One program, its arguments, and what flows into it."""

    name: str
    """Base name, without what a path or `.exe` adds; empty where only redirects stand."""

    args: tuple[Field, ...] = ()
    words: list[str] = []
    """The arguments as the program receives them."""

    start: int = 0
    end: int = 0
    """Where the command stands in the text that is judged."""

    pipe_start: int = 0
    """Where its pipeline begins."""

    stdin: Value = EMPTY
    """What it reads, as far as it is known."""

    piped: bool = False
    """Whether anything is fed into it at all."""

    files: tuple[tuple[str, Field], ...] = ()
    """Redirects: operator and target."""

    through: frozenset[str] = frozenset()
    """Programs that started it: `sudo`, `xargs`, ..."""

    written: str = ""
    """Its name as it is written, path included."""

    cwd: str = ""
    """The directory the script changed into, as it is written; empty where it did not."""

    background: bool = False

    @property
    def taints(self) -> Taints:
        """What flowed into its arguments."""
        found = CLEAN
        for field in self.args:
            found |= field.taints
        return found


def base_name(field: Field) -> str:
    """What kind of program a first word starts."""
    return _base_name(field.text)


@lru_cache(maxsize=1024)
def _base_name(text: str) -> str:
    name = literal(text).replace("\\", "/").rstrip("/").rpartition("/")[2]
    lowered = name.lower()
    for suffix in _SUFFIXES:
        lowered = lowered.removesuffix(suffix)
    if _PATTERN.intersection(text) and lowered not in ("[", "[["):
        return next((known for known in _NAMES if _globbed(lowered, known)), lowered)
    # `python3.11` is Python.
    stem = lowered.rstrip("0123456789.")
    return stem if stem in INTERPRETERS else lowered


def _globbed(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern with `?`, `*` and `[...]`, as the shell would find it in the search path."""
    places: set[int] = {0}
    at = 0
    while at < len(pattern) and places:
        mark, width = pattern[at], 1
        if mark == "*":
            places = set(range(min(places), len(name) + 1))
        else:
            closed = pattern.find("]", at + 2) if mark == "[" else -1
            width = closed + 1 - at if closed > 0 else 1
            inside = pattern[at + 1 : closed] if closed > 0 else ""
            places = {
                place + 1
                for place in places
                if place < len(name) and (mark == "?" or (name[place] in inside if closed > 0 else name[place] == mark))
            }
        at += width
    return len(name) in places


def started(fields: Sequence[Field], stdin: Value) -> tuple[list[Field], frozenset[str]]:
    """The program that really runs, with its arguments, and the names of those that start it.

    `stdin` is what `xargs` makes arguments of.
    """
    found, through = list(fields), list[str]()
    while found and len(through) < _DEEPEST:
        name = base_name(found[0])
        starter = _STARTERS.get(name)
        if starter is None or (name in ("time", "busybox", "toybox") and len(found) == 1):
            break
        inner = _inner(name, starter, found)
        if not inner:
            break
        if name == "xargs":
            inner = [*inner, *_from_stdin(stdin)]
        through.append(name)
        found = inner
    return found, frozenset(through)


def _inner(name: str, starter: Starter, fields: Sequence[Field]) -> list[Field]:
    """The arguments from the started program on; empty where there is none."""
    at, left = 1, starter.positional
    while at < len(fields):
        word = fields[at].literal
        if word == "--":
            at += 1
            break
        if name == "command" and word in ("-v", "-V"):
            return []
        if name == "env" and word.startswith(("-S", "--split-string")):
            return _split_string(word, fields[at + 1 :])
        if len(word) > 1 and word.startswith("-"):
            at += 2 if _takes_value(starter, word) else 1
        elif starter.assigns and "=" in word and not word.startswith(("=", "/", ".")):
            at += 1
        elif left:
            left -= 1
            at += 1
        else:
            break
    return list(fields[at + left :]) if left else list(fields[at:])


def _takes_value(starter: Starter, word: str) -> bool:
    if word.startswith("--"):
        return word in starter.valued_long
    return word[-1] in starter.valued and not any(letter in starter.valued for letter in word[1:-1])


def _split_string(word: str, rest: Sequence[Field]) -> list[Field]:
    attached = word.removeprefix("--split-string").removeprefix("-S").lstrip("=")
    texts = [attached] if attached else []
    if not texts and rest:
        texts, rest = [rest[0].literal], rest[1:]
    return [*(Field(part) for text in texts for part in text.split()), *rest]


def _from_stdin(stdin: Value) -> list[Field]:
    if not stdin.text or UNKNOWN in stdin.text:
        return [Field(UNKNOWN, stdin.taints)]
    return [Field(part, stdin.taints) for part in stdin.text.split()[:64]]
