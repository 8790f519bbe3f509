"""`trainer.strategy`, on replicas that are parts of this machine's CPU."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from core import config as configs
from core.errors import DexmatchError
from modules.training import distribution

pytestmark = pytest.mark.slow

EPOCHS = 2
SAME_CURVE = (
    f"trainer.epochs={EPOCHS}",
    # What one device and several draw alike: words that are dropped, and what happens to pictures.
    "augment.flip=true",
    "augment.shift=0.1",
    # What each replica draws for its part of a batch.
    "model.dropout=0",
    "model.image_dropout=0",
)


def cluster(task, index, **others):
    return json.dumps(
        {"cluster": {"worker": ["a:1", "b:1"], **others}, "task": {"type": task, "index": index}}
    )


@pytest.mark.parametrize(
    ("config", "chief"),
    [
        ("", True),
        (cluster("worker", 0), True),
        (cluster("worker", 1), False),
        (cluster("worker", 0, chief=["c:1"]), False),
        (cluster("chief", 0, chief=["c:1"]), True),
    ],
)
def test_one_process_writes_the_model(monkeypatch, config, chief):
    monkeypatch.setenv(distribution.TF_CONFIG, config)
    assert distribution.is_chief() == chief


def test_processes_of_a_training_have_names_of_their_own(monkeypatch):
    found = set()
    for task in (("worker", 0), ("worker", 1), ("chief", 0)):
        monkeypatch.setenv(distribution.TF_CONFIG, cluster(*task, chief=["c:1"]))
        found.add(distribution.process_name())
    assert len(found) == 3
    monkeypatch.setenv(distribution.TF_CONFIG, "")
    assert distribution.process_name() == "worker-0"


@pytest.mark.parametrize(
    "config", ["{", "[]", '{"cluster": {"worker": ["a:1"]}}', '{"cluster": {"a": 1}, "task": {}}']
)
def test_a_cluster_that_makes_no_sense_is_told_in_one_line(monkeypatch, config):
    monkeypatch.setenv(distribution.TF_CONFIG, config)
    with pytest.raises(DexmatchError, match="TF_CONFIG must be JSON") as raised:
        distribution.is_chief()
    assert "\n" not in str(raised.value)


def test_several_workers_without_a_cluster(monkeypatch):
    monkeypatch.delenv(distribution.TF_CONFIG, raising=False)
    with pytest.raises(DexmatchError, match="TF_CONFIG names no cluster"):
        distribution.strategy("multi_worker")


@pytest.mark.parametrize("setting", ["xla=true", "precision=mixed_float16"])
def test_what_is_for_one_device_alone(setting):
    with pytest.raises(DexmatchError, match='needs `strategy` = "one_device"') as raised:
        configs.load(None, [f"trainer.{setting}", "trainer.strategy=mirrored"])
    assert "\n" not in str(raised.value)


def test_a_batch_too_small_for_the_replicas(runs, transformed, tmp_path, monkeypatch):
    four = SimpleNamespace(num_replicas_in_sync=4)
    monkeypatch.setattr(runs.trainer.distribution, "strategy", lambda name: four)
    with pytest.raises(DexmatchError, match="too few for 4 replicas"):
        runs.train(transformed, tmp_path, "trainer.batch_size=7")


@pytest.fixture(scope="module")
def one_worker(runs, transformed, tmp_path_factory):
    """The folder of a training by a cluster of a single worker."""
    target = tmp_path_factory.mktemp("one_worker")
    runs.train_in_a_cluster(transformed, [target], *SAME_CURVE)
    return target


def assert_same_curve(figures, others):
    for name in ("loss", "val_loss"):
        assert len(figures[name]) == EPOCHS
        np.testing.assert_allclose(figures[name], others[name], atol=1e-3, err_msg=name)
    # Two of the 12 pairs may change places by a rounding.
    np.testing.assert_allclose(figures["val_auc"], others["val_auc"], atol=0.03)


def test_replicas_learn_and_agree(runs, transformed, tmp_path, one_worker):
    done = runs.run_in_a_process(
        transformed, tmp_path, "trainer.strategy=mirrored", *SAME_CURVE, logical_devices=2
    )
    found = json.loads(re.search(r"REPLICAS (.*)", done.stdout)[1])
    assert found["replicas"] == 2
    assert found["moved"] == found["trained"] > 10
    assert found["weights"] > found["trained"]
    assert found["agree"]
    assert all(np.isfinite(each).all() for each in runs.weights(tmp_path).values())
    assert_same_curve(runs.figures(tmp_path), runs.figures(one_worker))


def test_a_cluster_of_one_worker_trains(runs, one_worker):
    assert all(np.isfinite(each).all() for each in runs.weights(one_worker).values())


def test_two_workers_train_one_model_that_the_first_writes(runs, transformed, tmp_path, one_worker):
    targets = [tmp_path / "first", tmp_path / "second"]
    runs.train_in_a_cluster(
        transformed,
        targets,
        *SAME_CURVE,
        "trainer.early_stopping_from=0",
        "trainer.calibration_folds=1",
        "trainer.calibration_fold_share=0.5",
        export=True,
        checkpoints=str(tmp_path / "checkpoints"),
    )
    for target in targets:
        assert_same_curve(runs.figures(target), runs.figures(one_worker))
    first, second = map(runs.weights, targets)
    assert len(first) > 10
    runs.assert_same(first, second)
    variables = tf.train.list_variables(str(targets[0] / "serving" / "variables" / "variables"))
    assert len([name for name, _ in variables if name.startswith("weights/")]) == len(first)
    assert not (targets[1] / "serving").exists()
    assert list((tmp_path / "checkpoints").iterdir()) == []
