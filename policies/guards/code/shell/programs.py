"""Programs: what the common ones write, told from what they are given, and what flows through them."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final

from policies.guards.code.shell import network
from policies.guards.code.shell.expansion import CLEAN, Taints, Value, only
from policies.guards.code.shell.invocations import Invocation
from policies.guards.code.shell.paths import kept_in, normal
from policies.guards.code.shell.syntax import UNKNOWN, special
from policies.guards.code.shell.words import unescaped

Files = Mapping[str, Value]

_LONGEST: Final = 64 << 10
"""Characters of output that are followed."""

_DOWNLOAD: Final = only("download")
_HEX: Final = re.compile(r"[0-9A-Fa-f\s]+")
_SPACE: Final = re.compile(r"\s+")
_FORMAT: Final = re.compile(r"%(?:%|[-+ #0]*[0-9]*(?:\.[0-9]+)?([bcdiosqxXuefgEG]))")
_TOUCH: Final = frozenset(
    {
        "rm",
        "ls",
        "chmod",
        "chown",
        "stat",
        "test",
        "[",
        "[[",
        "touch",
        "mkdir",
        "cd",
        "echo",
        "printf",
        "git",
        "ln",
        "find",
    }
    | {"export", "ssh", "ssh-keygen", "ssh-add", "ssh-copy-id", "file", "du", "wc", "shred", "unlink", "source", "."}
)
"""Programs that name a file without writing out what is in it."""

_COPIES: Final = frozenset({"cp", "mv", "tar", "zip", "7z", "openssl", "gpg", "dd", "install", "rsync", "ln", "gzip"})


def output(invocation: Invocation, files: Files, taints: Taints) -> Value:
    """What an invocation writes: its text where that is certain, and everything that flowed into it (`taints`)."""
    name = invocation.name
    if name in network.FETCHERS:
        return Value(UNKNOWN, _DOWNLOAD if network.output_file(invocation) == "-" else CLEAN)
    write = _WRITERS.get(name)
    text = write(invocation, files) if write else None
    if text is None or len(text) > _LONGEST:
        return Value(UNKNOWN, taints)
    return Value(text, taints)


def flow(invocation: Invocation) -> Taints:
    """Everything that flows into an invocation, and out of it again."""
    found = invocation.stdin.taints | invocation.taints
    if invocation.name not in _TOUCH:
        for field in invocation.args:
            kept = kept_in(field.text.rpartition("=")[2].lstrip("@"), invocation.cwd)
            if kept:
                found |= only(kept)
    if _decodes(invocation):
        found |= only("decoded")
    if dumps_environment(invocation):
        found |= only("environment")
    return found


def copies(invocation: Invocation, files: Files, taints: Taints) -> dict[str, Value]:
    """Files that hold something of what flowed into an invocation (`taints`), besides its output."""
    name = invocation.name
    if name in network.FETCHERS:
        path = network.output_file(invocation)
        names = _names(invocation) if path is None else [] if path == "-" else [path]
        return {normal(each, invocation.cwd): Value(UNKNOWN, _DOWNLOAD) for each in names}
    if name == "tee":
        return {normal(field.text, invocation.cwd): invocation.stdin for field in invocation.args}
    if name not in _COPIES:
        return {}
    known = (
        files.get(normal(invocation.args[0].text, invocation.cwd)) if name in ("cp", "mv") and invocation.args else None
    )
    text = known.text if known else UNKNOWN
    if not taints and known is None:
        return {}
    paths = [field.text.rpartition("=")[2] for field in invocation.args if not field.text.startswith("-")]
    return {normal(path, invocation.cwd): Value(text, taints) for path in paths if not kept_in(path, invocation.cwd)}


def _names(invocation: Invocation) -> list[str]:
    """What a fetcher calls the files it saves: the last part of each address."""
    return [word.split("?")[0].rpartition("/")[2] for word in invocation.words if "/" in word] or ["index.html"]


def dumps_environment(invocation: Invocation) -> bool:
    """Whether an invocation writes out the environment, or the variables of the shell."""
    words = invocation.words
    if invocation.name in ("env", "printenv", "set"):
        return not words or words == ["-0"]
    if invocation.name in ("export", "declare", "typeset", "readonly"):
        return bool(words) and all(word in ("-p", "-x", "-px", "-xp") for word in words)
    return False


def _decodes(invocation: Invocation) -> bool:
    words = invocation.words
    match invocation.name:
        case "base64" | "base32" | "basenc" | "gbase64":
            return any(word in ("-d", "-D", "--decode", "-di", "-id") for word in words)
        case "xxd":
            return any(word.startswith("-") and "r" in word for word in words)
        case "openssl":
            return "-d" in words or "-D" in words
        case "uudecode":
            return True
        case _:
            return False


def _echo(invocation: Invocation, _: Files) -> str:
    words = [field.text for field in invocation.args]
    escapes, newline = False, True
    while words and re.fullmatch(r"-[neE]+", words[0]):
        escapes = "e" in words[0] or (escapes and "E" not in words[0])
        newline = newline and "n" not in words[0]
        words = words[1:]
    text = special(" ".join(words))
    return (unescaped(text) if escapes else text) + ("\n" if newline else "")


def _printf(invocation: Invocation, _: Files) -> str | None:
    words = [special(field.text) for field in invocation.args]
    if words[:1] == ["-v"]:
        words = words[2:]
    if not words:
        return None
    form, values = unescaped(words[0]), words[1:]
    pieces: list[str] = []
    while True:
        used, piece = _formatted(form, values)
        pieces.append(piece)
        values = values[used:]
        if not values or not used or len(pieces) > 64:  # noqa: PLR2004 - repetitions of a format that are followed
            return "".join(pieces)


def _formatted(form: str, values: list[str]) -> tuple[int, str]:
    """A format filled once, and how many values that took."""
    left = iter(values)
    used = 0

    def fill(found: re.Match[str]) -> str:
        nonlocal used
        if found[1] is None:
            return "%"
        used += 1
        value = next(left, "")
        return unescaped(value) if found[1] == "b" else value[:1] if found[1] == "c" else value

    return used, _FORMAT.sub(fill, form)


def _cat(invocation: Invocation, files: Files) -> str | None:
    paths = [field for field in invocation.args if not field.text.startswith("-")]
    if not paths:
        return invocation.stdin.text if invocation.piped else None
    texts = [files.get(normal(path.text, invocation.cwd)) for path in paths]
    return "".join([each.text for each in texts if each]) if all(texts) else None


def _tee(invocation: Invocation, _: Files) -> str | None:
    return invocation.stdin.text if invocation.piped else None


def _given(invocation: Invocation, files: Files) -> str | None:
    """The text a filter works on."""
    paths = [field for field in invocation.args if not field.text.startswith("-")]
    known = files.get(normal(paths[-1].text, invocation.cwd)) if paths else None
    text = known.text if known else invocation.stdin.text if invocation.piped else None
    return None if text is None or UNKNOWN in text else text


def _base64(invocation: Invocation, files: Files) -> str | None:
    text = _given(invocation, files)
    if text is None or not _decodes(invocation):
        return None
    try:
        return base64.b64decode(_SPACE.sub("", text) + "==", validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


def _xxd(invocation: Invocation, files: Files) -> str | None:
    text = _given(invocation, files)
    if text is None or not _decodes(invocation) or not _HEX.fullmatch(text):
        return None
    digits = _SPACE.sub("", text)
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8", "replace")


def _rev(invocation: Invocation, files: Files) -> str | None:
    text = _given(invocation, files)
    return None if text is None else "\n".join(line[::-1] for line in text.split("\n"))


def _tr(invocation: Invocation, _: Files) -> str | None:
    words = invocation.words
    text = invocation.stdin.text if invocation.piped else None
    if text is None or UNKNOWN in text or not words:
        return None
    if words[0] == "-d":
        return None if len(words) == 1 else text.translate({ord(each): None for each in _set(words[1])})
    if words[0].startswith("-") or len(words) == 1:
        return None
    old, new = _set(words[0]), _set(words[1])
    if not new or len(old) > _LONGEST:
        return None
    new += new[-1] * max(0, len(old) - len(new))
    return text.translate({ord(a): b for a, b in zip(old, new, strict=False)})


def _set(text: str) -> str:
    """A set of `tr` written out."""
    text = unescaped(text).replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9")
    return re.sub(
        r"(.)-(.)",
        lambda found: "".join(map(chr, range(ord(found[1]), min(ord(found[2]), ord(found[1]) + 255) + 1))),
        text,
    )


def _which(invocation: Invocation, _: Files) -> str | None:
    words = [word for word in invocation.words if not word.startswith("-")]
    return f"{words[0]}\n" if words and (invocation.name != "command" or len(words) < len(invocation.args)) else None


def _pwd(invocation: Invocation, _: Files) -> str:
    return f"{invocation.cwd or '.'}\n"


def _silent(_: Invocation, __: Files) -> str:
    return ""


_WRITERS: Final[dict[str, Callable[[Invocation, Files], str | None]]] = {
    **dict.fromkeys(
        ("true", "false", ":", "cd", "set", "unset", "export", "sleep", "mkdir", "touch", "rm", "wait"), _silent
    ),
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    "tee": _tee,
    "base64": _base64,
    "gbase64": _base64,
    "xxd": _xxd,
    "rev": _rev,
    "tr": _tr,
    "which": _which,
    "command": _which,
    "type": _which,
    "pwd": _pwd,
}
