"""Values that the Tuner found, put into the sections that they belong to."""

import copy
import logging
from typing import Any

from core import config as configs
from core.errors import DexmatchError

_log = logging.getLogger(__name__)


def apply_hyperparameters(
    config: dict[str, Any], hyperparameters: dict[str, Any] | None
) -> dict[str, Any]:
    """Overrides a Trainer's settings.

    Args:
      config: sections of the configuration as dicts; whatever else it holds is left alone.
      hyperparameters: a `keras_tuner.HyperParameters` config, whose names are `section.key`; None
        for no change.

    Returns:
      A copy with the new values.

    Raises:
      DexmatchError: a name or a value is none of today's; names it.
    """
    if not hyperparameters:
        return config
    changed = copy.deepcopy(config)
    for name, value in hyperparameters["values"].items():
        section, _, key = name.partition(".")
        if key not in changed.get(section, {}):
            raise DexmatchError(
                f"the tuner's best hyperparameters name {name}, which is no key any more; tune "
                "anew (tuner.reuse=false and tuner.trials=10)"
            )
        changed[section][key] = value
    configs.validate({section: changed[section] for section in configs.TUNED})
    _log.info("hyperparameters: %s", hyperparameters["values"])
    return changed
