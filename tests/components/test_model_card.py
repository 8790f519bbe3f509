import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.leakage_guard.artifacts import LeakageReport
from components.model_card import executor
from components.model_card.artifacts import ModelCard
from core import features
from core.config import Config, Threshold
from pages import MODEL_CARD, sources
from pages.model_card import page
from pages.model_card.training import Curve, summarize_curves
from pages.training_logs import read_scalars
from results.evaluation import Evaluation, SliceFigures, Unjudged, figure_names
from results.metadata import WARNING

pytestmark = pytest.mark.slow

EVIL = "<script>alert(1)</script>"
CONFIG = Config.model_validate(
    {
        "data": {"schema_file": "/home/somebody/private/schema.pbtxt"},
        "evaluator": {
            "slice_columns": ["color"],
            "blessing": [
                {"metric": "auc", "min": 0.6},
                {"metric": "accuracy", "slice": "color:red", "min": 0.99},
            ],
        },
        "card": {"owner": "Somebody", "limits": [f"Not for {EVIL}"]},
    }
)


def example(number: int, split: str) -> bytes:
    """A pair, right in every second case, with what a model said of it."""
    made = tf.train.Example()
    is_match = split == "train" or number % 2 == 0
    kind = features.MATCHED if is_match else features.RANDOM
    for name, value in {
        features.IMAGE: f"image {number // 2}",
        features.CAPTION: f"caption {number}",
        features.ID: f"{number}",
        features.GROUP: f"group {number // 8}",
        features.PAIR_KIND: kind,
        features.AGAINST: features.RANDOM,
        "color": "red" if number % 5 else EVIL,
    }.items():
        made.features.feature[name].bytes_list.value.append(value.encode())
    made.features.feature[features.LABEL].int64_list.value.append(int(is_match))
    said = 0.8 - (number % 7) / 10 if is_match else 0.1 + (number % 7) / 10
    made.features.feature[features.PROBABILITY].float_list.value.append(said)
    return made.SerializeToString()


def inputs(small, folder, blessed: int, version: str) -> dict:
    """The artifacts that the card is made from, made by TFDV, TFMA and TensorFlow themselves."""
    records = {split: folder / f"{split}.tfrecord" for split in ("train", "test")}
    for split, path in records.items():
        small.write_records(path, [example(number, split) for number in range(80)])
    artifact = small.artifact
    model = artifact(standard_artifacts.Model, folder, "model")
    module = tf.Module()
    module.kernel, module.bias = tf.Variable(tf.zeros([30, 40])), tf.Variable(tf.zeros([40]))
    tf.saved_model.save(module, str(folder / "model" / "Format-Serving"))
    leakage = {WARNING: f"split test shares {EVIL}"}
    pushed = {"pushed_version": version} if version else {}
    return {
        sources.MODEL: model,
        sources.MODEL_RUN: artifact(standard_artifacts.ModelRun, folder, "model_run"),
        sources.STATISTICS: small.statistics(folder, records),
        sources.LEAKAGE: artifact(LeakageReport, folder, "leakage", **leakage),
        sources.EVALUATION: small.evaluation(folder, records["test"], CONFIG.evaluator, ["color"]),
        sources.BLESSING: artifact(
            standard_artifacts.ModelBlessing, folder, "blessing", blessed=blessed
        ),
        sources.RETRIEVAL: small.searched(folder),
        sources.PUSHED: artifact(standard_artifacts.PushedModel, folder, "pushed", **pushed),
    }


def write_card(small, folder, given: dict) -> str:
    card = small.artifact(ModelCard, folder, "card")
    executor.Executor().Do(
        {name: [each] for name, each in given.items()},
        {executor.CARD: [card]},
        {
            executor.NAME: f"my {EVIL}",
            executor.DATASET: "creatures",
            executor.CONFIG: json.dumps(CONFIG.model_dump(mode="json")),
            executor.TRAINING_CODE: "c0de",
        },
    )
    return (folder / "card" / MODEL_CARD).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def given(small, tmp_path_factory):
    return inputs(small, tmp_path_factory.mktemp("artifacts"), blessed=0, version="")


@pytest.fixture(scope="module")
def html(small, given, tmp_path_factory):
    return write_card(small, tmp_path_factory.mktemp("card"), given)


def text_of(html: str) -> str:
    """What a reader sees, with single spaces."""

    class Reader(HTMLParser):
        said = ""
        is_style = False

        def handle_starttag(self, tag, attributes):
            self.is_style = tag == "style"
            self.said += " " if tag in ("td", "th", "tr", "li", "dd", "dt", "p", "div") else ""

        def handle_data(self, data):
            self.said += "" if self.is_style else data

    reader = Reader()
    reader.feed(html)
    return " ".join(reader.said.split())


def test_what_comes_from_data_or_configuration_is_escaped(html):
    assert "<script" not in html
    text = text_of(html)
    # The name, the limit, the warning, the slice and the column's value: all are there to be read.
    for place in (
        f"my {EVIL}",
        f"Not for {EVIL}",
        f"split test shares {EVIL}",
        f"{EVIL} 16 ",
        f"color 0 red 64, {EVIL} 16",
    ):
        assert place in text, place


def test_the_page_loads_nothing_and_fits_a_phone_by_day_and_night(html):
    assert not re.search(r"""(src|href|url|@import|https?:)[=(\s/"']""", html)
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html


def test_figures_are_told_by_slice_with_counts(html):
    text = text_of(html)
    assert "By color slice pairs auc" in text
    assert re.search(r"overall 80 0\.\d{3}0\.\d{3} to 0\.\d{3} ", text)
    assert re.search(r"red 64 0\.\d{3}0\.\d{3} to 0\.\d{3} ", text)


