"""The page in a browser, on a real server: Debian's chromium, driven by playwright."""

import re

import pytest

from serving.client import Retries, Settings, open_model

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)  # On a busy machine.

pytestmark = pytest.mark.slow

BIRD = "a red bird"
MARKUP = "a <img src=x onerror=alert(1)> fish"
FAILED_LOAD = "Failed to load resource: the server responded with a status of"


@pytest.fixture(scope="module")
def client(serving):
    with open_model(serving.rest_url, settings=Settings(retries=Retries(attempts=1))) as opened:
        yield opened


@pytest.fixture
def started(open_app, client):
    app = open_app(client)
    app.folder._thread.join()
    return app


class Opened:
    """A page with all that it said and asked for."""

    def __init__(self, context, url, listen_to):
        self.page = context.new_page()
        self.said, self.asked = listen_to(self.page)
        self.page.goto(url)
        self.page.wait_for_selector("html[data-ready]")

    def ask(self, caption):
        self.page.fill("#caption", caption)
        self.page.press("#caption", "Enter")


@pytest.fixture
def opened(browser, started, listen_to):
    with browser.new_context(viewport={"width": 360, "height": 740}) as context:
        opened = Opened(context, started.url, listen_to)
        yield opened
        assert [each for each in opened.said if not each.startswith(FAILED_LOAD)] == []
        assert [url for url in opened.asked if not url.startswith(started.url)] == []


@pytest.fixture
def page(opened):
    return opened.page


@pytest.fixture
def asked(page, album):
    """The page with a picture."""
    page.set_input_files("#file", album / "rgb.png")
    expect(page.locator("#asked")).to_be_visible()
    return page


def card(page, text):
    return page.locator(".card", has_text=text)


def test_what_is_typed_is_judged_at_once_with_all_that_carries_it(asked, opened, tiny, pictures):
    (expected,) = tiny.score([pictures["rgb.png"]], [BIRD])
    asked.locator("#caption").press_sequentially(BIRD)
    answer = card(asked, BIRD).locator(".answer")
    expect(answer).to_contain_text(f"{100 * expected:.1f} %")
    points = 100 * abs(expected - 0.5)
    expect(answer).to_contain_text(f"{points:.1f} points")
    expect(asked.locator("#parts rect")).to_have_count(64)
    expect(card(asked, BIRD).locator("mark")).to_have_count(3)
    expect(asked.locator("#about")).to_contain_text("version 1")
    expect(asked.locator("#about")).to_contain_text(re.compile(r"threshold 50 % .* in [0-9.]+ ms"))
    asked.press("#caption", "Enter")
    expect(asked.locator(".card.draft")).to_have_count(0)
    expect(asked.locator("#announced")).to_contain_text(BIRD)


def test_markup_in_a_caption_is_text_and_nothing_is_wider_than_a_phone(asked, opened):
    opened.ask(MARKUP)
    opened.ask("w" * 900)
    expect(card(asked, MARKUP).locator("mark").first).to_be_attached()
    assert card(asked, MARKUP).locator("img").count() == 0
    assert asked.evaluate("document.documentElement.scrollWidth") == 360


def test_a_verdict_is_a_click_and_a_wrong_caption_asks_for_the_right_one(asked, opened, started):
    opened.ask("a blue fish")
    card(asked, "a blue fish").get_by_role("button", name="It does not").click()
    expect(asked.locator("#kept")).to_contain_text("0 pairs to import, and 1 wrong caption whose")
    card(asked, "a blue fish").get_by_role("textbox").fill(BIRD)
    asked.keyboard.press("Enter")
    expect(asked.locator("#kept")).to_contain_text("1 pair to import")
    kept = started.kept.count()
    assert (kept.pairs, kept.waiting) == (1, 0)
    card(asked, BIRD).get_by_role("button", name="It does", exact=True).click()
    expect(asked.locator("#kept")).to_contain_text("0 pairs to import, and 1 wrong caption whose")


def test_all_of_it_goes_by_keyboard(asked, opened):
    opened.ask(BIRD)
    expect(card(asked, BIRD).get_by_role("group", name="Your verdict")).to_be_visible()
    expect(asked.locator("#parts rect")).to_have_count(64)
    for name in ("Add", f"Remove “{BIRD}”", BIRD, "It does"):
        asked.keyboard.press("Tab")
        expect(asked.get_by_role("button", name=name, exact=True)).to_be_focused()
    asked.keyboard.press("Space")
    pressed = asked.get_by_role("button", name="It does", exact=True)
    expect(pressed).to_have_attribute("aria-pressed", "true")
    expect(pressed).to_be_focused()


def test_the_folder_is_searched_and_a_picture_of_it_judged(page, started):
    page.get_by_role("link", name="Search the folder").click()
    page.fill("#query", BIRD)
    expect(page.locator("#hits li")).to_have_count(13)
    page.locator("#hits button").first.click()
    expect(page.locator("#details-tags li")).to_have_count(2)
    page.get_by_role("button", name="Pictures alike").last.click()
    expect(page.locator("#hits .value").first).to_have_text("1.000")
    page.locator("#hits button").first.click()
    page.locator("#details-tags button").first.click()
    expect(page.locator("#asked")).to_be_visible()
    expect(page.locator(".card .answer")).to_contain_text("points")


DROP = """([name, type, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name, { type }));
  const event = name.startsWith("pasted")
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
    : new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
  document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("name", ["dropped.png", "pasted.png"])
def test_a_broken_picture_is_one_line_however_it_comes(page, name):
    page.evaluate(DROP, [name, "image/png", "<b>no picture</b>"])
    expect(page.locator("#problem")).to_have_text(
        "the picture cannot be read: no picture format that dexmatch reads"
    )
    expect(page.locator("#asked")).to_be_hidden()


def test_a_server_that_goes_away_is_one_line_until_it_is_back(asked, opened, client, monkeypatch):
    opened.ask(BIRD)
    expect(asked.locator("#parts rect")).to_have_count(64)
    # The page tries again every 5 s.
    asked.clock.install()
    with monkeypatch.context() as patch:
        patch.setattr(client, "_path", "/v1/models/none")
        opened.ask("a blue fish")
        asked.clock.run_for(1000)
        expect(asked.locator("#problem")).to_be_visible()
        assert "\n" not in asked.locator("#problem").inner_text()
    expect(card(asked, "a blue fish").locator(".answer")).to_contain_text("…")
    asked.clock.run_for(10_000)
    expect(card(asked, "a blue fish").locator(".answer")).to_contain_text("points")
    expect(asked.locator("#problem")).to_be_hidden()
