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
from pydantic import Field, field_validator, model_validator

from modules.features import CROSS, OVERALL
from pipeline.errors import DexmatchError

BACKBONES = {
    "EfficientNetB0": 224,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetV2B0": 224,
}
"""Backbones from keras.applications, and the picture size that each was made for."""

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

TUNED = ("model", "trainer", "augment")
"""Sections whose keys the Tuner may set: what Transform made stays as it is."""
RANGES = ("linear", "log")
"""Last of three values in `tuner.space` where the first two are the ends of a range."""


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
    shared_pictures: Literal["error", "warn"] = Field(
        "error", description="when a picture of val or test stands in train as well"
    )
    shared_captions: Literal["error", "warn"] = Field(
        "warn", description="when the words of a caption of val or test stand in train as well"
    )


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

    size: int = Field(
        64,
        ge=0,
        le=600,
        description="height and width in pixels, after padding; 0: what the backbone was made for",
    )

    @field_validator("size")
    @classmethod
    def _is_big_enough(cls, size: int) -> int:
        if 0 < size < 32:
            raise ValueError("must be 0 or at least 32")
        return size


class CaptionConfig(Section):
    """How a caption enters the model."""

    max_tokens: int = Field(48, ge=1, le=512, description="longer captions are cut")
    vocabulary_size: int = Field(
        8000, ge=1, description="the most frequent words of the training split that are kept"
    )
    min_count: int = Field(
        5,
        ge=1,
        description="words that the training split has less often are unknown ones: they would be "
        "learned by heart",
    )


class ModelConfig(Section):
    """EfficientNet for the picture, a recurrent layer for the caption, joined."""

    backbone: Literal[tuple(BACKBONES)] = Field(  # type: ignore[valid-type]
        "EfficientNetB0", description="image branch, from keras.applications"
    )
    weights: str = Field(
        "none",
        description='"none" (random), "imagenet", the path of a Keras weights file of the '
        'backbone, or "last_blessed": go on from the whole model that was blessed last',
    )
    stages: tuple[Annotated[int, Field(ge=1, le=7)] | Literal["top"], ...] = Field(
        (2, 3, 5),
        min_length=1,
        description="stages of the backbone whose mean activations describe a picture; what comes "
        "after the last one is left out",
    )
    color_bins: int = Field(
        4, ge=0, le=8, description="steps per channel of the histogram of colours; 0: none"
    )
    normalize_features: bool = Field(
        True, description="batch normalisation between image features and embedding"
    )
    image_dropout: float = Field(0.3, ge=0, lt=1, description="dropped from the image features")
    word_dim: int = Field(128, ge=1, description="width of the word embedding")
    recurrent: Literal["LSTM", "GRU"] = Field("LSTM", description="caption branch")
    recurrent_units: int = Field(
        128, ge=1, description="width of the recurrent layer, in either direction"
    )
    caption_summary: Literal["max", "last"] = Field(
        "max",
        description="its greatest values, read both ways, or the last state of one reading",
    )
    embedding_dim: int = Field(
        128, ge=1, description="width of the image and of the caption embedding"
    )
    join: Literal["cosine", "concat"] = Field(
        "cosine", description="how embeddings meet: by their closeness, or in a dense layer"
    )
    hidden_units: int = Field(256, ge=1, description="width of that dense layer")
    attributes: tuple[str, ...] | Literal["auto"] = Field(
        "auto",
        description="metadata columns that the model learns to read from pictures and from "
        'captions; "auto": every one with few distinct values',
    )
    dropout: float = Field(
        0.1, ge=0, lt=1, description="dropped from word vectors, and from concatenated embeddings"
    )
    stochastic_depth: float = Field(
        0.0, ge=0, le=1, description="share of the backbone's own drop-connect rate that is used"
    )
    batch_norm_momentum: float = Field(
        0.9, gt=0, lt=1, description="of the backbone; Keras' 0.99 needs thousands of steps"
    )


