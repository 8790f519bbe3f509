"""What watches a training: the progress line, and the guard against NaN."""

import logging
import math
from typing import Any

import keras

from core import reporting
from core.errors import DexmatchError


class Progress(keras.callbacks.Callback):
    """Says how a training stands: every step for the display, every epoch for the log as well.

    Args:
      title: what is trained, for people; may be empty.
      epochs: of the training in all.
      steps: of an epoch.
      epochs_done: by the run that this one resumes.
    """

    def __init__(self, title: str, epochs: int, steps: int, epochs_done: int):
        super().__init__()
        self._prefix = f"{title}: " if title else ""
        self._epochs = epochs
        self._total = epochs * steps
        self._done = epochs_done * steps
        self._text = f"{self._prefix}training"
        self._resumes = f"{self._prefix}resuming after epoch {epochs_done} of {epochs}"
        self._epochs_done = epochs_done

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Says so if an earlier run began this training."""
        if self._epochs_done:
            self._text = self._resumes
            reporting.report(self._text, self._done, self._total, logging.INFO)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts a step."""
        self._done += 1
        reporting.report(self._text, self._done, self._total)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tells the figures."""
        figures = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        self._text = f"{self._prefix}epoch {epoch + 1} of {self._epochs}: {figures}"
        reporting.report(self._text, self._done, self._total, logging.INFO)


class NotFinite(keras.callbacks.Callback):
    """Ends a training whose loss is no number: nothing good can come of it.

    Keras' TerminateOnNaN would end it as if all were well, and the model would be exported.
    """

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the running loss."""
        self._check("loss", logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the loss on the validation split: the last step of all may break the weights."""
        self._check("val_loss", logs)

    def _check(self, name: str, logs: dict[str, Any] | None) -> None:
        value = float((logs or {}).get(name, 0.0))
        if not math.isfinite(value):
            step = keras.ops.convert_to_numpy(self.model.optimizer.iterations)
            raise DexmatchError(
                f"the training's {name} became {value} in step {step}; lower "
                "trainer.learning_rate, or lengthen trainer.warmup_epochs"
            )
