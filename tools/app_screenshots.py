"""Makes the pictures of the app in the README, from a running `dexmatch app --images FOLDER`.

    .venv/bin/python tools/app_screenshots.py http://127.0.0.1:8601 FOLDER/0904.png

Needs Chromium, as `apt-get install chromium` brings it.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
CAPTIONS = (
    "It has a flame on its head: a pink serpent with a light patch on its front by moonlight.",
    "a pink serpent with a crown on its head",
)
QUERY = "a purple beast on four paws in a meadow"
JUDGE, SEARCH = {"width": 1060, "height": 620}, {"width": 390, "height": 620}
COLOURS = 256


def main() -> None:
    """Writes both pictures."""
    url, picture = sys.argv[1:]
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=JUDGE, color_scheme="light")
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        page.set_input_files("#file", picture)
        for caption in reversed(CAPTIONS):
            page.fill("#caption", caption)
            page.press("#caption", "Enter")
        expect(page.locator("#parts-state")).to_contain_text("strongest", timeout=60_000)
        for card in page.locator(".card").all():
            card.locator("mark").first.wait_for(timeout=60_000)
        _write(page, "app-judge.png")
        page = browser.new_page(viewport=SEARCH, color_scheme="dark")
        page.goto(f"{url}/#search")
        page.wait_for_selector("html[data-ready]")
        page.fill("#query", QUERY)
        page.locator("#hits li").nth(8).wait_for(timeout=60_000)
        page.locator("h1").click()  # Away from the field.
        page.wait_for_load_state("networkidle")
        _write(page, "app-search.png")
        browser.close()


def _write(page: Page, name: str) -> None:
    """The page as a PNG of few colours, which is small."""
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    taken.quantize(COLOURS).save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    main()
