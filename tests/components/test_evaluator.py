"""The Evaluator through its real executor, on models that give probabilities made by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import json_utils, proto_utils

from components.evaluator import executor
from core import features, slices
from core.config import EvaluatorConfig, Threshold
from core.metrics import COMPARED
from modules.evaluator import eval_config
from modules.export import signatures
from results import evaluation

pytestmark = pytest.mark.slow


class Scorer(tf.Module):
    """A model whose answer stands in the example, in a feature of its own."""

    def __init__(self, feature: str):
        super().__init__()
        self._feature = feature

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, features.EXAMPLES)])
    def score(self, examples):
        spec = {self._feature: tf.io.FixedLenFeature([], tf.float32)}
        return {features.PROBABILITY: tf.io.parse_example(examples, spec)[self._feature]}


@dataclass(frozen=True)
class Pair:
    kind: str
    color: str
    candidate: float
    baseline: float = 0.5

    @property
    def label(self) -> int:
        return int(self.kind == features.MATCHED)

    def record(self) -> bytes:
        contests = [features.RANDOM, features.HARD] if self.label else [self.kind]
        example = tf.train.Example()
        feature = example.features.feature
        feature[features.LABEL].int64_list.value.append(self.label)
        feature["candidate"].float_list.value.append(self.candidate)
        feature["baseline"].float_list.value.append(self.baseline)
        for name, values in {
            features.PAIR_KIND: [self.kind],
            features.AGAINST: contests,
            features.CAPTION_LENGTH: ["51-100"],
            features.IMAGE_SIZE: ["65-128"],
            "color": [self.color],
        }.items():
            feature[name].bytes_list.value.extend(value.encode() for value in values)
        return example.SerializeToString()


def some_pairs(color: str, count: int, skill: float, baseline: float = 0.0, seed: int = 1):
    """`count` pairs of each kind; the higher the skill, the further apart true and wrong ones."""
    generator = np.random.default_rng(seed)
    pairs = []
    for kind in (features.MATCHED, features.RANDOM, features.HARD):
        side = 1 if kind == features.MATCHED else -1
        for logit in generator.normal(size=(count, 2)):
            answers = 1 / (1 + np.exp(-(logit + side * np.array([skill, baseline]))))
            pairs.append(Pair(kind, color, *(float(np.float32(each)) for each in answers)))
    return pairs


def evaluate(
    folder: Path,
    pairs: Sequence[Pair],
    *blessing: Threshold,
    baseline: bool = False,
    min_slice_pairs: int = 1,
    **settings,
):
    """Runs the executor; returns whether the model was blessed, and what was found."""
    split = folder / "examples" / "Split-test"
    split.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(split / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for pair in pairs:
            writer.write(pair.record())
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["test"])
    inputs = {"examples": [examples], "model": [save_model(folder, "candidate")]}
    if baseline:
        inputs["baseline_model"] = [save_model(folder, "baseline")]
    found, verdict = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    found.uri, verdict.uri = str(folder / "evaluation"), str(folder / "blessing")
    configured = EvaluatorConfig(**{"confidence": "none", "blessing": blessing, **settings})
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(folder / "tmp"), unique_id="1"
    )
    executor.Executor(context).Do(
        inputs,
        {"evaluation": [found], "blessing": [verdict]},
        {
            "eval_config": proto_utils.proto_to_json(eval_config(configured, ["color"])),
            "example_splits": json_utils.dumps(["test"]),
            executor.MIN_SLICE_PAIRS: min_slice_pairs,
        },
    )
    is_blessed = (folder / "blessing" / "BLESSED").exists()
    return is_blessed, evaluation.load(found.uri)


def save_model(folder: Path, feature: str):
    model = standard_artifacts.Model()
    model.uri = str(folder / feature)
    scorer = Scorer(feature)
    tf.saved_model.save(
        scorer,
        f"{model.uri}/Format-Serving",
        signatures={signatures.SERVE_EXAMPLES: scorer.score},
    )
    return model


# Figures.


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two colours, a bound that holds, intervals; no baseline."""
    pairs = some_pairs("red", 40, skill=1.0) + some_pairs("blue", 20, skill=0.3, seed=2)
    # What rounds to a bin's edge, and the ends of the range.
    pairs += [Pair(features.RANDOM, "red", 0.0), Pair(features.MATCHED, "red", 1.0)]
    blessed, found = evaluate(
        tmp_path_factory.mktemp("measured"),
        pairs,
        Threshold(metric="auc", min=0.5, max_drop=0.01),
        confidence="jackknife",
        threshold=0.4,
    )
    return pairs, blessed, found


