"""Answers that come to the dashboard when something else has happened meanwhile: they take nobody's place."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from gateway.times import rfc3339
from tests.e2e.dashboard_stage import POLICIES, Stage, stage
from tests.gateway.house import waited

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    more = POLICIES.replace("enforce = true", "enforce = true\nsearch = true")
    with stage(tmp_path_factory.mktemp("overtaken"), more=more) as opened:
        yield opened


def said(standing: Stage, session: str, text: str) -> None:
    """A turn of a session that its client names, on record."""
    began = rfc3339(time.time_ns())
    answer = httpx.post(
        f"{standing.url}/anthropic/v1/messages",
        json={"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": text}]},
        headers={"x-api-key": "k", "stepwarden-session": session},
        timeout=30,
    )
    assert answer.is_success, answer.text
    standing.recorded(1, since=began)


def session_of(standing: Stage, name: str, *texts: str) -> str:
    """The id of a session with a turn for each text."""
    for text in texts:
        said(standing, name, text)
    return standing.api(f"/api/sessions/{name}/turns")["session_id"]


def kept_back(page: Page, pattern: str, kept: list[tuple[Route, APIResponse]] | None = None) -> Callable[[], None]:
    """Have the gateway answer such requests at once, and the page hear of it only when what is returned is called.

    `kept` gets the answers meanwhile.
    """
    kept = [] if kept is None else kept
    over = False

    def keep(route: Route) -> None:
        answer = route.fetch()
        if over:
            route.fulfill(response=answer)
        else:
            kept.append((route, answer))

    def let_go() -> None:
        nonlocal over
        over = True
        for route, answer in kept:
            route.fulfill(response=answer)

    page.route(pattern, keep)
    return let_go


def redrawn(page: Page) -> None:
    """Let the page draw what it has heard by now, and do what it put off by less than this."""
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 100)))")


def test_a_page_that_is_answered_late_does_not_take_the_place_of_the_next(page: Page) -> None:
    page.goto("/#/live")
    expect(page.locator(".state.ok")).to_be_visible()
    let_go = kept_back(page, "**/api/usage*")
    with page.expect_request("**/api/usage*"):
        page.locator("#pages a", has_text="Costs").click()
    page.locator("#pages a", has_text="Policies").click()
    expect(page.locator(".clause").first).to_be_visible()
    with page.expect_response("**/api/usage*"):
        let_go()
    redrawn(page)
    expect(page.locator("main h1")).to_have_text("Policies")


def test_another_step_of_an_exchange_that_is_still_asked_for_is_shown(page: Page, standing: Stage) -> None:
    session = session_of(standing, "impatient", "the first question", "the second question")
    page.goto(f"/#/sessions/{session}")
    expect(page.locator(".stepview", has_text="the first question")).to_be_visible()
    let_go = kept_back(page, "**/explanation")
    with page.expect_request("**/explanation"):
        page.locator(".row.r-turn").nth(1).click()
    page.locator(".row.r-step", has_text="the second question").click()
    expect(page.locator(".row[aria-selected=true]")).to_contain_text("the second question")
    redrawn(page)
    let_go()
    expect(page.locator(".stepview.chosen")).to_contain_text("the second question")


def test_a_hold_that_begins_while_holds_are_first_looked_at_is_shown(page: Page, standing: Stage) -> None:
    kept: list[tuple[Route, APIResponse]] = []
    let_go = kept_back(page, "**/api/holds", kept)
    page.goto("/#/holds")
    waited(lambda: (page.evaluate("true") and kept) or None)
    with standing.held():
        expect(page.locator("#waiting")).to_contain_text("1")
        let_go()
        expect(page.locator(".hold.is-waiting")).to_be_visible()


def test_a_row_that_is_drawn_anew_while_it_is_pressed_is_chosen(page: Page, standing: Stage) -> None:
    session = session_of(standing, "pressed", "one question", "another question")
    let_go = kept_back(page, "**/marks")
    page.goto(f"/#/sessions/{session}")
    expect(page.locator(".stepview", has_text="one question")).to_be_visible()
    page.locator(".row.r-step", has_text="another question").hover()
    page.mouse.down()
    with page.expect_response("**/marks"):
        let_go()
    redrawn(page)
    page.mouse.up()
    expect(page.locator(".stepview.chosen")).to_contain_text("another question")


def test_a_turn_that_comes_while_its_session_is_first_looked_at_is_shown(page: Page, standing: Stage) -> None:
    session = session_of(standing, "going-on", "this comes before")
    let_go = kept_back(page, "**/branches")
    with page.expect_response("**/turns*"):
        page.goto(f"/#/sessions/{session}")
    said(standing, "going-on", "this comes meanwhile")
    let_go()
    expect(page.locator(".row.r-step", has_text="this comes meanwhile")).to_be_visible()
    expect(page.locator(".row.r-turn")).to_have_count(2)


def asks(route: Route, words: str) -> bool:
    return words in (route.request.post_data or "")


def test_other_words_are_looked_for_while_a_search_goes_on(page: Page, standing: Stage) -> None:
    session_of(standing, "sought", "a thimble and a candle")
    page.route("**/api/search", lambda route: None if asks(route, "thimble") else route.continue_())
    page.goto("/#/search")
    page.locator("input[name=words]").fill("thimble")
    with page.expect_request(lambda request: "thimble" in (request.post_data or "")):
        page.locator(".search button").click()
    page.locator("#search input").fill("and a candle")
    page.keyboard.press("Enter")
    expect(page.locator(".place")).to_have_count(1)
    expect(page.locator(".search [role=status]")).to_contain_text("1 step found")
