import json
from pathlib import Path

import pytest
from tfx.components.pusher import executor as tfx_pusher
from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils

from components.pusher import executor
from results.metadata import WITHDRAWN


class Push:
    """One push of a small stand-in for a model."""

    def __init__(self, folder, blessed: bool = True):
        self.base = folder / "serving"
        model_folder = folder / "model" / "Format-Serving"
        (model_folder / "variables").mkdir(parents=True)
        (model_folder / "saved_model.pb").write_bytes(b"graph")
        (model_folder / "variables" / "variables.index").write_bytes(b"weights")
        self._model = standard_artifacts.Model()
        self._model.uri = str(folder / "model")
        self._blessing = standard_artifacts.ModelBlessing()
        self._blessing.uri = str(folder / "blessing")
        self._blessing.set_int_custom_property("blessed", int(blessed))
        # TFX also looks for a file of that name.
        (folder / "blessing").mkdir()
        (folder / "blessing" / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
        self._archive = str(folder / "archive")

    def run(self, config=None, infra=None):
        pushed = standard_artifacts.PushedModel()
        pushed.uri = self._archive
        destination = {"filesystem": {"base_directory": str(self.base)}}
        executor.Executor().Do(
            {
                # With an infra blessing, the model is the one in there.
                **({"infra_blessing": [infra]} if infra else {"model": [self._model]}),
                "model_blessing": [self._blessing],
            },
            {"pushed_model": [pushed]},
            {"push_destination": json.dumps(destination), "custom_config": json.dumps(config)},
        )
        return pushed

    def names(self) -> list[str]:
        return sorted(path.name for path in self.base.iterdir()) if self.base.exists() else []


def test_a_blessed_model_is_pushed_whole(tmp_path):
    push = Push(tmp_path)
    pushed = push.run()
    version = pushed.get_string_custom_property("pushed_version")
    assert push.names() == [version]
    assert (push.base / version / "saved_model.pb").read_bytes() == b"graph"
    assert (push.base / version / "variables" / "variables.index").read_bytes() == b"weights"
    assert pushed.get_string_custom_property("pushed_destination") == str(push.base / version)


def test_a_model_that_is_not_blessed_is_not_pushed(tmp_path):
    push = Push(tmp_path, blessed=False)
    assert push.run().get_int_custom_property("pushed") == 0
    assert push.names() == []


def test_a_push_that_dies_leaves_no_version_and_the_next_one_clears_up(tmp_path, monkeypatch):
    push = Push(tmp_path)
    copy_file = io_utils.copy_file

    def dies_at_the_last_file(source, target, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(tfx_pusher.io_utils, "copy_file", dies_at_the_last_file)
    with pytest.raises(KeyboardInterrupt):
        push.run()
    assert not [name for name in push.names() if name.isdigit()]
    assert push.names()  # The staging folder is there: the push had begun.
    monkeypatch.setattr(tfx_pusher.io_utils, "copy_file", copy_file)
    version = push.run().get_string_custom_property("pushed_version")
    assert push.names() == [version]


def test_a_leftover_that_is_a_link_is_unlinked_and_what_it_points_at_stays(tmp_path):
    push = Push(tmp_path)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "file").write_text("precious")
    (push.base / ".staging-dead").mkdir(parents=True)
    for link in (".staging-x", ".removed-7", ".staging-dead/inner"):
        (push.base / link).symlink_to(tmp_path / "elsewhere")
    (push.base / ".staging-none").symlink_to(tmp_path / "none")
    version = push.run().get_string_custom_property("pushed_version")
    assert push.names() == [version]
    assert (tmp_path / "elsewhere" / "deep" / "file").read_text() == "precious"


def test_what_a_killed_removal_left_is_cleared_at_the_next_push(tmp_path):
    push = Push(tmp_path)
    (push.base / ".removed-3" / "variables").mkdir(parents=True)
    (push.base / ".removed-3" / "variables" / "variables.index").write_bytes(b"weights")
    (push.base / ".mine").mkdir()
    version = push.run().get_string_custom_property("pushed_version")
    assert push.names() == [".mine", version]


def test_leftovers_are_found_below_a_folder_whose_name_looks_like_a_pattern(tmp_path):
    (tmp_path / "a[1]*").mkdir()
    push = Push(tmp_path / "a[1]*")
    (push.base / ".staging-dead").mkdir(parents=True)
    version = push.run().get_string_custom_property("pushed_version")
    assert push.names() == [version]


@pytest.fixture
def known(tmp_path):
    """A push of a model that TensorFlow gave a fingerprint."""
    push = Push(tmp_path)
    push.fingerprint = tmp_path / "model" / "Format-Serving" / "fingerprint.pb"
    push.fingerprint.write_bytes(b"one")
    return push


def test_a_model_that_is_served_is_not_pushed_twice(known):
    version = known.run().get_string_custom_property("pushed_version")
    again = known.run()
    assert again.get_int_custom_property("pushed") == 1
    assert again.get_string_custom_property("pushed_version") == version
    assert known.names() == [version]


def test_a_model_that_was_rolled_back_is_not_pushed_again(known):
    version = known.run().get_string_custom_property("pushed_version")
    (known.base / version).rename(known.base / f"rolled_back-{version}")
    again = known.run()
    assert again.get_int_custom_property("pushed") == 0
    assert f"dexmatch rollback --to {version}" in again.get_string_custom_property("warning")
    assert again.get_int_custom_property(WITHDRAWN) == int(version)
    assert known.names() == [f"rolled_back-{version}"]


def test_old_versions_are_removed_after_a_push(known):
    for number in (1, 2, 3):
        (known.base / str(number)).mkdir(parents=True)
    config = {executor.KEEP_VERSIONS: 2, executor.IN_USE: [1]}
    version = known.run(config).get_string_custom_property("pushed_version")
    assert known.names() == ["1", version, "3"]


def infra_blessing(folder, blessed):
    """As ServingValidator leaves it."""
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(folder / "infra")
    stamped = Path(path_utils.stamped_model_path(blessing.uri))
    (stamped / "assets.extra").mkdir(parents=True)
    (stamped / "saved_model.pb").write_bytes(b"graph")
    (stamped / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"requests")
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_int_custom_property("has_model", 1)
    return blessing


def test_the_model_with_its_warm_up_is_pushed(tmp_path):
    push = Push(tmp_path)
    version = push.run(infra=infra_blessing(tmp_path, blessed=True)).get_string_custom_property(
        "pushed_version"
    )
    pushed = push.base / version
    assert (pushed / "assets.extra" / "tf_serving_warmup_requests").read_bytes() == b"requests"


def test_a_model_that_cannot_be_served_is_not_pushed(tmp_path):
    push = Push(tmp_path)
    pushed = push.run(infra=infra_blessing(tmp_path, blessed=False))
    assert pushed.get_int_custom_property("pushed") == 0
    assert push.names() == []
