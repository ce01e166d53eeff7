import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.decoding import Bomb, Decoder, Undecoded, decode

CAP = 8 << 20
TEXT = b'{"messages": [{"role": "user", "content": "Summarise my inbox"}]}' * 40


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate ": raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("encoding", PACKERS)
def test_every_encoding_comes_back_plain(encoding: str) -> None:
    assert decode(PACKERS[encoding](TEXT), encoding, cap=CAP, ratio=100) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "deflate ", "br", "zstd"])
@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_where_the_network_cuts_does_not_matter(encoding: str, cuts: list[int]) -> None:
    packed = PACKERS[encoding](TEXT)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    decoder = Decoder(encoding, cap=CAP, ratio=1000)
    assert b"".join(decoder.feed(packed[a:b]) for a, b in pairwise(edges)) == TEXT
    decoder.close()


def test_one_byte_at_a_time_is_as_good_as_all_at_once() -> None:
    for encoding in ("gzip", "deflate", "deflate ", "br", "zstd"):
        decoder = Decoder(encoding, cap=CAP, ratio=1000)
        assert b"".join(decoder.feed(bytes([byte])) for byte in PACKERS[encoding](TEXT)) == TEXT
        decoder.close()


def test_encodings_on_top_of_each_other_are_undone_in_reverse() -> None:
    packed = brotli.compress(gzip.compress(TEXT))
    assert decode(packed, "gzip, BR", cap=CAP, ratio=1000) == TEXT


def test_a_second_gzip_member_and_a_second_zstd_frame_belong_to_the_body() -> None:
    assert decode(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", cap=CAP, ratio=100) == b"ab"
    pack = zstandard.ZstdCompressor().compress
    assert decode(pack(b"a") + pack(b"b"), "zstd", cap=CAP, ratio=100) == b"ab"


def test_a_body_of_several_pieces_comes_back_whole() -> None:
    text = bytes(range(256)) * 12_000
    for encoding in ("gzip", "deflate", "br", "zstd"):
        assert decode(PACKERS[encoding](text), encoding, cap=CAP, ratio=100_000) == text


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_refused_by_its_ratio_and_by_its_size(encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(32 << 20))
    with pytest.raises(Bomb):
        decode(bomb, encoding, cap=64 << 20, ratio=100)
    with pytest.raises(Bomb):
        decode(bomb, encoding, cap=4 << 20, ratio=10**9)


def test_a_bomb_inside_a_bomb_is_refused_before_it_opens() -> None:
    bomb = gzip.compress(gzip.compress(bytes(256 << 20), compresslevel=1))
    with pytest.raises(Bomb):
        decode(bomb, "gzip, gzip", cap=64 << 20, ratio=100)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "deflate ", "br", "zstd"])
def test_a_body_that_stops_early_is_not_a_whole_one(encoding: str) -> None:
    decoder = Decoder(encoding, cap=CAP, ratio=1000)
    got = decoder.feed(PACKERS[encoding](TEXT)[:-1])
    assert TEXT.startswith(got)
    with pytest.raises(Undecoded):
        decoder.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_bytes_after_the_end_are_not_read_as_part_of_it(encoding: str) -> None:
    with pytest.raises(Undecoded):
        decode(PACKERS[encoding](TEXT) + b"GET / HTTP/1.1", encoding, cap=CAP, ratio=1000)


@given(
    st.binary(max_size=300),
    st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "aes128gcm", ",,,", "br,br,br,br,br"]),
)
def test_any_bytes_at_all_decode_or_are_undecoded(raw: bytes, encoding: str) -> None:
    with suppress(Undecoded):
        assert isinstance(decode(raw, encoding, cap=CAP, ratio=100), bytes)


def test_a_broken_decoder_stays_broken() -> None:
    decoder = Decoder("gzip", cap=CAP, ratio=100)
    for _ in range(2):
        with pytest.raises(Undecoded):
            decoder.feed(b"not gzip")
    with pytest.raises(Undecoded):
        decoder.close()


def test_an_empty_body_is_empty_in_every_encoding() -> None:
    assert decode(b"", "gzip", cap=CAP, ratio=100) == b""
