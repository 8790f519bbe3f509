"""The configuration tree: the one place that knows the defaults.

A configuration is read from a TOML file, overridden by `--set section.key=value`, validated, and
from then on immutable. Every section is a frozen model whose fields carry their meaning, so that
`dexmatch config show --keys` can repeat it.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import tomli_w
from pydantic import Field, model_validator

from modules.features import CROSS, OVERALL
from pipeline.errors import DexmatchError

BACKBONES = (
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetV2B0",
)

BEAM_ARGS = (
    "--runner=DirectRunner",
    "--direct_running_mode=in_memory",
    # DirectRunner is a switch that would first try to download the Prism runner, and so do
    # different things with and without a network. It leaves Prism out where this is set; we use no
    # triggers.
    "--allow_unsafe_triggers",
    # Workers in processes of their own must import tfx before tensorflow_data_validation: it brings
    # a stand-in for a module that tfx-bsl 1.21 no longer has.
    "--beam_plugins=tfx",
)

Share = Annotated[float, Field(ge=0, le=1)]


class Section(pydantic.BaseModel):
    """A frozen part of the tree that refuses unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class RunConfig(Section):
    """Where a run works and what drives it."""

    name: str = Field(
        "dexmatch",
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="name of the pipeline, of its folder in `workspace` and of the served model",
    )
    workspace: str = Field("runs", description="folder for artifacts, metadata and logs")
    orchestrator: Literal["local", "beam"] = Field(
        "local", description="LocalDagRunner or BeamDagRunner"
    )
    beam_args: tuple[str, ...] = Field(
        BEAM_ARGS, description="options for the Beam jobs inside the components"
    )
    cache: bool = Field(True, description="reuse what an earlier run made from the same input")


class DataConfig(Section):
    """What to train on."""

    dataset: str = Field("", description="folder written by `dexmatch data import`")
    schema_file: str = Field(
        "", description="curated TFDV schema (.pbtxt); empty: infer one from the data"
    )
    train_buckets: int = Field(8, ge=1, description="share of the groups that train the model")
    val_buckets: int = Field(1, ge=1, description="share of the groups that stop the training")
    test_buckets: int = Field(1, ge=1, description="share of the groups that judge the model")


class PairsConfig(Section):
    """Which wrong captions PairSampler sets against the true ones."""

    seed: int = Field(7, ge=0, description="the same seed gives the same wrong captions")
    random_per_pair: int = Field(
        1, ge=1, le=20, description="random wrong captions per image in val and test"
    )
    hard_per_pair: int = Field(
        1, ge=0, le=20, description="nearly right wrong captions per image in val and test"
    )
    train_hard_candidates: int = Field(
        4, ge=0, le=20, description="hard wrong captions that a training image carries along"
    )


class ImageConfig(Section):
    """How a picture enters the model."""

    size: int = Field(64, ge=32, le=600, description="height and width in pixels, after padding")


class CaptionConfig(Section):
    """How a caption enters the model."""

    max_tokens: int = Field(48, ge=1, le=512, description="longer captions are cut")
    vocabulary_size: int = Field(
        8000, ge=1, description="the most frequent words of the training split that are kept"
    )


class ModelConfig(Section):
    """EfficientNet for the picture, a recurrent layer for the caption, joined."""

    backbone: Literal[BACKBONES] = Field(  # type: ignore[valid-type]
        "EfficientNetB0", description="image branch, from keras.applications"
    )
    weights: str = Field(
        "none", description='"imagenet", "none" (random), or the path of a Keras weights file'
    )
    word_dim: int = Field(128, ge=1, description="width of the word embedding")
    recurrent: Literal["LSTM", "GRU"] = Field("LSTM", description="caption branch")
    recurrent_units: int = Field(128, ge=1, description="width of the recurrent layer")
    embedding_dim: int = Field(
        256, ge=1, description="width of the image and of the caption embedding"
    )
    join: Literal["concat", "interact"] = Field(
        "interact",
        description="how embeddings meet: side by side, or with their product and difference too",
    )
    hidden_units: int = Field(256, ge=1, description="width of the dense layer after the join")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropped from the joined embeddings")
    batch_norm_momentum: float = Field(
        0.9, gt=0, lt=1, description="of the backbone; Keras' 0.99 needs thousands of steps"
    )


