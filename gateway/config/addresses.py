"""Addresses as the configuration has them: what is wrong with one, and who can reach it."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`. Names other than localhost count as reachable."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.split("%", 1)[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its own name, or an address that can be bound here. Asks no name server."""
    if host == socket.gethostname().lower():
        return True
    try:
        version = ipaddress.ip_address(host).version
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:  # noqa: PLR2004 - IPv4
            probe.bind((host, 0))
    except (ValueError, OSError):
        return False
    return True


def is_host(host: str) -> bool:
    """Whether a text is an IP address, or has the shape of a host name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(_HOST.fullmatch(host))
    return True


def host_and_port(text: str) -> tuple[str, int | None] | None:
    """`host` or `host:port` or `[v6]:port`, taken apart; None where it is neither."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    plain = parts.netloc == text and "@" not in text and not (parts.path or parts.query or parts.fragment)
    return (host, port) if plain and is_host(host) else None


def url_fault(url: str) -> str | None:
    """What is wrong with an upstream address, as a verb phrase that never repeats it; None for a usable one."""
    if any(ord(character) <= ord(" ") or ord(character) > ord("~") for character in url):
        return "holds a space, a control character or a letter beyond ASCII"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    faults = (
        (parts.scheme not in ("http", "https"), "must start with https:// or http://"),
        ("@" in parts.netloc, "must not hold a user or password"),
        ("?" in url or "#" in url, "must not hold a query or fragment"),
        ("\\" in url or ".." in parts.path.split("/"), "must not hold a backslash or `..`"),
        (not is_host(host) or port == 0, "needs a host"),
    )
    return next((fault for found, fault in faults if found), None)


def is_plain(url: str) -> bool:
    """Whether what is sent to an address leaves this machine readable; nothing is sent to what is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
