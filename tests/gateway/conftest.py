"""Two gateways for all tests that leave them as they found them; starting one costs a second."""

from collections.abc import Iterator

import pytest

from tests.gateway.house import SHORT, House, fresh, standing


@pytest.fixture(scope="session")
def one_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(one_house: House) -> House:
    return fresh(one_house)


@pytest.fixture(scope="session")
def one_hasty_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("hasty"), more=SHORT) as house:
        yield house


@pytest.fixture
def hasty(one_hasty_house: House) -> House:
    """For tests that wait until a deadline has passed."""
    return fresh(one_hasty_house)
