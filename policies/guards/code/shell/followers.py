"""Followers: the programs that run something else, and where in their arguments or input it stands."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from policies.guards.code.shell.expansion import Environment, Field, Value, only, union
from policies.guards.code.shell.invocations import INTERPRETERS, SHELLS, Invocation
from policies.guards.code.shell.paths import normal
from policies.guards.code.shell.programs import output
from policies.guards.code.shell.syntax import UNKNOWN, literal, quoted, special

_SHELL_OPTIONS_WITH_VALUE: Final = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})
_POWERSHELL: Final = frozenset({"pwsh", "powershell"})
_ENCODED: Final = frozenset({"-encodedcommand", "-enc", "-ec", "-e"})
_JOINING_OPTIONS_WITH_VALUE: Final = frozenset({"-n", "--interval", "-j", "--jobs", "-a", "--arg-file"})
_SSH_LETTERS_WITH_VALUE: Final = frozenset("bcDEeFIiJLlmOopQRSWw")
_CODE_LETTERS: Final = {"python": "c", "perl": "eE", "ruby": "e", "node": "ep", "nodejs": "ep", "php": "r", "lua": "e"}
_GIT_COMMANDS: Final = re.compile(
    r"(?:^core\.(?:pager|editor|sshcommand|fsmonitor)|editor|external|\.cmd|command)$", re.IGNORECASE
)
_EMBEDDED: Final = re.compile(
    r"(?:--checkpoint-action=exec=|--to-command=|--use-compress-program=|--rsh=|:!|!)(.+)", re.DOTALL
)
_PROXY: Final = re.compile(r"(?:-o)?\s*(?:Proxy|Local)Command\s*[= ]\s*(.+)", re.IGNORECASE | re.DOTALL)
_STANDARD_INPUT: Final = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_BRACES: Final = quoted("{") + "}"
_STATEMENT_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "psql": ("-c", "--command"),
    "mysql": ("-e", "--execute"),
    "mariadb": ("-e", "--execute"),
    "sqlite3": (),
    "duckdb": ("-c",),
    "clickhouse-client": ("-q", "--query"),
    "sqlcmd": ("-Q", "-q"),
    "bq": (),
}
"""Clients of databases, and the options that take statements; without any, each argument with a blank is one."""


class Host(Protocol):
    """What a follower can ask of the trace it works for."""

    environment: Environment
    cwd: str

    def hand(self, invocation: Invocation, script: Value, how: str) -> Value:
        """Follows a script that a shell is handed as `argument`, on `stdin` or in a `file`; what it writes."""
        ...

    def code(self, invocation: Invocation, code: Value, how: str) -> None:
        """Notes code that an interpreter is handed."""
        ...

    def query(self, invocation: Invocation, text: str) -> None:
        """Notes statements that a database is handed."""
        ...

    def begin(self, invocation: Invocation, fields: Sequence[Field]) -> None:
        """Follows a program that another one starts."""
        ...

    def positional(self, fields: Sequence[Field]) -> None:
        """Sets `$1`, `$2` and so on."""
        ...

    def content(self, field: Field) -> Value:
        """What a file holds, as far as the script told."""
        ...


Follower = Callable[[Host, Invocation], Value | None]
"""Follows one program; gives what it writes, or None where that is for `programs.output` to say."""


def _whole(fields: Sequence[Field]) -> Value:
    return Value(" ".join(field.text for field in fields), union(fields))


def _shell(host: Host, invocation: Invocation) -> Value | None:
    """`sh -c TEXT`, `sh FILE`, `... | sh`."""
    args = invocation.args
    at, takes_text, reads_input = 0, False, False
    while at < len(args) and args[at].text[:1] in ("-", "+") and args[at].text not in ("-", "--"):
        option = args[at].literal
        if invocation.name in _POWERSHELL and option.lower() in _ENCODED:
            return host.hand(invocation, _utf16(args[at + 1 :]), "argument")
        short = not option.startswith("--")
        takes_text = takes_text or option.lower() in ("-command", "--command") or (short and "c" in option[1:])
        reads_input = reads_input or (short and "s" in option[1:])
        at += 2 if option in _SHELL_OPTIONS_WITH_VALUE else 1
    rest = args[at + 1 :] if at < len(args) and args[at].text == "--" else args[at:]
    if takes_text and rest:
        if invocation.name in _POWERSHELL:
            return host.hand(invocation, _whole(rest), "argument")
        if len(rest) > 2:  # noqa: PLR2004 - the text and $0 stand before $1
            host.positional(rest[2:])
        return host.hand(invocation, _whole(rest[:1]), "argument")
    if rest and not reads_input and rest[0].literal not in _STANDARD_INPUT:
        return host.hand(invocation, host.content(rest[0]), "file")
    return host.hand(invocation, invocation.stdin, "stdin") if invocation.piped else None


def _utf16(fields: Sequence[Field]) -> Value:
    """The script in PowerShell's base64."""
    try:
        text = base64.b64decode(fields[0].literal + "==").decode("utf-16-le", "replace") if fields else ""
    except (binascii.Error, ValueError):
        text = UNKNOWN
    return Value(text, only("decoded"))


