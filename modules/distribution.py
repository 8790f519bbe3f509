"""Training on several devices or machines, by `tf.distribute`."""

import json
import os

import tensorflow as tf

from pipeline.errors import DexmatchError

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


def is_chief() -> bool:
    """Whether this process writes the model: the chief, or the first worker where there is none."""
    config = _cluster()
    if not config.get("cluster"):
        return True
    task = config["task"]
    if "chief" in config["cluster"]:
        return task["type"] == "chief"
    return task["type"] == "worker" and task["index"] == 0


def _cluster() -> dict:
    return json.loads(os.environ.get(TF_CONFIG) or "{}")
