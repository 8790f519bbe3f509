"""Every pair is judged by a model that never saw its group."""

import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.auditor import executor, near_duplicates
from components.auditor.artifacts import Judgments
from core import features
from modules.training import folds, inputs
from results import judgments

# A head alone is traced in a third of the time.
SETTINGS = ("trainer.epochs=0", "trainer.frozen_epochs=1", "trainer.batch_size=3")


@pytest.fixture
def audited(runs, transformed, monkeypatch, tmp_path):
    """Audits 12 pairs, whose ids are the hashes of their groups, into a folder of a name."""
    monkeypatch.setattr(runs.model.backbones, "load_backbone", runs.tiny_backbone)
    read = inputs.pair_rows

    def with_ids(*arguments):
        return read(*arguments).map(
            lambda row: {**row, features.ID: tf.strings.as_string(row[features.GROUP_HASH])}
        )

    monkeypatch.setattr(executor.inputs, "pair_rows", with_ids)
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train"])
    folder = tmp_path / "examples" / "Split-train"
    folder.mkdir(parents=True)
    (folder / "pairs.gz").symlink_to(transformed / "pairs.gz")
    graph = standard_artifacts.TransformGraph()
    graph.uri = str(transformed / "graph")

    def audit(name):
        made = Judgments()
        made.uri = str(tmp_path / name)
        custom_config = {
            **runs.settings(*SETTINGS),
            "audit": {"folds": 2, "most_compared": 10},
            "checkpoints": str(tmp_path / "checkpoints"),
        }
        executor.Executor().Do(
            {executor.EXAMPLES: [examples], executor.TRANSFORM: [graph]},
            {executor.JUDGMENTS: [made]},
            {executor.CUSTOM_CONFIG: json.dumps(custom_config)},
        )
        return judgments.load(made.uri)

    return audit


def test_all_are_judged_and_a_killed_audit_goes_on(audited, tmp_path, caplog, monkeypatch):
    fit = folds.fit
    begun = itertools.count()

    def killed_in_the_second(*arguments):
        if next(begun) == 1:
            raise KeyboardInterrupt
        return fit(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folds, "fit", killed_in_the_second)
        audited("killed")
    assert not (tmp_path / "killed" / judgments.FILE_NAME).exists()
    caplog.set_level("INFO", logger="dexmatch")
    found = audited("resumed")
    assert "fold 1 of 2 ended in an earlier run" in caplog.text
    assert len(found) == 12
    assert sorted(each.fold for each in found.values()) == [0] * 6 + [1] * 6
    for name, each in found.items():
        assert 0 < each.probability < 1
        assert 0 <= each.pictures_better <= 1
        assert 0 <= each.captions_better <= 1
        assert each.nearest in found.keys() - {name}
    assert not list((tmp_path / "checkpoints").iterdir())


def test_the_nearest_picture_is_of_another_group_whatever_the_blocks(monkeypatch):
    generator = np.random.default_rng(0)
    embeddings = generator.standard_normal((9, 4)).astype(np.float32)
    embeddings[7] = embeddings[2]  # The same picture in another group.
    embeddings[3] = embeddings[2]  # And in its own.
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    described = near_duplicates.Described(
        ids=np.array([b"%d" % number for number in range(9)]),
        groups=np.array([0, 1, 2, 2, 4, 5, 6, 7, 8]),
        embeddings=embeddings,
        thumbnails=np.arange(9, dtype=np.uint8)[:, None].repeat(4, axis=1),
    )
    whole = near_duplicates.find_nearest(described)
    assert whole["nearest"][[2, 3, 7]].tolist() == [b"7", b"7", b"2"]
    assert whole["similarity"][[2, 3, 7]] == pytest.approx(1)
    assert whole["difference"][[2, 3]].tolist() == [5, 4]
    monkeypatch.setattr(near_duplicates, "_BLOCK", 4)
    for name, values in near_duplicates.find_nearest(described).items():
        np.testing.assert_array_equal(values, whole[name])
