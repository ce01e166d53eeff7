import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.demo.agent import ToolReturned
from tests.corpus.hostile_texts import TEXTS
from tests.e2e.browser import PHONE, TALL, tab
from tests.e2e.dashboard_stage import (
    Stage,
    delegated,
    fill,
    hostile_session,
    long_session,
    revised_session,
    stage,
)

pytestmark = pytest.mark.e2e

STEPS = 10_000
PAGES = {
    "live": ".stream .turn",
    "sessions": ".sessions tbody a",
    "holds": ".hold, .empty",
    "policies": ".clause",
    "proposals": ".empty",
    "search": ".empty",
    "supervision": ".empty",
    "tools": ".empty",
    "costs?since=1h": ".tile svg",
    "audit": ".entries tbody button",
}
"""Every page, and what stands there once it is drawn: some have their heading before they have an answer."""

SESSION = ".rendered .stepview"


class Prepared:
    """Sessions that were recorded before the gateway started."""

    def __init__(self) -> None:
        self.long, recordings = long_session(STEPS)
        self.hostile, more = hostile_session(TEXTS)
        self.delegated, parts = delegated()
        self.revised, revised = revised_session()
        self.recordings = [*revised, *parts, *recordings, *more]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return Prepared()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("dashboard")
    fill(folder, prepared.recordings)
    with stage(folder) as opened:
        for run in opened.told:
            opened.run(run)
        yield opened


def rejected(standing: Stage) -> str:
    listed = standing.api("/api/sessions", limit=100, verdict="reject")["sessions"]
    return next(each["session_id"] for each in listed if each["client"].startswith("Anthropic"))


def test_a_step_appears_while_the_page_is_open(page: Page, standing: Stage) -> None:
    page.goto("/#/live")
    expect(page.locator(".state.ok")).to_be_visible()
    before = page.locator(".stream .step").count()
    standing.run(standing.told[1])
    expect(page.locator(".stream .step", has_text="coffee").first).to_be_visible()
    assert before == 0
    assert page.locator(".stream .turn").count() <= 300


def test_a_person_approves_by_keyboard_and_the_waiting_agent_goes_on(page: Page, standing: Stage) -> None:
    page.goto("/#/holds")
    expect(page.locator("h1", has_text="Holds")).to_be_visible()
    waiting = standing.payment()
    card = page.locator(".hold.is-waiting")
    expect(card).to_contain_text("DE89370400440532013000")
    expect(page.locator("#waiting")).to_contain_text("1")
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.keyboard.type("Ada")
    page.locator("dialog textarea").fill("the invoice is real")
    page.locator("dialog .primary").click()
    events = waiting.ended()
    assert any(isinstance(each, ToolReturned) and each.tool == "send_money" for each in events)
    expect(card).to_have_count(0)
    expect(page.locator("#waiting")).to_be_hidden()
    expect(page.locator(".hold.is-used").first).to_contain_text("by Ada: the invoice is real")


def test_a_rejection_needs_a_reason_and_a_second_answer_is_told_so(browser: Browser, standing: Stage) -> None:
    with tab(browser, standing.url, refused=True) as one, tab(browser, standing.url, refused=True) as other:
        waiting = standing.payment()
        for each in (one, other):
            each.page.goto("/#/live")
            expect(each.page.locator(".hold.is-waiting")).to_be_visible()
        other.page.locator(".hold .approve").click()
        other.page.locator("dialog input").fill("Bea")
        one.page.locator(".hold .reject").click()
        one.page.locator("dialog input").fill("Ada")
        one.page.locator("dialog .danger").click()
        expect(one.page.locator("dialog textarea:invalid")).to_be_focused()
        one.page.locator("dialog textarea").fill("nobody ordered this")
        one.page.locator("dialog .danger").click()
        expect(one.page.locator(".hold")).to_have_count(0)
        # The card is gone with the decision; who answers late is told by the gateway, not by luck.
        expect(other.page.locator(".hold")).to_have_count(0)
        other.page.locator("dialog .primary").click()
        expect(other.page.locator("dialog h2")).to_contain_text("rejected")
        other.page.locator("dialog .primary").click()
        expect(other.page.locator("dialog")).to_have_count(0)
        waiting.ended()
        held = standing.api("/api/holds")["holds"][0]
        assert (held["state"], held["decided_by"], held["decided_reason"]) == ("rejected", "Ada", "nobody ordered this")
        for each in (one, other):
            each.assert_clean()


