"""What a run's model was trained and tested on."""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tensorflow_model_analysis as tfma
from tfx.utils import path_utils

from core import features
from core.errors import DexmatchError
from core.files import plain_name
from data import pair_examples
from modules.preprocessing import captions
from monitoring.statistics import Distribution
from monitoring.traffic import KNOWN, UNKNOWN, Vocabulary
from results import split_statistics
from results.metadata import Run

MOST_CAPTIONS = 20_000
"""Of the training split, to find the share of unknown words."""
_BATCH = 1024


@dataclass(frozen=True)
class Reference:
    """What requests are compared with; None for what the run has no more.

    Attributes:
      vocabulary: of the run's model.
      caption_length: buckets of characters of the training captions.
      words: whether the vocabulary has the words of the training captions.
      image_height: of the training pictures, in pixels.
      image_width: likewise.
      scores: probabilities of the test split's pairs, negatives included.
    """

    vocabulary: Vocabulary
    caption_length: Distribution
    words: Distribution | None
    image_height: Distribution
    image_width: Distribution
    scores: Distribution | None


def load(run: Run) -> Reference:
    """Reads the artifacts of a run.

    Raises:
      DexmatchError: the run has no model or no statistics, or their files are gone.
    """
    vocabulary = Vocabulary(_saved_model(run))
    statistics = _artifact(run, "StatisticsGen", "ExampleStatistics")
    try:
        found = split_statistics.load(f"{statistics}/Split-{features.TRAIN}")
    except FileNotFoundError as error:
        raise DexmatchError(
            f"run {run.id}: {error.filename} is gone; name another run with --run"
        ) from error
    by_name = {each.path.step[0]: Distribution(each) for each in found.datasets[0].features}
    return Reference(
        vocabulary=vocabulary,
        caption_length=by_name[features.CAPTION_LENGTH],
        words=_words(run, vocabulary),
        image_height=by_name[features.IMAGE_HEIGHT],
        image_width=by_name[features.IMAGE_WIDTH],
        scores=_scores(run),
    )


def _artifact(run: Run, node: str, type_name: str) -> str:
    execution = run.execution(node)
    output = execution.outputs.get(type_name) if execution else None
    if output is None:
        raise DexmatchError(f"run {run.id}: has no {type_name}; name another run with --run")
    return output.uri


def _saved_model(run: Run) -> Path:
    model = Path(path_utils.serving_model_path(_artifact(run, "Trainer", "Model")))
    path = captions.vocabulary_file(model)
    if not path.is_file():
        raise DexmatchError(f"run {run.id}: {path} is gone; name another run with --run")
    return model


def _words(run: Run, vocabulary: Vocabulary) -> Distribution | None:
    """Reads captions of the training split; None if its files are gone."""
    folder = Path(_artifact(run, "PairSampler", "Examples")) / f"Split-{features.TRAIN}"
    files = pair_examples.split_files(str(folder))
    pairs = itertools.islice(pair_examples.read_true_pairs(files), MOST_CAPTIONS)
    words: Counter[str] = Counter()
    while batch := [pair.caption for pair in itertools.islice(pairs, _BATCH)]:
        known, unknown, _ = vocabulary.count(batch)
        words.update({KNOWN: known, UNKNOWN: unknown})
    return Distribution.from_counts(words)


def _scores(run: Run) -> Distribution | None:
    """The test split's probabilities, as the Evaluator counted them in buckets of a hundredth."""
    output = run.output("ModelEvaluation")
    if output is None or not Path(output.uri).is_dir():
        return None
    with plain_name(output.uri) as name:
        found = list(tfma.load_plots(name))
    for plots in found:
        if plots.slice_key.single_slice_keys:
            continue
        for each in plots.plot_keys_and_values:
            if each.key.model_name != tfma.BASELINE_KEY:
                counts: Counter[float] = Counter()
                for bucket in each.value.calibration_histogram_buckets.buckets:
                    count = round(bucket.num_weighted_examples.value)
                    if count:
                        mean = bucket.total_weighted_refined_prediction.value / count
                        counts[mean] += count
                return Distribution.from_counts(counts)
    return None
