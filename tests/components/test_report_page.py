"""The report in a browser: Debian's chromium, driven by playwright."""

import re

import numpy as np
import pytest
from sklearn import metrics

PAGES = ("verdict", "slices", "curves", "examples", "retrieval", "data", "training", "lineage")
A4_ACROSS_MM = 297 - 2 * 10
pytestmark = pytest.mark.slow


class Opened:
    """A page with all that it said and asked for."""

    def __init__(self, context, path, listen_to):
        self.page = context.new_page()
        self.said, self.asked = listen_to(self.page)
        self.address = path.as_uri()
        self.page.goto(self.address)
        self.page.wait_for_selector("html[data-ready]")

    def show(self, name):
        self.page.evaluate(f"location.hash = {name!r}")
        self.page.wait_for_selector(f"#{name}.current")

    def requests(self):
        own = (self.address, "data:", "blob:")
        return [url for url in self.asked if not url.startswith(own)]


@pytest.fixture
def opened(browser, report_file, listen_to):
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_offline(True)
        yield Opened(context, report_file, listen_to)


@pytest.fixture
def page(opened):
    return opened.page


def labels_and_scores(gathered, row=0):
    pairs = gathered.curves.pairs
    inside = pairs.members(gathered.slices.parts[row])
    return pairs.labels[inside], pairs.scores[inside].astype(np.float64)


def row_named(gathered, name):
    return [row.name for row in gathered.slices.rows].index(name)


def visible_names(page):
    return page.locator("#slice-table tbody tr:visible .link").all_text_contents()


def test_every_page_opens_without_an_error_or_a_request(opened):
    for name in PAGES:
        opened.show(name)
        for chart in opened.page.locator(f"#{name} .chart").all():
            chart.locator(".main-svg").first.wait_for()
    assert opened.said == []
    assert opened.requests() == []


def test_text_that_means_harm_does_nothing_and_can_be_read(opened, review):
    for name in PAGES:
        opened.show(name)
    page = opened.page
    for at in range(3):
        opened.show("examples")
        page.locator("#example-lists button").nth(at).click()
    assert opened.said == []
    assert page.evaluate("window.evil") is None
    # The data, Plotly twice (kept, and loaded), the page's own.
    assert page.evaluate("document.scripts.length") == 9
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("h1").text_content() == f"my {review.EVIL}"
    shown = page.evaluate("examplesData().shown.map((each) => each.caption)")
    assert set(review.CAPTIONS) <= set(shown)
    names = visible_names_of(opened)
    assert {f"color:{review.EVIL}", f"{review.COLUMN}:tail"} <= set(names)
    opened.show("data")
    assert "Data set set." in page.locator("#data").inner_text()
    assert page.locator("#data tbody th", has_text=review.COLUMN).count() == 2
    opened.show("lineage")
    assert page.locator("#lineage td", has_text=review.EVIL).count() == 1


def visible_names_of(opened):
    opened.show("slices")
    return visible_names(opened.page)


def test_an_example_shows_caption_score_and_where_the_caption_is_from(opened, gathered):
    opened.show("examples")
    first = opened.page.locator("#example-cards li").first
    example = gathered.examples.foremost("mistakes", 1)[0]
    assert first.locator(".caption").text_content() == example.caption
    assert f"{100 * example.score:.1f} %" in first.text_content()
    assert example.picture_id in first.locator("small").text_content()
    if example.caption_id:
        assert f"caption of {example.caption_id}" in first.locator("small").text_content()


def test_examples_are_filtered_by_slice(opened, gathered):
    opened.show("examples")
    row = row_named(gathered, "color:red")
    opened.page.locator("#examples .slice-choice").select_option(str(row))
    for at in range(3):
        opened.page.locator("#example-lists button").nth(at).click()
        captions = opened.page.locator("#example-cards .caption").all_text_contents()
        pairs = gathered.curves.pairs
        inside = pairs.members([("color", "red")])
        known = {pairs.captions[pairs.caption[each]] for each in np.flatnonzero(inside)}
        assert 0 < len(captions) <= 6
        assert set(captions) <= known


def test_what_a_search_finds_is_shown_with_scores_and_the_right_ones_marked(opened, gathered):
    opened.show("retrieval")
    queries = opened.page.locator("#retrieval .query").all()
    searches = (*gathered.searches.by_caption, *gathered.searches.by_picture)
    for query, search in zip(queries, searches, strict=True):
        hits = query.locator("li").all()
        for shown, hit in zip(hits, search.hits, strict=True):
            assert f"{100 * hit.score:.1f} %" in shown.inner_text()
            assert (shown.locator("[aria-label=right]").count() == 1) == hit.is_right
    assert sum(hit.is_right for search in searches for hit in search.hits) > 0


