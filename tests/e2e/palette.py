"""Pictures made small: a PNG as browsers write it, with a palette of 256 colours.

Pages of text have few colours but for the edges of letters, which take the nearest one; a third of the size is left.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

_SIGN: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = 256
_COMMON: Final = 64
_BYTES: Final = {2: 3, 6: 4}
"""Bytes of a pixel by colour type: RGB, RGBA."""


def shrunk(png: bytes) -> bytes:
    """The picture with a palette. Takes 8 bits a channel, RGB or RGBA, not interlaced."""
    chunks = list(_chunks(png))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert depth == 8
    assert not interlaced
    size = _BYTES[colour]
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    rows = list(_rows(zlib.decompress(packed), width * size, size))
    pixels = [[row[at : at + 3] for at in range(0, len(row), size)] for row in map(bytes, rows)]
    count = Counter(pixel for row in pixels for pixel in row)
    palette = _palette(count)
    index = {pixel: at for at, pixel in enumerate(palette)}
    for pixel in count:
        if pixel not in index:
            index[pixel] = min(range(len(palette)), key=lambda at: _distance(palette[at], pixel))
    drawn = b"".join(b"\0" + bytes([index[pixel] for pixel in row]) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(drawn, 9)), (b"IEND", b""))
    return _SIGN + b"".join(_chunk(kind, body) for kind, body in parts)


def _palette(count: Counter[bytes]) -> list[bytes]:
    """The most frequent colours, then again and again the one that is furthest from all of these for its frequency."""
    palette = [pixel for pixel, _ in count.most_common(_COMMON)]
    far = {pixel: min(_distance(pixel, each) for each in palette) for pixel in count}
    while len(palette) < min(_COLOURS, len(count)):
        palette.append(max(far, key=lambda pixel: far[pixel] * count[pixel]))
        far = {pixel: min(distance, _distance(pixel, palette[-1])) for pixel, distance in far.items()}
    return palette


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) * (a - b) for a, b in zip(one, other, strict=True))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert png.startswith(_SIGN)
    at = len(_SIGN)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _rows(raw: bytes, length: int, size: int) -> Iterator[bytearray]:
    """Rows with their filters undone."""
    above = bytearray(length)
    for start in range(0, len(raw), length + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + length])
        _unfilter(kind, row, above, size)
        yield row
        above = row


def _unfilter(kind: int, row: bytearray, above: bytearray, size: int) -> None:
    """Undo one row's filter in place, as the PNG specification has it."""
    if kind == 1:
        for i in range(size, len(row)):
            row[i] = (row[i] + row[i - size]) & 255
    elif kind == 2:
        row[:] = bytes([(a + b) & 255 for a, b in zip(row, above, strict=True)])
    elif kind == 3:
        for i in range(len(row)):
            row[i] = (row[i] + (((row[i - size] if i >= size else 0) + above[i]) >> 1)) & 255
    elif kind == 4:
        for i in range(len(row)):
            left, corner = (row[i - size], above[i - size]) if i >= size else (0, 0)
            row[i] = (row[i] + _paeth(left, above[i], corner)) & 255


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    far = (abs(guess - left), abs(guess - up), abs(guess - corner))
    return left if far[0] <= far[1] and far[0] <= far[2] else up if far[1] <= far[2] else corner