def test_filters_live_in_the_address(page: Page, standing: Stage) -> None:
    page.goto("/#/sessions")
    page.locator("select[name=verdict]").select_option("reject")
    expect(page).to_have_url(re.compile("verdict=reject"))
    page.locator("select[name=model]").select_option("claude-3-7-sonnet-20250219")
    expect(page).to_have_url(re.compile("model=claude-3-7-sonnet-20250219"))
    fitting = standing.api("/api/sessions", verdict="reject", model="claude-3-7-sonnet-20250219")["sessions"]
    assert 0 < len(fitting) < len(standing.api("/api/sessions")["sessions"])
    rows = page.locator(".sessions tbody tr:has(a)")
    expect(rows).to_have_count(len(fitting))
    page.reload()
    expect(page.locator("select[name=verdict]")).to_have_value("reject")
    expect(page.locator("select[name=model]")).to_have_value("claude-3-7-sonnet-20250219")
    expect(rows).to_have_count(len(fitting))
    page.locator("text=Clear").click()
    expect(page.locator("select[name=verdict]")).to_have_value("")


def test_a_session_of_ten_thousand_steps_opens_and_scrolls(page: Page, prepared: Prepared) -> None:
    page.goto(f"/#/sessions/{prepared.long}")
    expect(page.locator(".row .what", has_text="Line 0 of").first).to_be_visible()
    last = STEPS // 4
    expect(page.locator(".row").first).to_have_attribute("aria-setsize", str(STEPS + last))
    assert page.locator(".row").count() < 120
    page.locator(".longlist").focus()
    page.keyboard.press("End")
    expect(page.locator(".row .what", has_text=f"Line {last - 1} of").first).to_be_visible()
    expect(page.locator(".rendered")).to_contain_text(f"Line {last - 1} of")
    assert page.locator(".row").count() < 120
    opened = page.evaluate("performance.getEntriesByType('resource').filter((r) => r.name.includes('/turns')).length")
    assert opened > 1, "a long session comes in pages"


def test_a_sub_agent_is_a_branch_of_its_own(page: Page, prepared: Prepared) -> None:
    page.goto(f"/#/sessions/{prepared.delegated}")
    expect(page.locator(".r-branch")).to_have_count(2)
    expect(page.locator(".r-branch").nth(1)).to_contain_text("researcher spawns, joined by agent header")
    page.locator(".chip", has_text="researcher").click()
    expect(page.locator(".row.r-turn")).to_have_count(3)
    expect(page.locator(".row .what", has_text="Look 0").first).to_be_visible()
    expect(page.locator(".row .what", has_text="Plan 0")).to_have_count(0)


def test_what_a_request_changed_besides_its_messages_is_compared(page: Page, prepared: Prepared) -> None:
    page.goto(f"/#/sessions/{prepared.revised}")
    expect(page.locator(".row .what", has_text="Be long").first).to_be_visible()
    page.locator(".row", has_text="Be long").click()
    page.locator("button", has_text="What changed").click()
    changed = page.locator(".changed")
    expect(changed.locator("section", has_text="Instructions").locator("del")).to_have_text("- Be brief.\n")
    expect(changed.locator("section", has_text="Instructions").locator("ins")).to_have_text("+ Be long.\n")
    expect(changed.locator("section", has_text="Settings")).to_contain_text("temperature")
    tools = changed.locator("section", has_text="Tools · 2")
    expect(tools).to_contain_text("lookup taken away")
    expect(tools.locator("ins", has_text="Sends a letter.")).to_be_visible()
    expect(changed.locator("section", has_text="History told anew")).to_contain_text("message 1")
    page.locator(".longlist").focus()
    page.keyboard.press("Home")
    expect(changed).to_contain_text("the first request of its branch")


