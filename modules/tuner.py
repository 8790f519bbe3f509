"""The Tuner's `tuner_fn`: short trainings with settings drawn from `tuner.space`.

A tuning that was killed draws the same settings again when it is started again, as the seed says.
What the trials that had ended found is kept beside the checkpoints of the one that had not, so they
cost nothing the second time. KerasTuner's own way to go on would write its files in place, where a
kill tears them, and TFX gives the Tuner a new folder for them in every execution.
"""

import json
import logging
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner.engine import base_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from core import reporting
from core.config import RANGES, TunerConfig
from core.files import write_atomically
from modules import trainer
from modules.training import checkpoints, distribution
from modules.training.fit import Folders
from modules.training.hyperparameters import apply_hyperparameters

_log = logging.getLogger(f"{reporting.LOGGER}.tuner")

_OBJECTIVE = "val_auc"
# KerasTuner gives up after so many trials in a row that broke.
_MOST_FAILURES = 3
_RESULT = "result.json"


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Sets up a random search (Bergstra and Bengio 2012) for the highest validation AUC.

    Args:
      fn_args: TFX's arguments; `custom_config` holds what `modules.trainer.train` needs, the
        section `tuner`, and `checkpoints`, the folder where a tuning that was killed is looked for.
    """
    settings = TunerConfig(**fn_args.custom_config["tuner"])
    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective(_OBJECTIVE, "max"),
        max_trials=settings.trials,
        seed=settings.seed,
        hyperparameters=space(settings),
        # So that an error in all of the trials is an error of the search.
        max_consecutive_failed_trials=min(_MOST_FAILURES, settings.trials),
    )
    search = Search(oracle, directory=fn_args.working_dir, project_name="tuner", overwrite=True)
    folder = trainer.checkpoints_folder(fn_args.custom_config, fn_args)
    if distribution.is_chief():
        checkpoints.remove_others(folder)
    return TunerFnResult(
        tuner=search, fit_kwargs={"fn_args": fn_args, "settings": settings, "folder": folder}
    )


class Search(base_tuner.BaseTuner):
    """A search whose trials are trainings of the Trainer."""

    def run_trial(
        self,
        trial: keras_tuner.engine.trial.Trial,
        fn_args: FnArgs,
        settings: TunerConfig,
        folder: str,
    ) -> dict[str, float]:
        """Trains for `tuner.epochs`; the validation AUC is that of the weights it ends with.

        Args:
          trial: has the values to train with.
          fn_args: TFX's arguments.
          settings: the `tuner` section.
          folder: what this tuning keeps until the Trainer begins.
        """
        values = trial.hyperparameters.values
        number = len(self.oracle.trials)
        own = f"{folder}/trial_{number}"
        result = _result(own, values)
        if result is not None:
            _log.info("trial %d of %d ended in an earlier run", number, settings.trials)
            return result
        # What is compared is the order of pairs, which no calibration changes.
        short = {"trainer.epochs": settings.epochs, "trainer.calibration_folds": 0}
        config = apply_hyperparameters(fn_args.custom_config, {"values": {**values, **short}})
        folders = Folders(
            checkpoints=f"{own}/checkpoints", logs=f"{fn_args.working_dir}/logs/trial_{number}"
        )
        with reporting.part(f"trial {number} of {settings.trials}", number - 1, settings.trials):
            trained = trainer.train(config, fn_args, folders)
        keras.utils.clear_session()
        result = {_OBJECTIVE: trained.val_auc}
        if distribution.is_chief():
            _keep_result(own, values, result)
            checkpoints.remove(folders.checkpoints)
        return result


def _result(folder: str, values: dict[str, Any]) -> dict[str, float] | None:
    """What a trial with these values found in an earlier run; None if it did not end."""
    try:
        with tf.io.gfile.GFile(f"{folder}/{_RESULT}") as file:
            kept = json.loads(file.read())
    except tf.errors.NotFoundError:
        return None
    return kept["result"] if kept["values"] == values else None


def _keep_result(folder: str, values: dict[str, Any], result: dict[str, float]) -> None:
    kept = json.dumps({"values": values, "result": result})
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_atomically(Path(folder) / _RESULT, kept)


def space(settings: TunerConfig) -> keras_tuner.HyperParameters:
    """The search space that `tuner.space` describes."""
    declared = keras_tuner.HyperParameters()
    for name, values in settings.space.items():
        if values[-1] in RANGES:
            low, high, sampling = values
            declare = (
                declared.Int if isinstance(low, int) and isinstance(high, int) else declared.Float
            )
            declare(name, min_value=low, max_value=high, sampling=sampling)
        else:
            # KerasTuner wants choices of one type.
            is_mixed = {type(value) for value in values} == {int, float}
            choices = [float(value) for value in values] if is_mixed else list(values)
            declared.Choice(name, choices, ordered=False)
    return declared
