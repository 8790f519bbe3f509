"""Training on several devices or machines, by `tf.distribute`."""

import contextlib
import json
import os
from typing import Any

import keras
import tensorflow as tf

from core.errors import DexmatchError
from modules.network.layers import leaves

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


def replicas() -> int:
    """How many replicas take part in the step that is traced; 1 outside of one."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def own_device() -> contextlib.AbstractContextManager[Any]:
    """Where a step of a worker with one device must be traced, if tensors go to other workers.

    There TensorFlow (2.21) leaves them on no device, and then refuses to add them up.
    """
    strategy = tf.distribute.get_strategy()
    if spans_workers(strategy) and len(strategy.extended.worker_devices) == 1:
        return tf.device(strategy.extended.worker_devices[0])
    return contextlib.nullcontext()


def whole_batch(parts: list[tf.Tensor]) -> list[tf.Tensor]:
    """Joins what each replica has of a batch, in the order of the replicas; all must take part.

    Gradients flow back to the replica that a row came from, added up over all replicas.

    Args:
      parts: [n, ...] each, with the same n in every replica.

    Returns:
      [replicas * n, ...] each; the very same where there is one replica.
    """
    count = replicas()
    if count == 1:
        return parts
    context = tf.distribute.get_replica_context()
    before = context.replica_id_in_sync_group

    def joined(part: tf.Tensor) -> tf.Tensor:
        size, others = tf.shape(part)[0], [[0, 0]] * (len(part.shape) - 1)
        padded = tf.pad(part, [[before * size, (count - 1 - before) * size], *others])
        # There is nothing to send where no hard captions are shown, and TensorFlow crashes over it.
        return padded if 0 in part.shape[1:] else context.all_reduce("SUM", padded)

    return [joined(part) for part in parts]


def own_part(whole: tf.Tensor) -> tf.Tensor:
    """The rows of this replica, [n, ...] of [replicas * n, ...]: the inverse of `whole_batch`."""
    if replicas() == 1:
        return whole
    size = tf.shape(whole)[0] // replicas()
    start = tf.distribute.get_replica_context().replica_id_in_sync_group * size
    return whole[start : start + size]


def common_result(metric: keras.metrics.Metric) -> tf.Tensor:
    """A metric over what all replicas have seen, float32 []; it must be one of sums."""
    if replicas() == 1:
        return metric.result()
    with own_device():
        # What is read of a variable is on no device either; a copy is.
        own = [tf.identity(tf.convert_to_tensor(each.value)) for each in metric.variables]
        sums = tf.distribute.get_replica_context().all_reduce("SUM", own)
    return metric.stateless_result(sums)


def synchronize_batch_norm(model: keras.Model) -> None:
    """Has batch normalisation take mean and variance of the whole batch, not of a replica's part.

    That is Keras' own way, without the fused kernel.
    """
    for layer in leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


class CommonStatistics(keras.callbacks.Callback):
    """Gives all replicas the mean of their BatchNorm statistics, before each validation.

    Where Keras does not synchronise them (3.15: in masked batch normalisation, and in layers within
    layers), each replica moves statistics of its own; different models would be validated, and
    workers would end with different ones.
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
