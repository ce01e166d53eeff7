"""`destructive`: commands that destroy what cannot be brought back, or stop the machine."""

from collections.abc import Callable, Iterator
from typing import Final

from policies.guards.code.match import Match
from policies.guards.code.shell import paths
from policies.guards.code.shell.expansion import Field
from policies.guards.code.shell.invocations import Invocation
from policies.guards.code.shell.syntax import Compound, Script, Simple
from policies.guards.code.shell.trace import Trace

Verdict = tuple[int, str]
"""Score and label; a score of 0 says nothing."""

_NOTHING: Final[Verdict] = (0, "")
_WRITES: Final = frozenset({">", ">|", "&>", ">&", ">>", "&>>"})
_NARROWING: Final = frozenset(
    {"-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex", "-mtime", "-mmin", "-ctime", "-atime"}
    | {
        "-newer",
        "-size",
        "-empty",
        "-user",
        "-perm",
        "-inum",
        "-samefile",
        "-amin",
        "-cmin",
        "-nouser",
        "-nogroup",
        "-used",
    }
    | {"-group", "-uid", "-gid", "-links", "-lname", "-ilname", "-cnewer", "-anewer", "-xtype"}
)
_DELETES: Final = frozenset({"rm", "shred", "unlink", "srm", "wipe"})


def matches(trace: Trace) -> Iterator[Match]:
    """What a trace destroys."""
    before: Invocation | None = None
    for invocation in trace.invocations:
        found = [_run(invocation)]
        if (
            before is not None
            and before.name == "find"
            and invocation.name in _DELETES
            and "xargs" in invocation.through
        ):
            found.append(_found_and_deleted(before))
        before = invocation
        found += [_written(op, field, invocation.cwd) for op, field in invocation.files if op in _WRITES]
        for score, label in found:
            if score:
                yield Match("destructive", label, score, invocation.start, invocation.end)
    for name, script in trace.functions.items():
        if _forks(name, script):
            at = next((each for each in trace.invocations if each.name == name), Invocation(name))
            yield Match("destructive", "fork_bomb", 95, at.start, at.end)


def _run(invocation: Invocation) -> Verdict:
    check = _CHECKS.get(invocation.name)
    if check:
        return check(invocation)
    if invocation.name in _VERBS:
        return _by_words(invocation.name, invocation.words)
    return (95, "format_disk") if invocation.name.startswith(("mkfs", "mke2fs", "newfs")) else _NOTHING


def _operands(invocation: Invocation) -> list[Field]:
    """Arguments that are no options."""
    found: list[Field] = []
    ended = False
    for field in invocation.args:
        if ended or not (field.text.startswith("-") and len(field.text) > 1):
            found.append(field)
        elif field.text == "--":
            ended = True
    return found


def _option(invocation: Invocation, letters: str, *long: str) -> bool:
    """Whether any of these one-letter options (letters run together count) or long ones is given."""
    for field in invocation.args:
        word = field.text
        if word == "--":
            return False
        if word.startswith("--"):
            if word.split("=", 1)[0] in long:
                return True
        elif word.startswith("-") and any(letter in word for letter in letters):
            return True
    return False


def _worst(invocation: Invocation, fields: list[Field]) -> Verdict:
    return max((paths.loss(field.text, invocation.cwd) for field in fields), default=_NOTHING)


def _remove(invocation: Invocation) -> Verdict:
    if _option(invocation, "", "--no-preserve-root"):
        return 95, "root"
    targets = _operands(invocation)
    score, what = _worst(invocation, targets)
    if _option(invocation, "rR", "--recursive"):
        return (score, f"delete_{what}") if score else _NOTHING
    if any(paths.system_file(field.text, invocation.cwd) for field in targets):
        return 75, "delete_system"
    return (40, f"delete_{what}") if what == "wildcard" else _NOTHING


