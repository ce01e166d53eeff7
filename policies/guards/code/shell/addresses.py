"""Addresses: which machines a command is told to speak to, where no scheme gives them away."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from policies.guards.code.shell.expansion import Field
from policies.guards.code.shell.invocations import Invocation
from policies.guards.code.shell.syntax import UNKNOWN, literal

_HOSTS: Final = frozenset(
    {"curl", "wget", "fetch", "aria2c", "axel", "http", "https", "xh", "lynx", "links", "w3m", "iwr", "irm"}
    | {"invoke-webrequest", "invoke-restmethod", "nc", "ncat", "netcat", "socat", "telnet", "ftp", "tftp", "lftp"}
    | {"ssh", "sftp", "autossh", "mosh", "sshfs", "ssh-copy-id", "ssh-keyscan", "dig", "nslookup", "host", "whois"}
    | {"ping", "ping6", "traceroute", "tracepath", "mtr", "nmap", "wscat", "websocat"}
)
"""Programs whose arguments are machines."""

_COPIES: Final = frozenset({"scp", "rsync"})
"""Programs whose arguments are files, on other machines where a colon says so."""

_POSTS: Final = frozenset({"http", "https", "xh"})
"""Programs that take `field@file` for what they send."""

_MAILS: Final = frozenset({"mail", "mailx", "sendmail", "mutt", "msmtp", "swaks"})
_VERBS: Final = {
    "git": frozenset({"clone", "remote", "fetch", "pull", "push", "submodule", "ls-remote", "archive"}),
    "getent": frozenset({"hosts", "ahosts", "ahostsv4", "ahostsv6"}),
}
"""Programs whose arguments are machines under these commands."""

_LOOK_UP: Final = frozenset({"curl", "wget", "ping", "ping6", "http", "https", "xh"})
"""Programs that take a single number for an IP address."""

_SECURE: Final = frozenset({"-J", "-o", "-W"})
_LEADING: Final = {
    **dict.fromkeys(("ssh", "scp", "sftp", "autossh", "sshfs"), _SECURE),
    "curl": frozenset(
        {
            "-x",
            "--proxy",
            "--proxy1.0",
            "--preproxy",
            "--socks4",
            "--socks4a",
            "--socks5",
            "--socks5-hostname",
            "--url",
            "--doh-url",
            "--connect-to",
            "--resolve",
        }
    ),
    "wget": frozenset({"-e", "--execute"}),
    "git": frozenset({"-c"}),
    **dict.fromkeys(("nc", "ncat", "netcat"), frozenset({"-x", "--proxy"})),
    "openssl": frozenset({"-connect", "-proxy"}),
    **dict.fromkeys(
        ("iwr", "irm", "invoke-webrequest", "invoke-restmethod"), frozenset({"-Uri", "-uri", "-Proxy", "-proxy"})
    ),
}
"""Options whose value says where a program goes, or by way of whom."""

_SEVERAL: Final = frozenset({"--connect-to", "--resolve"})
"""Options whose value is several addresses with colons between."""

_SETTINGS: Final = frozenset({"-c", "-o", "-e", "--execute"})
"""Options whose value is a setting, of which only some say where something goes."""

_TELLING: Final = re.compile(r"proxy|^host(?:name)?$|url|insteadof|command", re.IGNORECASE)
_VALUED: Final = frozenset(
    {"--output", "--output-dir", "--output-document", "--output-file", "--directory-prefix", "--upload-file", "--form"}
    | {"--data", "--data-ascii", "--data-binary", "--data-raw", "--data-urlencode", "--json", "--header", "--cookie"}
    | {"--cookie-jar", "--load-cookies", "--save-cookies", "--config", "--cert", "--key", "--cacert", "--capath"}
    | {"--certificate", "--private-key", "--ca-certificate", "--dump-header", "--trace", "--trace-ascii", "--stderr"}
    | {"--netrc-file", "--user", "--user-agent", "--referer", "--range", "--write-out", "--etag-save", "--etag-compare"}
    | {"--input-file", "--post-file", "--post-data", "--body-file", "--body-data", "--accept", "--reject", "--request"}
)
"""Long options whose value stays here, and may look like a host: a file, a name."""

_SWITCHES: Final = frozenset(
    {"-s", "-S", "-L", "-f", "-k", "-v", "-i", "-I", "-O", "-q", "-N", "-z", "-u", "-n", "-a", "-r"}
    | {"-sS", "-sL", "-fsSL", "-sSL", "-vz"}
)
"""Options that take no value."""

_TAKEN: Final = {
    "wget": frozenset({"-O", "-i", "-a"}),
    **dict.fromkeys(("ssh", "sftp", "scp", "autossh", "rsync"), frozenset({"-i", "-S"})),
}
"""... which do take one where these programs are given them."""

_SOCKET: Final = re.compile(r"/dev/(?:tcp|udp)/([^/\s]+)")
_SETTING: Final = re.compile(r"[=\s,]+")
_PROXY: Final = re.compile(r"\b(?:https?|ftp|all|socks)_proxy=[\"']?([^\s\"';&|]+)", re.IGNORECASE)
_BARE: Final = re.compile(
    r"(?:(?:[A-Za-z0-9_-]{1,63}\.)+[A-Za-z][A-Za-z0-9-]{1,62}"
    r"|(?:0[xX][0-9A-Fa-f]+|[0-9]+)(?:\.(?:0[xX][0-9A-Fa-f]+|[0-9]+)){3}|\[[0-9A-Fa-f:.]+\])(?=[:/]|\Z)"
)
_NUMBER: Final = re.compile(r"(?:0[xX][0-9A-Fa-f]{5,8}|[0-9]{8,10})(?=[:/]|\Z)")


def proxies(script: str) -> Iterator[tuple[int, int, str]]:
    """Where the environment of a script sends its programs, with the place of each."""
    for found in _PROXY.finditer(script):
        yield *found.span(), found[1]


def addresses(invocation: Invocation) -> Iterator[str]:
    """What a command is told that may be a host without a scheme, as `urls.bare` takes them."""
    for _, target in invocation.files:
        yield from (found[1] for found in _SOCKET.finditer(_told(target)))
    for told in _places(invocation):
        host = told.rpartition("@")[2] if "/" not in told.partition("@")[0] else told
        found = _BARE.match(host) or (_NUMBER.match(host) if invocation.name in _LOOK_UP else None)
        if found and "://" not in told:
            port = host[found.end() : found.end() + 2]
            # Behind a colon that no number follows stands a path at that host.
            yield found[0] if port[:1] == ":" and not port[1:].isdecimal() else host


def _places(invocation: Invocation) -> Iterator[str]:
    """The arguments, and parts of arguments, that may be places."""
    leading = _LEADING.get(invocation.name, frozenset[str]())
    takes, taken = _taking(invocation), _TAKEN.get(invocation.name, frozenset[str]())
    before = ""
    for field in invocation.args:
        word = _told(field)
        option, _, value = word.partition("=")
        if before in leading:
            yield from _within(word, before)
        elif value and option in leading:
            yield from _within(value, option)
        elif word[:2] in leading and len(word) > 2:  # noqa: PLR2004 - a letter behind its dash, and more
            yield from _within(word[2:], word[:2])
        elif not word.startswith("-") and before not in taken and not _takes(before):
            yield from takes(word)
        before = word


def _taking(invocation: Invocation) -> Callable[[str], Iterable[str]]:
    """What of a program's plain arguments may be places."""
    name = invocation.name
    verbs = _VERBS.get(name)
    if verbs is not None:
        return _all if any(word in verbs for word in invocation.words) else _none
    if name in _COPIES:
        return _colon
    if name in _MAILS:
        return _mailed
    if name == "socat":
        return _addressed
    if name in _POSTS:
        return _unsent
    return _all if name in _HOSTS else _none


