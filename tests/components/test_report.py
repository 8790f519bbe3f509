"""What the report gathers, and the component and command that write it."""

import base64
import csv
import dataclasses
import json
import math
import re
import webbrowser
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from components.report import executor
from components.report.artifacts import Report
from core import features
from core.errors import DexmatchError
from pages import LIBRARIES, REPORT, occlusion, sources
from pages.pictures import open_picture
from pages.report import (
    curves,
    drift,
    examples,
    graph,
    inline_data,
    lineage,
    page,
    slices,
    statistics,
    verdict,
    words,
)
from pages.report.pairs import Pairs, read_scored_pairs
from pipeline.cli import app
from results import split_statistics
from results.evaluation import Evaluation, SliceFigures
from results.metadata import Execution, Metadata, Output, Run
from results.thresholds import HOLDS, MISSED, NOT_JUDGED

pytestmark = pytest.mark.slow


def figures(name="overall", baseline=None, intervals=None, **values):
    parts = tuple(tuple(part.split(":")) for part in name.split(" × ")) if ":" in name else ()
    return SliceFigures(
        name, {"example_count": 90, **values}, intervals or {}, baseline or {}, parts=parts
    )


def scored(scores, labels, columns=None, captions=None):
    """Pairs of which only scores, labels and columns matter."""
    count = len(scores)
    return Pairs(
        files=[],
        ids=[f"id {at}" for at in range(count)],
        caption_ids=[""] * count,
        kinds=[features.MATCHED if label else features.HARD for label in labels],
        labels=np.array(labels, np.uint8),
        scores=np.array(scores, np.float32),
        picture=np.arange(count),
        caption=np.arange(count),
        pictures=[f"{at:016}" for at in range(count)],
        captions=captions or [f"caption {at}" for at in range(count)],
        picture_embeddings=np.zeros((count, 1), np.float32),
        caption_embeddings=np.zeros((count, 1), np.float32),
        columns=columns or {},
        of_pairs=count,
    )


# Pairs


def test_pairs_are_scored_as_the_model_serves_them(gathered, review, tiny_models):
    pairs = gathered.curves.pairs
    signature = tf.saved_model.load(str(tiny_models.first / "1")).signatures["serve_examples"]
    records = list(review.pairs("test"))
    served = signature(examples=tf.constant(records))["probability"].numpy()
    by_pair = {}
    for record, probability in zip(records, served, strict=True):
        feature = tf.train.Example.FromString(record).features.feature
        names = (features.ID, features.PAIR_KIND, features.CAPTION)
        key = tuple(feature[name].bytes_list.value[0].decode() for name in names)
        by_pair[key] = probability
    assert len(by_pair) == len(pairs.ids) == 120
    captions = [pairs.captions[at] for at in pairs.caption]
    keys = list(zip(pairs.ids, pairs.kinds, captions, strict=True))
    assert keys == sorted(keys)
    np.testing.assert_allclose(pairs.scores, [by_pair[key] for key in keys], atol=1e-6)
    # The picture that cannot be decoded.
    assert list(pairs.scores[np.array(pairs.ids) == review.pair_id(3)]) == [0, 0, 0]


def test_of_a_large_split_some_pictures_are_scored_with_all_their_captions(
    gathered, review_sources
):
    everything = gathered.curves.pairs
    assert everything.of_pairs == len(everything.ids) == 120
    folder = review_sources.split_uris(sources.EXAMPLES)[features.TEST]
    width = 3

    def embeddings(contents):
        return np.zeros((len(list(contents)), width), np.float32)

    scorer = SimpleNamespace(
        images=embeddings, captions=embeddings, pairs=lambda images, _: np.zeros(len(images))
    )
    some = read_scored_pairs(folder, scorer, [], most=50)
    assert some.of_pairs == 120
    assert 40 <= len(some.ids) <= 50
    captions = Counter(everything.ids)
    assert Counter(some.ids) == {pair_id: captions[pair_id] for pair_id in some.ids}
    drawn = dataclasses.replace(gathered, curves=dataclasses.replace(gathered.curves, pairs=some))
    assert "drawn from the 120 of the test split" in " ".join(page.render_report(drawn).split())
    assert "drawn from the" not in page.render_report(gathered)