def _remove_item(invocation: Invocation) -> Verdict:
    """PowerShell's `Remove-Item`, and `rd /s`, `del /s`."""
    words = [word.lower() for word in invocation.words]
    if not any(word.startswith(("-r", "/s")) for word in words):
        return _NOTHING
    score, what = _worst(
        invocation, [field for field in invocation.args if not field.text.startswith(("-", "/s", "/q"))]
    )
    return (score, f"delete_{what}") if score else _NOTHING


def _find(invocation: Invocation) -> Verdict:
    words = invocation.words
    runs = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-exec", "-execdir", "-ok", "-okdir")]
    deletes = "-delete" in words or any(run.rpartition("/")[2] in _DELETES for run in runs)
    return _found_and_deleted(invocation) if deletes else _NOTHING


def _found_and_deleted(invocation: Invocation) -> Verdict:
    """What a search finds, deleted."""
    first = 0
    while invocation.args[first : first + 1] and invocation.args[first].text in ("-L", "-H", "-P"):
        first += 1
    args = invocation.args[first:]
    words = [field.literal for field in args]
    roots = args[: next((at for at, word in enumerate(words) if word[:1] in ("-", "(", "!")), len(words))]
    score, what = _worst(invocation, list(roots)) if roots else (75, "wildcard")
    narrow = any(
        word in _NARROWING and words[at + 1 : at + 2] not in (["*"], ["?*"], ["."]) for at, word in enumerate(words)
    )
    if not score:
        return _NOTHING
    if narrow:
        return (60, f"delete_{what}") if score > 75 else _NOTHING  # noqa: PLR2004 - roots worse than a directory's own
    return score, f"delete_{what}"


def _overwrite(invocation: Invocation) -> Verdict:
    targets = [word[3:] for word in invocation.words if word.startswith("of=")]
    return _written(">", Field(targets[-1]), invocation.cwd) if targets else _NOTHING


def _written(op: str, field: Field, cwd: str) -> Verdict:
    if paths.device(field.text):
        return 95, "overwrite_disk"
    if paths.normal(field.text, cwd) == "/proc/sysrq-trigger":
        return 90, "stop_machine"
    if paths.system_file(field.text, cwd):
        return (60, "append_system") if op.endswith(">>") else (75, "overwrite_system")
    return _NOTHING


def _tee(invocation: Invocation) -> Verdict:
    op = ">>" if _option(invocation, "a", "--append") else ">"
    return max((_written(op, field, invocation.cwd) for field in _operands(invocation)), default=_NOTHING)


def _truncate(invocation: Invocation) -> Verdict:
    return max((_written(">", field, invocation.cwd) for field in _operands(invocation)), default=_NOTHING)


def _shred(invocation: Invocation) -> Verdict:
    targets = _operands(invocation)
    if any(paths.device(field.text) for field in targets):
        return 95, "overwrite_disk"
    if any(paths.system_file(field.text, invocation.cwd) for field in targets):
        return 90, "delete_system"
    return 50, "shred"


def _move(invocation: Invocation) -> Verdict:
    *sources, target = _operands(invocation) or [Field("")]
    if target.text == "/dev/null" and sources:
        return 75, "move_to_nothing"
    score, what = _worst(invocation, sources)
    return (75, f"move_{what}") if score >= 90 else _placed(target, invocation.cwd)  # noqa: PLR2004 - root, home, system


def _copy(invocation: Invocation) -> Verdict:
    targets = _operands(invocation)
    return _placed(targets[-1], invocation.cwd) if len(targets) > 1 else _NOTHING


def _placed(target: Field, cwd: str) -> Verdict:
    """A file that is put where the system keeps its own; libraries and manuals are, by every installer."""
    if paths.device(target.text):
        return 95, "overwrite_disk"
    if not paths.system_file(target.text, cwd):
        return _NOTHING
    return (60 if paths.normal(target.text, cwd).startswith(_VITAL) else 40), "overwrite_system"


_VITAL: Final = ("/etc/", "/boot/", "/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/")


