"""LangChain's standard suites for its chat models pass through the gateway exactly where they pass without it."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.e2e.environments.install import environment
from tests.e2e.house import House, Place
from tests.e2e.programs import CLIENTS, NOWHERE
from tests.e2e.stage import willing
from tests.e2e.talk import differences, pairs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
WILLING = {"": willing}


def outcomes(place: Place, folder: Path) -> dict[str, str]:
    """Run the suites against these addresses; {test: passed, failed, error or skipped}."""
    folder.mkdir()
    report = folder / "report.xml"
    options = ("asyncio_mode=auto", *(f"asyncio_default_{kind}_loop_scope=session" for kind in ("test", "fixture")))
    done = subprocess.run(
        [
            str(environment("agents") / "bin" / "python"), "-m", "pytest", str(CLIENTS / "standard_langchain.py"),
            "--quiet", "--config-file", os.devnull, "--rootdir", str(folder), "--noconftest", "-p", "no:cacheprovider",
            *(word for option in options for word in ("-o", option)), "-W", "ignore", f"--junitxml={report}",
            # two that say nothing about a wire: a benchmark, and snapshots that belong to LangChain's own repository
            "-k", "not serdes and not init_time",
        ],
        env=place.environment(folder) | NOWHERE, cwd=folder, capture_output=True, text=True, timeout=220, check=False,
    )  # fmt: skip
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    cases = ET.parse(report).iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ET.Element) -> str:
    found = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
    return found[0] if found else "passed"


def test_langchains_standard_suites_pass_where_they_pass_without_the_gateway(house: House, tmp_path: Path) -> None:
    with (
        house.direct(WILLING) as place,
        house.through(WILLING) as (other, recorded),
        ThreadPoolExecutor(2) as pool,
    ):
        playing = (
            pool.submit(outcomes, place, tmp_path / "direct"),
            pool.submit(outcomes, other, tmp_path / "through"),
        )
        direct, through = (each.result() for each in playing)
    passed = {test for test, outcome in direct.items() if outcome == "passed"}
    for suite in ("TestClaude::", "TestGpt::", "TestGptResponses::"):
        assert sum(suite in test for test in passed) > 20, (suite, direct)
    assert {test for test, outcome in through.items() if outcome == "passed"} == passed
    assert len(recorded.front) > len(passed)
    assert differences(pairs(recorded.front, recorded.back)) == []
