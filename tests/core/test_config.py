from pathlib import Path

import pydantic
import pytest

from core import config as configs
from core.backbones import BACKBONES
from core.config.renamed import RENAMED
from core.errors import DexmatchError

RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_defaults_survive_a_round_trip(tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(configs.load().to_toml(), encoding="utf-8")
    assert configs.load(path) == configs.load()


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_are_valid(recipe):
    assert configs.load(recipe) != configs.load()


def test_the_seed_recipe_is_the_one_that_was_reported():
    seed = configs.load(RECIPES / "seed.toml")
    assert (seed.model.backbone, seed.model.weights) == ("EfficientNetB0", "imagenet")
    assert (seed.model.recurrent, seed.model.join) == ("LSTM", "concat")
    assert (seed.trainer.learning_rate, seed.trainer.schedule) == (1e-4, "constant")
    assert (seed.trainer.batch_size, seed.trainer.epochs) == (32, 30)
    assert (seed.trainer.word_loss_weight, seed.trainer.hard_negative_share) == (0, 0)
    assert seed.image.size == 224


def test_every_key_is_explained():
    for name in configs.Config.model_fields:
        section = type(getattr(configs.load(), name))
        for key, field in section.model_fields.items():
            assert field.description, f"{name}.{key}"


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("trainer.epochs=3", "trainer", "epochs", 3),
        ("trainer.learning_rate = 0.5", "trainer", "learning_rate", 0.5),
        ("model.weights=none", "model", "weights", "none"),
        ("model.weights='a b.h5'", "model", "weights", "a b.h5"),
        ("run.cache=false", "run", "cache", False),
        ("evaluator.slice_columns=['color']", "evaluator", "slice_columns", ("color",)),
        ("data.dataset=a=b", "data", "dataset", "a=b"),
    ],
)
def test_overrides(override, section, key, value):
    assert getattr(getattr(configs.load(None, [override]), section), key) == value


@pytest.mark.parametrize(("backbone", "row"), BACKBONES.items())
def test_size_0_is_what_the_backbone_was_made_for(backbone, row):
    chosen = ['model.feature_levels=["top"]', f"model.backbone={backbone}"]
    assert configs.load(None, ["image.size=0", *chosen]).image.size == row.input_size
    assert configs.load(None, chosen).image.size == 64


@pytest.mark.parametrize(("backbone", "row"), BACKBONES.items())
def test_feature_levels_and_trainable_blocks_are_those_of_the_backbone(backbone, row):
    last = row.level_count
    chosen = [f"model.backbone={backbone}", f"model.feature_levels=[{last}, 1]"]
    blocks = sum(row.blocks_per_level)
    configs.load(None, [*chosen, f"trainer.trainable_blocks={blocks}"])
    message = rf"^trainer\.trainable_blocks = {blocks + 1}: {backbone} has {blocks} blocks"
    with pytest.raises(DexmatchError, match=message):
        configs.load(None, [*chosen, f"trainer.trainable_blocks={blocks + 1}"])
    message = rf'^model\.feature_levels: the levels of {backbone} are 1 to {last}, and "top" \(got'
    with pytest.raises(DexmatchError, match=message):
        configs.load(None, [*chosen, f"model.feature_levels=[1, {last + 1}]"])


def test_blocks_after_the_last_feature_level_do_not_count():
    with pytest.raises(DexmatchError, match="EfficientNetB0 has 3 blocks up to the last of model"):
        configs.load(None, ["model.feature_levels=[2]", "trainer.trainable_blocks=4"])


@pytest.mark.parametrize(
    ("name", "parts", "columns"),
    [
        ("overall", (), ()),
        ("color:red", (("color", "red"),), ("color",)),
        ("ratio:1:2", (("ratio", "1:2"),), ("ratio",)),
        ("shape:* × color:red", (("shape", "*"), ("color", "red")), ("color", "shape")),
        ("*:*", (("*", "*"),), ()),
    ],
)
def test_the_name_of_a_bounded_slice_is_taken_apart(name, parts, columns):
    threshold = configs.Threshold(metric="auc", slice=name, min=0.5)
    assert (threshold.parts, threshold.columns) == (parts, columns)


