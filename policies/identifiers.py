"""Identifiers of people and accounts, told from other numbers by what they must satisfy.

Each finder yields (first byte, byte after the last, score) of a text of UTF-8, from the left, in time linear in it.
Checksums and ranges: IBAN, ISO 13616 with the registry of SWIFT; payment cards, ISO/IEC 7812 with Luhn's digit; US
social security numbers, Social Security Administration; e-mail, RFC 5321 and 5322 without quoted forms; IP, RFC 4291
and RFC 6943; telephone, ITU-T E.164 and the North American Numbering Plan.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Literal, TypeAlias

from policies.views.linear import linear

IdentifierType: TypeAlias = Literal["email", "iban", "card", "ssn", "ip", "phone"]

Place: TypeAlias = tuple[int, int, int]
"""First byte, byte after the last, score."""

CERTAIN: Final = 90
LIKELY: Final = 75
POSSIBLE: Final = 50

_WORD: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_DIGITS: Final = frozenset(b"0123456789")
_DOT: Final = ord(".")
_DASH: Final = ord("-")
_NO_DIGITS: Final = re.compile(rb"[^0-9]+")


def _at(data: bytes, index: int) -> int:
    """A byte; 0 outside the text."""
    return data[index] if 0 <= index < len(data) else 0


def _apart(data: bytes, start: int, end: int) -> bool:
    """Whether a number stands by itself: no part of a word, a decimal, or a longer dashed number."""
    before, after = _at(data, start - 1), _at(data, end)
    if before in _WORD or after in _WORD:
        return False
    if (before == _DOT and _at(data, start - 2) in _DIGITS) or (before == _DASH and _at(data, start - 2) in _WORD):
        return False
    return not ((after == _DOT and _at(data, end + 1) in _DIGITS) or (after == _DASH and _at(data, end + 1) in _WORD))


# E-mail

_LETTER: Final = "A-Za-z0-9\u00c0-\u024f\u0370-\u04ff"
_EMAIL: Final = linear(
    rf"[{_LETTER}_%+'&~-][{_LETTER}._%+'&~-]{{0,63}}@(?:[{_LETTER}](?:[{_LETTER}-]{{0,61}}[{_LETTER}])?\.)+"
    r"(?:[A-Za-z\x{c0}-\x{24f}\x{370}-\x{4ff}]{2,24}|xn--[a-z0-9-]{2,59})"
)
_FILE_OR_VERSION: Final = re.compile(rb"[0-9]+(?:\.[0-9]|x\.)")
_LONGEST_USER: Final = 256


def emails(data: bytes) -> Iterator[Place]:
    """E-mail addresses; not the user of a URL, a retina image or a package at a version."""
    if b"@" not in data:
        return
    for match in _EMAIL.finditer(data):
        start, end = match.span()
        while data[start] in b"'&~%+-":
            start += 1
        user, _, domain = data[start:end].partition(b"@")
        if not user or b".." in user or user.endswith(b".") or _FILE_OR_VERSION.match(domain):
            continue
        before = _at(data, start - 1)
        if before in _WORD or before in b".@" or before >= 0x80 or _at(data, end) in _WORD:  # noqa: PLR2004 - ASCII ends
            continue
        if user == b"git" or _in_authority(data, start):
            continue
        yield start, end, CERTAIN


def _in_authority(data: bytes, start: int) -> bool:
    """Whether what begins here is the user or the password of a URL."""
    before = data[max(start - _LONGEST_USER, 0) : start]
    scheme = before.rfind(b"://")
    return scheme >= 0 and not re.search(rb"[\s/?#\"'<>]", before[scheme + 3 :])


# IBAN: the country's structure as the registry writes it, n digits, a letters, c both.

_STRUCTURES: Final = (
    "AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c CH5n12c CR18n CY8n16c "
    "CZ20n DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n GB4a14n GE2a16n GI4a15c GL14n "
    "GR7n16c GT4c20c HN4a20n HR17n HU24n IE4a14n IL19n IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c "
    "LC4a24c LI5n12c LT16n LU3n13c LV4a13c LY21n MC10n11c2n MD2c18c ME18n MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a "
    "NI4a20n NL4a10n NO11n OM3n16c PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c SC4a20n3a SD14n "
    "SE20n SI15n SK20n SM1a10n12c SO19n ST21n SV4a20n TL19n TN20n TR5n1n16c UA6n19c VA18n VG4a16n XK16n YE4a4n18c"
)
_KINDS: Final = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}


def _ibans() -> dict[bytes, re.Pattern[bytes]]:
    shapes: dict[bytes, re.Pattern[bytes]] = {}
    for structure in _STRUCTURES.split():
        parts = re.findall(r"(\d+)([nac])", structure)
        body = "".join([f"{_KINDS[kind]}{{{length}}}" for length, kind in parts])
        shapes[structure[:2].encode()] = re.compile(f"[A-Z]{{2}}[0-9]{{2}}{body}".encode())
    return shapes


_IBANS: Final = _ibans()
_IBAN_LENGTHS: Final = {
    structure[:2].encode(): 4 + sum(int(length) for length in re.findall(r"\d+", structure))
    for structure in _STRUCTURES.split()
}
_IBAN_HEAD: Final = linear(
    rf"(?i)(?:{'|'.join(country.decode() for country in _IBAN_LENGTHS)})[0-9]{{2}}(?:[ -]?[a-z0-9]){{11}}"
)
_LONGEST_IBAN: Final = 34 + 16


def ibans(data: bytes) -> Iterator[Place]:
    """International bank account numbers, whole or in groups, whose check digits are right."""
    at = 0
    while match := _IBAN_HEAD.search(data, at):
        start, at = match.span()[0], match.span()[0] + 1
        if _at(data, start - 1) in _WORD:
            continue
        end = _iban_end(data, start)
        if end and _at(data, end) not in _WORD and _is_iban(data[start:end]):
            yield start, end, CERTAIN
            at = end


def _iban_end(data: bytes, start: int) -> int:
    """Where an IBAN of its country's length that begins here ends; 0 where the text is shorter."""
    left = _IBAN_LENGTHS[data[start : start + 2].upper()]
    for index in range(start, min(start + _LONGEST_IBAN, len(data))):
        if data[index] not in b" -":
            left -= 1
        if not left:
            return index + 1
    return 0