class TrainerConfig(Section):
    """How the model learns."""

    seed: int = Field(7, ge=0, description="of weights, shuffling, augmentation, wrong captions")
    epochs: int = Field(30, ge=0, description="at most; 0: only the stage with the frozen backbone")
    batch_size: int = Field(16, ge=2, description="images per step")
    learning_rate: float = Field(3e-3, gt=0, description="of AdamW, at its peak")
    weight_decay: float = Field(0.02, ge=0, description="of AdamW; 0 makes it Adam")
    warmup_epochs: int = Field(2, ge=0, description="the rate rises from zero for so long")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="the rate after the warm-up"
    )
    wrong_captions: int = Field(
        0, ge=0, description="random wrong captions per image and step; 0: all others in the batch"
    )
    hard_share: Share = Field(
        0.0,
        description="how much the hard wrong captions weigh among the wrong ones; 0: none is shown",
    )
    word_loss: float = Field(
        1.0, ge=0, description="weight of foretelling the caption's words from the picture"
    )
    contrastive_loss: float = Field(
        1.0,
        ge=0,
        description="weight of telling the true caption from the batch's others (InfoNCE)",
    )
    attribute_loss: float = Field(
        1.0, ge=0, description="weight of reading `model.attributes` from picture and caption"
    )
    word_dropout: Share = Field(
        0.3, description="share of a caption's words that a training step takes for unknown ones"
    )
    calibrate: bool = Field(
        True, description="fit the probabilities to the validation split after the training"
    )
    monitor: Literal["val_loss", "val_auc"] = Field(
        "val_auc", description="what EarlyStopping watches"
    )
    watched_from: Share = Field(
        0.6,
        description="share of the epochs before EarlyStopping watches: while the learning rate is "
        "high, a good epoch is luck",
    )
    patience: int = Field(12, ge=1, description="epochs without a better `monitor` before stopping")
    trainable_blocks: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        "all", description="how many of the backbone's blocks learn, counted from the top"
    )
    freeze_batch_norm: bool = Field(
        False, description="keep the backbone's BatchNorm as it was pretrained"
    )
    frozen_epochs: int = Field(
        0, ge=0, description="a stage before, at most so long, with a pretrained backbone frozen"
    )
    frozen_learning_rate: float = Field(1e-3, gt=0, description="of that stage, at its peak")
    frozen_views: int = Field(
        2,
        ge=1,
        description="views of a training picture in that stage, computed once: itself, and "
        "augmented ones",
    )
    strategy: Literal["one_device", "mirrored", "multi_worker"] = Field(
        "one_device",
        description="of tf.distribute; with several replicas each takes its part of a batch, and "
        "sets the captions of that part against its images",
    )

    @model_validator(mode="after")
    def _trains_at_all(self) -> "TrainerConfig":
        if not self.epochs + self.frozen_epochs:
            raise ValueError("`epochs` and `frozen_epochs` are both 0: nothing would be trained")
        return self


class TunerConfig(Section):
    """The search for better settings, before the training."""

    trials: int = Field(0, ge=0, le=1000, description="short trainings to compare; 0: no tuning")
    epochs: int = Field(5, ge=1, description="of a trial")
    seed: int = Field(7, ge=0, description="of the settings that are tried")
    reuse: bool = Field(
        False, description="take the latest best settings, also for new data, and do not tune"
    )
    space: dict[str, Annotated[tuple[bool | int | float | str, ...], Field(min_length=2)]] = Field(
        {
            "trainer.learning_rate": (5e-4, 5e-3, "log"),
            "trainer.hard_share": (0.0, 0.3),
            "trainer.word_loss": (0.3, 3.0, "log"),
            "model.embedding_dim": (64, 128, 256),
            "model.recurrent_units": (64, 128, 256),
            "model.dropout": (0.0, 0.1, 0.3),
        },
        description='key to its choices, or to [low, high, "log"] or [low, high, "linear"]',
    )


class AugmentConfig(Section):
    """What may happen to a training picture. Colours stay: captions speak of them."""

    flip: bool = Field(True, description="left to right, at random")
    rotation: Share = Field(0.08, description="at most so much of a full turn, either way")
    zoom: float = Field(0.25, ge=0, lt=1, description="in or out by at most so much")
    shift: Share = Field(0.1, description="in either direction, by at most so much of the picture")


EVERY = "*"
"""As the value of a slice's column: each of the column's values."""
EVERY_SLICE = f"{EVERY}:{EVERY}"
"""Each slice by metadata, by a bucket, or by a cross of columns."""

_SLICE = (
    'as the summary prints it: "overall", "column:value" such as "against:random", or a cross, '
    '"color:red × shape:round"; with the value *, each value of the column is bounded, and with '
    '"*:*" each slice by metadata'
)
HIGHER_IS_BETTER = ("auc", "auc_pr", "accuracy", "precision", "recall")
LOWER_IS_BETTER = ("ece", "log_loss")


