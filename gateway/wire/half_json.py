"""How a JSON object that broke off can still be closed, with members of our own.

A stream that dies inside an event leaves half a JSON text with every client; whatever follows on the wire
is read together with it. Closing the half text and overriding its `type` turns it into the error it is.
"""

import re
from typing import Final

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR: Final = re.compile(rb"[^\s,:\[\]{}\"]+")
_SPACE: Final = b" \t\n\r"
_LITERALS: Final = (b"true", b"false", b"null")
_LIMIT: Final = 64 << 10
"""Longest text that is scanned, bytes: this runs while a client waits."""


class _Scan:
    """Where a JSON text stands at its end: open brackets, and what may come next."""

    def __init__(self) -> None:
        self.open = bytearray()
        self.expects = "value"  # value | item | key | member | colon | comma | end
        self.rest = b""

    def _ended(self) -> None:
        self.expects = "comma" if self.open else "end"

    def mark(self, mark: int) -> None:
        """One structural character."""
        if mark in b"{[":
            self.open.append(mark)
            self.expects = "member" if mark == ord("{") else "item"
        elif mark in b"}]":
            del self.open[-1:]
            self._ended()
        elif mark == ord(":"):
            self.expects = "value"
        else:  # a comma
            self.expects = "key" if self.open and self.open[-1] == ord("{") else "value"

    def scalar(self) -> None:
        """One whole string, number or literal."""
        if self.expects in ("key", "member"):
            self.expects = "colon"
        else:
            self._ended()


def _scan(text: bytes) -> _Scan:
    """Read `text` to its end; an unfinished scalar is left in `rest`."""
    scan = _Scan()
    at, end = 0, len(text)
    while at < end:
        mark = text[at]
        if mark in _SPACE:
            at += 1
        elif mark in b"{}[],:":
            scan.mark(mark)
            at += 1
        else:
            found = (_STRING if mark == ord('"') else _SCALAR).match(text, at)
            if found is None or (mark != ord('"') and found.end() == end):
                scan.rest = text[at:]
                return scan
            scan.scalar()
            at = found.end()
    return scan


def closing(text: bytes, members: bytes) -> bytes | None:
    """What to append to `text` to make one JSON object that ends with `members`.

    `members` is `"key":value,...` without braces. Empty where `text` is already whole; None where nothing
    helps: the text is no object, no JSON, or longer than 64 KB.
    """
    if not text.strip():
        return b"{" + members + b"}"
    if len(text) > _LIMIT or not text.lstrip().startswith(b"{"):
        return None
    scan = _scan(text)
    if scan.expects == "end":
        return None if scan.rest else b""
    out = bytearray()
    if scan.rest:
        out += _finish_scalar(scan.rest)
        scan.scalar()
    if scan.expects == "colon":
        out += b":null"
        scan.scalar()
    elif scan.expects == "value":
        out += b"null"
        scan.expects = "comma"
    return bytes(out) + _close(scan, members)


def _close(scan: _Scan, members: bytes) -> bytes:
    out = bytearray()
    for depth in range(len(scan.open) - 1, 0, -1):
        if scan.expects == "key":
            out += b'"":null'
        out += b"}" if scan.open[depth] == ord("{") else b"]"
        scan.expects = "comma"
    if scan.expects == "comma":
        out += b","
    return bytes(out) + members + b"}"


def _finish_scalar(rest: bytes) -> bytes:
    if rest.startswith(b'"'):
        return _finish_string(rest)
    for literal in _LITERALS:
        if literal.startswith(rest):
            return literal[len(rest) :]
    return b"0" if rest[-1:] in b"-+.eE" else b""


def _finish_string(rest: bytes) -> bytes:
    tail = re.search(rb"\\(?:u[0-9A-Fa-f]{0,3})?$", re.sub(rb"\\[^u]", b"__", rest))
    if tail is None:
        return _finish_utf8(rest) + b'"'
    if tail.group() == b"\\":
        return b'\\"'
    return b"0" * (6 - len(tail.group())) + b'"'


def _finish_utf8(rest: bytes) -> bytes:
    """Continuation bytes for a character that was cut, so that strict decoders read on."""
    for fill in (
        b"",
        b"\x80",
        b"\xa0",
        b"\x90",
        b"\x80\x80",
        b"\xa0\x80",
        b"\x90\x80",
        b"\x80\x80\x80",
        b"\x90\x80\x80",
    ):
        try:
            (rest[-4:].lstrip(bytes(range(0x80, 0xC0))) + fill).decode()
        except UnicodeDecodeError:
            continue
        return fill
    return b""