def _is_iban(written: bytes) -> bool:
    plain = written.replace(b" ", b"").replace(b"-", b"").upper()
    if not _IBANS[plain[:2]].fullmatch(plain):
        return False
    digits = "".join([str(int(chr(byte), 36)) for byte in plain[4:] + plain[:4]])
    return int(digits) % 97 == 1


# Payment cards: by issuer and length.

_ISSUERS: Final = re.compile(
    rb"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    rb"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    rb"|3[47][0-9]{13}"  # American Express
    rb"|3(?:0[0-59]|[689][0-9])[0-9]{11,16}"  # Diners Club
    rb"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}"  # Discover
    rb"|35[0-9]{14}|352[89][0-9]{13,15}|35[3-8][0-9]{14,16}|(?:2131|1800)[0-9]{11}"  # JCB, of old too
    rb"|62[0-9]{14,17}"  # UnionPay
    rb"|220[0-4][0-9]{12,15}"  # Mir
    rb"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{8,15}"  # Maestro
    rb"|(?:60|81|82)[0-9]{14}|508[0-9]{13}"  # RuPay
    rb"|9792[0-9]{12}"  # Troy
)
_LONG: Final = linear(r"[0-9]{12,19}")
_GROUPED: Final = tuple(
    [
        (separator.encode(), linear(rf"[0-9]{{4}}(?:{separator}[0-9]{{3,6}})+|[0-9](?:{separator}[0-9]){{11,18}}"))
        for separator in (" ", "-")
    ]
)
_SHAPES: Final = ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 5))
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def cards(data: bytes) -> Iterator[Place]:
    """Payment card numbers, whole or in the groups that are printed on cards."""
    for match in _LONG.finditer(data):
        start, end = match.span()
        if _is_card(data[start:end]) and _apart(data, start, end):
            yield start, end, CERTAIN
    for separator, pattern in _GROUPED:
        for match in pattern.finditer(data):
            yield from _grouped_cards(data, *match.span(), separator)


def _grouped_cards(data: bytes, start: int, end: int, separator: bytes) -> Iterator[Place]:
    groups = data[start:end].split(separator)
    if len(groups[0]) == 1:
        if _is_card(b"".join(groups)) and _apart(data, start, end):
            yield start, end, CERTAIN
        return
    sizes = [len(group) for group in groups]
    at, place = 0, start
    while at < len(groups):
        for shape in _SHAPES:
            taken = groups[at : at + len(shape)]
            if tuple(sizes[at : at + len(shape)]) == shape and _is_card(b"".join(taken)):
                upto = place + sum(shape) + len(shape) - 1
                if _at(data, place - 1) not in _WORD and _at(data, upto) not in _WORD:
                    yield place, upto, CERTAIN
                place += sum(shape[:-1]) + len(shape) - 1
                at += len(shape) - 1
                break
        place += sizes[at] + 1
        at += 1