def test_figures_in_the_table_are_those_of_tfmas_files(opened, review_sources):
    opened.show("slices")
    heads = opened.page.locator("#slice-table thead button").all_text_contents()
    names = [head.replace(" ", "_") for head in heads[2:]]
    assert {"auc", "accuracy", "precision", "recall", "ece"} <= set(names)
    rows = opened.page.locator("#slice-table tbody tr")
    assert rows.count() == len(review_sources.evaluation.slices)
    for row in rows.all():
        figures = review_sources.evaluation.slice(row.locator(".link").text_content())
        cells = [cell.inner_text().split() for cell in row.locator("td").all()]
        assert cells[0] == [f"{figures.examples:,}"]
        for name, cell in zip(names, cells[1:], strict=True):
            value = figures.figures.get(name)
            assert cell[0].rstrip("✗✓") == ("–" if value is None else f"{value:.3f}")


def test_a_missed_threshold_is_marked_and_can_be_filtered_for(opened):
    opened.show("slices")
    opened.page.locator("#slice-missed").check()
    assert visible_names(opened.page) == ["color:red"]
    (mark,) = opened.page.locator("#slice-table tbody tr:visible .bad").all()
    assert mark.get_attribute("title") == "misses: at least 0.999"


def test_a_threshold_that_holds_is_marked(opened):
    opened.show("slices")
    first = opened.page.locator("#slice-table tbody tr").first
    assert first.locator(".good").get_attribute("title") == "holds: at least 0"


@pytest.mark.parametrize("metric", ["auc", "accuracy"])
def test_slices_are_sorted_by_a_figure_and_back(opened, review_sources, metric):
    opened.show("slices")
    button = opened.page.locator("#slice-table thead button", has_text=re.compile(f"^{metric}$"))

    def sorted_values():
        found = map(review_sources.evaluation.slice, visible_names(opened.page))
        return [each.figures.get(metric) for each in found]

    for direction, backwards in (("ascending", False), ("descending", True)):
        button.click()
        assert button.locator("xpath=..").get_attribute("aria-sort") == direction
        values = sorted_values()
        known = [value for value in values if value is not None]
        assert len(set(known)) > 2
        assert known == sorted(known, reverse=backwards)
        assert values[: len(known)] == known, "what has no value comes last"


def test_slices_are_searched_and_filtered(opened, review_sources):
    opened.show("slices")
    page = opened.page
    everything = [each.name for each in review_sources.evaluation.slices]
    page.locator("#slice-search").fill("COLOR:R")
    assert visible_names(page) == [name for name in everything if "color:r" in name]
    page.locator("#slice-search").fill("")
    page.locator("#slice-column").select_option("stage")
    assert visible_names(page) == ["stage:0", "stage:1", "stage:2"]
    page.locator("#slice-column").select_option("")
    page.locator("#slice-pairs").fill("60")
    large = [each.name for each in review_sources.evaluation.slices if each.examples >= 60]
    assert visible_names(page) == large
    assert page.locator("#slice-count").text_content() == (
        f"{len(large)} of {len(everything)} slices"
    )


def test_a_click_on_a_slice_opens_its_curves(opened, gathered):
    opened.show("slices")
    opened.page.locator("#slice-table .link", has_text="color:red").first.click()
    opened.page.wait_for_selector("#curves.current")
    labels, scores = labels_and_scores(gathered, row_named(gathered, "color:red"))
    assert opened.page.locator("#curve-count").text_content() == f"{len(labels)} pairs"
    legend = opened.page.locator("[data-chart=roc] .legendtext").first.text_content()
    assert legend == f"AUC {metrics.roc_auc_score(labels, scores):.3f}"


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.4, 0.5, 0.505, 0.6, 1.0])
def test_the_sliders_numbers_are_scikit_learns(opened, gathered, threshold):
    opened.show("curves")
    page = opened.page
    labels, scores = labels_and_scores(gathered)
    page.locator("#threshold").fill(str(threshold))
    said = scores >= threshold
    tn, fp, fn, tp = metrics.confusion_matrix(labels, said, labels=[0, 1]).ravel()
    for name, count in {"tn": tn, "fp": fp, "fn": fn, "tp": tp}.items():
        assert page.locator(f"#{name}").text_content() == f"{count:,}"
    for name, figure in {
        "precision": metrics.precision_score(labels, said) if said.any() else None,
        "recall": metrics.recall_score(labels, said),
        "f1": metrics.f1_score(labels, said),
        "accuracy": metrics.accuracy_score(labels, said),
    }.items():
        shown = "–" if figure is None else f"{figure:.4f}"
        assert page.locator(f"#at-{name}").text_content() == shown, name


def test_the_slider_moves_the_numbers_without_a_mouse(opened, gathered):
    opened.show("curves")
    before = opened.page.locator("#threshold-value").text_content()
    opened.page.locator("#threshold").press("ArrowRight")
    assert before == "0.500"
    assert opened.page.locator("#threshold-value").text_content() == "0.501"


