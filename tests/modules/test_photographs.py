"""The pretrained recipe on photographs: colours learned from pieces are found in whole ones.

Two photographs, those of scikit-learn, say nothing about how well others are told apart, and this
is no figure of that. It shows that photographs go through the recipe as they should: from the left
halves it learns which words go with which colours, and then it must tell the whole photographs, and
pieces of the right halves, by captions of the colours that are most in them.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn import datasets

from core import config as configs
from core import features
from modules.export.scoring import Scorer
from modules.preprocessing import captions
from modules.training.build import build_trainer
from modules.training.fit import Folders, fit
from modules.training.frozen_features import FrozenFeatures
from modules.training.inputs import Splits, TrainingData
from modules.training.setup import TrainingSetup

pytestmark = pytest.mark.slow

SIZE = 64
PIECES = 24
COLOURS = {
    "black": (20, 20, 20),
    "green": (60, 90, 50),
    "blue": (120, 170, 220),
    "pink": (240, 170, 170),
    "red": (190, 60, 40),
    "brown": (120, 80, 60),
    "grey": (150, 150, 150),
    "white": (245, 245, 245),
}


def words(picture):
    """The two colours that most of its pixels are nearest to, as token ids."""
    palette = np.array(list(COLOURS.values()))
    distance = np.abs(picture.reshape(-1, 1, 3).astype(int) - palette).sum(axis=-1)
    counts = np.bincount(distance.argmin(axis=1), minlength=len(palette))
    return np.argsort(-counts, kind="stable")[:2] + captions.FIRST_WORD_ID


def resized(picture):
    found = tf.image.resize(picture, (SIZE, SIZE), antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(found, 0, 255)), tf.uint8).numpy()


def pieces(half, generator):
    height, width, _ = half.shape
    found = []
    for _ in range(PIECES):
        size = generator.integers(100, 300)
        top, left = generator.integers(height - size), generator.integers(width - size)
        found.append(resized(half[top : top + size, left : left + size]))
    return found


def rows(pictures):
    return tf.data.Dataset.from_tensor_slices(
        {
            features.PIXELS: [tf.io.encode_png(each).numpy() for each in pictures],
            features.TOKENS: np.stack([words(each) for each in pictures]).astype(np.int64),
            features.GROUP_HASH: np.arange(len(pictures), dtype=np.int64),
            features.LABEL: np.ones(len(pictures), np.int64),
        }
    )


def test_photographs_are_told_by_their_colours(tmp_path):
    generator = np.random.default_rng(0)
    photographs = datasets.load_sample_images().images
    middle = photographs[0].shape[1] // 2
    learned = [each for photo in photographs for each in pieces(photo[:, :middle], generator)]
    unseen = [each for photo in photographs for each in pieces(photo[:, middle:], generator)]
    config = configs.load(
        configs.file_or_recipe(Path("pretrained")),
        [
            f"image.size={SIZE}",
            "caption.max_tokens=2",
            "trainer.epochs=0",
            "trainer.frozen_epochs=15",
            "trainer.monitor=val_loss",
        ],
    )
    setup = TrainingSetup(config, tf.distribute.get_strategy(), "", list(COLOURS), {}, None)
    pictures = Splits(train=rows(learned), val=rows(unseen))
    trainer = build_trainer(setup)
    frozen = FrozenFeatures(trainer.model.image_features, setup, str(tmp_path / "features"))
    frozen.compute(pictures, batch_size=16)
    data = TrainingData.in_steps(pictures, len(learned), config.trainer.batch_size, replicas=1)
    data = replace(data, features=frozen.rows(pictures))
    fit(trainer, data, setup, Folders(str(tmp_path / "checkpoints"), None))

    scorer = Scorer.of_model(trainer.model)
    whole = [resized(photo) for photo in photographs]
    asked = whole + unseen
    images = scorer.images(asked)
    texts = scorer.captions([words(each).astype(np.int64) for each in asked])
    n = len(asked)
    scores = scorer.pairs(np.repeat(images, n, axis=0), np.tile(texts, (n, 1))).reshape(n, n)
    # Each of the two by its caption, and its caption by it.
    assert scores[:2, :2].argmax(axis=0).tolist() == [0, 1]
    assert scores[:2, :2].argmax(axis=1).tolist() == [0, 1]
    # Of captions without a colour in common, which is the piece's?
    colours = [set(words(each).tolist()) for each in asked]
    wrong = np.array([[not (one & other) for other in colours] for one in colours])
    right = np.diag(scores)[:, np.newaxis] > scores
    assert wrong.any()
    assert right[wrong].mean() > 0.9, right[wrong].mean()
