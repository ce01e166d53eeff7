"""Content decoding on a copy: gzip, deflate, br and zstd, stacked too, cut anywhere, never larger than allowed.

The wire bytes are relayed as they came; this is only what the gateway itself reads. A small body that swells
without end is a `Bomb`; bytes that are not what they claim to be are `Undecoded`. Memory stays near `cap`.
"""

import zlib
from collections.abc import Callable
from typing import Protocol, cast

import brotli  # pyright: ignore[reportMissingTypeStubs] - ships no types; `_BrotliBinding` says what is used
import zstandard

from policies.errors import StepwardenError

_SLICE = 256
"""Bytes fed to zstd at once: its interface has no output limit and 4 bytes may stand for 128 KiB."""

_PIECE = 256 << 10
"""Bytes taken out of the other decoders at once."""

_UNSUSPECTED = 1 << 20
"""Bytes of output below which no ratio is held against a body: short texts may repeat themselves."""

_ZSTD_WINDOW = 8 << 20
"""RFC 9659: a zstd content coding needs no larger window, and a larger one is memory for the asking."""

_DEEPEST = 4
"""Encodings on top of each other."""


class Undecoded(StepwardenError):
    """A body is not what its Content-Encoding says, or says something unknown."""

    status = 400

    def remedy(self) -> str:
        """What the sender should do."""
        return "Send the body plain, or encoded with gzip, deflate, br or zstd as Content-Encoding says."


class Bomb(Undecoded):
    """A body swells beyond what decoding allows."""

    status = 413

    def remedy(self) -> str:
        """What the operator can do."""
        return "If this body is honest, raise `decoded_bytes` or `ratio` in [limits]."


class _Layer(Protocol):
    """One encoding, undone step by step. `spend` is told every piece of output before the next is made."""

    def feed(self, data: bytes, spend: Callable[[int], None]) -> bytes: ...

    @property
    def ended(self) -> bool: ...


class _Inflate(Protocol):
    """What is used of `zlib.decompressobj`, whose own type is private."""

    @property
    def unconsumed_tail(self) -> bytes: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _BrotliBinding(Protocol):
    """What is used of `brotli.Decompressor`."""

    def process(self, data: bytes, *, output_buffer_limit: int) -> bytes: ...

    def is_finished(self) -> bool: ...


_BrotliError = cast("type[Exception]", brotli.error)  # pyright: ignore[reportUnknownMemberType]


