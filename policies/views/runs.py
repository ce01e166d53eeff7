"""Encoded runs: where a text holds base64, hex or escapes, and what they read as.

Every pattern here is linear: what repeats is bounded, or cannot overlap what follows it. Base64 is RFC 4648 sections 4
and 5, percent-encoding RFC 3986 section 2.1, character references the HTML standard section 13.5, tag characters
the Unicode Standard section 23.9.
"""

import html
import re
from binascii import Error, a2b_base64
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from policies.trail import utf8
from policies.views.linear import linear
from policies.views.view import Edit

_SHORTEST: Final = 16
"""Characters below which base64 or hex in one piece is taken for a word."""

_BASE64: Final = "[A-Za-z0-9+/_-]"

_BROKEN: Final = "|".join(
    rf"(?:{_BASE64}{{{width}}}[ \t\r\n]+){{{-(-24 // width)},}}{_BASE64}{{1,{width}}}={{0,2}}" for width in range(4, 16)
)
"""Base64 broken by white space into equal pieces shorter than `_SHORTEST`."""

_PAIRS: Final = r"(?:(?:0x)?[0-9A-Fa-f]{2}[ :,-]{1,2}){7,}(?:0x)?[0-9A-Fa-f]{2}"
"""Hex, byte by byte."""

_TOKEN: Final = linear(f"{_BASE64}{{{_SHORTEST},}}={{0,2}}")
_PIECES: Final = linear(f"({_PAIRS})|{_BROKEN}")
_GAP: Final = re.compile(rb"[ \t]*(?:[\r\n]+|\\r\\n|\\n| )[ \t]*")
_LAST: Final = re.compile(rb"[A-Za-z0-9+/_-]{1,15}={0,2}(?![A-Za-z0-9+/_=-])")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{%d,}" % _SHORTEST)

_QUADS: Final = re.compile(
    rb"(?:[CDI-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/]){5,}"
    rb"(?:[CDI-Za-f][A-HQ-Xg-nw-z0-3][A-Za-z0-9+/]?(?![A-Za-z0-9+/]))?"
)
"""Base64 of five times three ASCII characters or more, wherever in a longer run: every top bit is clear."""

_PROSE: Final = re.compile(rb"[\t\n\r -~]{12,}")

_TAGS: Final = 0xE0000
_LAST_POINT: Final = 0x10FFFF

_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")

_ESCAPES_STAND: Final = linear(
    r"%[0-9A-Fa-f]{2}|&(?:#|[A-Za-z][A-Za-z0-9]{1,31};)"
    r"|\\(?:[ux][0-9A-Fa-f{]|U[0-9A-Fa-f]{8}|0?[01][0-7]{2}|/|\\+[\"'nrt])|\x1b\["
    r"|[\x{E0020}-\x{E007E}]{2}|[\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}]{2}"
)

ESCAPES: Final = re.compile(
    rb"(?P<percent>(?:%(?:25){0,8}[0-9A-Fa-f]{2})+)"
    rb"|(?P<references>(?:&(?:amp;){0,8}(?:\#[0-9]{1,7};?|\#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};))+)"
    rb"|(?P<utf16>(?:\\{1,8}u[0-9a-fA-F]{4})+)"
    rb"|(?P<points>(?:\\{1,8}(?:u\{[0-9a-fA-F]{1,6}\}|U[0-9a-fA-F]{8}))+)"
    rb"|(?P<octet>(?:\\{1,8}x[0-9a-fA-F]{2})+)"
    rb"|(?P<octal>(?:\\{1,8}0?[01][0-7]{2})+)"
    rb"|(?P<colour>(?:\x1b\[[0-9;]{0,16}[A-Za-z])+)"
    rb"|(?P<slash>\\{1,8}/)"
    rb"|(?P<quote>\\{2,8}[\"'nrt])"
    rb"|(?P<tags>(?:\xf3\xa0[\x80\x81][\x80-\xbf]){2,})"
    rb"|(?P<selectors>(?:\xef\xb8[\x80-\x8f]|\xf3\xa0[\x84-\x87][\x80-\xbf]){2,})"
)

_ESCAPE_OPENS: Final = re.compile(
    rb"%[0-9A-Fa-f]|&[#A-Za-z]|\\(?=\\{0,7}[uUx/01]|\\{1,7}[\"'nrt])|\x1b\[|\xf3\xa0|\xef\xb8"
)
"""How everything begins that `ESCAPES` matches: found many times faster, because nothing else needs a look."""