def test_slices_hold_as_many_pairs_as_tfma_counts(gathered, review_sources):
    pairs = gathered.curves.pairs
    for each in review_sources.evaluation.slices:
        assert pairs.members(each.parts).sum() == each.examples, each.name
    assert any(len(each.parts) == 2 for each in review_sources.evaluation.slices)


def test_scores_come_back_from_the_page_as_they_went_in(gathered):
    payload = gathered.curves.payload()
    decoded = np.frombuffer(base64.b64decode(payload["scores"]), "<f4")
    np.testing.assert_array_equal(decoded, gathered.curves.pairs.scores)


def test_ten_thousand_pairs_take_less_than_half_a_megabyte():
    random = np.random.default_rng(7)
    columns = {
        name: [(str(value),) for value in random.integers(0, 20, 10_000)] for name in "abcdef"
    }
    pairs = scored(random.random(10_000), random.integers(0, 2, 10_000), columns)
    table = slices.gather(Evaluation((figures(),), ()), (), 50, None, "")
    payload = curves.Curves(pairs, table, 0.5).payload()
    assert len(inline_data.as_json(payload)) < 500_000


# Verdict


def test_the_verdict_of_a_run(gathered, review):
    found = gathered.verdict
    assert (found.is_blessed, found.is_infra_blessed, found.version) == (False, True, "")
    states = [each.state for each in found.bounds]
    assert states[:2] == [MISSED, HOLDS]
    assert set(states[2:]) == {NOT_JUDGED}
    assert len(found.failures) == 1 and "accuracy on color:red" in found.failures[0]


def changes_of(review_sources, own, other=None):
    of = dataclasses.replace(review_sources)
    of.__dict__["evaluation"] = Evaluation((own,), ())
    return verdict.gather(of, other, "the baseline").changes


def test_a_change_from_the_evaluators_baseline_has_tfmas_interval(review_sources):
    own = figures(
        auc=0.75, recall=0.5, ece=0.25, baseline={"auc": 0.5, "recall": 0.5, "ece": 0.125}
    )
    own = dataclasses.replace(own, changes={"auc": (0.125, 0.375), "ece": (-0.125, 0.375)})
    told = [
        (each.metric, each.baseline, each.change_interval, each.is_better, each.is_clear)
        for each in changes_of(review_sources, own)
    ]
    assert told == [
        ("auc", 0.5, (0.125, 0.375), True, True),
        ("recall", 0.5, None, None, None),
        ("ece", 0.125, (-0.125, 0.375), False, False),
    ]


@pytest.mark.parametrize(("baseline", "is_clear"), [(0.5, True), (0.70, False)])
def test_a_change_from_another_run_has_the_interval_of_both(review_sources, baseline, is_clear):
    own = figures(auc=0.75, intervals={"auc": (0.6875, 0.8125)}, baseline={"auc": 0.125})
    theirs = figures(auc=baseline, intervals={"auc": (baseline - 0.0625, baseline + 0.0625)})
    (change,) = changes_of(review_sources, own, Evaluation((theirs,), ()))
    half = math.hypot(0.0625, 0.0625)
    difference = 0.75 - baseline
    assert change.change_interval == pytest.approx((difference - half, difference + half))
    assert (change.baseline, change.is_better, change.is_clear) == (baseline, True, is_clear)


@pytest.mark.parametrize(
    ("is_blessed", "is_infra_blessed", "said"),
    [
        (True, True, "1 checks passed"),
        (True, False, "Cannot be served"),
        (False, False, "Not tried on a model server"),
    ],
)
def test_a_model_that_was_refused_is_not_said_to_be_unservable(
    gathered, is_blessed, is_infra_blessed, said
):
    told = {"is_blessed": is_blessed, "is_infra_blessed": is_infra_blessed}
    html = page.render_report(
        dataclasses.replace(gathered, verdict=dataclasses.replace(gathered.verdict, **told))
    )
    answers = ("1 checks passed", "Cannot be served", "Not tried on a model server")
    assert [each for each in answers if each in html] == [said]


# Slices