class Threshold(Section):
    """A bound that a candidate must hold on a slice to be blessed."""

    metric: Literal[(*HIGHER_IS_BETTER, *LOWER_IS_BETTER)]  # type: ignore[valid-type]
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
        lower_is_better = self.metric in LOWER_IS_BETTER
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
    retrieval_pairs: int = Field(
        2000, ge=1, description="true pairs of the test split among which captions are searched"
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
    keep_versions: int = Field(
        5,
        ge=0,
        description="older versions are removed after a push, but for those that models.config in "
        "`directory` names; at least 2, so that there is one to go back to; 0: all stay",
    )

    @field_validator("keep_versions")
    @classmethod
    def _leaves_one_to_go_back_to(cls, value: int) -> int:
        if value == 1:
            raise ValueError("must be 0 (all) or at least 2")
        return value


class ServingConfig(Section):
    """How a candidate must do on a model server before it is pushed."""

    validator: Literal["serving_validator", "infra_validator", "none"] = Field(
        "serving_validator",
        description="ours; TFX's InfraValidator, which needs Docker; or none",
    )
    engine: Literal["auto", "tensorflow_model_server", "docker", "embedded"] = Field(
        "auto", description='the model server of ours; "auto": the first that is there'
    )
    pairs: int = Field(32, ge=1, description="true pairs of the test split that it is asked about")
    tolerance: float = Field(
        1e-5, ge=0, description="how far its answers may be from those of the model in process"
    )
    max_latency_ms: float = Field(
        2000, gt=0, description="the most that 99 % of requests for a single pair may take"
    )
    max_memory_mb: float = Field(
        4000,
        gt=0,
        description="the most that the server may hold; not measured where Docker runs it",
    )
    start_seconds: float = Field(
        300, gt=0, description="the most that it may take until it serves the model"
    )


class MonitorConfig(Section):
    """How far requests may be from the training data before `dexmatch monitor` calls it drift.

    L-infinity is the largest change of a value's share, Jensen-Shannon a divergence from 0 (the
    same) to 1 (nothing in common), both as TFDV measures them. A bound of 1 is never crossed.
    """

    unjudged: Share = Field(
        0.05,
        description="L-infinity: of the share of unreadable pictures, and of captions without a "
        "word",
    )
    caption_length: Share = Field(
        0.15, description="L-infinity: of the shares of short, longer and long captions"
    )
    unknown_words: Share = Field(
        0.05, description="L-infinity: of the share of words that the vocabulary does not have"
    )
    image_size: Share = Field(0.1, description="Jensen-Shannon: of height and of width of pictures")
    scores: Share = Field(
        0.2,
        description="Jensen-Shannon: of the probabilities, against those of the test split, in "
        "which most captions are wrong ones",
    )
    min_values: int = Field(
        100, ge=1, description="with fewer in the log, what was measured is shown, not judged"
    )


class BulkConfig(Section):
    """A data set that is scored in one go by a blessed model, with TFX's BulkInferrer."""

    dataset: str = Field(
        "", description="folder written by `dexmatch data import`; empty: nothing is scored"
    )


class CardConfig(Section):
    """What only you can say in the model card."""

    owner: str = Field("", description="who answers for the model")
    licence: str = Field("", description="under which the model may be used")
    intended_use: str = Field("", description="what it is meant for")
    limits: tuple[str, ...] = Field((), description="what users should know of its limits")


class Config(Section):
    """The whole tree."""

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    pairs: PairsConfig = PairsConfig()
    image: ImageConfig = ImageConfig()
    caption: CaptionConfig = CaptionConfig()
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()
    tuner: TunerConfig = TunerConfig()
    augment: AugmentConfig = AugmentConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()
    serving: ServingConfig = ServingConfig()
    monitor: MonitorConfig = MonitorConfig()
    pusher: PusherConfig = PusherConfig()
    bulk: BulkConfig = BulkConfig()
    card: CardConfig = CardConfig()

    @model_validator(mode="after")
    def _can_be_tuned(self) -> "Config":
        for key, values in self.tuner.space.items():
            section, _, name = key.partition(".")
            fields = self._tuned_fields(section)
            if name not in fields or key == "trainer.epochs":
                near = difflib.get_close_matches(name, fields, n=1)
                hint = f"; did you mean {section}.{near[0]}?" if near and near[0] != name else ""
                raise ValueError(f"tuner.space: {key} cannot be tuned{hint}")
            is_range = values[-1] in RANGES
            if is_range and not _is_range(*values):
                raise ValueError(f"tuner.space: {key}: {list(values)} is no range")
            for value in values[:-1] if is_range else values:
                try:
                    type(getattr(self, section)).model_validate({name: value})
                except pydantic.ValidationError as error:
                    raise ValueError(f"tuner.space: {_explain(error, None, section)}") from error
        return self

    def _tuned_fields(self, section: str) -> list[str]:
        return list(type(getattr(self, section)).model_fields) if section in TUNED else []

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
      path: a TOML file; None for the defaults.
      overrides: `section.key=value` strings, the value in TOML or, failing that, plain text.

    Returns:
      The validated tree, see `validate`.

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
    image = ImageConfig(size=BACKBONES[config.model.backbone])
    return config.model_copy(update={"image": image})


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


def _explain(error: pydantic.ValidationError, path: Path | None, section: str = "") -> str:
    """One line for the first thing that is wrong, with the key's name."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in (section, *first["loc"]) if part != "")
    where = f"{path}: " if path else ""
    if first["type"] == "extra_forbidden":
        return f"{where}{key}: no such key{_did_you_mean(first['loc'])}"
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
