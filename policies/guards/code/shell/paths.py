"""Paths: what it means when a command touches one. Scores have the anchors of all findings."""

import re
from typing import Final, Literal

from policies.guards.code.shell.syntax import HOME, UNKNOWN

_SYSTEM: Final = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "sys", "usr", "var", "root", "run"}
    | {"System", "Library", "Applications", "Windows", "windows", "winnt", "private"}
)
_DEEP: Final = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "sbin", "sys", "usr", "System")
_OWN: Final = (
    "usr/local",
    "usr/src",
    *(f"dev/{name}" for name in ("shm", "null", "stdout", "stderr", "tty", "fd", "pts")),
)
"""Below the system's directories, but not the system's."""

_HOMES: Final = frozenset({"home", "Users"})
_PATTERN: Final = re.compile(r"[*?\[]")
_DRIVE: Final = re.compile(r"^/?[A-Za-z]:/?(?=[^/]*)")

_SECRET: Final = re.compile(
    r"""(?:^|/)(?:
        \.ssh(?:/(?:\*|id_[^/]*(?<!\.pub)|identity|[^/]*(?:key|rsa|ed25519|\.pem)[^/]*(?<!\.pub))?)?
      | id_(?:rsa|dsa|ecdsa|ed25519)(?:_[^/.]*)?
      | \.aws(?:/(?:\*|credentials|config|sso/.*|cli/.*)?)?
      | \.azure(?:/.*)? | \.config/gcloud(?:/.*)? | application_default_credentials\.json
      | \.kube(?:/config)? | \.docker/config\.json | \.config/gh/hosts\.yml
      | \.netrc | _netrc | \.pgpass | \.my\.cnf | \.npmrc | \.pypirc | \.git-credentials | \.vault-token
      | \.gnupg(?:/.*)? | \.password-store(?:/.*)? | \.config/op(?:/.*)?
      | etc/g?shadow-? | etc/ssh/ssh_host_[^/]*_key | proc/[^/]+/environ
      | (?:var/)?run/secrets/.* | kubernetes\.io/serviceaccount/.*
      | Login\ Data | Cookies | logins\.json | key4\.db | wallet\.dat | Library/Keychains(?:/.*)?
      | \.(?:bash|zsh|python|psql|mysql)_history
    )/?$""",
    re.VERBOSE,
)
_SETTINGS: Final = re.compile(
    r"""(?:^|/)(?:
        \.env(?:rc|\.(?!example|sample|template|dist|test)[^/]*)?
      | (?:secrets?|credentials?|service[-_]account[^/]*)\.(?:ya?ml|json|toml|ini|txt|env)
      | [^/]*\.(?:pem|key|p12|pfx|keystore|jks|kdbx)
      | terraform\.tfstate | \.htpasswd | etc/passwd | master\.key
    )$""",
    re.VERBOSE,
)

_TELLING: Final = re.compile(
    r"ssh|aws|azure|gcloud|kube|docker|gh/|netrc|pgpass|cnf|npmrc|pypirc|git-cred|vault|gnupg|password|\.config/op|shadow"
    r"|environ|secret|Login|Cookies|logins|key|wallet|Keychain|_history|id_|\.env|cred|service|\.pem|\.p12|\.pfx|\.jks|\.kdbx"
    r"|tfstate|htpasswd|passwd"
)
"""Words one of which stands in every path that `_SECRET` or `_SETTINGS` knows."""


def normal(text: str, cwd: str = "") -> str:
    """A path without what changes nothing in it: `//`, `/./`, `x/..`, a slash at the end. `~` is the home directory.

    `cwd` is the directory relative paths begin in, empty where nobody knows.
    """
    text = text.replace(HOME, "~").replace("\\", "/")
    if cwd and not text.startswith(("/", "~")) and not _DRIVE.match(text):
        text = f"{cwd}/{text}"
    kept: list[str] = []
    for part in text.split("/"):
        if part == ".." and kept and kept[-1] not in ("..", "~", ""):
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    if text.startswith("/"):
        return "/" + "/".join(part for part in kept if part != "..")
    return "/".join(kept) or "."


def loss(text: str, cwd: str = "") -> tuple[int, str]:
    """How grave it is to delete a path and all below it, and what the path is."""
    path = normal(text, cwd)
    drive = _DRIVE.match(path)
    if drive:
        path = "/" + path[drive.end() :].lstrip("/")
    if path.startswith(UNKNOWN):
        return (40, "unknown_root") if _PATTERN.match(path[2:3]) or text.endswith("/") else (0, "")
    if path.startswith("~"):
        return _home_loss(path)
    return _absolute_loss(path) if path.startswith("/") else _relative_loss(path)


def _home_loss(path: str) -> tuple[int, str]:
    parts = path.split("/")
    if len(parts) == 1 or (len(parts) == 2 and _PATTERN.search(parts[1]) and parts[1].strip(".?*") == ""):  # noqa: PLR2004 - ~ and one name
        return 90, "home"
    return (60, "home_settings") if parts[1] in (".ssh", ".gnupg", ".aws", ".config", "Documents") else (0, "")


def _absolute_loss(path: str) -> tuple[int, str]:
    parts = path[1:].split("/")
    top = parts[0]
    wild = bool(_PATTERN.search(parts[-1]))
    whole = wild and parts[-1].strip(".?*") == ""
    if path == "/" or (len(parts) == 1 and wild):
        return 95, "root"
    if top == "tmp":
        return (40, "temporary") if len(parts) - whole == 1 else (0, "")
    if top in _HOMES:
        depth = len(parts) - whole
        return (90, "home") if depth <= 2 else (0, "")  # noqa: PLR2004 - /home/NAME
    if top in _SYSTEM:
        if len(parts) - whole == 1:
            return 90, "system"
        inside = "/".join(parts)
        return (75, "system") if top in _DEEP and not inside.startswith(_OWN) else (25, "system_data")
    return (60, "top_directory") if len(parts) - whole == 1 else (0, "")


def _relative_loss(path: str) -> tuple[int, str]:
    if path == "." or path.startswith(".."):
        rest = path.replace("../", "").replace("..", "")
        return (75, "wildcard") if rest.strip("*?.") == "" else (0, "")
    if "/" not in path and _PATTERN.search(path) and path.strip("*?.") == "":
        return 75, "wildcard"
    return (60, "history") if path.endswith(".git") and path in (".git", "*/.git") else (0, "")


def system_file(text: str, cwd: str = "") -> bool:
    """Whether a path is a file of the operating system."""
    path = normal(text, cwd)
    parts = path[1:].split("/")
    return path.startswith("/") and parts[0] in _DEEP and len(parts) > 1 and not "/".join(parts).startswith(_OWN)


def device(text: str) -> bool:
    """Whether a path is a disk, or a part of one."""
    return bool(_DISK.match(normal(text)))


_DISK: Final = re.compile(
    r"/dev/(?:[shxv]d[a-z*]|nvme|mmcblk|r?disk[0-9*]|mapper/|md[0-9]|dm-|loop[0-9]|disk/|mem|kmem|port)"
)


def kept_in(text: str, cwd: str = "") -> Literal["secret", "settings"] | None:
    """What a file holds by its path: keys and passwords, settings that often hold some, or nothing of the kind."""
    if not _TELLING.search(text):
        return None
    path = normal(text, cwd)
    if _SECRET.search(path):
        return "secret"
    return "settings" if _SETTINGS.search(path) else None
