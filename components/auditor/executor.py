"""Auditor's executor: describe the pictures, train and judge fold by fold, find near-duplicates."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import json_utils

from components.auditor import near_duplicates
from core import features, reporting
from core.config import AuditConfig
from data import pair_examples
from modules.training import checkpoints, frozen_features, inputs, out_of_fold
from modules.training.build import build_trainer
from modules.training.frozen_features import FrozenFeatures
from modules.training.inputs import Splits
from modules.training.setup import TrainingSetup
from results import judgments

EXAMPLES = "examples"
TRANSFORM = "transform_graph"
JUDGMENTS = "judgments"
CUSTOM_CONFIG = standard_component_specs.CUSTOM_CONFIG_KEY
AUDIT = "audit"
"""Key of the custom config: the section as a dict."""


class Executor(base_executor.BaseExecutor):
    """See `components.auditor.component.Auditor`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `judgments`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
        files = pair_examples.split_files(artifact_utils.get_split_uri([examples], features.TRAIN))
        graph = artifact_utils.get_single_uri(input_dict[TRANSFORM])
        custom_config = json_utils.loads(exec_properties[CUSTOM_CONFIG])
        folder = checkpoints.folder_for(
            custom_config[checkpoints.ROOT],
            {name: value for name, value in custom_config.items() if name != checkpoints.ROOT},
            sorted(tf.io.gfile.glob(f"{graph}/transform_fn/assets/*")) + files,
        )
        checkpoints.remove_others(folder)
        judged, nearest = audit(files, tft.TFTransformOutput(graph), custom_config, folder)
        target = artifact_utils.get_single_uri(output_dict[JUDGMENTS])
        fileio.makedirs(target)
        judgments.save(judged, nearest, target)
        checkpoints.remove(folder)


def audit(
    files: list[str],
    transform: tft.TFTransformOutput,
    custom_config: dict[str, Any],
    folder: str,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Judges all pairs.

    Args:
      files: of the transformed true pairs.
      transform: what transformed them.
      custom_config: see `components.auditor.component.Auditor`.
      folder: for what a run after a kill goes on from.

    Returns:
      What `out_of_fold.judge` and `near_duplicates.find_nearest` return.

    Raises:
      DexmatchError: see `out_of_fold.judge`.
    """
    setup = TrainingSetup.read(custom_config, transform, base_model=None)
    settings = AuditConfig(**custom_config[AUDIT])
    tf.config.experimental.enable_op_determinism()
    rows = inputs.pair_rows(files, transform.transformed_feature_spec())
    pairs = Splits(train=rows, val=rows.take(0))
    image_features = build_trainer(setup).model.image_features
    frozen = None
    with reporting.part("", 0, 2):
        if setup.config.trainer.frozen_epochs:
            computed = FrozenFeatures(image_features, setup, f"{folder}/{frozen_features.FOLDER}")
            computed.compute(pairs, setup.config.trainer.batch_size)
            frozen = computed.rows(pairs)
        nearest = near_duplicates.find_nearest(
            near_duplicates.describe(rows, frozen and frozen.train, image_features)
        )
    with reporting.part("", 1, 2):
        judged = out_of_fold.judge(
            pairs, frozen, setup, settings.folds, settings.most_compared, folder
        )
    return judged, nearest
