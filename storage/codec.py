"""Codec: how contents are made small. Numbers below are written into every row and never change meaning."""

import threading
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, final

import zstandard

from storage.errors import ContentDamaged

AS_THEY_ARE = 0
ZSTD = 1
ZSTD_AGENT_1 = 2
"""zstd with `dictionaries/agent_1.zdict`, trained on synthetic text (`storage/dictionary.py`)."""

_LEVEL = 2
"""Against level 3 a third less time for one per cent more bytes; level 1 costs six per cent more."""

_DICTIONARY_HELPS_BELOW = 128 * 1024


def agent_dictionary() -> bytes:
    """The shipped dictionary of codec 2."""
    return files("storage").joinpath("dictionaries", "agent_1.zdict").read_bytes()


@final
class Codec:
    """Compressor and decompressor. Shrinking belongs to one thread; `grow` is safe from any."""

    def __init__(self) -> None:
        self._dictionary = zstandard.ZstdCompressionDict(agent_dictionary())
        shared = zstandard.ZstdCompressionDict(agent_dictionary())
        shared.precompute_compress(level=_LEVEL)  # pyright: ignore[reportUnknownMemberType]  # stub without types
        self._with = zstandard.ZstdCompressor(level=_LEVEL, dict_data=shared, write_dict_id=False)
        self._without = zstandard.ZstdCompressor(level=_LEVEL)
        self._local = threading.local()

    def shrink(self, plain: bytes) -> tuple[int, bytes]:
        """Codec number and bytes; contents that do not shrink stay as they are."""
        return self.shrink_each([plain])[0]

    def shrink_each(self, contents: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """The same for each of many."""
        found: list[tuple[int, bytes]] = []
        with_dictionary, without = self._with.compress, self._without.compress
        for plain in contents:
            size = len(plain)
            codec, small = ZSTD_AGENT_1, b""
            if size < _DICTIONARY_HELPS_BELOW:
                small = with_dictionary(plain)
            else:
                codec, small = ZSTD, without(plain)
            found.append((codec, small) if len(small) < size else (AS_THEY_ARE, plain))
        return found

    def grow(self, codec: int, stored: bytes, length: int) -> bytes:
        """The plain bytes, exactly `length` of them. Raises `ContentDamaged`."""
        if codec == AS_THEY_ARE:
            plain = stored
        elif codec in {ZSTD, ZSTD_AGENT_1}:
            plain = self._decompress(codec, stored, length)
        else:
            raise ContentDamaged(f"codec {codec} is not known to this release")
        if len(plain) != length:
            raise ContentDamaged("a content has another length than recorded")
        return plain

    def _decompress(self, codec: int, stored: bytes, length: int) -> bytes:
        try:
            return self._decompressor(codec).decompress(stored, max_output_size=length)
        except zstandard.ZstdError:
            raise ContentDamaged("a content does not decompress") from None

    def _decompressor(self, codec: int) -> zstandard.ZstdDecompressor:
        # zstd contexts are not thread-safe, and loading the dictionary costs more than most contents.
        mine: dict[Any, Any] = self._local.__dict__
        if codec not in mine:
            mine[codec] = (
                zstandard.ZstdDecompressor()
                if codec == ZSTD
                else zstandard.ZstdDecompressor(dict_data=self._dictionary)
            )
        return mine[codec]
