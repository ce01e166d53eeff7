"""Pages about what changes and what is found, in a real browser: proposals, revisions, search, reported spans."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.browser import PHONE, READ, tab
from tests.e2e.dashboard_stage import MINUTE_NS, Stage, Turn, fill, session_of
from tests.e2e.proposed_stage import APP, CLAUSE, HOSTILE, filed, learning, proposed, told_session
from tests.gateway.house import waited

pytestmark = pytest.mark.e2e


@dataclass
class Learned:
    """The stage, the proposal that optimizers made there, and the session of which an application reports."""

    stage: Stage
    number: int
    told: str


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learned]:
    folder = tmp_path_factory.mktemp("learned")
    _, silent = session_of([Turn("pumpernickel", app="silent")], ended_ns=time.time_ns() - MINUTE_NS)
    fill(folder, silent)
    filed(folder)
    with learning(folder) as opened:
        [made] = [each for each in proposed(opened) if each["state"] == "waiting"]

        def asks_a_person() -> bool | None:
            found = opened.api(f"/api/proposals/{made['number']}")
            return True if found["rungs"][-1]["rung"] == "approval" else None

        waited(asks_a_person, seconds=60)
        yield Learned(opened, made["number"], told_session(opened))


@pytest.fixture
def page(browser: Browser, learned: Learned) -> Iterator[Page]:
    with tab(browser, learned.stage.url) as opened:
        yield opened.page
        opened.assert_clean()


def entries(standing: Stage, kind: str) -> list[dict[str, Any]]:
    return [json.loads(each["entry"]) for each in standing.api("/api/audit/entries", kind=kind)["entries"]]


def answered(page: Page, button: str, reason: str) -> None:
    page.locator("dialog input[name=by]").fill("Eve")
    page.locator("dialog textarea").fill(reason)
    page.locator(f"dialog {button}").click()


def test_a_proposal_shows_what_changes_on_what_it_rests_and_how_far_it_came(page: Page, learned: Learned) -> None:
    page.goto(f"/#/proposals/{learned.number}")
    shown = page.locator(".proposal")
    expect(shown.locator("h2")).to_have_text(f"Proposal {learned.number}")
    expect(shown.locator(".edits")).to_contain_text("Changes when no-late-deploys acts: reject at 60")
    expect(shown.locator(".diff .about")).to_have_text(f"{CLAUSE}\n")
    expect(shown.locator(".diff del")).to_contain_text('"at":90')
    expect(shown.locator(".diff ins")).to_contain_text('"at":60')
    found = learned.stage.api(f"/api/proposals/{learned.number}")
    expect(shown.locator(".facts")).to_contain_text(f"{found['sessions']} sessions, on the word of 2 persons or keys")
    expect(shown.locator(".ladder li")).to_have_count(11)
    expect(shown.locator(".o-passed")).to_have_count(9)
    expect(shown.locator(".o-waiting")).to_contain_text("A person has to decide.")
    expect(shown.locator(".o-none").first).to_contain_text("not asked")
    scores = next(each["scores"] for each in found["rungs"] if each["rung"] == "holdout")
    alike = scores["groups"] - scores["wins"] - scores["losses"]
    expect(shown.locator(".ladder li", has_text="Wins on sessions kept back").locator(".outcome")).to_have_attribute(
        "aria-label", f"{scores['wins']:.0f} better, {alike:.0f} alike, {scores['losses']:.0f} worse"
    )


def test_a_proposal_is_held_against_recorded_history(page: Page, learned: Learned) -> None:
    page.goto(f"/#/proposals/{learned.number}")
    page.locator("button", has_text="Hold it against recorded history").click()
    tried = page.locator(".tried")
    expect(tried).to_contain_text("judged anew")
    flips = tried.locator(".flips", has_text="no-late-deploys")
    expect(flips.first).to_contain_text("rejected")
    flips.first.locator("li a").first.click()
    expect(page.locator(READ).first).to_be_visible()
    shown = [
        json.loads(each["entry"]) for each in learned.stage.api("/api/audit/entries", kind="content.read")["entries"]
    ]
    assert any(each["what"] == "steps" and each.get("tenant") == "release" and "exchange" not in each for each in shown)


def test_proposals_are_told_apart_by_state_and_say_where_they_ended(page: Page, learned: Learned) -> None:
    page.goto("/#/proposals?only=refused")
    expect(page.locator(".proposalcard")).to_have_count(1)
    expect(page.locator(".proposalcard")).to_contain_text("at holdout")
    expect(page.locator(".o-refused")).to_contain_text("The gain may be luck.")
    page.locator("a", has_text="All").click()
    expect(page.locator(".proposalcard")).to_have_count(len(learned.stage.api("/api/proposals")["proposals"]))


def test_a_canary_is_a_picture_of_what_the_record_holds(page: Page) -> None:
    page.goto("/#/proposals")
    page.locator(".proposalcard", has_text="canary").click()
    expect(page.locator("figure.canary svg")).to_have_attribute(
        "aria-label", "Canary: under the candidate 1 of 40 sessions came to harm"
    )
    expect(page.locator(".proposal")).to_contain_text("not in force here any more")


def test_bets_steps_in_question_and_moves_are_shown_where_the_record_has_them(page: Page) -> None:
    def with_trial(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        canary = next(each for each in found["proposals"] if each["state"] == "canary")
        canary["trial"] = {
            "stage": "canary",
            "figures": {
                "sessions": 50, "harmed": 2, "sessions_before": 400, "harmed_before": 9, "worse": 0.2, "not_worse": 7.5,
            },
            "woulds": [{"session_id": "S", "step_id": "E.0003", "was": "allow", "would": "would_reject"}],
        }  # fmt: skip
        moved = {"state": "canary", "rung": "canary", "outcome": "waiting", "why": "comparing", "by_a_person": True}
        canary["moves"] = [{"at": "2026-11-30T03:00:00Z", **moved}]
        route.fulfill(response=answer, json=found)

    page.route("**/api/proposals", with_trial)
    page.goto("/#/proposals")
    page.locator(".proposalcard", has_text="canary").click()
    said = page.locator("figure.canary svg").get_attribute("aria-label") or ""
    assert "under what is in force 9 of 400 sessions" in said
    assert "bet: no worse 7.5 to 1; bet: worse 0.2 to 1" in said
    page.locator("summary", has_text="1 step with which it would do otherwise").click()
    expect(page.locator(".proposal details a")).to_have_attribute("href", "#/sessions/S?turn=E&step=3")
    expect(page.locator(".moves li")).to_contain_text("on a person's word")


def test_what_a_proposal_says_is_only_ever_text(page: Page) -> None:
    page.goto("/#/proposals")
    page.locator(".proposalcard", has_text="canary").click()
    expect(page.locator(".proposal .lead")).to_contain_text(HOSTILE)
    expect(page.locator(".edits")).to_contain_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 0


def test_a_proposal_is_put_in_force_and_taken_back_with_a_reason_each(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("decided")
    filed(folder)
    with learning(folder) as standing, tab(browser, standing.url) as opened:
        page = opened.page
        page.goto("/#/proposals?only=waiting")
        page.locator("button", has_text="Reject").click()
        answered(page, ".danger", "not that")
        expect(page.locator(".empty")).to_contain_text("None is in this state.")
        page.locator("button", has_text="Look for proposals").click()
        expect(page.locator(".advice")).to_contain_text("1 new proposal from 64 labelled sessions", timeout=60_000)
        page.locator(".proposalcard", has_text="acting from").click()
        expect(page.locator(".listside [aria-current=true]", has_text="All")).to_be_visible()  # where the card led
        page.locator("button", has_text="Approve").click()
        page.locator("dialog input[name=by]").fill("Eve")
        page.locator("dialog .primary").click()
        expect(page.locator("dialog")).to_be_visible()
        page.locator("dialog select[name=when]").select_option("at_once")
        answered(page, ".primary", "the labels say so")
        expect(page.locator(".proposal .v-on")).to_contain_text("in force")
        expect(page.locator(".proposal")).to_contain_text("the labels say so")
        page.goto("/#/proposals/revisions")
        now = page.locator(".chain .is-now")
        expect(now).to_contain_text("optimizer thresholds")
        now.locator("button", has_text="What it changed").click()
        expect(now.locator(".diff ins")).to_contain_text('"at":60')
        now.locator("button", has_text="Roll back").click()
        answered(page, ".danger", "it was too much")
        expect(page.locator(".chain .is-now")).to_contain_text("Policy files")
        expect(page.locator(".chain .is-apart")).to_contain_text("optimizer thresholds")
        states = [each["state"] for each in standing.api("/api/proposals")["proposals"]]
        assert (states.count("rejected"), states.count("rolled_back")) == (1, 1)
        assert standing.api("/api/revisions", app=APP)["revisions"][1]["in_force"] is True
        decided = [(each["decision"], "reason" in each) for each in entries(standing, "proposal.reviewed")]
        assert decided == [("approved", True), ("rejected", True)]
        opened.assert_clean()


def test_words_are_found_in_contents_and_stand_in_no_address(page: Page, learned: Learned) -> None:
    page.goto("/#/sessions")
    page.locator("#search input").fill("build 7 on friday")
    page.keyboard.press("Enter")
    expect(page.locator(".search [role=status]")).to_contain_text("3 steps found")
    expect(page.locator(".search [role=status]")).to_contain_text("which is all there is")
    found = page.locator(".place:has(.tool)")
    expect(found.locator("mark")).to_have_text("build 7 on Friday")
    assert "friday" not in page.url.lower()
    found.click()
    expect(page.locator(".row[aria-selected=true]")).to_contain_text("deploy")
    expect(page.locator(".stepview.chosen mark.m-sought")).to_have_text("build 7 on Friday")
    page.go_back()
    expect(page.locator(".place")).to_have_count(3)
    assert (
        "friday" not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, location.href])").lower()
    )
    assert entries(learned.stage, "content.searched")[0].keys() >= {"words", "actor"}


def test_an_app_that_does_not_allow_it_is_not_searched(page: Page) -> None:
    page.goto("/#/search")
    expect(page.locator("select[name=app] option")).to_have_text(["every app that allows it", "default", APP])
    page.locator("input[name=words]").fill("pumpernickel")
    page.locator(".search button").click()
    expect(page.locator(".empty")).to_contain_text("No step holds these words.")


def test_a_word_is_asked_for_in_no_address(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/#/live")
    expect(page.locator(".state.ok")).to_be_visible()
    page.locator("#search input").fill("Deploy")
    page.keyboard.press("Enter")
    expect(page.locator(".place").first).to_be_visible()
    assert any(each.endswith("/api/search") for each in asked)
    assert [each for each in asked if "deploy" in each.lower()] == []


def test_an_id_in_the_same_field_leads_to_its_session(page: Page, learned: Learned) -> None:
    page.goto("/#/live")
    expect(page.locator(".state.ok")).to_be_visible()
    page.locator("#search input").fill(learned.told)
    page.keyboard.press("Enter")
    expect(page.locator(".sessionhead")).to_be_visible()


def test_what_an_application_reports_stands_in_the_tree_marked_as_such(page: Page, learned: Learned) -> None:
    page.goto(f"/#/sessions/{learned.told}")
    rows = page.locator(".row")
    expect(page.locator(".row.r-told")).to_have_count(3)
    expect(rows.first).to_contain_text("invoke_agent researcher")
    tool = page.locator(".row.r-told", has_text="execute_tool search_docs")
    expect(tool).to_contain_text("reported")
    expect(tool).to_contain_text("error")
    tool.click()
    expect(page.locator(".exchange")).to_contain_text("Nobody here saw it happen")
    expect(page.locator(".exchange .attributes").first).to_contain_text("window.pwned = 'told'")
    assert page.evaluate("window.pwned") is None
    page.locator(".row.r-told", has_text="chat claude").click()
    page.locator(".exchange button.link").click()
    expect(page.locator(".row.r-turn[aria-selected=true]")).to_be_visible()
    page.locator(".chip.told").click()
    expect(page.locator(".row.r-told")).to_have_count(0)
    expect(page.locator(".row.r-turn")).to_have_count(1)


def test_policies_show_when_each_clause_found_something(page: Page, learned: Learned) -> None:
    for run in learned.stage.told[:4]:
        learned.stage.run(run)
    page.goto("/#/policies")
    clause = page.locator(".clause", has_text="no-orders-from-data").first
    expect(clause.locator("svg.spark")).to_be_visible()
    clause.locator("a").click()
    expect(page.locator(".sessions tbody tr").first).to_contain_text("claude")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_these_pages_have_no_serious_fault_for_who_cannot_see_them(
    browser: Browser, learned: Learned, scheme: str
) -> None:
    found: list[str] = []
    with tab(browser, learned.stage.url, color_scheme=scheme) as opened:
        for address, sign in addresses(learned):
            opened.arrive(address, sign)
            found += opened.serious_faults()
        opened.assert_clean()
    assert found == []


def addresses(learned: Learned) -> tuple[tuple[str, str], ...]:
    return (
        ("proposals", ".ladder"),
        ("proposals/revisions", ".empty, .chain"),
        ("search", "input[name=words]"),
        (f"sessions/{learned.told}", ".row.r-told"),
    )


def test_on_a_phone_these_pages_are_not_cut_off(browser: Browser, learned: Learned) -> None:
    with tab(browser, learned.stage.url, viewport=PHONE, is_mobile=True, has_touch=True) as opened:
        for address, sign in addresses(learned):
            opened.arrive(address, sign)
            opened.assert_not_cut_off()
        opened.assert_clean()