class TrainerConfig(Section):
    """How the model learns."""

    seed: int = Field(7, ge=0, description="of weights, shuffling, augmentation, wrong captions")
    epochs: int = Field(30, ge=1, description="at most")
    batch_size: int = Field(32, ge=2, description="images per step")
    learning_rate: float = Field(2e-3, gt=0, description="of Adam, at its peak")
    warmup_epochs: int = Field(2, ge=0, description="the rate rises from zero for so long")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="the rate after the warm-up"
    )
    wrong_captions: int = Field(
        0, ge=0, description="random wrong captions per image and step; 0: all others in the batch"
    )
    hard_share: Share = Field(
        0.5, description="how much the hard wrong captions weigh among the wrong ones"
    )
    word_loss: float = Field(
        1.0, ge=0, description="weight of foretelling the caption's words from the picture"
    )
    monitor: Literal["val_loss", "val_auc"] = Field(
        "val_auc", description="what EarlyStopping watches"
    )
    patience: int = Field(12, ge=1, description="epochs without a better `monitor` before stopping")


class AugmentConfig(Section):
    """What may happen to a training picture. Colours stay: captions speak of them."""

    flip: bool = Field(True, description="left to right, at random")
    rotation: Share = Field(0.05, description="at most so much of a full turn, either way")
    zoom: float = Field(0.1, ge=0, lt=1, description="in or out by at most so much")


EVERY = "*"
"""As the value of a slice's column: each of the column's values."""
EVERY_SLICE = f"{EVERY}:{EVERY}"
"""Each slice by metadata, by a bucket, or by a cross of columns."""

_SLICE = (
    'as the summary prints it: "overall", "column:value" such as "against:random", or a cross, '
    '"color:red × shape:round"; with the value *, each value of the column is bounded, and with '
    '"*:*" each slice by metadata'
)
_HIGHER_IS_BETTER = ("auc", "auc_pr", "accuracy", "precision", "recall")
_LOWER_IS_BETTER = ("ece", "log_loss")


class Threshold(Section):
    """A bound that a candidate must hold on a slice to be blessed."""

    metric: Literal[(*_HIGHER_IS_BETTER, *_LOWER_IS_BETTER)]  # type: ignore[valid-type]
    slice: str = Field(OVERALL, description=_SLICE)
    min: Share | None = Field(None, description="where higher is better: the least it may be")
    max_drop: Share | None = Field(
        None, description="how much lower than the latest blessed model's it may be"
    )
    max: Annotated[float, Field(ge=0)] | None = Field(
        None, description="where lower is better (ece, log_loss): the most it may be"
    )
    max_rise: Annotated[float, Field(ge=0)] | None = Field(
        None, description="how much higher than the latest blessed model's it may be"
    )

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(column, value) of the slice, several for a cross; none for "overall"."""
        if self.slice == OVERALL:
            return ()
        pairs = (part.partition(":") for part in self.slice.split(CROSS))
        return tuple((column, value) for column, _, value in pairs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the slice names, in order of name."""
        return tuple(sorted(column for column, _ in self.parts if column != EVERY))

    @model_validator(mode="after")
    def _is_a_bound(self) -> "Threshold":
        lower_is_better = self.metric in _LOWER_IS_BETTER
        fit = ("max", "max_rise") if lower_is_better else ("min", "max_drop")
        unfit = ("min", "max_drop") if lower_is_better else ("max", "max_rise")
        if any(getattr(self, name) is not None for name in unfit):
            better = "lower" if lower_is_better else "higher"
            raise ValueError(
                f"a {better} {self.metric} is better: bound it by `{fit[0]}` or `{fit[1]}`"
            )
        if all(getattr(self, name) is None for name in fit):
            raise ValueError(f"a threshold needs `{fit[0]}` or `{fit[1]}`")
        return self

    @model_validator(mode="after")
    def _names_a_slice(self) -> "Threshold":
        columns = [column for column, _ in self.parts]
        if not all(column and value for column, value in self.parts):
            raise ValueError(f"slice {self.slice!r} is neither 'overall' nor 'column:value'")
        if len(set(columns)) < len(columns) or (EVERY in columns and self.slice != EVERY_SLICE):
            raise ValueError(f"slice {self.slice!r} must name different columns, or be '*:*'")
        return self