def test_the_last_override_wins_and_any_wins_over_the_file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[trainer]\nepochs = 5\nbatch_size = 4\n", encoding="utf-8")
    trainer = configs.load(path, ["trainer.epochs=6", "trainer.epochs=7"]).trainer
    assert (trainer.epochs, trainer.batch_size) == (7, 4)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_key_of_an_earlier_release_is_told_by_its_name_of_today(old, new):
    with pytest.raises(DexmatchError, match=rf"{old}: no such key; it is {new} now$"):
        configs.load(None, [f"{old}=1"])
    section, _, key = new.partition(".")
    assert key in type(getattr(configs.load(), section)).model_fields


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.batch_size=1", r"trainer\.batch_size: .*greater than or equal to 2 \(got 1\)"),
        ("trainer.epochs=many", r"trainer\.epochs: .*\(got 'many'\)"),
        ("trainer.epoch=3", r"trainer\.epoch: no such key; did you mean epochs\?"),
        ("traner.epochs=3", r"traner: no such key; did you mean trainer\?"),
        ("image.size=31", r"image\.size: must be 0 or at least 32 \(got 31\)"),
        ("image.zzz=3", r"image\.zzz: no such key; known: size"),
        ("model.backbone=ResNet50", r"model\.backbone: .*EfficientNetB0"),
        ("run.name=two words", r"run\.name: "),
        ("run.name=../up", r"run\.name: "),
        ("tuner.space={'trainer.learning_rat'=[1, 2]}", "did you mean trainer.learning_rate"),
        ("tuner.space={'image.size'=[32, 64]}", r"^tuner\.space: image\.size cannot be tuned$"),
        ("tuner.space={'trainer.epochs'=[1, 2]}", r"trainer\.epochs cannot be tuned$"),
        ("tuner.space={'trainer.calibration_folds'=[0, 3]}", r"_folds cannot be tuned$"),
        ("model.backbone=ConvNeXtTiny", r"^model\.feature_levels: .* ConvNeXtTiny are 1 to 4, and"),
        ("tuner.space={'trainer.trainable_blocks'=[1, 99]}", r"^tuner\.space: .*blocks = 99: Eff"),
        ("tuner.space={'model.backbone'=['ConvNeXtTiny', 'EfficientNetB0']}", r"are 1 to 4, and"),
        ("tuner.space={'model.dropout'=[0.1, 2]}", r"tuner\.space: model\.dropout: .*\(got 2\)"),
        ("tuner.space={'model.word_dim'=[1.5, 8, 'linear']}", r"tuner\.space: model\.word_dim: "),
        ("tuner.space={'model.dropout'=[0.5, 0.1, 'linear']}", "is no range"),
        ("tuner.space={'model.dropout'=[0, 0.1, 'log']}", "is no range"),
        ("tuner.space={'model.dropout'=[0.1, 'log']}", "is no range"),
        ("tuner.space={'model.dropout'=[0.1]}", r"tuner\.space\.model\.dropout: .*at least 2"),
        ("trainer=3", "write section.key=value"),
        ("nothing", "write section.key=value"),
        ("evaluator.blessing=[{metric='auc'}]", r"evaluator\.blessing\.0: a threshold needs"),
        ("evaluator.blessing=[{metric='auc', slice='red', min=0.5}]", "neither 'overall' nor"),
        ("evaluator.blessing=[{metric='nonsense', min=0.5}]", r"evaluator\.blessing\.0\.metric"),
        ("evaluator.blessing=[{metric='ece', min=0.5}]", "lower ece is better: .* `max` or"),
        ("evaluator.blessing=[{metric='auc', max_rise=0.5}]", "higher auc is better: .* `min` or"),
        ("evaluator.blessing=[{metric='auc', min=1.5}]", "`min` of auc must be from 0 to 1, and"),
        ("evaluator.blessing=[{metric='ece', max_rise=2}]", "`max_rise` of ece must be from 0 to"),
        ("evaluator.blessing=[{metric='log_loss', max=-1}]", "log_loss must be at least 0, and is"),
        ("evaluator.blessing=[{metric='auc', min=nan}]", r"evaluator\.blessing\.0\.min: .*finite"),
        ("evaluator.blessing=[{metric='auc', slice='*:red', min=0.5}]", r"or be '\*:\*'"),
        ("evaluator.blessing=[{metric='auc', slice='a:1 × a:2', min=0.5}]", "different columns"),
        ("evaluator.slice_crosses=[['color']]", r"evaluator\.slice_crosses\.0: .*at least 2"),
        ("evaluator.confidence=maybe", r"evaluator\.confidence: .*jackknife"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_key(override, message):
    with pytest.raises(DexmatchError, match=message) as raised:
        configs.load(None, [override])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.weights=last_blessed", "learned from the whole training split"),
        ("trainer.calibrate=false", "needs `calibrate` = true"),
        ("trainer.calibration_fold_share=0.4", "is more than the training split"),
    ],
)
def test_what_cannot_be_calibrated_by_models_besides(override, message):
    with pytest.raises(DexmatchError, match=message) as raised:
        configs.load(None, ["trainer.calibration_folds=3", override])
    assert "\n" not in str(raised.value)


def test_a_mistake_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[trainer]\nepochs = -1\n", encoding="utf-8")
    with pytest.raises(DexmatchError, match=r"mine\.toml: trainer\.epochs"):
        configs.load(path)


@pytest.mark.parametrize("content", [b"[trainer\n", b"\xff\xfe"])
def test_a_file_that_is_no_toml(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(DexmatchError, match=r"bad\.toml: not valid TOML"):
        configs.load(path)


def test_a_file_that_is_not_there():
    with pytest.raises(DexmatchError, match=r"nowhere\.toml: cannot be read"):
        configs.load(Path("nowhere.toml"))


def test_a_section_that_is_a_value(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("trainer = 3\n", encoding="utf-8")
    with pytest.raises(DexmatchError, match="trainer: must be a section"):
        configs.load(path, ["trainer.epochs=1"])


def test_the_tree_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError):
        configs.load().trainer.epochs = 3


@pytest.mark.parametrize(
    "name", ["build", "model.build", "a.b.", "a.b:c", "a.1b.c", "a b.c.d", "é.b.c"]
)
@pytest.mark.parametrize("key", ["model.build", "caption.normalize", "run.components"])
def test_a_function_is_named_by_a_package_a_module_and_its_name(key, name):
    with pytest.raises(DexmatchError, match=rf"^{key}: must be a function in a module of a pack"):
        configs.load(None, [f"{key}={name!r}"])
    assert configs.load(None, [f"{key}=a.b.c"]).user_functions == {key: "a.b.c"}
    assert configs.load().user_functions == {}