def test_thresholds_are_told_with_what_was_measured(html):
    text = text_of(html)
    assert re.search(r"auc on overall at least 0\.6 0\.\d{4} accuracy on color:red", text)
    assert re.search(r"accuracy on color:red at least 0\.99 0\.\d{4} Missed", text)
    assert re.search(r"Missed: accuracy on color:red is 0\.\d{4}, must be at least 0\.99", text)
    assert text.count("Missed") == 1
    assert "Not blessed, and not pushed" in text


def test_data_model_and_retrieval_are_told(html):
    text = text_of(html)
    assert "train 80 80 0 0 40 10 80" in text
    assert "test 80 40 40 0 40 10 80" in text
    assert "Weights 1,240" in text
    assert "Owner Somebody Licence not stated" in text
    assert "Among 40 of 1,234 true pairs" in text
    assert "caption → image, of 40 0.125 0.250 0.500 9.5" in text
    assert "trainer seed 7 epochs 30" in text
    assert f"tensorflow {tf.__version__}" in text


def test_a_card_tells_nobody_where_files_lie(html, given):
    assert "schema.pbtxt" in html
    assert "/home/somebody" not in html
    assert given[sources.MODEL].uri not in html


def test_a_blessed_model_is_told_with_its_version(small, given, tmp_path):
    blessed = {
        **given,
        sources.BLESSING: small.artifact(
            standard_artifacts.ModelBlessing, tmp_path, "b", blessed=1
        ),
        sources.PUSHED: small.artifact(
            standard_artifacts.PushedModel, tmp_path, "p", pushed_version="1700000000"
        ),
    }
    text = text_of(write_card(small, tmp_path, blessed))
    assert "Blessed: every threshold holds. Pushed as version 1700000000." in text


def test_training_figures_are_read_from_the_logs(small, given, tmp_path):
    run = small.artifact(standard_artifacts.ModelRun, tmp_path, "run")
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    with tf.summary.create_file_writer(str(tmp_path / "run" / "validation")).as_default():
        for step, value in enumerate((0.5, 0.625, 0.75)):
            tf.summary.write("auc", tf.constant(value), step, metadata=metadata)
    curves = summarize_curves(read_scalars(run.uri))
    assert curves == [Curve("validation: auc", 0.5, 0.75, 3)]
    text = text_of(write_card(small, tmp_path, {**given, sources.MODEL_RUN: run}))
    assert "validation: auc 0.5 0.75 3" in text


def of_colors(**aucs: float) -> tuple[SliceFigures, ...]:
    """A slice for each colour, with a baseline of 0.75."""
    return tuple(
        SliceFigures(
            f"color:{color}", {"auc": auc}, baseline={"auc": 0.75}, parts=(("color", color),)
        )
        for color, auc in aucs.items()
    )


def test_a_bound_on_every_value_is_told_by_the_least_margin_and_how_many_hold():
    small = Unjudged("auc", "color:pink", 9, "has 9 pairs", is_named=False)
    found = Evaluation(of_colors(red=0.75, blue=0.625, pink=0.5), (), (small,))
    (both,) = page.bounds([Threshold(metric="auc", slice="color:*", min=0.5)], found)
    assert (both.name, both.asked) == ("auc on color:*", "at least 0.5")
    assert (both.measured, both.note) == (
        "0.6250",
        "least margin on color:blue; holds on 2 of 2 slices; not judged on 1",
    )
    asked = Threshold(metric="auc", slice="*:*", min=0.5, max_drop=0.0625)
    (one,) = page.bounds([asked], found)
    assert one.asked == "at least 0.5, at most 0.0625 below the latest blessed model"
    assert one.note == "least margin on color:blue; holds on 1 of 2 slices; not judged on 1"


def test_a_bound_that_was_not_judged_says_why():
    found = Evaluation(
        (SliceFigures("overall", {"auc": 0.75}),),
        (),
        (Unjudged("auc", "color:red", 9, "has 9 pairs, fewer than 50", is_named=True),),
    )
    found = dataclasses.replace(found, slices=(*found.slices, *of_colors(red=0.75)))
    named, first, none = page.bounds(
        [
            Threshold(metric="auc", slice="color:red", min=0.5),
            Threshold(metric="auc", max_drop=0.1),
            Threshold(metric="auc", slice="shape:*", min=0.1),
        ],
        found,
    )
    assert (named.measured, named.note) == ("0.7500", "not judged: has 9 pairs, fewer than 50")
    assert first.note == "not judged: there is no baseline to compare with"
    assert (none.measured, none.note) == ("", "not judged: has no pairs")


def test_any_metric_gets_a_column_and_crosses_a_table_of_their_own():
    slices = [
        SliceFigures("overall", {"example_count": 90, "ece": 0.1, "auc": 0.9, "brier": 0.2}),
        SliceFigures(
            "color:red × size:big",
            {"example_count": 9, "auc": 0.8},
            parts=(("color", "red"), ("size", "big")),
        ),
    ]
    names = figure_names(slices)
    assert names == ["auc", "ece", "brier"]
    tables = page.tables(slices, names, 50)
    assert list(tables) == ["Overall", "By color × size"]
    (row,) = tables["By color × size"]
    assert (row.name, row.pairs, row.is_small) == ("red × big", 9, True)
    assert row.cells == (("0.800", ""), ("", ""), ("", ""))


def test_a_bounded_slice_without_pairs_has_no_figure():
    asked = Threshold(metric="auc", slice="color:red", min=0.5, max_drop=0.05)
    (bound,) = page.bounds([asked], Evaluation((), ()))
    assert bound == page.Bound(
        "auc on color:red", "at least 0.5, at most 0.05 below the latest blessed model", ""
    )