_PERCENT: Final = re.compile(rb"%(?:25){0,8}([0-9A-Fa-f]{2})")
_UNIT: Final = re.compile(rb"u([0-9a-fA-F]{4})")
_POINT: Final = re.compile(rb"[uU]\{?([0-9a-fA-F]{1,8})")
_OCTET: Final = re.compile(rb"x([0-9a-fA-F]{2})")
_OCTAL: Final = re.compile(rb"0?([01][0-7]{2})")
_CONTROLS: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_NESTED_REFERENCE: Final = re.compile(r"&(?:amp;)+(?=[#A-Za-z])")


_QUOTES: Final = ((b'\\"', b' "'), (b"\\n", b" \n"), (b"\\r", b" \r"), (b"\\t", b" \t"), (b"\\'", b" '"))
"""What JSON and source code write for quotes and line ends, and the same in as many bytes."""


_COLOUR: Final = re.compile(rb"\x1b\[[0-9;]{0,16}[A-Za-z]")
"""Control sequences of terminals, ECMA-48 section 5.4."""


def unquoted(data: bytes) -> bytes:
    """The text inside JSON and source-code strings as a reader sees it, without colours, each byte at its place."""
    if b"\\" in data:
        for quoted, plain in _QUOTES:
            data = data.replace(quoted, plain)
    if b"\x1b[" in data:
        data = _COLOUR.sub(lambda match: b" " * len(match.group()), data)
    return data


def escapes(data: bytes) -> list[Edit]:
    """Escapes of URLs, HTML, JSON and source code, tag characters and bytes in variation selectors; ascending.

    An escape that is itself escaped in the same way (`%2541`, `&amp;lt;`) is undone at once.
    """
    if not _ESCAPES_STAND.search(data):
        return []
    edits: list[Edit] = []
    read: dict[bytes, bytes | None] = {}
    for match in escaped(data):
        run = match.group()
        text = read[run] if run in read else read.setdefault(run, _READERS[str(match.lastgroup)](run))
        if text is not None and text != run:
            edits.append(Edit(*match.span(), text))
    return edits


def escaped(data: bytes) -> Iterator[re.Match[bytes]]:
    """The matches of `ESCAPES`, from the left."""
    at = 0
    while opens := _ESCAPE_OPENS.search(data, at):
        if match := ESCAPES.match(data, opens.start()):
            yield match
            at = match.end()
        else:
            at = opens.start() + 1


def _percent(run: bytes) -> bytes:
    return _octets(b"".join(_PERCENT.findall(run)))


def _octet(run: bytes) -> bytes:
    return _octets(b"".join(_OCTET.findall(run)))


def _octal(run: bytes) -> bytes:
    return bytes([int(digits, 8) for digits in _OCTAL.findall(run)])


def _nothing(_: bytes) -> bytes:
    return b""


def _octets(digits: bytes) -> bytes:
    """Octets as UTF-8 text: as they are where they are UTF-8, else one character each."""
    raw = bytes.fromhex(digits.decode())
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1").encode()
    return raw


def _utf16(run: bytes) -> bytes:
    units = bytes.fromhex(b"".join(_UNIT.findall(run)).decode())
    return utf8(units.decode("utf-16-be", "surrogatepass"))


def _points(run: bytes) -> bytes:
    points = [int(digits, 16) for digits in _POINT.findall(run)]
    return utf8("".join([chr(point) for point in points if point <= _LAST_POINT]))


def _references(run: bytes) -> bytes:
    return utf8(html.unescape(_NESTED_REFERENCE.sub("&", run.decode())))


def _slash(_: bytes) -> bytes:
    return b"/"


def _quote(run: bytes) -> bytes:
    return _CONTROLS.get(run[-1:], run[-1:])


def _tags(run: bytes) -> bytes | None:
    letters = [chr(ord(char) - _TAGS) for char in run.decode()]
    return "".join([letter for letter in letters if letter.isprintable()]).encode() or None


def _selectors(run: bytes) -> bytes | None:
    text = _readable(bytes([_selected(ord(char)) for char in run.decode()]))
    return None if text is None else utf8(text)


_READERS: Final[dict[str, Callable[[bytes], bytes | None]]] = {
    "percent": _percent,
    "references": _references,
    "utf16": _utf16,
    "points": _points,
    "octet": _octet,
    "octal": _octal,
    "colour": _nothing,
    "slash": _slash,
    "quote": _quote,
    "tags": _tags,
    "selectors": _selectors,
}