def test_findings_stand_on_the_very_characters(page: Page, standing: Stage) -> None:
    page.goto(f"/#/sessions/{rejected(standing)}")
    call = page.locator(".stepview.is-reject")
    expect(call).to_be_visible()
    expect(call.locator(".findings")).to_contain_text("no-orders-from-data")
    marked = call.locator("mark").first
    expect(marked).to_contain_text("US133000000121212121212")
    page.locator(".row", has_text="landlord-notices").first.click()
    expect(page.locator(".stepview.chosen")).to_contain_text("landlord-notices")
    expect(call).to_have_count(0)
    expect(page.locator(".guards tbody tr").first).to_be_visible()
    page.locator("text=Raw wire").click()
    expect(page.locator("pre.raw").first).to_contain_text('"max_tokens"')


def readable(text: str) -> str:
    """Of a text, what a search for it in a page can find: up to the first character that is not shown."""
    return re.split(r"[\u0000-\u001f\u202c]", text.lstrip("\u202e"))[0]


def assert_inert(page: Page) -> None:
    assert page.evaluate("window.pwned") is None, page.url
    unwanted = page.locator("main script, main iframe, main img, main form[action], main base, main meta")
    assert unwanted.count() == 0, page.url
    assert not re.search("[\u202a-\u202e\u2066-\u2069\ufeff]", page.locator("body").inner_text()), page.url


def test_an_address_that_was_cut_in_a_character_is_no_blank_page(browser: Browser, standing: Stage) -> None:
    with tab(browser, standing.url) as opened:
        opened.page.goto("/#/sessions/%")
        expect(opened.page.locator("main .failure")).to_contain_text("no session has this id")