def _synchronise(invocation: Invocation) -> Verdict:
    if not any(word.startswith("--del") for word in invocation.words):
        return _NOTHING
    score, what = _worst(invocation, _operands(invocation)[-1:])
    return (score, f"delete_{what}") if score >= 75 else _NOTHING  # noqa: PLR2004 - likely a violation


def _format(invocation: Invocation) -> Verdict:
    targets = [field for field in invocation.args if field.text.startswith("/dev/") or field.text[1:2] == ":"]
    return (95, "format_disk") if targets else _NOTHING


def _partition(invocation: Invocation) -> Verdict:
    if _option(invocation, "l", "--list", "--print") or "print" in invocation.words:
        return _NOTHING
    return (90, "format_disk") if any(paths.device(field.text) for field in invocation.args) else _NOTHING


def _git(invocation: Invocation) -> Verdict:
    words = invocation.words
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in ("-C", "-c", "--git-dir", "--work-tree") else 1
    command, rest = words[at : at + 1], words[at + 1 :]
    if command == ["push"]:
        return _push(rest)
    options = "".join([word[1:] for word in rest if word.startswith("-")])
    if command == ["clean"] and "f" in options and "n" not in options:
        return (60 if "x" in options else 50), "discard_changes"
    return _by_words("git", words[at:])


def _push(words: list[str]) -> Verdict:
    if any(word.startswith("--force-with-lease") for word in words) and "--force" not in words:
        return 40, "forced_push"
    if any(word in ("--force", "--mirror") or (word[:1] == "-" and word[1:2] != "-" and "f" in word) for word in words):
        return 75, "forced_push"
    if any(word.startswith("+") for word in words):
        return 75, "forced_push"
    gone = any(word in ("--delete", "-d") or (word.startswith(":") and len(word) > 1) for word in words)
    return (60, "delete_branch") if gone else _NOTHING


def _mode(invocation: Invocation) -> Verdict:
    operands = _operands(invocation)
    mode = operands[0].text if operands else ""
    score, what = _worst(invocation, operands[1:])
    system = any(paths.system_file(field.text, invocation.cwd) for field in operands[1:])
    if _option(invocation, "R", "--recursive"):
        if score >= 90 and what in ("root", "system"):  # noqa: PLR2004 - all of it
            return 90, f"{invocation.name}_{what}"
        if mode in _OPEN_MODES:
            return 75, "open_to_all"
        return (60, f"{invocation.name}_system") if system else _NOTHING
    if system:
        return (75 if mode in _OPEN_MODES else 40), f"{invocation.name}_system"
    return (60, "set_user_id") if mode in ("u+s", "+s", "4755", "4777", "ug+s") else _NOTHING


_OPEN_MODES: Final = frozenset(
    {"777", "0777", "a+rwx", "ugo+rwx", "+rwx", "a=rwx", "ugo=rwx", "o+w", "a+w", "666", "0666"}
)


def _kill(invocation: Invocation) -> Verdict:
    words = invocation.words
    if len(words) < 2 or words[0] in ("-0", "-l", "-L"):  # noqa: PLR2004 - a signal and a target
        return _NOTHING
    return {"-1": (90, "kill_all"), "1": (75, "kill_all")}.get(words[-1], _NOTHING)


def _kill_by_name(invocation: Invocation) -> Verdict:
    words = [word for word in invocation.words if not word.startswith("-")]
    return (75, "kill_all") if any(word in (".", ".*", "systemd", "init", "sshd", "*") for word in words) else _NOTHING


def _halt(invocation: Invocation) -> Verdict:
    if invocation.name in ("init", "telinit"):
        return (75, "stop_machine") if invocation.words[:1] in (["0"], ["6"]) else _NOTHING
    if invocation.name == "shutdown" and "-c" in invocation.words:
        return _NOTHING
    return (75, "stop_machine") if not _option(invocation, "", "--help", "--version") else _NOTHING


