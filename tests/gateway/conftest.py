"""One gateway for all tests that leave it as they found it; starting one costs a second."""

from collections.abc import Iterator

import pytest

from tests.gateway.house import House, fresh, standing


@pytest.fixture(scope="session")
def one_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(one_house: House) -> House:
    return fresh(one_house)