def test_hostile_text_is_only_ever_text(browser: Browser, standing: Stage, prepared: Prepared) -> None:
    with tab(browser, standing.url, viewport=TALL) as opened:
        page = opened.page
        page.goto(f"/#/sessions/{prepared.hostile}")
        for text in TEXTS:
            page.locator(".row.r-step", has_text=readable(text)).first.click()
            expect(page.locator(".stepview.chosen")).to_contain_text(readable(text))
            assert_inert(page)
        page.locator("text=Raw wire").click()
        expect(page.locator("pre.raw").first).to_be_visible()
        assert_inert(page)
        page.goto("/#/live")
        expect(page.locator(".state.ok")).to_be_visible()
        for text in TEXTS:
            body = {"model": text, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
            httpx.post(
                f"{standing.url}/anthropic/v1/messages",
                json=body,
                headers={"x-api-key": "k", "user-agent": "x<b>"},
                timeout=30,
            )
            expect(page.locator(".stream .step", has_text=readable(text)).first).to_be_visible()
        assert_inert(page)
        asked = {f"sessions?model={TEXTS[1]}": ".sessions tbody a", f"sessions/{TEXTS[1]}": ".failure"}
        for address, sign in (PAGES | asked).items():
            opened.arrive(address, f"main {sign}")
            assert_inert(page)
        assert opened.violations == []
        assert opened.foreign == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_fault_for_who_cannot_see_it(
    browser: Browser, standing: Stage, prepared: Prepared, scheme: str
) -> None:
    asked = {"live": ".hold.is-waiting", "holds": ".hold.is-waiting", f"sessions/{rejected(standing)}": SESSION}
    found: list[str] = []
    with standing.held(), tab(browser, standing.url, color_scheme=scheme) as opened:
        for address, sign in (PAGES | asked).items():
            opened.arrive(address, f"main {sign}")
            found += opened.serious_faults()
        opened.arrive(f"sessions/{prepared.revised}", ".row.r-step")
        opened.page.locator(".row", has_text="Be long").click()
        opened.page.locator("button", has_text="What changed").click()
        expect(opened.page.locator(".changed ins").first).to_be_visible()
        found += opened.serious_faults()
        opened.assert_clean()
    assert found == []


def test_on_a_phone_nothing_is_cut_off_at_the_side(browser: Browser, standing: Stage) -> None:
    with tab(browser, standing.url, viewport=PHONE, is_mobile=True, has_touch=True) as opened:
        for address, sign in (PAGES | {f"sessions/{rejected(standing)}": ".r-step"}).items():
            opened.arrive(address, f"main {sign}")
            opened.assert_not_cut_off()
        opened.assert_clean()


def test_an_entry_is_proven_in_the_browser_and_under_another_key_it_is_not(page: Page, standing: Stage) -> None:
    page.goto("/#/audit")
    page.locator(".entries tbody tr").nth(4).click()
    page.locator("text=Verify here").click()
    expect(page.locator(".proofs .v-on")).to_contain_text("Checked in this browser")
    name, _, rest = page.locator("input[name=vkey]").input_value().partition("+")
    page.locator("input[name=vkey]").fill(f"{name}x+{rest}")
    page.locator("text=Verify here").click()
    expect(page.locator(".proofs .failure")).to_contain_text("Not proven")
    page.locator("text=Verify the whole log").click()
    expect(page.locator(".v-on", has_text="All of it holds")).to_be_visible(timeout=60_000)


def test_costs_and_policies_say_what_happened(page: Page, standing: Stage) -> None:
    page.goto("/#/costs?since=24h")
    failed = standing.api("/api/usage", since="24h")["total"]["failed"]
    expect(page.locator(".tile", has_text="Exchanges").first).to_contain_text(
        f"{failed} without a whole answer" if failed else "all answered"
    )
    expect(page.locator("table")).to_contain_text("claude-3-7-sonnet-20250219")
    page.goto("/#/policies")
    expect(page.locator(".clause", has_text="no-orders-from-data")).to_contain_text("enforced")


def test_a_clause_is_taken_out_of_force_for_a_while_and_put_back(page: Page, standing: Stage) -> None:
    page.goto("/#/policies")
    clause = page.locator(".clause", has_text="no-runaway-loops")
    clause.locator("button").click()
    page.locator("dialog input[name=by]").fill("Ada")
    page.locator("dialog textarea").fill("a long batch today")
    page.locator("dialog .danger").click()
    expect(clause).to_contain_text("by Ada")
    clause.locator("button").click()
    page.locator("dialog input[name=by]").fill("Ada")
    page.locator("dialog textarea").fill("it is over")
    page.locator("dialog .primary").click()
    expect(clause).to_contain_text("enforced")
    kinds = [json.loads(each["entry"]) for each in standing.api("/api/audit/entries", kind="clause.")["entries"]]
    assert [each["mode"] for each in kinds] == ["enforce", "shadow"]


def test_with_workers_steps_and_holds_still_reach_the_page(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with stage(tmp_path_factory.mktemp("workers"), workers=2) as opened, tab(browser, opened.url) as seen:
        seen.page.goto("/#/live")
        expect(seen.page.locator(".state.ok")).to_be_visible()
        waiting = opened.payment()
        expect(seen.page.locator(".stream .step", has_text="read_file").first).to_be_visible()
        seen.page.locator(".hold .approve").click()
        seen.page.locator("dialog input").fill("Ada")
        seen.page.locator("dialog .primary").click()
        assert any(isinstance(each, ToolReturned) and each.tool == "send_money" for each in waiting.ended())
        seen.assert_clean()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, dict[str, str]]]:
    """A gateway with keys: nobody is its owner by sitting there."""
    with stage(tmp_path_factory.mktemp("locked")) as opened:
        opened.run(opened.told[3])
        keys = {
            role: opened.post("/api/keys", {"name": f"a {role}", "role": role, "app": "default"})["secret"]
            for role in ("viewer", "auditor", "operator", "admin")
        }
        yield opened, keys


def sign_in(page: Page, key: str) -> None:
    page.goto("/")
    page.locator("input[name=key]").fill(key)
    page.locator("button", has_text="Sign in").click()
    expect(page.locator("h1", has_text="Live")).to_be_visible()


