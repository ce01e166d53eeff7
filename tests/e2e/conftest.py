"""What tests share: one house with one gateway, each client's run, played once, and a browser for each file."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e import promises
from tests.e2e.browser import running_browser
from tests.e2e.house import House, open_house
from tests.e2e.programs import FOREIGN, PYTHON_SDKS
from tests.e2e.promises import Run


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture(scope="session")
def run_of(house: House) -> Callable[[str], Run]:
    """The run of a client by its name; played when first asked for."""
    runs: dict[str, Run] = {}
    programs = PYTHON_SDKS | FOREIGN

    def played(name: str) -> Run:
        if name not in runs:
            runs[name] = promises.run(house, programs[name])
        return runs[name]

    return played


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running
