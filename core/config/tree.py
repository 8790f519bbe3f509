"""The whole tree: read from a TOML file, overridden by `--set section.key=value`, validated."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pydantic
import tomli_w
from pydantic import model_validator

from core.backbones import BACKBONES
from core.config import sections
from core.config.base import Section
from core.config.files import read_toml
from core.config.renamed import RENAMED
from core.config.sections import LAST_BLESSED, RANGES, TUNED
from core.errors import DexmatchError

# Trials are short, and judged by the order of pairs alone: no other models calibrate them.
_NOT_TUNED = (
    "model.build",
    "trainer.epochs",
    "trainer.calibration_folds",
    "trainer.calibration_fold_share",
)


class Config(Section):
    """The whole configuration, section by section."""

    run: sections.RunConfig = sections.RunConfig()
    data: sections.DataConfig = sections.DataConfig()
    pairs: sections.PairsConfig = sections.PairsConfig()
    image: sections.ImageConfig = sections.ImageConfig()
    caption: sections.CaptionConfig = sections.CaptionConfig()
    model: sections.ModelConfig = sections.ModelConfig()
    trainer: sections.TrainerConfig = sections.TrainerConfig()
    tuner: sections.TunerConfig = sections.TunerConfig()
    augment: sections.AugmentConfig = sections.AugmentConfig()
    evaluator: sections.EvaluatorConfig = sections.EvaluatorConfig()
    serving: sections.ServingConfig = sections.ServingConfig()
    monitor: sections.MonitorConfig = sections.MonitorConfig()
    pusher: sections.PusherConfig = sections.PusherConfig()
    bulk: sections.BulkConfig = sections.BulkConfig()
    audit: sections.AuditConfig = sections.AuditConfig()
    card: sections.CardConfig = sections.CardConfig()

    @model_validator(mode="after")
    def _has_the_blocks_that_learn(self) -> "Config":
        asked = self.trainer.trainable_blocks
        count = BACKBONES[self.model.backbone].block_count(self.model.feature_levels)
        if asked != "all" and asked > count:
            raise ValueError(
                f"trainer.trainable_blocks = {asked}: {self.model.backbone} has {count} blocks up "
                'to the last of model.feature_levels; give a number up to that, or "all"'
            )
        return self

    @model_validator(mode="after")
    def _is_judged_by_strangers(self) -> "Config":
        if self.trainer.calibration_folds and self.model.weights == LAST_BLESSED:
            raise ValueError(
                f'trainer.calibration_folds with model.weights = "{LAST_BLESSED}": that model '
                "learned from the whole training split already; set calibration_folds to 0"
            )
        return self

    @model_validator(mode="after")
    def _can_be_tuned(self) -> "Config":
        # Each value is put among the others that are set; a space in it would be looked at in turn.
        tree = {**self.model_dump(), "tuner": {"space": {}}}
        for key, values in self.tuner.space.items():
            section, _, name = key.partition(".")
            fields = self._tuned_fields(section)
            if name not in fields or key in _NOT_TUNED:
                near = difflib.get_close_matches(name, fields, n=1)
                hint = f"; did you mean {section}.{near[0]}?" if near and near[0] != name else ""
                if key in RENAMED:
                    hint = f"; it is {RENAMED[key]} now"
                raise ValueError(f"tuner.space: {key} cannot be tuned{hint}")
            is_range = values[-1] in RANGES
            if is_range and not _is_range(*values):
                raise ValueError(f"tuner.space: {key}: {list(values)} is no range")
            for value in values[:-1] if is_range else values:
                try:
                    Config.model_validate({**tree, section: {**tree[section], name: value}})
                except pydantic.ValidationError as error:
                    raise ValueError(f"tuner.space: {_explain(error, None)}") from error
        return self

    def _tuned_fields(self, section: str) -> list[str]:
        return list(type(getattr(self, section)).model_fields) if section in TUNED else []

    @property
    def user_functions(self) -> dict[str, str]:
        """Key to the dotted name of the user's function that it names, where it names one."""
        named = {
            "model.build": self.model.build,
            "caption.normalize": self.caption.normalize,
            "run.components": self.run.components,
        }
        return {key: name for key, name in named.items() if name}

    def to_toml(self) -> str:
        """The tree as TOML that `load` reads back to an equal tree."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def _is_range(*values: Any) -> bool:
    """Whether the values are two ends, the lower first, and how to draw between them."""
    low, high = values[0], values[1]
    if len(values) != 3 or not all(type(end) in (int, float) for end in (low, high)):
        return False
    return bool(low < high and (low > 0 or values[-1] != "log"))


def load(path: Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Reads a configuration.

    Args:
      path: a TOML file, which may extend another; None for the defaults.
      overrides: `section.key=value` strings, the value in TOML or, failing that, plain text.

    Returns:
      The validated tree, see `validate`.

    Raises:
      DexmatchError: the file cannot be read, or a key or value is wrong; names the key.
    """
    tree = read_toml(path) if path else {}
    for override in overrides:
        _apply(tree, override)
    return validate(tree, path)


def validate(tree: Mapping[str, Any], source: Path | None = None) -> Config:
    """Makes the typed tree from a plain one.

    Args:
      tree: section to key to value; what is missing takes its default.
      source: the file it came from, for messages.

    Returns:
      The tree, with the backbone's own picture size in place of 0.

    Raises:
      DexmatchError: a key or value is wrong; names the key.
    """
    try:
        config = Config.model_validate(tree)
    except pydantic.ValidationError as error:
        raise DexmatchError(_explain(error, source)) from error
    if config.image.size:
        return config
    image = sections.ImageConfig(size=BACKBONES[config.model.backbone].input_size)
    return config.model_copy(update={"image": image})


def _apply(tree: dict[str, Any], override: str) -> None:
    """Sets one `section.key=value` in a tree of plain dicts."""
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise DexmatchError(f"--set {override}: write section.key=value, like trainer.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    values = tree.setdefault(section, {})
    if not isinstance(values, dict):
        raise DexmatchError(f"{section}: must be a section, not a value")
    values[name] = value


def _explain(error: pydantic.ValidationError, path: Path | None) -> str:
    """One line for the first thing that is wrong, with the key's name."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    where = f"{path}: " if path else ""
    if first["type"] == "extra_forbidden":
        hint = f"; it is {RENAMED[key]} now" if key in RENAMED else _did_you_mean(first["loc"])
        return f"{where}{key}: no such key{hint}"
    # Pydantic puts its own prefix before the text of our ValueErrors.
    message = first["msg"].removeprefix("Value error, ")
    got = "" if isinstance(first["input"], Mapping | Config) else f" (got {first['input']!r})"
    # What concerns several sections names its key itself.
    said = f"{key}: " if key else ""
    return f"{where}{said}{message[0].lower()}{message[1:]}{got}"


def _did_you_mean(loc: tuple[int | str, ...]) -> str:
    fields: Any = Config
    for part in loc[:-1]:
        fields = fields.model_fields[part].annotation if part in fields.model_fields else Config
    near = difflib.get_close_matches(str(loc[-1]), fields.model_fields, n=1)
    known = ", ".join(fields.model_fields)
    return f"; did you mean {near[0]}?" if near else f"; known: {known}"
