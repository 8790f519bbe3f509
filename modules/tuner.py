"""The Tuner's `tuner_fn`: short trainings with settings drawn from `tuner.space`."""

import keras
import keras_tuner
from keras_tuner.engine import base_tuner
from tfx import v1 as tfx

from modules import hyperparameters, reporting, trainer
from pipeline.config import RANGES, TunerConfig

_OBJECTIVE = "val_auc"
# KerasTuner gives up after so many trials in a row that broke.
_MOST_FAILURES = 3


def tuner_fn(fn_args: tfx.components.FnArgs) -> tfx.components.TunerFnResult:
    """Sets up a random search (Bergstra and Bengio 2012) for the highest validation AUC.

    Args:
      fn_args: TFX's arguments; `custom_config` holds what `modules.trainer.train` needs, and the
        section `tuner`.
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
    return tfx.components.TunerFnResult(
        tuner=search, fit_kwargs={"fn_args": fn_args, "settings": settings}
    )


class Search(base_tuner.BaseTuner):
    """A search whose trials are trainings of the Trainer."""

    def run_trial(
        self,
        trial: keras_tuner.engine.trial.Trial,
        fn_args: tfx.components.FnArgs,
        settings: TunerConfig,
    ) -> dict[str, float]:
        """Trains for `tuner.epochs`; the validation AUC is the best epoch's."""
        values = {**trial.hyperparameters.values, "trainer.epochs": settings.epochs}
        config = hyperparameters.applied(fn_args.custom_config, {"values": values})
        number = len(self.oracle.trials)
        with reporting.part(f"trial {number} of {settings.trials}", number - 1, settings.trials):
            trained = trainer.train(config, fn_args, _folders(fn_args, number))
        keras.utils.clear_session()
        return {_OBJECTIVE: trained.val_auc}


def _folders(fn_args: tfx.components.FnArgs, number: int) -> trainer.Folders:
    return trainer.Folders(
        checkpoints=f"{fn_args.working_dir}/checkpoints/trial_{number}",
        logs=f"{fn_args.working_dir}/logs/trial_{number}",
    )


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
