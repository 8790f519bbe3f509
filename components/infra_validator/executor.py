"""TFX's own InfraValidator executor, for a daemon that has another current folder than the run."""

import os

from tfx.components.infra_validator import executor as tfx_infra_validator


class Executor(tfx_infra_validator.Executor):
    """Copies the model to where it lies for every process, as Docker's daemon mounts it there."""

    def _get_tmp_dir(self) -> str:
        """See `tfx.dsl.components.base.base_executor.BaseExecutor`."""
        return os.path.realpath(super()._get_tmp_dir())