def _service(invocation: Invocation) -> Verdict:
    words = [word for word in invocation.words if not word.startswith("-")]
    if words[:1] and words[0] in ("poweroff", "reboot", "halt", "kexec", "rescue", "emergency"):
        return 75, "stop_machine"
    if (
        words[:1]
        and words[0] in ("stop", "disable", "mask")
        and any(word in _GUARDS for word in (w.removesuffix(".service") for w in words[1:]))
    ):
        return 60, "stop_protection"
    return _NOTHING


_GUARDS: Final = frozenset(
    {"sshd", "ssh", "firewalld", "ufw", "auditd", "apparmor", "fail2ban", "iptables", "falcon-sensor", "crowdstrike"}
)


def _by_words(name: str, words: list[str]) -> Verdict:
    """A program's verdict by the table: the words of an entry in their order, the first of them first."""
    plain = [word for word in words if not word.startswith("-")]
    options = {word.split("=", 1)[0] for word in words if word.startswith("-")}
    for entry, score, label in _VERBS.get(name, ()):
        wanted = [word for word in entry.split() if not word.startswith("-")]
        needed = [word for word in entry.split() if word.startswith("-")]
        if _in_order(wanted, plain) and options.issuperset(needed):
            return score, label
    return _NOTHING


def _in_order(wanted: list[str], words: list[str]) -> bool:
    left = iter(words)
    return wanted[:1] == words[: len(wanted[:1])] and all(any(word == each for word in left) for each in wanted)


def _cloud(invocation: Invocation) -> Verdict:
    """AWS, Google Cloud and Azure: verbs that delete."""
    words = invocation.words
    if invocation.name == "aws" and words[:2] == ["s3", "rm"]:
        return (75, "delete_cloud") if "--recursive" in words else (50, "delete_cloud")
    if invocation.name == "aws" and words[:2] == ["s3", "rb"]:
        return 75, "delete_cloud"
    if invocation.name == "gsutil":
        return (
            (75, "delete_cloud") if "rm" in words and any(w.startswith("-") and "r" in w for w in words) else _NOTHING
        )
    if any(
        word.startswith(("delete", "terminate-", "deregister-", "purge"))
        for word in words[:5]
        if not word.startswith("-")
    ):
        return 75, "delete_cloud"
    return _NOTHING


