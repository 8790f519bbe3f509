"""The configuration tree: the one place that knows the defaults.

A configuration is read from a TOML file, overridden by `--set section.key=value`, validated, and
from then on immutable. Every section is a frozen model whose fields carry their meaning, so that
`dexmatch config show --keys` can repeat it.
"""

from core.config.base import Section
from core.config.files import PROJECT_FILE, file_or_recipe, is_recipe, recipe_names
from core.config.sections import (
    DATAFLOW,
    DIRECT,
    FLINK,
    LAST_BLESSED,
    RANGES,
    SPARK,
    SQLITE,
    TUNED,
    AuditConfig,
    AugmentConfig,
    BulkConfig,
    CaptionConfig,
    CardConfig,
    DataConfig,
    EvaluatorConfig,
    ImageConfig,
    ModelConfig,
    MonitorConfig,
    PairsConfig,
    PusherConfig,
    RunConfig,
    ServingConfig,
    TrainerConfig,
    TunerConfig,
)
from core.config.thresholds import Threshold
from core.config.tree import Config, load, validate

__all__ = [
    "DATAFLOW",
    "DIRECT",
    "FLINK",
    "LAST_BLESSED",
    "PROJECT_FILE",
    "RANGES",
    "SPARK",
    "SQLITE",
    "TUNED",
    "AuditConfig",
    "AugmentConfig",
    "BulkConfig",
    "CaptionConfig",
    "CardConfig",
    "Config",
    "DataConfig",
    "EvaluatorConfig",
    "ImageConfig",
    "ModelConfig",
    "MonitorConfig",
    "PairsConfig",
    "PusherConfig",
    "RunConfig",
    "Section",
    "ServingConfig",
    "Threshold",
    "TrainerConfig",
    "TunerConfig",
    "file_or_recipe",
    "is_recipe",
    "load",
    "recipe_names",
    "validate",
]
