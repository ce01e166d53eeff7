"""How soon pages of the dashboard are there, in a real browser: `python -m tests.e2e.pace [--rounds N]`.

First paint is what the browser itself says of a fresh profile that opens `/`. A session of 10,000 steps is open once
the text of its first steps is painted in the tree, by a clock inside the page: what comes after, as the rest of the
turns, keeps an outside one waiting. Both depend on what else the machine does, which is printed, too.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.e2e.browser import READ, running_browser, tab
from tests.e2e.dashboard_stage import fill, long_session, stage

STEPS = 10_000
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_NOTE_READ = f"""
new MutationObserver((_, observer) => {{
  if (!document.querySelector({json.dumps(READ)})) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => {{ document.documentElement.dataset.readAt = performance.now(); }}));
}}).observe(document, {{ childList: true, subtree: true }});
"""
"""Notes when such a text has been painted: after the frame that first shows one."""


def first_paint(browser: Browser, url: str) -> float:
    """Milliseconds from the start of the navigation to the first content on the screen."""
    with tab(browser, url) as opened:
        opened.page.goto("/")
        opened.page.wait_for_selector(".state.ok")
        return opened.page.evaluate(_PAINT)


def session_opens(browser: Browser, url: str, session: str) -> float:
    """Milliseconds from the start of the navigation to the first text of a session, in a fresh profile."""
    with tab(browser, url) as opened:
        opened.page.add_init_script(_NOTE_READ)
        opened.page.goto(f"/#/sessions/{session}")
        return float(opened.page.locator("html[data-read-at]").get_attribute("data-read-at") or "nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    session, recordings = long_session(STEPS)
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name), recordings)
        with stage(Path(name)) as standing, running_browser() as browser:
            paints = [first_paint(browser, standing.url) for _ in range(given.rounds)]
            opens = [session_opens(browser, standing.url, session) for _ in range(given.rounds)]
    found = {
        name: {"median": round(statistics.median(values)), "worst": round(max(values)), "best": round(min(values))}
        for name, values in (("first_paint_ms", paints), ("session_of_10000_steps_ms", opens))
    }
    print(json.dumps({**found, "load_average": os.getloadavg()[0]}, indent=2))


if __name__ == "__main__":
    main()