def test_distance_from_overall_has_a_sign_for_better_and_worse():
    assert slices.distance("auc", 0.875, 0.75) == 0.5
    assert slices.distance("ece", 0.875, 0.75) == -0.5
    assert slices.distance("auc", 0.0, 1.0) == -1
    assert slices.distance("mean_prediction", 0.0, 1.0) == 0


def test_columns_can_be_crossed_and_those_of_every_data_set_come_last():
    names = ("overall", "against:hard", "against:hard × color:red", "image_size:1-64", "shape:ball")
    found = slices.gather(Evaluation(tuple(map(figures, names)), ()), (), 50, None, "")
    assert found.single_columns == ["color", "shape", "against", "image_size"]


def row_of(gathered, own, other=None):
    table = slices.gather(Evaluation((own,), ()), (), 50, other, "before")
    html = page.render_report(dataclasses.replace(gathered, slices=table))
    return html[html.index('<tr data-index="0"') :].partition("</tr>")[0]


def test_intervals_and_another_runs_figures_stand_in_the_table(gathered):
    own = figures(auc=0.75, intervals={"auc": (0.625, 0.875)}, baseline={"auc": 0.5})
    for other, shown in ((None, "0.500"), (Evaluation((figures(auc=0.25),), ()), "0.250")):
        row = row_of(gathered, own, other)
        assert "<small>0.625–0.875</small>" in row
        assert f'<small class="baseline">{shown}</small>' in row


@pytest.mark.parametrize(
    ("change", "mark"), [((0.1, 0.4), "▲"), ((-0.1, 0.6), None), ((-0.4, -0.1), "▼")]
)
def test_a_change_of_a_slice_is_marked_if_it_is_more_than_chance(gathered, change, mark):
    baseline = 0.5 - sum(change) / 2
    own = dataclasses.replace(figures(auc=0.5, baseline={"auc": baseline}), changes={"auc": change})
    row = row_of(gathered, own)
    assert [each for each in "▲▼" if each in row] == ([mark] if mark else [])


# Examples


def test_examples_are_mistakes_the_least_sure_and_the_best():
    pairs = scored(
        [0.9, 0.1, 0.6, 0.45, 0.05, 0.95, 0.0],
        [1, 1, 0, 0, 0, 0, 1],
        {"color": [("red",), ("red",), ("blue",), ("red",), ("blue",), ("red",), ("red",)]},
    )
    found = examples.choose_examples(pairs, [(), (("color", "blue"),)], 0.5)

    def positions(slice_, name):
        return [found.shown[at].position for at in found.of_slices[slice_][name]]

    assert positions(0, examples.MISTAKES) == [5, 1, 2]
    assert positions(0, examples.BEST) == [4, 0, 3]
    assert positions(0, examples.LEAST_SURE)[:2] == [3, 2]
    assert 6 not in positions(0, examples.LEAST_SURE), "it was not judged"
    assert positions(1, examples.MISTAKES) == [2]
    assert positions(1, examples.BEST) == [4]


def test_of_the_best_matches_and_wrong_captions_stand_in_turn():
    pairs = scored([0.9, 0.01, 0.02, 0.03, 0.8], [1, 0, 0, 0, 1])
    found = examples.choose_examples(pairs, [()], 0.5)

    def positions(**which):
        return [each.position for each in found.foremost(examples.BEST, 3, **which)]

    assert positions() == [1, 0, 2]
    assert positions(is_match=True) == [0, 4]
    assert positions(is_match=False) == [1, 2, 3]


