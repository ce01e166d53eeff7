"""`persistence`: what makes something run again later, or lets somebody in again."""

import re
from collections.abc import Iterator
from typing import Final

from policies.guards.code.match import Match
from policies.guards.code.shell.expansion import Field
from policies.guards.code.shell.invocations import Invocation
from policies.guards.code.shell.paths import normal
from policies.guards.code.shell.trace import Trace

_PLACES: Final = tuple(
    (score, label, re.compile(pattern, re.VERBOSE))
    for score, label, pattern in (
        (95, "preload", r"^/etc/ld\.so\.preload$"),
        (60, "preload", r"^/etc/ld\.so\.conf"),
        (90, "authorized_keys", r"(?:^|/)\.ssh/(?:authorized_keys2?|rc|environment)$"),
        (90, "sudoers", r"^/etc/sudoers(?:$|\.d/)"),
        (90, "accounts", r"^/etc/(?:passwd|shadow|group|pam\.d/.*)$"),
        (75, "cron", r"^/(?:etc/(?:cron|anacron)|var/spool/(?:cron|at))"),
        (75, "systemd", r"^/(?:etc|usr/lib|lib)/systemd/ | /\.config/systemd/user/"),
        (
            75,
            "init",
            r"""^/etc/(?:init\.d/|rc\d?\.d/|rc\.local$|inittab$|profile(?:$|\.d/)|bash\.bashrc$|zsh/|environment$
            |xdg/autostart/|udev/rules\.d/)""",
        ),
        (75, "autostart", r"/\.config/autostart/ | /Library/Launch(?:Agents|Daemons)/ | /\.(?:xinitrc|xprofile)$"),
        (
            75,
            "shell_startup",
            r"""^(?:~|/root|/home/[^/]+|/Users/[^/]+)/(?:\.config/fish/|\.(?:bash_?(?:rc|profile|login|logout|aliases)
            |z(?:shrc|profile|shenv|login)|profile|kshrc|cshrc|tcshrc|login|inputrc|vimrc|gitconfig)$)""",
        ),
        (40, "git_hook", r"(?:^|/)\.git/hooks/[^/]+$"),
    )
)
_SETTING: Final = re.compile(
    r"\s*(?:(?:export\s+)?[A-Z_]+=(?!.*[`;|&])[^\n]*|alias\s[^\n]*|(?:source|\.)\s[\w~$/.\"{}-]+|eval\s\"\$\([\w-]+\s(?:init|hook|env)\b[^|;&]*)\s*"
)
"""What is added to a shell's startup file by every installer: a variable, an alias, a tool's own hook."""

_WRITES: Final = frozenset({">", ">>", ">|", "&>", "&>>", ">&"})
_WRITERS: Final = frozenset({"tee", "cp", "mv", "install", "ln", "dd", "rsync", "scp", "curl", "wget"})
_EDITORS: Final = frozenset({"sed", "perl", "ed", "ex", "patch"})


def matches(trace: Trace) -> Iterator[Match]:
    """What a trace leaves behind."""
    for invocation in trace.invocations:
        found = [*_written(invocation), *_run(invocation)]
        if found:
            score, label = max(found)
            yield Match("persistence", label, score, invocation.start, invocation.end)


def _written(invocation: Invocation) -> Iterator[tuple[int, str]]:
    targets = [field.text for op, field in invocation.files if op in _WRITES]
    if invocation.name in _WRITERS:
        targets += [field.text.removeprefix("of=") for field in _targets(invocation)]
    elif invocation.name in _EDITORS and any(word.startswith(("-i", "--in-place")) for word in invocation.words):
        targets += [field.text for field in invocation.args[1:]]
    for target in targets:
        path = normal(target, invocation.cwd)
        for score, label, place in _PLACES:
            if place.search(path):
                plain = label == "shell_startup" and _plain_setting(invocation)
                yield 50 if plain else score, label


def _plain_setting(invocation: Invocation) -> bool:
    """Whether what is written is known, and only sets something."""
    if invocation.name not in ("echo", "printf"):
        return False
    return bool(_SETTING.fullmatch(" ".join(word for word in invocation.words if word not in ("-e", "-n", "%s\\n"))))


def _targets(invocation: Invocation) -> tuple[Field, ...]:
    """Arguments that may be written to."""
    return invocation.args if invocation.name in ("tee", "dd", "curl", "wget") else invocation.args[-1:]


def _run(invocation: Invocation) -> Iterator[tuple[int, str]]:
    words = invocation.words
    if invocation.name in _NAMES:
        text = " ".join(words).lower()
        for name, needed, score, label in _COMMANDS:
            if invocation.name == name and needed.search(text):
                yield score, label
    if invocation.name == "crontab" and not {"-l", "-r"}.intersection(words) and (words or invocation.piped):
        yield (60 if "-e" in words else 75), "cron"
    if invocation.name in ("at", "batch") and (invocation.piped or words):
        yield 60, "cron"


_COMMANDS: Final = tuple(
    (name, re.compile(pattern), score, label)
    for name, pattern, score, label in (
        ("systemctl", r"(?:^|\s)(?:enable|link)\s", 60, "systemd"),
        ("launchctl", r"^(?:load|bootstrap|submit)\b", 75, "autostart"),
        ("update-rc.d", r"", 60, "init"),
        ("chkconfig", r"\son$", 60, "init"),
        ("rc-update", r"^add\b", 60, "init"),
        ("useradd", r"", 75, "accounts"),
        ("adduser", r"", 75, "accounts"),
        ("usermod", r"\b(?:sudo|wheel|admin|docker|root)\b", 75, "accounts"),
        ("gpasswd", r"\b(?:sudo|wheel|admin|docker|root)\b", 75, "accounts"),
        ("chpasswd", r"", 75, "accounts"),
        ("passwd", r"(?:^|\s)root$", 75, "accounts"),
        ("ssh-copy-id", r"", 75, "authorized_keys"),
        ("schtasks", r"/create", 75, "cron"),
        ("reg", r"currentversion\\?run", 75, "autostart"),
        ("git", r"core\.(?:hookspath|sshcommand|fsmonitor)", 60, "git_hook"),
    )
)
"""Programs, what must stand in their arguments (in lower case), the score and the label."""
_NAMES: Final = frozenset(name for name, *_ in _COMMANDS)