def _evaluate(host: Host, invocation: Invocation) -> Value | None:
    """`eval`: the arguments are one script; PowerShell's takes its input too."""
    if not invocation.args and invocation.piped:
        return host.hand(invocation, invocation.stdin, "stdin")
    return host.hand(invocation, _whole(invocation.args), "argument")


def _source(host: Host, invocation: Invocation) -> Value | None:
    """`source FILE`."""
    if not invocation.args:
        return None
    if invocation.args[0].literal in _STANDARD_INPUT:
        return host.hand(invocation, invocation.stdin, "stdin")
    return host.hand(invocation, host.content(invocation.args[0]), "file")


def _joined(host: Host, invocation: Invocation) -> Value | None:
    """`watch`, `parallel`: the arguments behind the options are one script."""
    words = [field for field in invocation.args if field.text != ":::"]
    while words and words[0].text.startswith("-"):
        words = words[2 if words[0].text in _JOINING_OPTIONS_WITH_VALUE else 1 :]
    return host.hand(invocation, _whole(words), "argument") if words else None


def _ssh(host: Host, invocation: Invocation) -> Value | None:
    """`ssh HOST TEXT`, `... | ssh HOST`."""
    args = invocation.args
    for word in invocation.words:
        proxy = _PROXY.match(word)
        if proxy:
            host.hand(invocation, Value(quoted(proxy[1])), "argument")
    at = 0
    while at < len(args) and args[at].text.startswith("-"):
        at += 2 if args[at].text[-1] in _SSH_LETTERS_WITH_VALUE else 1
    if at + 1 < len(args):
        return host.hand(invocation, _whole(args[at + 1 :]), "argument")
    return host.hand(invocation, invocation.stdin, "stdin") if invocation.piped else None


def _trap(host: Host, invocation: Invocation) -> Value | None:
    """`trap TEXT SIGNAL`."""
    return host.hand(invocation, _whole(invocation.args[:1]), "argument") if len(invocation.args) > 1 else None


def _alias(host: Host, invocation: Invocation) -> Value | None:
    """`alias NAME=TEXT`."""
    for field in invocation.args:
        _, equals, text = field.text.partition("=")
        if equals:
            host.hand(invocation, Value(text, field.taints), "argument")
    return None


def _switched(host: Host, invocation: Invocation) -> Value | None:
    """`su -c TEXT`, `script -c TEXT`; without a text, a shell that reads its input."""
    args = invocation.args
    for at, field in enumerate(args[:-1]):
        if field.literal in ("-c", "--command") or (field.text[:1] == "-" and field.text[-1:] == "c"):
            return host.hand(invocation, _whole(args[at + 1 : at + 2]), "argument")
    return host.hand(invocation, invocation.stdin, "stdin") if invocation.piped else None


def _container(host: Host, invocation: Invocation) -> Value | None:
    """`docker exec NAME sh ...`, `kubectl exec NAME -- PROGRAM ...`."""
    args = invocation.args
    for at, field in enumerate(args):
        if field.literal == "--" and at + 1 < len(args):
            host.begin(invocation, args[at + 1 :])
            break
        if field.literal.rpartition("/")[2] in SHELLS:
            host.begin(invocation, args[at:])
            break
    return None


def _find(host: Host, invocation: Invocation) -> Value | None:
    """`find ... -exec PROGRAM ... ;`."""
    inner: list[Field] | None = None
    for field in invocation.args:
        if inner is None:
            inner = [] if field.literal in ("-exec", "-execdir", "-ok", "-okdir") else None
        elif field.literal in (";", "+"):
            host.begin(invocation, inner)
            inner = None
        else:
            inner.append(Field(field.text.replace(_BRACES, UNKNOWN).replace("{}", UNKNOWN), field.taints))
    if inner:
        host.begin(invocation, inner)
    return None


def _interpreter(host: Host, invocation: Invocation) -> Value | None:
    """`python -c CODE`, `perl FILE`, `... | node`."""
    letters = _CODE_LETTERS.get(invocation.name, "e")
    args = invocation.args
    for at, field in enumerate(args):
        option = field.literal
        if option in _STANDARD_INPUT or not option.startswith("-"):
            if option not in _STANDARD_INPUT:
                host.code(invocation, host.content(field), "file")
                return None
            break
        if option.startswith("-m") or option == "--module":
            return None
        if option in ("--eval", "--print") or (not option.startswith("--") and option[-1] in letters):
            host.code(invocation, _whole(args[at + 1 : at + 2]), "argument")
            return None
    if invocation.piped:
        host.code(invocation, invocation.stdin, "stdin")
    return None


def _program(host: Host, invocation: Invocation) -> Value | None:
    """`awk PROGRAM`."""
    first = next((field for field in invocation.args if not field.text.startswith("-")), None)
    if first is not None:
        host.code(invocation, _whole([first]), "argument")
    return None


