"""Makes the pictures of the report in the README, from a report that `dexmatch run` wrote.

    .venv/bin/python tools/screenshots.py runs/dexmatch/artifacts/Report/report/20/report.html

Needs Chromium, as `apt-get install chromium` brings it.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SECTIONS = {"report-slices.png": "slices", "report-examples.png": "examples"}
SIZE = {"width": 1200, "height": 900}
SETTLED = """() => {
  const [page] = document.getElementsByClassName("current");
  const all = (selector, test) => [...page.querySelectorAll(selector)].every(test);
  const drawn = all(".chart", (chart) => chart.querySelector(".main-svg"));
  return drawn && all("img", (img) => img.complete);
}"""
"""Whether all charts of the page are drawn and all its pictures decoded."""


def main() -> None:
    """Writes both pictures."""
    report = Path(sys.argv[1]).resolve()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, section in SECTIONS.items():
            page = browser.new_page(viewport=SIZE)
            page.goto(f"{report.as_uri()}#{section}")
            page.wait_for_selector("html[data-ready]")
            page.wait_for_function(SETTLED)
            page.evaluate("window.scrollTo(0, 0)")
            page.screenshot(path=IMAGES / name)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