def test_many_slices_do_not_make_the_page_large():
    count = 5_000
    columns = {"name": [(str(at // 5),) for at in range(count)]}
    labels = [at % 2 for at in range(count)]
    pairs = scored(np.linspace(0.01, 0.99, count), labels, columns)
    parts = [(), *((("name", str(at)),) for at in range(1000))]
    assert len(examples.choose_examples(pairs, parts, 0.5).shown) == 400


def test_a_part_that_moves_the_score_by_nothing_much_is_faint():
    drops, weights = occlusion._weighed(np.array([0.0, 0.001, -0.025]))
    assert (drops[2], weights) == (-0.025, pytest.approx([0.0, 0.02, -0.5]))
    assert occlusion._weighed(np.array([0.25, -0.5]))[1] == [0.5, -1.0]


def test_parts_that_are_hidden_are_told_with_what_the_score_loses(gathered, tiny_models):
    found = gathered.occlusions[0]
    assert "".join(word.text for word in found.words) == found.example.caption
    signature = tf.saved_model.load(str(tiny_models.first / "1")).signatures["serving_default"]
    content = gathered.curves.pairs.load_pictures([found.example.picture])
    word = next(word for word in found.words if word.weight)
    at = found.words.index(word)
    before, after = (
        "".join(each.text for each in part) for part in (found.words[:at], found.words[at + 1 :])
    )
    said = [
        float(
            signature(
                image=tf.constant([content[found.example.picture]]),
                caption=tf.constant([text.encode()]),
            )["probability"][0]
        )
        for text in (found.example.caption, f"{before} {after}")
    ]
    assert word.drop == pytest.approx(said[0] - said[1], abs=1e-5)
    assert len(found.cells) == 64
    strongest = max(found.cells, key=lambda cell: abs(cell.drop))
    assert strongest.weight == pytest.approx(strongest.drop / max(abs(strongest.drop), 0.05))


# Retrieval


def test_searches_rank_as_scores_do(gathered):
    found = gathered.searches
    assert (found.pictures, len(found.by_caption), len(found.by_picture)) == (40, 8, 8)
    for query in (*found.by_caption, *found.by_picture):
        scores = [hit.score for hit in query.hits]
        assert scores == sorted(scores, reverse=True)
        if query.rank <= len(query.hits):
            assert any(hit.is_right for hit in query.hits)
        assert sum(hit.is_right for hit in query.hits) <= 2


# Data


def test_words_are_counted_with_those_that_the_model_does_not_know(review_sources):
    folder = review_sources.split_uris(sources.EXAMPLES)["test"]
    found = words.count_words(folder, {b"a", b"red", b"blue", b"bird"})
    assert found.captions == 40
    assert sum(found.lengths.values()) == 40
    assert max(found.sides) == 63
    assert found.vocabulary == found.covered == 4
    assert dict(found.most_unknown)["very"] == 2000
    assert found.unknown == found.words - _known(folder, {"a", "red", "blue", "bird"})


def _known(folder, vocabulary):
    """How many words of the true captions are known, counted in plain Python."""
    count = 0
    for record in tf.data.TFRecordDataset([f"{folder}/data_tfrecord-0.gz"], "GZIP"):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        if feature[features.LABEL].int64_list.value[0]:
            text = feature[features.CAPTION].bytes_list.value[0].decode().lower()
            count += sum(word in vocabulary for word in re.findall(r"[^\W_]+", text))
    return count


def test_statistics_stand_side_by_side_with_schema_and_anomalies(gathered, review):
    found = gathered.data.statistics
    assert dict(found.examples) == {"train": 40, "val": 120, "test": 120}
    by_name = {each.name: each for each in found.features}
    assert by_name["color"].by_split["train"].top[0] == statistics.Value("red", 20, 0.5)
    assert by_name["stage"].by_split["test"].numbers[0] == 0
    mean = np.mean([len(review.picture(number)) for number in range(review.MANY)])
    assert by_name["image"].by_split["train"].mean_length == pytest.approx(mean)
    assert "in every example" in by_name["color"].expected
    assert not any(by_name[name].by_split["train"].top for name in ("image", "id", "group"))
    (anomaly,) = found.anomalies
    assert "split val, feature 'color'" in anomaly and review.EVIL in anomaly


def test_drift_is_nothing_between_the_same_and_marked_where_it_is_large(gathered, review_sources):
    of_same = dict(gathered.data.distances)["train, from the previous run"]
    assert of_same["color"].value == 0 and not of_same["color"].is_notable
    assert gathered.data.previous == "2026-01-01T03"
    folders = review_sources.split_uris(sources.STATISTICS)
    now, before = split_statistics.load(folders["train"]), split_statistics.load(folders["train"])
    for feature in now.datasets[0].features:
        if feature.path.step == ["color"]:
            buckets = feature.string_stats.rank_histogram.buckets
            buckets[0].sample_count, buckets[1].sample_count = 10, 20
    found = drift.feature_distances(now, before, review_sources.schema)
    assert found["color"].is_notable
    assert found["color"].value == pytest.approx(0.25)


def test_rejects_of_the_import_are_told(gathered, review, review_sources):
    rejects = gathered.data.rejects
    assert rejects.by_reason == (("image_corrupt", 1),)
    with (review_sources.dataset / "rejects.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert rejects.rows == (tuple(row.values()),)


# Training and lineage


def test_training_has_curves_settings_and_trials(gathered):
    found = gathered.training
    (chart,) = found.charts
    assert {line.split: [p.value for p in line.points] for line in chart.lines} == {
        "train": [0.5, 0.625, 0.75],
        "validation": [0.5, 0.625, 0.75],
    }
    assert found.stages[0].epochs == 3
    assert found.settings["trainer"]["epochs"] == "30"
    assert found.trials.names == ("trainer.hard_negative_share",)
    assert found.trials.rows[0] == ("2", 0.2, ("0.5",))


def test_lineage_tells_what_ran_and_what_differs(gathered, review):
    found = gathered.lineage
    assert [step.state for step in found.steps][:2] == ["cached", "new"]
    assert found.seconds == 0.5 + 12 * 1.5
    assert [(each.name, each.there) for each in found.config] == [
        ("card.owner", json.dumps(review.EVIL)),
        ("trainer.epochs", "99"),
    ]
    assert found.library_changes == (lineage.Difference("tensorflow", tf.__version__, "0.1"),)


def test_a_graph_goes_downwards_and_boxes_do_not_overlap(gathered):
    drawn = gathered.lineage.graph
    titles = [box.title for box in drawn.boxes]
    assert len(titles) == 1 + 2 * 12
    places = [(box.x, box.y) for box in drawn.boxes]
    for at, (x, y) in enumerate(places):
        assert 0 <= x <= drawn.width - graph.WIDTH and 0 <= y <= drawn.height - graph.HEIGHT
        for other_x, other_y in places[:at]:
            assert abs(x - other_x) >= graph.WIDTH or abs(y - other_y) >= graph.HEIGHT
    by_title = dict(zip(titles, (y for _, y in places), strict=True))
    assert by_title["Examples"] < by_title["Model"]


def test_what_an_earlier_run_made_is_drawn_as_such():
    run = Run("one", None, (Execution("Trainer", "new", 1.0, {}, {}, ((7, "base_model"),)),))
    assert [box.title for box in graph.draw_run(run).boxes] == ["Trainer", "of an earlier run"]


# Embedding


@pytest.mark.parametrize("text", ["</script>", "<!--", "&amp;", "\u2028\u2029", "\U0001f426"])
def test_no_text_breaks_out_of_the_json(text):
    made = inline_data.as_json({text: [text]})
    assert not set("<>&\u2028\u2029") & set(made)
    assert json.loads(made) == {text: [text]}


def test_a_lone_surrogate_does_not_keep_the_page_from_being_written():
    assert json.loads(inline_data.as_json("a\ud800b")) == "a?b"


@pytest.mark.parametrize("name", ["rgba.png", "palette_alpha.png", "grey.jpg", "first_frame.gif"])
def test_a_picture_of_any_kind_becomes_a_small_jpeg(pictures, name):
    assert inline_data.data_uri(pictures[name]).startswith("data:image/jpeg;base64,")
    assert max(open_picture(pictures[name], 16).size) == 16


def test_what_is_no_picture_is_not_shown():
    assert inline_data.data_uri(b"no picture") == ""


# The page, the component, the command


def test_the_page_is_small_and_lets_nothing_in_or_out(report_file):
    html = report_file.read_text(encoding="utf-8")
    assert len(html) < 15_000_000
    policy = html.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert "default-src &#39;none&#39;" in policy
    assert "unsafe-inline" not in policy.partition("style-src")[0]


@pytest.mark.parametrize("metadata", ["none.sqlite", None])
def test_the_component_writes_a_report_where_mlmd_is_not_at_hand(
    review, review_artifacts, small, tmp_path, metadata
):
    path = {executor.METADATA_PATH: str(tmp_path / metadata)} if metadata else {}
    report = small.artifact(Report, tmp_path, "report")
    executor.Executor().Do(
        {name: [each] for name, each in review_artifacts.items()},
        {executor.OUTPUT: [report]},
        {
            executor.NAME: "mine",
            executor.CONFIG: json.dumps(review.CONFIG.model_dump(mode="json")),
            executor.METADATA: "sqlite",
            **path,
        },
    )
    html = (tmp_path / "report" / REPORT).read_text(encoding="utf-8")
    assert "<title>mine: report</title>" in html
    assert "was not at hand" in html
    assert json.loads(report.get_string_custom_property(LIBRARIES))["tensorflow"] == tf.__version__


def test_the_component_knows_the_run_that_goes_on_and_the_one_before(
    review, review_artifacts, small, review_workspace, tmp_path
):
    report = small.artifact(Report, tmp_path, "report")
    context = executor.Executor.Context(pipeline_run_id="2026-01-02")
    executor.Executor(context).Do(
        {name: [each] for name, each in review_artifacts.items()},
        {executor.OUTPUT: [report]},
        {
            executor.NAME: "mine",
            executor.CONFIG: json.dumps(review.CONFIG.model_dump(mode="json")),
            executor.METADATA: "sqlite",
            executor.METADATA_PATH: str(review_workspace / "metadata.sqlite"),
        },
    )
    html = (tmp_path / "report" / REPORT).read_text(encoding="utf-8")
    assert "Run 2026-01-02, written" in html
    assert "The same as in run 2026-01-01." in html


def invoke(review_workspace, *arguments):
    options = ["--set", f"run.workspace={review_workspace.parent}"]
    return CliRunner().invoke(app, ["report", *arguments, *options])


def test_the_command_writes_the_report_of_a_past_run_and_names_it(review_workspace):
    done = invoke(review_workspace, "2026-01-02", "--compare", "2026-01-01")
    assert done.exit_code == 0, done.output
    path = review_workspace / "report-2026-01-02-against-2026-01-01.html"
    assert str(path) in done.stdout
    html = path.read_text(encoding="utf-8")
    assert "compared with run 2026-01-01" in html
    assert "The same as in run 2026-01-01." in html


@pytest.mark.parametrize("has_browser", [True, False])
def test_the_command_opens_the_page_in_a_browser(
    review_workspace, tmp_path, monkeypatch, has_browser
):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or has_browser)
    path = tmp_path / "page of mine.html"
    done = invoke(review_workspace, "--open", "--out", str(path))
    assert done.exit_code == 0, done.output
    assert opened == [path.as_uri()]
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert ("found no browser" in done.stderr) != has_browser


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2026-01"], "2 runs begin so"),
        (["2027"], "no such run"),
        (["2026-02-01"], "has no ModelEvaluation: it did not come so far"),
        (["2026-01-01", "--compare", "2026-02"], "has no ModelEvaluation: it did not come so far"),
        (["2026-01-01", "--out", "no/such/report.html"], "no such folder"),
    ],
)
def test_the_command_says_what_keeps_it_from_writing(review_workspace, arguments, said):
    done = invoke(review_workspace, *arguments)
    assert isinstance(done.exception, DexmatchError)
    assert said in str(done.exception)


def test_the_run_before_is_the_latest_that_there_is_something_to_tell_of(review_workspace):
    metadata = Metadata(review_workspace / "metadata.sqlite")
    first, second, failed = metadata.runs()
    assert sources.sources_of_previous_run(metadata, first, "x") is None
    assert sources.sources_of_previous_run(metadata, second, "x").run.id == first.id
    assert sources.sources_of_previous_run(metadata, failed, "x").run.id == second.id


def test_a_removed_artifact_is_named(review_sources):
    run = review_sources.run
    gone = Output(1, "Examples", "/no/such/folder", {})
    executions = (Execution("PairSampler", "new", 1.0, {}, {"Examples": gone}),)
    with pytest.raises(DexmatchError, match="without its examples, which it did not make or"):
        sources.Sources.of_run("x", dataclasses.replace(run, executions=executions))