def _query(host: Host, invocation: Invocation) -> Value | None:
    """`psql -c STATEMENTS`, `... | mysql`."""
    options = _STATEMENT_OPTIONS[invocation.name]
    words = invocation.words
    texts: list[str] = []
    for at, word in enumerate(words):
        attached = next((option for option in options if word.startswith(option) and word != option), None)
        if at and words[at - 1] in options:
            texts.append(word)
        elif attached is not None:
            texts.append(word[len(attached) :].removeprefix("="))
        elif not options and " " in word:
            texts.append(word)
    if invocation.piped and not texts:
        texts.append(literal(invocation.stdin.text))
    for text in texts:
        host.query(invocation, text)
    return None


def _change_directory(host: Host, invocation: Invocation) -> Value | None:
    """`cd`."""
    target = next((field for field in invocation.args if not field.text.startswith("-")), None)
    host.cwd = normal(target.text, host.cwd) if target else "~"
    return None


def _declare(host: Host, invocation: Invocation) -> Value | None:
    """`export NAME=VALUE` and its kin."""
    for field in invocation.args:
        name, equals, text = field.text.partition("=")
        if equals and name.isidentifier():
            host.environment.set(name, Value(special(text), field.taints))
    return None


def _read(host: Host, invocation: Invocation) -> Value | None:
    """`read NAME`: the input is its value."""
    names = [word for word in invocation.words if word.isidentifier()]
    if names:
        text = invocation.stdin.text.rstrip("\n") if invocation.piped else UNKNOWN
        host.environment.set(names[-1], Value(text, invocation.stdin.taints))
    return None


def _set(host: Host, invocation: Invocation) -> Value | None:
    """`set -- ...`."""
    at = next((at for at, field in enumerate(invocation.args) if field.text == "--"), None)
    if at is not None:
        host.positional(invocation.args[at + 1 :])
    return None


def _print(host: Host, invocation: Invocation) -> Value | None:
    """`printf -v NAME`."""
    args = invocation.args
    if len(args) > 2 and args[0].text == "-v":  # noqa: PLR2004 - a name and a format follow
        host.environment.set(args[1].literal, output(invocation, {}, invocation.taints))
    return None


def _git(host: Host, invocation: Invocation) -> Value | None:
    """`git -c alias.x='!TEXT'`, `git config core.pager TEXT`: settings that are commands."""
    words = invocation.words
    for at, word in enumerate(words):
        name, equals, text = word.partition("=")
        if at and words[at - 1] == "-c" and equals and (_GIT_COMMANDS.search(name) or text.startswith("!")):
            host.hand(invocation, Value(quoted(text.lstrip("!"))), "argument")
        elif at > 1 and words[0] == "config" and (_GIT_COMMANDS.search(words[at - 1]) or word.startswith("!")):
            host.hand(invocation, Value(quoted(word.lstrip("!"))), "argument")
    return None


def _embedded(host: Host, invocation: Invocation) -> Value | None:
    """`tar --checkpoint-action=exec=TEXT`, `vim -c ':!TEXT'`: options that are commands."""
    for word in invocation.words:
        found = _EMBEDDED.match(word)
        if found:
            host.hand(invocation, Value(quoted(found[1])), "argument")
    return None


def _command_prompt(host: Host, invocation: Invocation) -> Value | None:
    """`cmd /c TEXT`."""
    at = next((at for at, word in enumerate(invocation.words) if word.lower() in ("/c", "/k")), None)
    return host.hand(invocation, _whole(invocation.args[at + 1 :]), "argument") if at is not None else None


def _unset(host: Host, invocation: Invocation) -> Value | None:
    for word in invocation.words:
        host.environment.unset(word)
    return None


def _reader(host: Host, invocation: Invocation) -> Value | None:
    """`at`, `batch`, `sudo -s`: a shell that reads its input."""
    return host.hand(invocation, invocation.stdin, "stdin") if invocation.piped else None


FOLLOWERS: Final[dict[str, Follower]] = {
    **dict.fromkeys(SHELLS, _shell),
    **dict.fromkeys(INTERPRETERS, _interpreter),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _program),
    **dict.fromkeys(_STATEMENT_OPTIONS, _query),
    **dict.fromkeys(("docker", "podman", "nerdctl", "kubectl", "oc", "lxc", "wsl", "docker-compose"), _container),
    **dict.fromkeys(("watch", "parallel"), _joined),
    **dict.fromkeys(("su", "script", "flock"), _switched),
    **dict.fromkeys(("export", "declare", "typeset", "local", "readonly"), _declare),
    **dict.fromkeys(("cd", "pushd", "chdir"), _change_directory),
    **dict.fromkeys(("at", "batch", "sudo", "doas"), _reader),
    **dict.fromkeys(("source", "."), _source),
    **dict.fromkeys(("tar", "vim", "vi", "nvim", "ex", "man", "less", "rsync"), _embedded),
    "git": _git,
    "cmd": _command_prompt,
    "eval": _evaluate,
    "iex": _evaluate,
    "invoke-expression": _evaluate,
    "ssh": _ssh,
    "trap": _trap,
    "alias": _alias,
    "find": _find,
    "read": _read,
    "set": _set,
    "printf": _print,
    "unset": _unset,
}
"""By the name of the program."""
