"""A real browser: headless Chromium as the system has it, kept from calling home, and an eye on what goes wrong."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.environments.install import environment

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
TALL = {"width": 1440, "height": 4000}
"""Holds every row of a list that else draws only what is in sight."""

READ = ".r-step .what span:not(.dim)"
"""The beginning of a step's text in the tree of a session."""

_LISTENING = """
document.addEventListener("securitypolicyviolation", (event) =>
  violated(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""

_AXE = "axe.run(document, {resultTypes: ['violations']})"


class NoBrowser(Exception):
    """There is no Chromium on this machine."""


@dataclass
class Tab:
    """One page, and everything it complained of."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """Exceptions, errors on the console, dialogs: anything a clean page has none of."""
    foreign: list[str] = field(default_factory=list)
    """Addresses elsewhere that were asked for."""
    violations: list[str] = field(default_factory=list)
    """What the Content-Security-Policy had to stop, on every page that was loaded here."""

    def arrive(self, address: str, sign: str = "main h1") -> None:
        """Load a page anew until `sign` is there, so that nothing which the page before left can pass for it."""
        self.page.goto("about:blank")
        self.page.goto(f"/#/{address}")
        expect(self.page.locator(sign).first).to_be_visible()

    def serious_faults(self) -> list[str]:
        """What axe finds here that is serious for who cannot see the page."""
        self.page.evaluate((environment("node") / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8"))
        return [
            f"{self.page.url}: {each['id']} ({each['impact']}): {node['html'][:160]} {node['failureSummary'][:300]}"
            for each in self.page.evaluate(_AXE)["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def violated(self, said: str) -> None:
        self.violations.append(said)

    def assert_not_cut_off(self) -> None:
        wide, screen = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= screen, self.page.url

    def assert_clean(self) -> None:
        assert self.errors == []
        assert self.foreign == []
        assert self.violations == []


@contextmanager
def running_browser() -> Iterator[Browser]:
    found = os.environ.get("STEPWARDEN_TEST_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise NoBrowser("install chromium, as .ci/run does, or name one in STEPWARDEN_TEST_BROWSER")
    expect.set_options(timeout=30_000)  # what is seen late is seen, and the machine is busy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, url: str, *, refused: bool = False, **options: object) -> Iterator[Tab]:
    """A fresh profile with one page in it; `refused`: the console may tell of refusals, for they are what is tested."""
    context: BrowserContext = browser.new_context(
        base_url=url, **{"viewport": DESKTOP, "reduced_motion": "reduce", **options}
    )  # type: ignore[arg-type]
    try:
        context.add_init_script(_LISTENING)
        page = context.new_page()
        page.set_default_timeout(30_000)
        made = Tab(page)
        page.expose_function("violated", made.violated)
        page.on("pageerror", lambda error: made.errors.append(f"exception: {error}"))
        page.on("dialog", lambda dialog: (made.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "console",
            lambda said: (
                made.errors.append(said.text)
                if said.type == "error" and not (refused and "Failed to load resource" in said.text)
                else None
            ),
        )
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((url, "data:", "blob:")) else made.foreign.append(asked.url),
        )
        yield made
    finally:
        context.close()
