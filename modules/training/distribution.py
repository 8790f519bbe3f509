"""Training on several devices or machines, by `tf.distribute`."""

import json
import os
from typing import Any

import keras
import tensorflow as tf

from core.errors import DexmatchError

TF_CONFIG = "TF_CONFIG"
"""Environment variable with the addresses of all workers and the role of this one."""


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of `trainer.strategy`; call it before TensorFlow does anything else.

    Raises:
      DexmatchError: the environment does not fit the strategy.
    """
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "one_device":
        return tf.distribute.get_strategy()
    if not _cluster().get("cluster"):
        raise DexmatchError(
            f'trainer.strategy = "multi_worker": {TF_CONFIG} names no cluster; set it as '
            'tf.distribute describes, or choose "mirrored" for the devices of this machine'
        )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise DexmatchError(
            'trainer.strategy = "multi_worker": TensorFlow was in use before the Trainer began; '
            "run the Trainer in a process of its own, as a cluster's orchestrator does"
        ) from error


def spans_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether there are replicas in other processes than this one."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    return strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


class CommonStatistics(keras.callbacks.Callback):
    """Gives all replicas the mean of their BatchNorm statistics, before each validation.

    In Keras 3.15 each replica moves statistics of its own, from its part of every batch; different
    models would be validated, and workers would end with different ones.
    """

    _NAMES = ("moving_mean", "moving_variance")

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """All replicas must take part in this."""
        strategy = self.model.distribute_strategy
        moving = [
            weight.value
            for weight in self.model.non_trainable_weights
            if weight.name in self._NAMES
        ]

        @tf.function
        def share() -> None:
            replica = tf.distribute.get_replica_context()
            means = replica.all_reduce(
                tf.distribute.ReduceOp.MEAN, [each.read_value() for each in moving]
            )
            for each, mean in zip(moving, means, strict=True):
                each.assign(mean)

        strategy.run(share)


def is_chief() -> bool:
    """Whether this process writes the model: the chief, or the first worker where there is none."""
    config = _cluster()
    if not config.get("cluster"):
        return True
    task = config["task"]
    if "chief" in config["cluster"]:
        return task["type"] == "chief"
    return task["type"] == "worker" and task["index"] == 0


def process_name() -> str:
    """What tells this process from the others that take part in the training."""
    config = _cluster()
    task = config["task"] if config.get("cluster") else {"type": "worker", "index": 0}
    return f"{task['type']}-{task['index']}"


def _cluster() -> dict[str, Any]:
    """TF_CONFIG; empty where it is not set.

    Raises:
      DexmatchError: it is not what `tf.distribute` takes.
    """
    text = os.environ.get(TF_CONFIG) or "{}"
    try:
        config: dict[str, Any] = json.loads(text)
        if config.get("cluster"):
            _ = config["task"]["type"], config["task"]["index"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DexmatchError(
            f"{TF_CONFIG} must be JSON with `cluster`, and a `task` with `type` and `index`, as "
            f"tf.distribute describes; it is {text}"
        ) from error
    return config