def reference(pairs: Sequence[Pair]) -> dict[str, float]:
    """The same figures by scikit-learn and NumPy."""
    from sklearn import metrics

    label = np.array([pair.label for pair in pairs])
    answer = np.array([pair.candidate for pair in pairs])
    said = answer >= 0.4
    bins = np.minimum((answer * 15).astype(int), 14)
    return {
        "auc": metrics.roc_auc_score(label, answer),
        "auc_pr": metrics.average_precision_score(label, answer),
        "accuracy": metrics.accuracy_score(label, said),
        "precision": metrics.precision_score(label, said),
        "recall": metrics.recall_score(label, said),
        "log_loss": metrics.log_loss(label, np.clip(answer, 1e-7, 1 - 1e-7)),
        "ece": sum(
            abs(answer[bins == each].sum() - label[bins == each].sum()) for each in range(15)
        )
        / len(pairs),
        "mean_prediction": answer.mean(),
        "example_count": len(pairs),
    }


TOLERANCE = {
    # Within one of 10,000 buckets no order is known. With a hundred pairs, two may share one: a
    # true pair's half step among all (true, wrong) pairs, or a place in the ranking.
    "auc": 1e-3,
    "auc_pr": 5e-3,
    # Keras sums in float32.
    "log_loss": 1e-5,
}


@pytest.mark.parametrize("name", ["overall", "color:red", "color:blue", "against:hard"])
def test_the_figures_are_those_of_scikit_learn(measured, name):
    pairs, _, found = measured
    column, _, value = name.partition(":")
    inside = {
        "overall": lambda pair: True,
        "color": lambda pair: pair.color == value,
        "against": lambda pair: pair.kind in (value, features.MATCHED),
    }[column]
    expected = reference([pair for pair in pairs if inside(pair)])
    figures = found.slice(name).figures
    for metric, figure in expected.items():
        assert figures[metric] == pytest.approx(figure, abs=TOLERANCE.get(metric, 1e-6)), metric


def test_the_mean_probability_of_true_pairs_is_a_slice_of_its_own(measured):
    pairs, _, found = measured
    answers = [pair.candidate for pair in pairs if pair.label]
    figures = found.slice(slices.TRUE_PAIRS).figures
    assert figures["mean_prediction"] == pytest.approx(np.mean(answers))
    assert figures["example_count"] == len(answers)


def test_figures_have_confidence_intervals(measured):
    overall = measured[2].slice("overall")
    for metric in COMPARED:
        lower, upper = overall.intervals[metric]
        assert lower < overall.figures[metric] < upper, metric
        assert upper - lower < 0.5, metric


def test_the_first_model_has_no_baseline_and_is_blessed(measured):
    _, blessed, found = measured
    assert blessed
    assert found.failures == ()
    assert found.slice("overall").baseline == {}


# Blessing.


def test_a_model_better_overall_and_clearly_worse_on_one_slice_is_refused(tmp_path):
    pairs = some_pairs("red", 60, skill=2.0, baseline=0.2)
    pairs += some_pairs("blue", 30, skill=0.0, baseline=1.5, seed=2)
    blessed, found = evaluate(
        tmp_path,
        pairs,
        Threshold(metric="auc", max_drop=0.05),
        Threshold(metric="auc", slice="*:*", max_drop=0.15),
        baseline=True,
    )
    overall, blue = found.slice("overall"), found.slice("color:blue")
    assert overall.figures["auc"] > overall.baseline["auc"]
    assert not blessed
    (failure,) = found.failures
    assert (failure.metric, failure.slice) == ("auc", "color:blue")
    for figure in (blue.figures["auc"], blue.baseline["auc"], -0.15):
        assert f"{figure:.4f}" in failure.reason


