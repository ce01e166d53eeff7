"""Judging destinations: what is to be said of one address or one recipient."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from policies import hosts
from policies.carried import Memory, Origin, decode, opaque
from policies.destinations import Destinations
from policies.guards.interface import UNSCANNED
from policies.urls import Role, Url

_LONG_LABEL: Final = 40
"""Characters of a part of a host name that no honest one has."""

_LONG_VALUE: Final = 24
"""Characters from which a value of an earlier result is more than an id."""

_WEB: Final = frozenset({"http", "https", "ws", "wss", ""})
_HARMFUL: Final = frozenset(
    {"javascript", "vbscript", "gopher", "dict", "ldap", "ldaps", "jar", "netdoc", "php", "expect"}
)
_ACTIVE: Final = re.compile(r"\s*(?:text/html|text/javascript|application/|image/svg)", re.IGNORECASE)

_NOT_ALLOWED: Final[dict[Role, int]] = {"load": 75, "link": 50, "text": 25}
"""What a host that is not allowed scores in the model's own words; a call scores as a load does."""

_NATURES: Final = {"metadata": 95, "link_local": 75, "private": 60, "loopback": 25}
_LEAVES: Final[dict[Role, int]] = {"load": 90, "link": 75, "text": 50}
_MAY_LEAVE: Final[dict[Role, int]] = {"load": 60, "link": 50}

NOTES: Final = {
    "denied_host": "a destination that is denied",
    "host_not_allowed": "a destination that is not among those allowed",
    "denied_recipient": "a recipient who is denied",
    "recipient_not_allowed": "a recipient who is not among those allowed",
    "confused_recipient": "a recipient whose domain can be read in two ways",
    "homograph_recipient": "a recipient whose domain looks like another one",
    "metadata_address": "the address at which clouds hand out credentials",
    "link_local_address": "an address of this network segment only",
    "private_address": "an address inside a private network",
    "loopback_address": "an address of this machine itself",
    "disguised_address": "an IP address written so that it does not look like one",
    "ip_literal": "an IP address in place of a name",
    "userinfo": "a name stands before the host, where people take it for the host",
    "confused_host": "programs differ in which host this address leads to",
    "homograph_host": "a host that looks like another one",
    "punycode_host": "a host with letters of other scripts",
    "scheme": "an address that runs something, or reaches past the web",
    "data_in_url": "data leaves in an address",
    "data_in_host": "data leaves in a host name",
    "opaque_value": "an address with a long value that nothing explains",
    UNSCANNED: "more addresses, or more in them, than is looked at",
    "loaded_with_query": "an address that is fetched by itself, with a query",
}
"""What each label says, for operators."""


class Verdict(msgspec.Struct, frozen=True):
    """One thing to be said of a destination."""

    score: int
    label: str
    origin: Origin | None = None