class _Zlib:
    """gzip (several members too) or deflate, which means zlib by RFC 9110 and raw deflate to many servers."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._inflate: _Inflate | None = zlib.decompressobj(wbits=31) if gzip else None
        self._head = b""

    def feed(self, data: bytes, spend: Callable[[int], None]) -> bytes:
        """The plain bytes these bytes complete."""
        out: list[bytes] = []
        while data:
            inflate = self._inflate
            if inflate is None:
                self._head += data
                if len(self._head) < 2:  # noqa: PLR2004 - a zlib header is two bytes
                    break
                data = self._head
                inflate = self._inflate = zlib.decompressobj(wbits=15 if _has_zlib_header(data) else -15)
            if inflate.eof:
                inflate = self._inflate = self._next_member()
            piece = inflate.decompress(data, _PIECE)
            spend(len(piece))
            out.append(piece)
            data = inflate.unconsumed_tail or inflate.unused_data
            if not data and len(piece) == _PIECE:
                out.append(self._rest(inflate, spend))
        return b"".join(out)

    def _rest(self, inflate: _Inflate, spend: Callable[[int], None]) -> bytes:
        """Output that waits inside zlib although all input is consumed."""
        out: list[bytes] = []
        while piece := inflate.decompress(b"", _PIECE):
            spend(len(piece))
            out.append(piece)
        return b"".join(out)

    def _next_member(self) -> _Inflate:
        if not self._gzip:
            raise Undecoded("there are bytes after the end of a deflate body")
        return zlib.decompressobj(wbits=31)

    @property
    def ended(self) -> bool:
        """Whether a whole body has been seen."""
        return self._inflate is not None and self._inflate.eof


class _Brotli:
    """br; the bindings hand out output by a soft limit and keep the rest."""

    def __init__(self) -> None:
        self._brotli = cast("_BrotliBinding", brotli.Decompressor())  # pyright: ignore[reportUnknownMemberType]

    def feed(self, data: bytes, spend: Callable[[int], None]) -> bytes:
        """The plain bytes these bytes complete."""
        if self.ended:
            raise Undecoded("there are bytes after the end of a br body")
        out = [self._take(data, spend)]
        while out[-1]:  # the bindings take more input while output still waits, so only nothing means nothing
            out.append(self._take(b"", spend))
        return b"".join(out)

    def _take(self, data: bytes, spend: Callable[[int], None]) -> bytes:
        piece = self._brotli.process(data, output_buffer_limit=_PIECE)
        spend(len(piece))
        return piece

    @property
    def ended(self) -> bool:
        """Whether a whole body has been seen."""
        return self._brotli.is_finished()


class _Zstd:
    """zstd, several frames too."""

    def __init__(self) -> None:
        self._zstd = _zstd_frame()

    def feed(self, data: bytes, spend: Callable[[int], None]) -> bytes:
        """The plain bytes these bytes complete."""
        out: list[bytes] = []
        for start in range(0, len(data), _SLICE):
            rest = data[start : start + _SLICE]
            while rest:
                if self._zstd.eof:
                    self._zstd = _zstd_frame()
                piece = self._zstd.decompress(rest)
                spend(len(piece))
                out.append(piece)
                rest = self._zstd.unused_data if self._zstd.eof else b""
        return b"".join(out)

    @property
    def ended(self) -> bool:
        """Whether a whole body has been seen."""
        return self._zstd.eof


def _zstd_frame() -> "zstandard.ZstdDecompressionObj":
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


def _has_zlib_header(data: bytes) -> bool:
    """RFC 1950: method 8, and the first two bytes divisible by 31."""
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0  # noqa: PLR2004 - as the RFC says


_LAYERS: dict[str, Callable[[], _Layer]] = {
    "gzip": lambda: _Zlib(gzip=True),
    "x-gzip": lambda: _Zlib(gzip=True),
    "deflate": lambda: _Zlib(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}


class Decoder:
    """Decodes one body as its bytes arrive.

    `encoding` is the Content-Encoding header's value or None; `cap` bounds the decoded bytes and `ratio` how
    many of them one wire byte may yield. Raises `Undecoded` for unknown encodings; after any error it stays broken.
    """

    def __init__(self, encoding: str | None, *, cap: int, ratio: int) -> None:
        names = [name for part in (encoding or "").split(",") if (name := part.strip().lower()) not in ("", "identity")]
        if len(names) > _DEEPEST:
            raise Undecoded(f"more than {_DEEPEST} content encodings on top of each other")
        unknown = next((name for name in names if name not in _LAYERS), None)
        if unknown is not None:
            raise Undecoded("an unknown content encoding")
        self._layers = [_LAYERS[name]() for name in reversed(names)]
        self._made = [0] * len(self._layers)
        self._cap = cap
        self._ratio = ratio
        self._taken = 0
        self._plain = 0
        self._broken = False

    def feed(self, data: bytes) -> bytes:
        """Every plain byte these wire bytes complete. Raises `Bomb` or `Undecoded`."""
        if self._broken:
            raise Undecoded("the body was broken before")
        self._taken += len(data)
        try:
            for place, layer in enumerate(self._layers):
                if not data:
                    break
                data = layer.feed(data, self._spender(place))
        except (zlib.error, _BrotliError, zstandard.ZstdError) as error:
            self._broken = True
            raise Undecoded("the body is not what its Content-Encoding says") from error
        except Undecoded:
            self._broken = True
            raise
        self._plain += len(data)
        if self._plain > self._cap:
            self._broken = True
            raise Bomb(f"the body is larger than {self._cap} bytes")
        return data

    def _spender(self, place: int) -> Callable[[int], None]:
        def spend(length: int) -> None:
            self._made[place] += length
            if self._made[place] > self._cap:
                raise Bomb(f"the body is larger than {self._cap} bytes once decoded")
            if self._made[place] > max(_UNSUSPECTED, self._ratio * self._taken):
                raise Bomb(f"the body grows to more than {self._ratio} times its size when decoded")

        return spend

    def close(self) -> None:
        """Say that no byte will come. Raises `Undecoded` where the body stops before its end."""
        if self._broken or (self._taken and not all(layer.ended for layer in self._layers)):
            self._broken = True
            raise Undecoded("the body stops before the end of its content encoding")


def decode(raw: bytes, encoding: str | None, *, cap: int, ratio: int) -> bytes:
    """A whole body, plain. Raises `Bomb` or `Undecoded`."""
    decoder = Decoder(encoding, cap=cap, ratio=ratio)
    plain = decoder.feed(raw)
    decoder.close()
    return plain