def _is_card(digits: bytes) -> bool:
    if not _ISSUERS.fullmatch(digits) or len(set(digits)) == 1:
        return False
    values = [digit - 48 for digit in reversed(digits)]
    return (sum(values[::2]) + sum([_DOUBLED[value] for value in values[1::2]])) % 10 == 0


# US social security numbers

_SSN: Final = linear(r"[0-9]{3}(?:-[0-9]{2}-|\x{20}[0-9]{2}\x{20})[0-9]{4}")
_NAMED_SSN: Final = linear(r"(?i)\b(?:ssn|social[ _-]?security)[^0-9\n]{0,24}([0-9]{9})\b")
_PRINTED: Final = frozenset({b"078051120", b"219099999", b"123456789"})
"""Numbers known from advertisements and examples; none is a person's."""


def ssns(data: bytes) -> Iterator[Place]:
    """US social security numbers, grouped, or bare behind their name."""
    for match in _SSN.finditer(data):
        start, end = match.span()
        if _is_ssn(data[start:end]) and _apart(data, start, end):
            yield start, end, CERTAIN if data[start + 3] == ord("-") else POSSIBLE
    for match in _NAMED_SSN.finditer(data):
        start, end = match.span(1)
        if _is_ssn(data[start:end]):
            yield start, end, CERTAIN


def _is_ssn(written: bytes) -> bool:
    digits = _NO_DIGITS.sub(b"", written)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    known = area in (b"000", b"666") or area >= b"900" or group == b"00" or serial == b"0000"
    return not known and digits not in _PRINTED


# IP addresses

_IPV4: Final = linear(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6: Final = linear(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.[0-9]{1,3}){3})?")
_ASSIGNED: Final = re.compile(rb"[\x20-\x3f\xfc\xfd]|\xfe[\x80-\xbf]", re.DOTALL)
"""Global unicast, unique local and link-local addresses; others in short form are names in source code."""

_VERSION_BEFORE: Final = re.compile(
    rb"(?:version|release|build|firmware|driver|ver\.?|\bv)[\"']?\s?[:=]?\s?[\"']?$|[<>=~!^]=\s?[\"']?$|[A-Za-z0-9][/_-]$",
    re.IGNORECASE,
)
_VERSION_AFTER: Final = re.compile(rb"[-+_.]?[A-Za-z_]|[.-][0-9]")
_LOOK_BACK: Final = 16


def ips(data: bytes) -> Iterator[Place]:
    """IP addresses; not versions, and none that says nothing of anyone (unspecified, loopback)."""
    for match in _IPV4.finditer(data):
        start, end = match.span()
        if _at(data, start - 1) in _WORD or _at(data, start - 1) in b"." or _VERSION_AFTER.match(data, end):
            continue
        if _VERSION_BEFORE.search(data[max(start - _LOOK_BACK, 0) : start]):
            continue
        try:
            address = IPv4Address(data[start:end].decode())
        except AddressValueError:
            continue
        if not address.is_loopback and not address.is_unspecified and data[start:end] != b"255.255.255.255":
            yield start, end, LIKELY
    if b"::" in data or data.count(b":") > 6:  # noqa: PLR2004 - eight groups have seven colons
        yield from _ipv6s(data)


def _ipv6s(data: bytes) -> Iterator[Place]:
    for match in _IPV6.finditer(data):
        start, end = match.span()
        if _at(data, start - 1) in _WORD or _at(data, start - 1) == ord(":") or _at(data, end) in _WORD:
            continue
        while data[end - 1] == ord(":") and data[end - 2 : end] != b"::":
            end -= 1
        try:
            address = IPv6Address(data[start:end].decode())
        except AddressValueError:
            continue
        if b"::" not in data[start:end] or _ASSIGNED.match(address.packed):
            yield start, end, LIKELY


# Telephone numbers