class EvaluatorConfig(Section):
    """What is measured, on which slices, and what a model must reach to be pushed."""

    slice_columns: tuple[str, ...] | Literal["auto"] = Field(
        "auto", description='metadata columns; "auto": every one with few distinct values'
    )
    slice_crosses: tuple[Annotated[tuple[str, ...], Field(min_length=2)], ...] = Field(
        (), description='columns whose combinations are slices too, such as [["color", "shape"]]'
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="probability from which a pair counts as a match"
    )
    confidence: Literal["none", "jackknife", "poisson_bootstrap"] = Field(
        "jackknife", description="how the 95 % confidence intervals of the figures are found"
    )
    min_slice_pairs: int = Field(
        50, ge=1, description="a slice with fewer pairs in the test split is shown, not judged"
    )
    blessing: tuple[Threshold, ...] = Field(
        (
            Threshold(metric="auc", slice="against:random", min=0.75, max_drop=0.05),
            Threshold(metric="auc", slice="against:hard", min=0.55),
            Threshold(metric="auc", slice=OVERALL, min=0.6, max_drop=0.05),
            Threshold(metric="auc", slice=EVERY_SLICE, max_drop=0.15),
            Threshold(metric="ece", slice=OVERALL, max=0.1),
        ),
        description="all of them must hold",
    )


class PusherConfig(Section):
    """Where blessed models go."""

    directory: str = Field("serving_model", description="the model is pushed to <here>/<run.name>")


class Config(Section):
    """The whole tree."""

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    pairs: PairsConfig = PairsConfig()
    image: ImageConfig = ImageConfig()
    caption: CaptionConfig = CaptionConfig()
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()
    augment: AugmentConfig = AugmentConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()
    pusher: PusherConfig = PusherConfig()

    def to_toml(self) -> str:
        """The tree as TOML that `load` reads back to an equal tree."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def load(path: Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Reads a configuration.

    Args:
      path: a TOML file; None for the defaults.
      overrides: `section.key=value` strings, the value in TOML or, failing that, plain text.

    Returns:
      The validated tree.

    Raises:
      DexmatchError: the file cannot be read, or a key or value is wrong; names the key.
    """
    tree = _read_toml(path) if path else {}
    for override in overrides:
        _apply(tree, override)
    return validate(tree, path)


def validate(tree: Mapping[str, Any], source: Path | None = None) -> Config:
    """Makes the typed tree from a plain one.

    Args:
      tree: section to key to value; what is missing takes its default.
      source: the file it came from, for messages.

    Raises:
      DexmatchError: a key or value is wrong; names the key.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        raise DexmatchError(_explain(error, source)) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DexmatchError(f"{path}: not valid TOML: {error}") from error


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
    key = ".".join(str(part) for part in first["loc"])
    where = f"{path}: " if path else ""
    if first["type"] == "extra_forbidden":
        return f"{where}{key}: no such key{_did_you_mean(first['loc'])}"
    # Pydantic puts its own prefix before the text of our ValueErrors.
    message = first["msg"].removeprefix("Value error, ")
    got = "" if isinstance(first["input"], Mapping) else f" (got {first['input']!r})"
    return f"{where}{key}: {message[0].lower()}{message[1:]}{got}"


def _did_you_mean(loc: tuple[int | str, ...]) -> str:
    fields: Any = Config
    for part in loc[:-1]:
        fields = fields.model_fields[part].annotation if part in fields.model_fields else Config
    near = difflib.get_close_matches(str(loc[-1]), fields.model_fields, n=1)
    known = ", ".join(fields.model_fields)
    return f"; did you mean {near[0]}?" if near else f"; known: {known}"
