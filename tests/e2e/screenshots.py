"""Pictures of every page of the dashboard for the documents, made anew: `make screenshots`.

The runs in them come from the demo: recorded runs of models, and one run that was written by us. What fills the day
before is made up, and by no model; so are the labels and critiques in the reliability diagram, the sessions that
optimizers learn from, and what an application reports. The supervisor that reads along is rules and no model.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.e2e.browser import PHONE, READ, running_browser, tab
from tests.e2e.dashboard_stage import Stage, earlier_day, fill, revised_session, stage
from tests.e2e.overseen_stage import changed_tool, labelled_before, overseen, promise
from tests.e2e.palette import shrunk
from tests.e2e.proposed_stage import learning, proposed, told_session
from tests.gateway.house import waited

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"


def _pages(session: str) -> dict[str, tuple[str, str]]:
    """Address and what to wait for."""
    return {
        "sessions": ("#/sessions", ".sessions tbody a"),
        "session": (f"#/sessions/{session}", READ),
        "holds": ("#/holds", ".hold.is-waiting"),
        "policies": ("#/policies", ".clause"),
        "costs": ("#/costs?since=24h", ".tile svg"),
        "audit": ("#/audit?kind=action.", ".entries tbody button"),
    }


def _open(page: Page, address: str, waits_for: str) -> None:
    page.goto(f"/{address}")
    page.wait_for_selector(waits_for)
    if waits_for == READ:
        page.wait_for_selector(".findings li")


def _desktop(browser: Browser, standing: Stage) -> str:
    """Live first, while the runs pass; then what they left. Gives the session in which a call was rejected."""
    with tab(browser, standing.url) as opened:
        page = opened.page
        _open(page, "#/live", ".state.ok")
        for run in standing.told:
            standing.run(run)
        standing.payment()
        page.wait_for_selector(".hold.is-waiting")
        page.wait_for_selector(".sessioncard .v-reject")
        page.screenshot(path=FOLDER / "live.png")
        session = standing.api("/api/sessions", verdict="reject")["sessions"][0]["session_id"]
        for name, (address, waits_for) in _pages(session).items():
            _open(page, address, waits_for)
            if name == "audit":
                page.click(".entries tbody button")
                page.click("text=Verify here")
                page.wait_for_selector(".checks")
            page.screenshot(path=FOLDER / f"{name}.png")
        _open(page, f"#/sessions/{session}", READ)
        page.click("text=Raw wire")
        page.wait_for_selector("pre.raw")
        page.screenshot(path=FOLDER / "wire.png")
        opened.assert_clean()
    return session


def _changed(browser: Browser, standing: Stage, session: str) -> None:
    """What a request changed besides its messages."""
    with tab(browser, standing.url) as opened:
        page = opened.page
        _open(page, f"#/sessions/{session}", ".row.r-turn")
        page.locator(".row.r-turn").nth(1).click()
        page.click("text=What changed")
        page.wait_for_selector(".changed ins")
        page.screenshot(path=FOLDER / "changed.png")
        opened.assert_clean()


def _dark(browser: Browser, standing: Stage, session: str) -> None:
    with tab(browser, standing.url, color_scheme="dark") as opened:
        _open(opened.page, *_pages(session)["session"])
        opened.page.screenshot(path=FOLDER / "session-dark.png")


def _phone(browser: Browser, standing: Stage, session: str) -> None:
    places = {"live": ("#/live", ".hold.is-waiting"), **_pages(session)}
    with tab(browser, standing.url, viewport=PHONE, is_mobile=True, has_touch=True) as opened:
        for name in ("live", "session", "policies"):
            _open(opened.page, *places[name])
            opened.page.screenshot(path=FOLDER / f"phone-{name}.png")


def _oversight(browser: Browser) -> None:
    """Critiques, labels and tools, where a supervisor reads along and a tool server changes a tool."""
    with tempfile.TemporaryDirectory() as name:
        labelled_before(Path(name))
        with overseen(Path(name)) as standing, tab(browser, standing.url) as opened:
            session = promise(standing)
            waited(lambda: standing.api(f"/api/sessions/{session}/marks")["distrusted"], seconds=60)
            changed_tool(standing)
            page = opened.page
            _open(page, f"#/sessions/{session}", ".r-step .verdict")
            page.click(".r-step:has(.verdict)")
            page.wait_for_selector("mark.m-quote")
            page.screenshot(path=FOLDER / "critique.png")
            for place, waits_for in (("supervision", ".diagram"), ("tools", ".change ins")):
                _open(page, f"#/{place}", waits_for)
                page.screenshot(path=FOLDER / f"{place}.png")
            opened.assert_clean()


def _changes(browser: Browser) -> None:
    """A proposal with its ladder, the revision it became, words found in contents, and what an application reports."""
    with ExitStack() as opening:
        folder = Path(opening.enter_context(tempfile.TemporaryDirectory()))
        standing = opening.enter_context(learning(folder))
        opened = opening.enter_context(tab(browser, standing.url))
        proposed(standing)
        session = told_session(standing)
        page = opened.page
        _open(page, "#/proposals", ".ladder")
        page.click("text=Hold it against recorded history")
        page.wait_for_selector(".flips")
        page.screenshot(path=FOLDER / "proposals.png")
        page.fill("#search input", "friday at 19:1")
        page.press("#search input", "Enter")
        page.wait_for_selector(".place")
        page.wait_for_selector(".search progress[hidden]", state="attached")
        page.screenshot(path=FOLDER / "search.png")
        _open(page, f"#/sessions/{session}", ".row.r-told")
        page.click(".row.r-told")
        page.wait_for_selector(".attributes")
        page.screenshot(path=FOLDER / "reported.png")
        waiting = next(each["number"] for each in standing.api("/api/proposals", only="waiting")["proposals"])
        standing.post(
            f"/api/proposals/{waiting}/approve", {"by": "Ada", "reason": "the labels say so", "at_once": True}
        )
        _open(page, "#/proposals/revisions", ".chain")
        page.click("text=What it changed")
        page.wait_for_selector(".diff ins")
        page.screenshot(path=FOLDER / "revisions.png")
        opened.assert_clean()


def main() -> int:
    """Write them all."""
    FOLDER.mkdir(exist_ok=True)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        revised, recordings = revised_session()
        fill(folder, [*earlier_day(), *recordings])
        standing = opened.enter_context(stage(folder, speed=6.0))
        browser = opened.enter_context(running_browser())
        session = _desktop(browser, standing)
        _dark(browser, standing, session)
        _phone(browser, standing, session)
        _changed(browser, standing, revised)
        _oversight(browser)
        _changes(browser)
        hold = standing.api("/api/holds", only="waiting")["holds"][0]["hold_id"]
        standing.post(f"/api/holds/{hold}/approve", {"by": "screenshots"})
    for picture in FOLDER.glob("*.png"):
        picture.write_bytes(shrunk(picture.read_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
