"""What tests share: one house with one gateway, each client's run, played once, and a browser for each file."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e import promises
from tests.e2e.browser import running_browser, tab
from tests.e2e.dashboard_stage import Stage
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


@pytest.fixture
def page(browser: Browser, standing: Stage) -> Iterator[Page]:
    """A page of the stage that stands in this file, which complains of nothing to the end."""
    with tab(browser, standing.url) as opened:
        yield opened.page
        opened.assert_clean()