_CHECKS: Final[dict[str, Callable[[Invocation], Verdict]]] = {
    **dict.fromkeys(("rm", "srm", "unlink"), _remove),
    **dict.fromkeys(("remove-item", "ri", "rd", "rmdir", "del", "erase"), _remove_item),
    **dict.fromkeys(("find", "fd"), _find),
    **dict.fromkeys(("shred", "wipe"), _shred),
    **dict.fromkeys(("mkswap", "format", "wipefs", "blkdiscard"), _format),
    **dict.fromkeys(("fdisk", "sfdisk", "sgdisk", "parted", "hdparm"), _partition),
    **dict.fromkeys(("cp", "install"), _copy),
    **dict.fromkeys(("chmod", "chown", "chgrp"), _mode),
    **dict.fromkeys(("killall", "pkill"), _kill_by_name),
    **dict.fromkeys(("shutdown", "reboot", "halt", "poweroff", "init", "telinit"), _halt),
    **dict.fromkeys(("systemctl", "service"), _service),
    **dict.fromkeys(("aws", "gcloud", "az", "gsutil"), _cloud),
    "dd": _overwrite,
    "tee": _tee,
    "truncate": _truncate,
    "mv": _move,
    "rsync": _synchronise,
    "git": _git,
    "kill": _kill,
}
_VERBS: Final[dict[str, tuple[tuple[str, int, str], ...]]] = {
    "git": (
        ("reset --hard", 60, "discard_changes"),
        ("stash clear", 60, "discard_changes"),
        ("filter-branch", 75, "rewrite_history"),
        ("filter-repo", 75, "rewrite_history"),
        ("reflog expire", 60, "rewrite_history"),
        ("reflog delete", 60, "rewrite_history"),
        ("update-ref -d", 60, "delete_branch"),
    ),
    "terraform": (
        ("destroy -auto-approve", 90, "delete_cloud"),
        ("destroy", 75, "delete_cloud"),
        ("apply -destroy", 75, "delete_cloud"),
    ),
    "tofu": (("destroy", 75, "delete_cloud"),),
    "terragrunt": (("run-all destroy", 90, "delete_cloud"), ("destroy", 75, "delete_cloud")),
    "pulumi": (("destroy", 75, "delete_cloud"), ("stack rm", 60, "delete_cloud")),
    "kubectl": (
        ("delete --all", 90, "delete_cluster"),
        ("delete namespace", 90, "delete_cluster"),
        ("delete ns", 90, "delete_cluster"),
        ("delete pod", 60, "delete_cluster"),
        ("delete", 75, "delete_cluster"),
        ("drain", 60, "delete_cluster"),
    ),
    "oc": (("delete", 75, "delete_cluster"),),
    "helm": (("uninstall", 60, "delete_cluster"), ("delete", 60, "delete_cluster")),
    "gh": (("repo delete", 75, "delete_repository"), ("release delete", 60, "delete_repository")),
    "docker": (
        ("system prune", 50, "delete_containers"),
        ("volume prune", 60, "delete_containers"),
        ("volume rm", 60, "delete_containers"),
    ),
    "dropdb": (("", 90, "delete_database"),),
    "dropuser": (("", 75, "delete_database"),),
    "mysqladmin": (("drop", 90, "delete_database"), ("shutdown", 75, "stop_machine")),
    "redis-cli": (
        ("FLUSHALL", 90, "delete_database"),
        ("flushall", 90, "delete_database"),
        ("FLUSHDB", 75, "delete_database"),
        ("flushdb", 75, "delete_database"),
    ),
    "npm": (("unpublish", 75, "delete_package"),),
    "cargo": (("yank", 60, "delete_package"),),
    "crontab": (("-r", 60, "delete_schedule"),),
    "userdel": (("", 75, "delete_user"),),
    "deluser": (("", 75, "delete_user"),),
    "iptables": (("-F", 60, "stop_protection"), ("--flush", 60, "stop_protection"), ("-X", 60, "stop_protection")),
    "nft": (("flush ruleset", 60, "stop_protection"),),
    "ufw": (("disable", 60, "stop_protection"),),
    "setenforce": (("0", 60, "stop_protection"), ("Permissive", 60, "stop_protection")),
    "cryptsetup": (("luksFormat", 95, "format_disk"), ("erase", 95, "format_disk")),
    "zpool": (("destroy", 90, "format_disk"),),
    "zfs": (("destroy", 75, "format_disk"),),
    "lvremove": (("", 90, "format_disk"),),
    "vgremove": (("", 90, "format_disk"),),
    "diskutil": (("eraseDisk", 95, "format_disk"), ("eraseVolume", 95, "format_disk")),
}
"""Words of a program, the score and the label; the first entry that fits is taken."""


def _forks(name: str, script: Script) -> bool:
    """Whether a function starts itself twice over."""
    calls, background, piped = 0, False, False
    left = [script]
    while left:
        for pipeline in left.pop().pipelines:
            own = [
                stage
                for stage in pipeline.stages
                if isinstance(stage, Simple) and stage.words and _named(stage) == name
            ]
            calls += len(own)
            piped = piped or len(own) > 1
            background = background or (bool(own) and pipeline.background)
            left += [inner for stage in pipeline.stages if isinstance(stage, Compound) for inner in stage.scripts]
    return piped or (calls > 1 and background)


def _named(stage: Simple) -> str:
    word = stage.words[0]
    return word.plain if word.plain is not None else "".join([getattr(piece, "text", "") for piece in word.pieces])