def _selected(point: int) -> int:
    """The byte a variation selector stands for when data is smuggled in them: selector 1 is 0, selector 256 is 255."""
    return point - 0xFE00 if point < 0x10000 else min(point - 0xE0100 + 16, 255)  # noqa: PLR2004 - second block


def encodings(data: bytes) -> list[Edit]:
    """Runs of base64 and hex that decode to something readable; ascending and disjoint."""
    edits = [*_in_tokens(data), *_in_pieces(data)]
    edits.sort(key=lambda edit: edit.start)
    return edits[:1] + [edit for before, edit in pairwise(edits) if edit.start >= before.end]


def _in_tokens(data: bytes) -> Iterator[Edit]:
    tokens = [match.span() for match in _TOKEN.finditer(data)]
    at = 0
    while at < len(tokens):
        upto, end = _wrapped(data, tokens, at)
        start = tokens[at][0]
        if end > tokens[at][1] and (text := _base64(_GAP.sub(b"", data[start:end]))):
            yield Edit(start, end, text)
        else:
            for start, end in tokens[at:upto]:
                yield from _in_token(data[start:end], start)
        at = upto


def _wrapped(data: bytes, tokens: list[tuple[int, int]], at: int) -> tuple[int, int]:
    """Where the lines that begin with token `at` stop being one wrapped run: (next token, end in bytes)."""
    start, end = tokens[at]
    width, upto = end - start, at + 1
    while gap := _GAP.match(data, end):
        if upto < len(tokens) and tokens[upto][0] == gap.end():
            size = tokens[upto][1] - tokens[upto][0]
            if size > width:
                break
            end, upto = tokens[upto][1], upto + 1
            if size < width:
                break
        else:
            last = _LAST.match(data, gap.end())
            return upto, last.end() if last and (upto > at + 1 or gap.group() != b" ") else end
    return upto, end


def _in_token(token: bytes, offset: int) -> Iterator[Edit]:
    word = token.islower()  # an identifier, a path or hex: text of this length has capitals in base64
    text = None if word else _base64(token)
    if text is not None:
        yield Edit(offset, offset + len(token), text)
        return
    found = False
    for match in _HEX.finditer(token):
        text = _hex(match.group())
        if text is not None:
            found = True
            yield Edit(offset + match.start(), offset + match.end(), text)
    if found or word:
        return
    digits = token.rstrip(b"=").translate(_URL_SAFE)
    for match in _QUADS.finditer(digits):
        start, end = match.span()
        text = a2b_base64(match.group() + b"=" * (start - end & 3))
        if _PROSE.search(text):
            yield Edit(offset + start, offset + (len(token) if end == len(digits) else end), text)


def _in_pieces(data: bytes) -> Iterator[Edit]:
    for match in _PIECES.finditer(data):
        start, end = match.span()
        run = data[start:end]
        text = (
            _hex(run.replace(b"0x", b"").translate(None, b" :,-"))
            if match.span(1)[0] >= 0
            else _base64(b"".join(run.split()))
        )
        if text is not None:
            yield Edit(start, end, text)


def _hex(digits: bytes) -> bytes | None:
    text = _readable(bytes.fromhex(digits[: len(digits) & ~1].decode()))
    return None if text is None else utf8(text)


def _base64(run: bytes) -> bytes | None:
    """The text a run of base64 of either alphabet stands for, padded or not; None where it is none."""
    digits = run.rstrip(b"=").translate(_URL_SAFE)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    try:
        raw = a2b_base64(digits + b"=" * (-len(digits) % 4))
    except Error:
        return None
    text = _readable(raw)
    return None if text is None else utf8(text)


def _readable(raw: bytes) -> str | None:
    """The text of these bytes if that is what they are: UTF-8, or UTF-16 as PowerShell encodes its commands.

    A long text may hold one odd character in sixteen, so that a few bytes of something else do not hide it.
    """
    if raw.count(0) * 3 > len(raw):
        raw = raw[: len(raw) & ~1].decode("utf-16-le", "replace").encode()
    odd = len(raw.translate(None, _CLEAN))
    if odd * _TOLERATED > len(raw) or (odd and len(raw) < _LENIENT):
        return None
    try:
        return raw.decode() or None
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "replace") if len(raw) >= _LENIENT else ""
        return text if (odd + text.count("\ufffd")) * _TOLERATED <= len(text) > 0 else None


_TOLERATED: Final = 16
_LENIENT: Final = 32
"""Bytes from which a text may hold what is none."""

_CLEAN: Final = bytes([9, 10, 13, *range(32, 127), *range(128, 256)])