class Judge:
    """Holds destinations against an operator's lists, and values against what the session saw."""

    def __init__(self, allow: Destinations, deny: Destinations, memory: Memory, *, acts: bool) -> None:
        """`acts`: the destinations are a call's, not the model's words."""
        self._allow = allow
        self._deny = deny
        self._memory = memory
        self._acts = acts

    def url(self, url: Url, written: str) -> Iterator[Verdict]:
        """What is to be said of an address; `written` is how it stands in the text."""
        role: Role = "load" if self._acts else url.role
        yield from self._scheme(url, role)
        allowed = bool(url.hosts) and all(self._allow.cover(host) for host in url.hosts)
        for host in url.hosts:
            yield from self._host(host, role, allowed=self._allow.cover(host))
        if role != "text" and url.confused:
            yield Verdict(90, "confused_host")
        elif role != "text" and url.userinfo and url.scheme in _WEB:
            yield Verdict(60, "userinfo")
        if not allowed and url.scheme in _WEB:
            yield from self._data(url, role, written)

    def mailbox(self, name: str, domains: str) -> Iterator[Verdict]:
        """What is to be said of a recipient; `domains` is all from the first `@` on."""
        each = [domain for domain in domains.split("@") if domain]
        if len(each) > 1:
            yield Verdict(75, "confused_recipient")
        if any(self._deny.mailbox(name, domain) for domain in each):
            yield Verdict(90, "denied_recipient")
        elif self._allow.of_mail and not all(self._allow.mailbox(name, domain) for domain in each):
            yield Verdict(75, "recipient_not_allowed")
        for domain in each:
            looks = hosts.lookalike(hosts.normal(domain))
            if looks is not None:
                yield Verdict(75 if self._allow.mailbox(name, looks) else 50, "homograph_recipient")

    def _scheme(self, url: Url, role: Role) -> Iterator[Verdict]:
        if url.scheme in _HARMFUL or (url.scheme == "data" and url.values and _ACTIVE.match(url.values[0])):
            yield Verdict(25 if role == "text" else 75, "scheme")
        elif url.scheme == "file" and role != "text":
            yield Verdict(75 if role == "load" else 50, "scheme")

    def _host(self, host: str, role: Role, *, allowed: bool) -> Iterator[Verdict]:
        if self._deny.touch(host):
            yield Verdict(90 if role != "text" else 75, "denied_host")
        if allowed:
            return
        if self._allow.of_hosts:
            yield Verdict(_NOT_ALLOWED[role], "host_not_allowed")
        kind = hosts.nature(host)
        if kind == "metadata":
            yield Verdict(95 if role != "text" else 50, "metadata_address")
        if role == "text":
            return
        if kind not in ("public", "metadata"):
            yield Verdict(_NATURES[kind], f"{kind}_address")
        if hosts.disguised(host):
            yield Verdict(75, "disguised_address")
        elif kind == "public" and hosts.addresses(host):
            yield Verdict(50, "ip_literal")
        yield from self._looks(host)

    def _looks(self, host: str) -> Iterator[Verdict]:
        looks = hosts.lookalike(host)
        if looks is not None:
            yield Verdict(90 if self._allow.cover(looks) else 60, "homograph_host")
        elif "xn--" in host or not host.isascii():
            yield Verdict(25, "punycode_host")

    def _data(self, url: Url, role: Role, written: str) -> Iterator[Verdict]:
        """What an address carries, unless somebody else wrote all of it."""
        if self._memory.told(written) or self._memory.seen(written):
            return
        found = False
        for value in url.values:
            verdict = self._value(value, role, url)
            if verdict is not None:
                found = True
                yield verdict
        yield from self._labels(url, role)
        if url.role == "load" and url.queried and not found:
            yield Verdict(40, "loaded_with_query")
        if self._memory.spent:
            yield Verdict(50, UNSCANNED)

    def _labels(self, url: Url, role: Role) -> Iterator[Verdict]:
        for host in url.hosts:
            if self._memory.told(host) or self._memory.seen(host):
                continue
            for label in host.split(".")[:-2]:
                origin = self._memory.origin(label) or self._memory.origin_of_label(label)
                if origin is not None:
                    yield Verdict(_LEAVES[role], "data_in_host", origin)
                elif role != "text" and (len(label) >= _LONG_LABEL or decode(label) is not None):
                    yield Verdict(_MAY_LEAVE[role], "data_in_host")

    def _value(self, value: str, role: Role, url: Url) -> Verdict | None:
        origin = self._memory.origin(value)
        if origin is not None:
            # Ids of earlier results stand in honest addresses, of hosts that the user or the tools named.
            usual = self._acts and len(value) < _LONG_VALUE
            if usual and any(self._memory.told(host) for host in url.hosts):
                return None
            return Verdict(50 if usual else _LEAVES[role], "data_in_url", origin)
        if role == "text":  # nothing is known to leave
            return None
        if decode(value) is not None:
            return Verdict(min(75, _LEAVES[role]), "data_in_url")
        return Verdict(_MAY_LEAVE[role] - 10, "opaque_value") if opaque(value) else None