_EXTENSION: Final = r"(?: ?(?:x|ext\.?) ?[0-9]{1,6})?"
_INTERNATIONAL: Final = linear(r"\+[1-9][0-9]{0,3}(?:[ ./-]?\(?[0-9]{1,5}\)?){2,7}" + _EXTENSION)
_NATIONAL: Final = linear(  # North America, the United Kingdom, France
    rf"(?:(?:001|1)[ .-])?(?:\([2-9][0-9]{{2}}\)[ .-]?|[2-9][0-9]{{2}}[ .-])[0-9]{{3}}[.-][0-9]{{4}}{_EXTENSION}"
    r"|0[1-9][0-9]{2,3}[ -][0-9]{3}[ -][0-9]{3,4}|0[1-9][0-9]{3} [0-9]{6}|02[0-9] [0-9]{4} [0-9]{4}"  # United Kingdom
    r"|0[1-9](?: [0-9]{2}){4}|0[1-9](?:\.[0-9]{2}){4}"  # France
)
_NAMED: Final = linear(
    r"(?i)\b(?:phone|telephone|tel|mobile|cell|fax|whatsapp|call(?: me)?(?: at| on)?|ring|dial)"
    r"(?: ?(?:number|no\.?|#))?[\"']?\s{0,2}(?:[:=]|is|at|on)?\s{0,2}[\"']?((?:\+|\(|[0-9])[0-9 ().-]{5,18}[0-9])"
)
_DATE: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[.-][0-9]{1,2}[.-][0-9]{4}")
_SHORTEST_PHONE: Final = 7
_LONGEST_PHONE: Final = 15


def phones(data: bytes) -> Iterator[Place]:
    """Telephone numbers with a country code, in a shape that is common in a country, or behind a word that says so."""
    for pattern, group, score in ((_INTERNATIONAL, 0, LIKELY), (_NATIONAL, 0, POSSIBLE), (_NAMED, 1, POSSIBLE)):
        for match in pattern.finditer(data):
            start, end = match.span(group)
            digits = len(_NO_DIGITS.sub(b"", data[start:end]))
            if not (_SHORTEST_PHONE + (not group)) <= digits <= _LONGEST_PHONE + 6 * (score == POSSIBLE):
                continue
            if _DATE.search(data, start, end) or _continues(data, start, end):
                continue
            yield start, end, score


def _continues(data: bytes, start: int, end: int) -> bool:
    """Whether a number goes on before or behind, or stands in a word."""
    before, after = _at(data, start - 1), _at(data, end)
    if before in _WORD or after in _WORD:
        return True
    if before in b".-+" and _at(data, start - 2) in _WORD:
        return True
    return after in b".-" and _at(data, end + 1) in _DIGITS


FINDERS: Final[dict[IdentifierType, Callable[[bytes], Iterator[Place]]]] = {
    "iban": ibans,
    "card": cards,
    "ssn": ssns,
    "email": emails,
    "ip": ips,
    "phone": phones,
}
"""By type, those first that are told from others with the most certainty."""


def find(data: bytes, types: frozenset[IdentifierType]) -> list[tuple[IdentifierType, Place]]:
    """The identifiers of a text in its order; where two overlap, the one of the more certain type.

    What is found is masked and the rest read again, so that nothing comes to light once the first are redacted.
    """
    found: list[tuple[IdentifierType, Place]] = []
    for _ in range(_ROUNDS):
        more = _find(data, types)
        if not more:
            break
        found += more
        data = masked(data, [(start, end) for _, (start, end, _) in more])
    return sorted(found, key=lambda each: each[1])


_ROUNDS: Final = 3


def masked(data: bytes, ranges: Sequence[tuple[int, int]]) -> bytes:
    """The text with disjoint, ascending ranges overwritten, in as many bytes."""
    out, at = list[bytes](), 0
    for start, end in ranges:
        out += (data[at:start], b"[" + b"*" * (end - start - 2) + b"]")
        at = end
    return b"".join([*out, data[at:]])


def _find(data: bytes, types: frozenset[IdentifierType]) -> list[tuple[IdentifierType, Place]]:
    found: list[tuple[IdentifierType, Place]] = []
    for kind, finder in FINDERS.items():
        if kind in types:
            found.extend((kind, place) for place in finder(data))
    rank = {kind: at for at, kind in enumerate(FINDERS)}
    found.sort(key=lambda each: (each[1][0], rank[each[0]]))
    kept: list[tuple[IdentifierType, Place]] = []
    for each in found:
        if not kept or each[1][0] >= kept[-1][1][1]:
            kept.append(each)
        elif rank[each[0]] < rank[kept[-1][0]]:
            kept[-1] = each
    return kept