def test_signing_in_sets_a_cookie_no_script_reads_and_signing_out_ends_it(
    browser: Browser, locked: tuple[Stage, dict[str, str]]
) -> None:
    standing, keys = locked
    with tab(browser, standing.url, refused=True) as opened:
        page = opened.page
        page.goto("/#/sessions")
        page.locator("input[name=key]").fill("swk_wrong")
        page.locator("button", has_text="Sign in").click()
        expect(page.locator(".failure")).to_contain_text("unknown, expired or revoked")
        sign_in(page, keys["viewer"])
        (cookie,) = page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("stepwarden", True, "Strict")
        assert page.evaluate("document.cookie") == ""
        stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        assert keys["viewer"] not in stored
        expect(page.locator("#who")).to_contain_text("a viewer · viewer")
        page.locator("text=Sign out").click()
        expect(page.locator("input[name=key]")).to_be_visible()
        again = httpx.get(f"{standing.url}/api/me", cookies={"stepwarden": cookie["value"]})
        assert again.status_code == 401
        assert opened.violations == []


def test_a_cookie_that_is_over_leads_back_to_signing_in(browser: Browser, locked: tuple[Stage, dict[str, str]]) -> None:
    standing, _ = locked
    made = standing.post("/api/keys", {"name": "for a while", "role": "viewer", "app": "default"})
    with tab(browser, standing.url, refused=True) as opened:
        page = opened.page
        sign_in(page, made["secret"])
        page.goto("/#/sessions")
        expect(page.locator(".sessions tbody a").first).to_be_visible()
        standing.post(f"/api/keys/{made['key']['key_id']}/revoke", {})
        page.locator(".sessions tbody a").first.click()
        expect(page.locator("input[name=key]")).to_be_visible()
        expect(page.locator(".sessionhead, .rendered")).to_have_count(0)
        assert opened.violations == []


def test_auditors_see_what_waits_and_change_nothing(browser: Browser, locked: tuple[Stage, dict[str, str]]) -> None:
    standing, keys = locked
    with tab(browser, standing.url, refused=True) as opened:
        page = opened.page
        sign_in(page, keys["auditor"])
        page.goto("/#/holds")
        expect(page.locator(".empty")).to_contain_text("Nothing waits")
        page.goto(f"/#/sessions/{rejected(standing)}")
        expect(page.locator(".rendered")).to_be_visible()
        expect(page.locator(".stepview").first).to_be_visible()
        for offered in ("End session", "Label…", "Trust…", "Ask the supervisor"):
            assert page.locator(f"text={offered}").count() == 0, offered
        assert page.locator("#pages a", has_text="Tools").count() == 0
        refused = page.evaluate(
            "async () => (await fetch('/api/sessions/x/terminate', {method: 'POST', body: '{}'})).status"
        )
        assert refused == 403
        page.goto("/#/audit")
        expect(page.locator(".entries tbody tr").first).to_contain_text("content.read")
        expect(page.locator(".entries tbody tr").first).to_contain_text("key_")


def test_a_change_without_the_pages_own_word_is_refused(browser: Browser, locked: tuple[Stage, dict[str, str]]) -> None:
    standing, keys = locked
    with tab(browser, standing.url, refused=True) as opened:
        sign_in(opened.page, keys["admin"])
        said = opened.page.evaluate(
            """async () => {
              const json = {'content-type': 'application/json'};
              const post = (headers) => fetch('/api/keys', {method: 'POST', headers: {...json, ...headers},
                body: JSON.stringify({name: 'x', role: 'viewer'})}).then((answer) => answer.status);
              const me = await (await fetch('/api/me')).json();
              return [await post({}), await post({'stepwarden-csrf': 'x'}), await post({'stepwarden-csrf': me.csrf})];
            }"""
        )
        assert said == [403, 403, 201]


def test_the_pages_own_files_are_small_and_come_from_nowhere_else() -> None:
    folder = Path(__file__).parents[2] / "gateway" / "dashboard"
    for file in folder.iterdir():
        text = file.read_text("utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "srcdoc"):
            assert word not in text, (file.name, word)
        foreign = [line for line in text.splitlines() if "://" in line and "www.w3.org" not in line]
        assert foreign == [], file.name
    assert json.dumps(sorted(each.suffix for each in folder.iterdir()))