def test_a_slice_that_is_too_small_is_shown_and_not_judged(tmp_path):
    pairs = some_pairs("red", 20, skill=2.0) + some_pairs("blue", 3, skill=-2.0)
    blessed, found = evaluate(
        tmp_path,
        pairs,
        Threshold(metric="auc", slice="color:*", min=0.6),
        Threshold(metric="recall", slice="color:blue", min=0.9),
        min_slice_pairs=10,
    )
    assert blessed
    assert found.slice("color:blue").figures["auc"] < 0.6
    assert [(each.metric, each.slice, each.pairs, each.is_named) for each in found.unjudged] == [
        ("auc", "color:blue", 9, False),
        ("recall", "color:blue", 9, True),
    ]
    assert "fewer than 10" in found.unjudged[0].reason


def test_each_value_of_a_column_is_held_to_its_bound(tmp_path):
    pairs = some_pairs("red", 20, skill=2.0) + some_pairs("blue", 20, skill=-0.5)
    blessed, found = evaluate(tmp_path, pairs, Threshold(metric="auc", slice="color:*", min=0.6))
    assert not blessed
    assert [(each.metric, each.slice) for each in found.failures] == [("auc", "color:blue")]
    assert "must be at least 0.6000" in found.failures[0].reason


def test_a_model_that_is_badly_calibrated_is_refused(tmp_path):
    """It always orders the pairs right, and always says about a half."""
    pairs = [
        Pair(kind, "red", answer)
        for kind, answer in ((features.MATCHED, 0.55), (features.RANDOM, 0.45))
        for _ in range(10)
    ]
    blessed, found = evaluate(
        tmp_path, pairs, Threshold(metric="auc", min=0.9), Threshold(metric="ece", max=0.1)
    )
    assert found.slice("overall").figures["auc"] == 1
    assert not blessed
    (failure,) = found.failures
    assert (failure.metric, failure.slice) == ("ece", "overall")
    assert failure.reason == "is 0.4500, must be at most 0.1000"


def test_a_loss_that_rises_is_refused(tmp_path):
    pairs = some_pairs("red", 20, skill=0.0, baseline=2.0)
    bound = Threshold(metric="log_loss", max_rise=0.1)
    blessed, found = evaluate(tmp_path, pairs, bound, baseline=True)
    assert not blessed
    assert "allowed +0.1000" in found.failures[0].reason


def test_without_hard_captions_the_bound_on_them_is_set_aside(tmp_path):
    pairs = [pair for pair in some_pairs("red", 20, skill=2.0) if pair.kind != features.HARD]
    blessed, found = evaluate(
        tmp_path,
        pairs,
        Threshold(metric="auc", min=0.5),
        Threshold(metric="auc", slice="against:hard", min=0.55),
    )
    assert blessed
    assert [each.reason for each in found.unjudged] == ["has no wrong pairs"]


def test_a_bound_on_a_slice_without_pairs_refuses(tmp_path):
    pairs = some_pairs("red", 20, skill=2.0)
    blessed, found = evaluate(tmp_path, pairs, Threshold(metric="auc", slice="color:rde", min=0.5))
    assert not blessed
    assert [each.slice for each in found.failures] == ["color:rde"]


def test_where_nothing_can_be_judged_nothing_is_blessed(tmp_path):
    blessed, found = evaluate(
        tmp_path,
        some_pairs("red", 5, skill=2.0),
        Threshold(metric="auc", slice="color:red", min=0.5),
        min_slice_pairs=50,
    )
    assert not blessed
    assert len(found.unjudged) == 1
