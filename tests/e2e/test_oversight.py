"""The pages about supervision and tools, in a real browser: critiques on their words, labels, trust, pins."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import PHONE, Tab, tab
from tests.e2e.dashboard_stage import Stage
from tests.e2e.overseen_stage import CLAUSE, OFFICE, changed_tool, labelled_before, promise, read_along
from tests.e2e.overseen_stage import overseen as overseen_stage
from tests.gateway.house import waited

pytestmark = pytest.mark.e2e

REFUND = "refund will be processed"


@dataclass
class Overseen:
    """The stage, and the session in which the model promised too much."""

    stage: Stage
    session: str

    def each_page(self, opened: Tab) -> Iterator[None]:
        """Go to each page in turn, until what it is about stands there."""
        yield opened.arrive("supervision", ".diagram")
        yield opened.arrive("tools", ".tools table")
        opened.arrive(f"sessions/{self.session}", ".r-step")
        opened.page.locator("[role=listbox]").press("End")
        yield expect(opened.page.locator(".r-step .verdict").first).to_be_visible()

    def marks(self) -> dict[str, Any]:
        return self.stage.api(f"/api/sessions/{self.session}/marks")


@pytest.fixture(scope="module")
def overseen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Overseen]:
    folder = tmp_path_factory.mktemp("oversight")
    labelled_before(folder)
    with overseen_stage(folder) as opened:
        made = Overseen(opened, promise(opened))
        waited(lambda: made.marks()["distrusted"], seconds=60)
        read_along(opened, made.session)
        changed_tool(opened)
        yield made


@pytest.fixture
def page(browser: Browser, overseen: Overseen) -> Iterator[Page]:
    with tab(browser, overseen.stage.url) as opened:
        yield opened.page
        opened.assert_clean()


def kinds(standing: Stage, kind: str) -> list[dict[str, object]]:
    return [json.loads(each["entry"]) for each in standing.api("/api/audit/entries", kind=kind)["entries"]]


def test_a_critique_stands_on_the_words_it_quotes_and_a_person_says_otherwise(page: Page, overseen: Overseen) -> None:
    page.goto(f"/#/sessions/{overseen.session}")
    row = page.locator(".r-step", has_text=REFUND)
    expect(row).to_contain_text("violation")
    row.click()
    ring = "document.activeElement.matches('.longlist') && getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(ring) == "none", "who presses a row needs no ring around all of them"
    step = page.locator(".s-model_text", has_text=REFUND)
    expect(step.locator("mark.m-quote")).to_contain_text(REFUND)
    page.keyboard.press("End")
    assert page.evaluate(ring) == "solid", "who goes by keys does"
    expect(step.locator(".opinions")).to_contain_text("no-promised-refunds")
    expect(page.locator(".critiques")).to_contain_text("scripted")
    step.locator("button", has_text="Label").click()
    page.locator("dialog select[name=clause]").select_option(CLAUSE)
    page.locator("dialog input[name=by]").fill("Ada")
    page.locator("dialog textarea[name=reason]").fill("the airline had said so")
    page.locator("dialog .primary").click()
    expect(step).to_contain_text("in order · Ada")
    expect(row).to_contain_text("in order · Ada")
    given = overseen.marks()["labels"]
    said = [(each["label"], each["clause"], each["by"], each["reason"]) for each in given]
    assert said == [("ok", CLAUSE, "Ada", "the airline had said so")]
    assert kinds(overseen.stage, "label.")[0]["label"] == "ok"
    page.goto("/#/supervision")
    expect(page.locator("section", has_text="Newest labels").locator("tbody tr").first).to_contain_text(
        "the airline had"
    )
    wrong = page.locator(".disagreements tbody tr").first
    expect(wrong).to_contain_text("false alarm")
    wrong.locator("a").first.click()
    expect(page).to_have_url(re.compile(overseen.session))
    expect(page.locator("mark.m-quote")).to_contain_text(REFUND)


def test_messages_to_a_tool_server_show_method_and_tool(page: Page) -> None:
    page.goto(f"/#/sessions/{OFFICE}")
    expect(page.locator(".r-turn", has_text="tools/call get_weather")).to_be_visible()
    page.locator(".r-turn", has_text="tools/call get_weather").click()
    expect(page.locator(".exchange h2")).to_have_text("tools/call get_weather")


def test_supervision_says_what_it_took_and_what_it_is_worth(page: Page, overseen: Overseen) -> None:
    page.goto("/#/supervision")
    found = overseen.stage.api("/api/supervision")
    agreement = found["agreement"]
    called = page.locator(".tile", has_text="Calls to the model").locator(".value")
    expect(called).to_have_text(str(sum(found["slots"])))
    expect(page.locator(".tile", has_text="Canaries")).to_contain_text("right")
    expect(page.locator(".tile", has_text="Budget left today")).to_contain_text("of $5.00 spent")
    assert agreement["pairs"] >= 90
    assert (
        agreement["agreed"] + agreement["unsure"] + agreement["missed"] + agreement["false_alarms"]
        == agreement["pairs"]
    )
    expect(page.locator(".diagram circle")).to_have_count(len(agreement["bins"]))
    expect(page.locator(".disagreements tbody tr")).to_have_count(len(agreement["disagreements"]))


def test_a_changed_tool_is_read_and_accepted(page: Page, overseen: Overseen) -> None:
    page.goto("/#/tools")
    change = page.locator(".change")
    expect(change.locator("ins").first).to_be_visible()
    expect(change.locator("del").first).to_be_visible()
    tool = change.locator(".tool").inner_text()
    change.locator("button", has_text="Approve").click()
    page.locator("dialog input").fill("Bea")
    page.locator("dialog .primary").click()
    expect(page.locator(".change")).to_have_count(0)
    expect(page.locator("tr", has=page.locator("th", has_text=tool))).to_contain_text("Bea")
    assert [each["state"] for each in overseen.stage.api("/api/mcp/tools")["tools"] if each["tool"] == tool] == [
        "pinned"
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_these_pages_have_no_serious_fault_for_who_cannot_see_them(
    browser: Browser, overseen: Overseen, scheme: str
) -> None:
    found: list[str] = []
    with tab(browser, overseen.stage.url, color_scheme=scheme) as opened:
        for _ in overseen.each_page(opened):
            found += opened.serious_faults()
        opened.assert_clean()
    assert found == []


def test_on_a_phone_these_pages_are_not_cut_off(browser: Browser, overseen: Overseen) -> None:
    with tab(browser, overseen.stage.url, viewport=PHONE, is_mobile=True, has_touch=True) as opened:
        for _ in overseen.each_page(opened):
            opened.assert_not_cut_off()
        opened.assert_clean()


def test_a_distrusted_session_is_trusted_by_a_person(page: Page, overseen: Overseen) -> None:
    page.goto("/#/supervision")
    page.locator("section", has_text="Distrusted sessions").locator("a").first.click()
    expect(page.locator(".sessionhead")).to_contain_text("distrusted: its next call waits (no-promised-refunds)")
    page.locator("button", has_text="Trust").click()
    page.locator("dialog input").fill("Ada")
    page.locator("dialog .primary").click()
    expect(page.locator(".sessionhead", has_text="distrusted")).to_have_count(0)
    assert overseen.marks()["distrusted"] is None
