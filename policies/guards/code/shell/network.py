"""Network: which programs speak to other machines, to which, and what they send."""

import re
from collections.abc import Iterator
from typing import Final

from policies.guards.code.shell.expansion import Field
from policies.guards.code.shell.invocations import Invocation
from policies.guards.code.shell.syntax import UNKNOWN

FETCHERS: Final = frozenset(
    {
        "curl",
        "wget",
        "fetch",
        "aria2c",
        "http",
        "https",
        "xh",
        "lynx",
        "links",
        "w3m",
        "iwr",
        "irm",
        "invoke-webrequest",
    }
    | {"invoke-restmethod", "nc", "ncat", "netcat", "socat", "telnet", "ftp", "tftp"}
)
"""Programs whose output comes from elsewhere."""

_SENDERS: Final = FETCHERS | {
    "scp", "rsync", "sftp", "lftp", "ssh", "mail", "mailx", "sendmail", "mutt", "dig", "nslookup", "host", "ping",
    "gsutil", "aws", "rclone", "s3cmd", "az", "gcloud", "gh", "openssl", "ngrok", "wscat", "websocat", "msmtp", "swaks",
}  # fmt: skip
"""Programs that speak to other machines."""

_WITH_VERB: Final = {
    "aws": ("s3", "s3api"),
    "az": ("storage",),
    "gcloud": ("storage",),
    "gh": ("gist", "api", "release"),
    "openssl": ("s_client",),
}
"""Programs that speak to others only under these commands."""

_LOOPBACK: Final = re.compile(
    r"(?:[a-z]+://)?(?:[^/@]*@)?(?:localhost|127\.[0-9.]+|\[?::1\]?|0\.0\.0\.0|host\.docker\.internal)(?=[:/]|$)",
    re.IGNORECASE,
)
_HOST: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)|^(?:[^/\s@]+@)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?=[:/]|$)|^[^/\s]+:[^\s]*$"
)
_IDENTITIES: Final = frozenset({"-i", "-F", "-E", "-S", "-c", "-o", "-e", "--rsh", "--identity"})
_KEEPS: Final = {
    **dict.fromkeys(("ssh", "scp", "sftp", "rsync"), _IDENTITIES),
    "curl": frozenset(
        {
            "--cert",
            "-E",
            "--key",
            "--cacert",
            "--capath",
            "-K",
            "--config",
            "--netrc-file",
            "-b",
            "-c",
            "-o",
            "--output",
        }
    ),
    "wget": frozenset(
        {"--ca-certificate", "--certificate", "--private-key", "-O", "--output-document", "--load-cookies"}
    ),
    "openssl": frozenset({"-key", "-cert", "-CAfile", "-in", "-inkey"}),
}
"""Options whose value stays here: identities, settings, and where to write."""

_HEADERS: Final = frozenset({"-H", "--header", "-u", "--user", "--oauth2-bearer"})
"""Options by which credentials are shown to the server they are for."""


def remote(invocation: Invocation) -> bool:
    """Whether an invocation speaks to another machine than this one."""
    name = invocation.name
    if name not in _SENDERS:
        return any("/dev/tcp/" in each.text or "/dev/udp/" in each.text for _, each in invocation.files)
    words = invocation.words
    verbs = _WITH_VERB.get(name)
    if verbs is not None:
        return any(word in verbs for word in words[:3])
    hosts = [
        word for field, word in zip(invocation.args, words, strict=True) if UNKNOWN in field.text or _HOST.search(word)
    ]
    return not (hosts and all(_LOOPBACK.match(host) for host in hosts)) and bool(words)


def sent(invocation: Invocation) -> Iterator[tuple[Field, bool]]:
    """What leaves by an invocation's arguments, each with whether it is shown as a credential."""
    before, keeps = "", _KEEPS.get(invocation.name, frozenset[str]())
    for field in invocation.args:
        word = field.literal
        kept = before in keeps or word.startswith("ssh ")
        if not kept:
            yield field, before in _HEADERS or word.startswith(("-H", "--header=", "-u"))
        before = word


def output_file(invocation: Invocation) -> str | None:
    """Where a fetcher puts what it fetched: a path, `-` for its output, None for a name of its own choosing."""
    words = invocation.words
    if invocation.name == "curl":
        return _value(words, ("-o", "--output")) or (None if _has(words, "O", "--remote-name") else "-")
    if invocation.name == "wget":
        return _value(words, ("-O", "--output-document"))
    return "-"


def _has(words: list[str], letter: str, long: str) -> bool:
    return any(
        word == long or (word.startswith("-") and not word.startswith("--") and letter in word) for word in words
    )


def _value(words: list[str], options: tuple[str, str]) -> str | None:
    short, long = options
    for at, word in enumerate(words):
        if word.startswith(f"{long}="):
            return word[len(long) + 1 :]
        if word == long or (word.startswith("-") and not word.startswith("--") and word.endswith(short[1])):
            return words[at + 1] if at + 1 < len(words) else ""
        if word.startswith("-") and not word.startswith("--") and short[1] in word:
            return word[word.index(short[1]) + 1 :]
    return None