def test_curves_are_scikit_learns_on_every_slice(page, gathered):
    compared = 0
    for row, parts in enumerate(gathered.slices.parts):
        labels, scores = labels_and_scores(gathered, row)
        rows = f"members(pairsData(), pairsData().slices[{row}].parts)"
        assert page.evaluate(f"{rows}.length") == len(labels), parts
        if len(set(labels)) < 2:
            continue
        compared += 1
        roc = page.evaluate(f"rocCurve(pairsData(), {rows})")
        fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
        np.testing.assert_allclose([roc["x"], roc["y"]], [fpr, tpr])
        assert roc["auc"] == pytest.approx(metrics.roc_auc_score(labels, scores))
        found = page.evaluate(f"precisionRecallCurve(pairsData(), {rows})")
        precision, recall, _ = metrics.precision_recall_curve(labels, scores)
        np.testing.assert_allclose(found["precision"], precision[-2::-1])
        np.testing.assert_allclose(found["recall"], recall[-2::-1])
        average = metrics.average_precision_score(labels, scores)
        assert found["average"] == pytest.approx(average)
    assert compared > 5


def test_calibration_error_and_accuracy_are_tfmas_on_every_slice(page, gathered, review_sources):
    for row, each in enumerate(gathered.slices.rows):
        figures = review_sources.evaluation.slice(each.name).figures
        rows = f"members(pairsData(), pairsData().slices[{row}].parts)"
        ece = page.evaluate(f"reliability(pairsData(), {rows}, 15).ece")
        assert ece == pytest.approx(figures["ece"], abs=1e-5)
        at = page.evaluate(f"confusionAt(pairsData(), {rows}, 0.5).accuracy")
        assert at == pytest.approx(figures["accuracy"], abs=1e-5)


def test_two_columns_are_crossed(opened):
    opened.show("slices")
    opened.page.locator("[data-chart=cross] .main-svg").first.wait_for()
    opened.page.locator("#cross-metric").select_option("count")
    cells = opened.page.evaluate("document.querySelector('[data-chart=cross]').data[0].z")
    assert sum(count or 0 for line in cells for count in line) == 120


def test_a_cross_is_coloured_by_its_distance_from_all_pairs(opened, gathered):
    opened.show("slices")
    for control, column in (("rows", "color"), ("columns", "stage")):
        opened.page.locator(f"#cross-{control}").select_option(column)
    pairs = gathered.curves.pairs
    overall = metrics.roc_auc_score(*labels_and_scores(gathered))
    drawn = opened.page.evaluate(
        "(({x, y, z, text}) => ({x, y, z, text}))("
        "document.querySelector('[data-chart=cross]').data[0])"
    )
    row, column = drawn["y"].index("red"), drawn["x"].index("1")
    inside = pairs.members([("color", "red"), ("stage", "1")])
    auc = metrics.roc_auc_score(pairs.labels[inside], pairs.scores[inside].astype(np.float64))
    assert drawn["text"][row][column] == f"{auc:.2f}"
    assert drawn["z"][row][column] == pytest.approx(auc - overall)


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_theme_is_the_systems_until_it_is_switched(
    browser, report_file, listen_to, scheme, dark
):
    with browser.new_context(color_scheme=scheme) as context:
        page = Opened(context, report_file, listen_to).page

        def during(event):
            page.evaluate(f"window.dispatchEvent(new Event('{event}'))")
            return is_dark()

        def is_dark():
            colours = re.findall(
                r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")
            )
            return sum(map(int, colours[:3])) < 200

        assert is_dark() is dark
        assert (during("beforeprint"), during("afterprint")) == (False, dark), "paper is white"
        page.locator("#theme").click()
        assert is_dark() is not dark
        assert (during("beforeprint"), during("afterprint")) == (False, not dark)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_every_page_without_scrolling_sideways(
    browser, report_file, listen_to, tmp_path, scheme
):
    size = {"width": 360, "height": 800}
    with browser.new_context(viewport=size, color_scheme=scheme) as context:
        opened = Opened(context, report_file, listen_to)
        for name in PAGES:
            opened.show(name)
            widths = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert widths[0] <= widths[1], name
            shot = opened.page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert len(shot) > 5_000
        assert opened.said == []


def test_a_print_holds_every_page_in_its_whole_width(opened):
    page = opened.page
    opened.show("curves")
    page.locator("[data-chart=histogram] .main-svg").first.wait_for()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for name in PAGES:
        assert page.locator(f"#{name}").is_visible()
    drawn = page.locator(".chart .main-svg").count()
    assert drawn >= page.locator(".chart").count()
    position = "[...document.querySelectorAll('th')].map((each) => getComputedStyle(each).position)"
    assert set(page.evaluate(position)) == {"static"}, "what sticks would cover rows"
    left = page.locator("main").bounding_box()["x"]
    across = A4_ACROSS_MM / 25.4 * 96 + left
    for each in page.locator("table:visible, .main-svg, .cards, .query").all():
        box = each.bounding_box()
        assert box is None or box["x"] + box["width"] <= across, each
    assert page.pdf().startswith(b"%PDF")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".page:visible").count() == len(PAGES), "print media shows them all"
    page.emulate_media(media="screen")
    assert page.locator(".page:visible").count() == 1