def _all(word: str) -> Iterable[str]:
    return (word,)


def _none(_: str) -> Iterable[str]:
    return ()


def _colon(word: str) -> Iterable[str]:
    return (word,) if ":" in word else ()


def _mailed(word: str) -> Iterable[str]:
    return (word,) if "@" in word else ()


def _unsent(word: str) -> Iterable[str]:
    return () if "@" in word and "/" not in word.partition("@")[0] else (word,)


def _addressed(word: str) -> Iterable[str]:
    return word.replace(",", ":").split(":")


def _within(value: str, option: str) -> Iterator[str]:
    """The places in the value of an option, which may be a setting."""
    name, _, told = value.partition("=")
    if option in _SETTINGS:
        if not _TELLING.search(name):
            return
        value = told
    for part in _SETTING.split(value):
        yield part
        if option in _SEVERAL:
            yield from part.split(":")


def _takes(before: str) -> bool:
    """Whether a word that comes next is an option's value: of a letter with nothing behind it, or a file."""
    if before.startswith("--"):
        return before in _VALUED
    return len(before) > 1 and before[0] == "-" and not before[-1].isdecimal() and before not in _SWITCHES


def _told(field: Field) -> str:
    """A word as its program receives it; what only running would tell stands as an `x`."""
    return literal(field.text.replace(UNKNOWN, "x"))
