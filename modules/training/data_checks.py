"""Whether there is anything to learn from the data, and anything to judge it by."""

import logging
from collections import Counter

import numpy as np
import tensorflow as tf

from core import features, reporting
from core.config import TrainerConfig
from core.errors import DexmatchError
from modules.preprocessing.captions import OOV_ID, PADDING_ID
from modules.training import inputs
from modules.training.inputs import Splits

FEW_PAIRS = 100
"""With fewer, the figures say little."""

_log = logging.getLogger(f"{reporting.LOGGER}.data")

_BATCH = 1024


def check_data(pictures: Splits, settings: TrainerConfig) -> int:
    """Refuses data that no training can make sense of, and warns of those that few can.

    Args:
      pictures: both splits.
      settings: the `trainer` section.

    Returns:
      The number of pairs to train on.

    Raises:
      DexmatchError: too few pairs, no caption that could be wrong, or a `monitor` that the
        validation split has no value for.
    """
    groups, captions, hard = _count_groups_and_captions(pictures.train)
    labels = inputs.count_values(pictures.val, features.LABEL)
    pairs, val_pairs = groups.total(), labels.total()
    if pairs < 2 or not val_pairs:
        raise DexmatchError(
            f"{pairs} pairs to train on and {val_pairs} to validate on are too few; "
            "import more pairs, or check that they have more than a few groups"
        )
    if not any(np.frombuffer(line, np.int64).max() > OOV_ID for line in captions):
        raise DexmatchError(
            f"no word stands often enough in the {pairs} captions to train on to be known; lower "
            "caption.min_count, or check the caption column (dexmatch data import --help)"
        )
    if len(captions) == 1:
        tokens = np.frombuffer(next(iter(captions)), np.int64)
        if tokens[-1] != PADDING_ID:
            raise DexmatchError(
                f"all {pairs} captions to train on hold the same words up to where they are cut, "
                f"caption.max_tokens = {len(tokens)}; raise it, or check the caption column"
            )
        raise DexmatchError(
            f"all {pairs} captions to train on hold the same words, so none could be wrong; "
            "check the caption column (dexmatch data import --help)"
        )
    if len(groups) == 1 and not (hard and settings.hard_negative_share):
        raise DexmatchError(
            f"all {pairs} pairs to train on are of one group, so no caption could be wrong; "
            "group them by something with more values (dexmatch data import --group-column)"
        )
    if settings.hard_negative_share and not hard:
        _log.warning(
            "trainer.hard_negative_share = %s, but no pair to train on has a hard caption",
            settings.hard_negative_share,
        )
    if len(labels) == 1:
        _check_single_label(labels, settings)
    for name, seen in (("group", groups), ("caption", captions)):
        largest = max(seen.values())
        if largest > pairs / 2:
            _log.warning(
                "%d of %d pairs to train on have the same %s: few captions can be wrong ones",
                largest,
                pairs,
                name,
            )
    if pairs < FEW_PAIRS:
        _log.warning("%d pairs to train on are few: expect little of the model", pairs)
    return pairs


def _count_groups_and_captions(train: tf.data.Dataset) -> tuple[Counter[int], Counter[bytes], bool]:
    """How often each group and each caption is there, and whether any hard caption is."""

    def described(row: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        hard = tf.size(row[features.HARD_TOKENS]) if features.HARD_TOKENS in row else 0
        return row[features.GROUP_HASH], row[features.TOKENS], hard

    groups: Counter[int] = Counter()
    captions: Counter[bytes] = Counter()
    any_hard = False
    for group, tokens, hard in train.map(described).batch(_BATCH).as_numpy_iterator():
        groups.update(group.tolist())
        captions.update(line.tobytes() for line in tokens)
        any_hard |= bool(hard.any())
    return groups, captions, any_hard


def _check_single_label(labels: Counter[int], settings: TrainerConfig) -> None:
    kind = "matched" if 1 in labels else "wrong"
    undefined = f"all {labels.total()} pairs to validate on are {kind}: there is no AUC of them"
    if settings.monitor == "val_auc":
        raise DexmatchError(
            f'{undefined}; set trainer.monitor to "val_loss", or give the split more groups '
            "(data.val_buckets)"
        )
    _log.warning("%s", undefined)
