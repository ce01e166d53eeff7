from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.audit import merkle, tiles
from storage.audit.edge import Edge
from storage.audit.errors import EntryTooLong, LogDamaged
from storage.audit.tiles import Place
from tests.unit.storage.audit.test_merkle import defined


def test_seventy_thousand_entries_lie_as_the_specification_says() -> None:
    edge = Edge()
    grown = [place for place, _ in edge.grow([b""] * 70_000)]
    assert Counter((place.level, place.entries) for place in grown) == {(0, True): 273, (0, False): 273, (1, False): 1}
    assert [place.path for place in tiles.partials(70_000)] == [
        "tile/entries/273.p/112",
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]


def test_a_tree_of_256_has_a_full_tile_and_a_partial_one_above() -> None:
    edge = Edge()
    assert [place.path for place, _ in edge.grow([b""] * 256)] == ["tile/entries/000", "tile/0/000"]
    assert [(place.path, len(data)) for place, data in edge.partials()] == [("tile/1/000.p/1", 32)]


def test_paths_are_numbered_in_threes() -> None:
    assert Place(level=63, index=1_234_067, width=256, entries=False).path == "tile/63/x001/x234/067"
    assert Place(level=0, index=999, width=7, entries=True).path == "tile/entries/999.p/7"


@given(st.integers(0, 63), st.integers(0, 10**12), st.integers(1, 256), st.booleans())
def test_a_path_is_read_as_it_is_written(level: int, index: int, width: int, entries: bool) -> None:  # noqa: FBT001
    place = Place(level=0 if entries else level, index=index, width=width, entries=entries)
    assert tiles.place_of(place.path) == place


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "tile/00/000",
        "tile/64/000",
        "tile/0/0",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/07",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/000/",
        "tile/0/000.p",
        "tile/0/../0/000",
        "tile/0/\u0660\u0660\u0660",
    ],
)
def test_no_second_spelling_names_a_tile(path: str) -> None:
    assert tiles.place_of(path) is None


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), max_size=5), st.integers(0, 600))
def test_however_it_grows_the_files_and_the_root_are_the_same(cuts: list[int], size: int) -> None:
    entries = [str(index).encode() for index in range(size)]
    whole, parts = Edge(), Edge()
    files, at, found = list(whole.grow(entries)), 0, []
    for cut in (*(cut * 100 for cut in cuts), size):
        found += parts.grow(entries[at : at + cut])
        at += cut
    assert found == files
    assert [*parts.partials()] == [*whole.partials()]
    assert parts.root() == whole.root() == defined([merkle.leaf_hash(entry) for entry in entries])


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_535, 65_536, 65_537])
def test_an_edge_is_read_back_from_its_files(size: int) -> None:
    edge = Edge()
    list(edge.grow([b""] * size))
    files = {place.path: data for place, data in edge.partials()}
    assert Edge.load(files.__getitem__, size).root() == edge.root()


def test_an_entry_fits_its_sixteen_bits_of_length() -> None:
    assert tiles.unbundled(tiles.framed(b"a" * 65_535) + tiles.framed(b"")) == [b"a" * 65_535, b""]
    with pytest.raises(EntryTooLong):
        tiles.framed(b"a" * 65_536)


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\x00\x01ab"])
def test_a_bundle_that_ends_within_an_entry_is_damaged(data: bytes) -> None:
    with pytest.raises(LogDamaged):
        tiles.unbundled(data)
