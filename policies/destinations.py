"""Destinations: hosts, networks and mailboxes as an operator lists them."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from policies import hosts
from policies.errors import StepwardenError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST: Final = re.compile(r"[^\s/\\@?#:\[\]*,]+")


class BadDestination(StepwardenError):
    """An entry is no host, network, mail domain or mailbox; the message names it."""

    status = 400


class Destinations:
    """A list of destinations.

    `api.example.com` is that host, `*.example.com` every host below it, `10.0.0.0/8` or `192.0.2.1` a network,
    `@example.com` and `@*.example.com` mail domains, `a@example.com` a mailbox.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Raises `BadDestination`."""
        self._hosts: set[str] = set()
        self._below: list[str] = []
        self._networks: list[Network] = []
        self._mailboxes: set[str] = set()
        self._domains: set[str] = set()
        self._domains_below: list[str] = []
        for entry in entries:
            self._add(entry.strip())
        self.of_hosts: Final = bool(self._hosts or self._below or self._networks)
        """Whether any entry is about hosts."""

        self.of_mail: Final = bool(self._mailboxes or self._domains or self._domains_below)
        """Whether any entry is about recipients of mail."""

    def _add(self, entry: str) -> None:
        name, at, domain = entry.rpartition("@")
        if at:
            below = domain.startswith("*.")
            host = _checked(domain.removeprefix("*."), entry)
            if name:
                self._mailboxes.add(f"{name.casefold()}@{host}")
            elif below:
                self._domains_below.append(f".{host}")
            else:
                self._domains.add(host)
            return
        network = _network(entry)
        if network is not None:
            self._networks.append(network)
        elif entry.startswith("*."):
            self._below.append(f".{_checked(entry[2:], entry)}")
        else:
            self._hosts.add(_checked(entry, entry))

    def cover(self, host: str) -> bool:
        """Whether a host (as `hosts.normal` gives it) is listed, by every address it may mean."""
        if host in self._hosts or host.endswith(tuple(self._below)):
            return True
        addresses = hosts.addresses(host)
        return bool(addresses) and all(any(address in network for network in self._networks) for address in addresses)

    def touch(self, host: str) -> bool:
        """Whether a host is listed, by any address it may mean."""
        if host in self._hosts or host.endswith(tuple(self._below)):
            return True
        return any(address in network for address in hosts.addresses(host) for network in self._networks)

    def mailbox(self, name: str, domain: str) -> bool:
        """Whether mail for `name` at `domain` goes to a listed place."""
        host = hosts.normal(domain)
        listed = host in self._domains or host.endswith(tuple(self._domains_below))
        return listed or f"{name.casefold()}@{host}" in self._mailboxes


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _checked(host: str, entry: str) -> str:
    if not _HOST.fullmatch(host):
        raise BadDestination(
            f"`{entry}` is no host, network, mail domain or mailbox; leave out schemes, ports and paths"
        )
    return hosts.normal(host)
