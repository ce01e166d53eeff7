"""Two gateways for all tests that leave them as they found them; starting one costs a second."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.house import SHORT, House, fresh, standing


@pytest.fixture(scope="session")
def one_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(one_house: House) -> House:
    return fresh(one_house)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder whose `data` is a small disk of its own."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    options = ["-o", "size=12m,mode=0700"]
    mount = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(data)], check=False, capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a tmpfs needs more rights than this run has")
    yield tmp_path
    subprocess.run(["umount", "-l", str(data)], check=True)


@pytest.fixture(scope="session")
def one_hasty_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("hasty"), more=SHORT) as house:
        yield house


@pytest.fixture
def hasty(one_hasty_house: House) -> House:
    """For tests that wait until a deadline has passed."""
    return fresh(one_hasty_house)
