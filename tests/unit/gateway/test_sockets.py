"""Sockets in the data directory: their owner's alone from the first moment."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import sockets


@pytest.fixture
def open_handed() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_handed")
@pytest.mark.parametrize("depth", [1, 12], ids=["short path", "long path"])
def test_a_socket_is_made_closed_to_others_whatever_the_umask(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["eleven-more"] * depth)
    folder.mkdir(parents=True)
    path = folder / "a.sock"
    path.write_text("left by a gateway that died")
    with sockets.bound(path):
        assert path.is_socket()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.umask(0) == 0


@pytest.mark.usefixtures("open_handed")
def test_a_socket_that_cannot_be_made_leaves_the_umask_alone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        sockets.bound(tmp_path / "missing" / "a.sock")
    assert os.umask(0) == 0
