"""Hosts: which machine an address leads to, by what browsers and libraries make of it.

Browsers follow the WHATWG URL standard (https://url.spec.whatwg.org, host parsing 3.5), libraries RFC 3986 or the C
library's `inet_aton`. Where they differ, every reading is kept: what one of them would connect to is a destination.
"""

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from policies.views.folding import fold

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Nature: TypeAlias = Literal["metadata", "link_local", "loopback", "private", "public"]

_LONGEST: Final = 253
"""Characters of a host name, RFC 1035."""

_DOTS: Final = re.compile("[\u3002\uff0e\uff61]")
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
"""Characters that IDNA leaves out, or that nobody sees."""

_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{0,16}|[0-9]{1,20}")
_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
    )
)
_METADATA_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data"})
_LOOPBACK_NAMES: Final = ("localhost", "localtest.me", "lvh.me", "vcap.me", "host.docker.internal", "ip6-localhost")
_ECHOING: Final = (".nip.io", ".sslip.io", ".xip.io")
"""Names that lead to the address they hold."""

_ECHOED: Final = re.compile(r"(?<![0-9A-Za-z])(?=((?:[0-9]{1,3}[.-]){3}[0-9]{1,3}|[0-9a-f]{8})(?![0-9A-Za-z]))")
_GRAVEST: Final[tuple[Nature, ...]] = ("metadata", "link_local", "private", "loopback")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def normal(host: str) -> str:
    """A host as a resolver sees it: percent signs undone, compatibility characters folded, lower case, no last dot."""
    if "%" in host:
        host = unquote(host)
    if not host.isascii():
        host = unicodedata.normalize("NFKC", _INVISIBLE.sub("", _DOTS.sub(".", host)))
    return host.lower().rstrip(".")[: 2 * _LONGEST]


@lru_cache(maxsize=512)
def addresses(host: str) -> tuple[Address, ...]:
    """The IP addresses that a host (as `normal` gives it) writes out; none for a name.

    An IPv4 address may be one number or four, decimal, octal or hexadecimal. A leading zero means octal to browsers and
    to C, and nothing to other libraries: both addresses are given.
    """
    bare = host.strip("[]")
    if ":" in bare:
        try:
            return _inside(ipaddress.IPv6Address(bare.partition("%")[0]))
        except ValueError:
            return ()
    found = [address for octal in (True, False) if (address := _version_4(bare, octal=octal)) is not None]
    return tuple(dict.fromkeys(found))


def _version_4(host: str, *, octal: bool) -> Address | None:
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):  # noqa: PLR2004 - bytes of an address
        return None
    numbers = [_number(part, octal=octal) for part in parts]
    if any(number is None for number in numbers):
        return None
    *first, last = [number or 0 for number in numbers]
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(parts)):  # noqa: PLR2004 - a byte
        return None
    value = last
    for at, number in enumerate(first):
        value += number << 8 * (3 - at)
    return ipaddress.IPv4Address(value)


def _number(part: str, *, octal: bool) -> int | None:
    if part[:2] in ("0x", "0X"):
        return int(part[2:] or "0", 16)
    if octal and len(part) > 1 and part.startswith("0"):
        return int(part, 8) if not set(part) & {"8", "9"} else None
    return int(part)


def _inside(address: ipaddress.IPv6Address) -> tuple[Address, ...]:
    """An IPv6 address, and the IPv4 address that it carries."""
    carried = address.ipv4_mapped or address.sixtofour
    if carried is None and (address in _NAT64 or address.packed[:12] == bytes(12)):
        carried = ipaddress.IPv4Address(address.packed[12:])
    if carried is None or int(address) <= 1:
        return (address,)
    return (address, carried)


def disguised(host: str) -> bool:
    """Whether a host writes an IPv4 address in another form than four decimal numbers."""
    return any(address.version == 4 and str(address) != host for address in addresses(host))  # noqa: PLR2004 - IPv4


def nature(host: str) -> Nature:
    """What kind of machine a host is, as far as its own text tells; a plain name counts as public."""
    found = [*addresses(host), *_echoed(host)]
    if len(found) > 1 and found[0].version == 6:  # noqa: PLR2004 - IPv6 that carries IPv4 leads where that leads
        found = found[1:]
    natures: set[Nature] = {_nature(address) for address in found}
    if host in _METADATA_NAMES:
        natures.add("metadata")
    if any(host == name or host.endswith(f".{name}") for name in _LOOPBACK_NAMES):
        natures.add("loopback")
    found_kinds: list[Nature] = [each for each in _GRAVEST if each in natures]
    return found_kinds[0] if found_kinds else "public"


def _nature(address: Address) -> Nature:
    if address in _METADATA:
        return "metadata"
    if address.is_link_local:
        return "link_local"
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    return "public" if address.is_global else "private"


def _echoed(host: str) -> list[Address]:
    """The addresses that may be meant: with other numbers around them, which one it is depends on who answers."""
    if not host.endswith(_ECHOING):
        return []
    written = [found[1].replace("-", ".") for found in _ECHOED.finditer(host)]
    found = [_version_4(each if "." in each else f"0x{each}", octal=False) for each in written]
    return [address for address in found if address is not None]


def shown(host: str) -> str:
    """A host as an address bar would show it: labels in punycode (RFC 3492) written out."""
    if "xn--" not in host:
        return host
    labels: list[str] = []
    for label in host.split("."):
        try:
            labels.append(label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label)
        except (UnicodeError, ValueError, OverflowError):
            labels.append(label)
    return ".".join(labels)


def lookalike(host: str) -> str | None:
    """The plain host that another one looks like; None for a host that looks like nothing but itself."""
    written = shown(host)
    if written.isascii():
        return None
    folded = fold(written).lower()
    return folded if folded.isascii() and folded != host else None
