"""TFX's InfraValidator with an executor whose paths hold outside its own process."""

from tfx.components.infra_validator import component as tfx_infra_validator
from tfx.dsl.components.base import executor_spec

from components.infra_validator import executor


class InfraValidator(tfx_infra_validator.InfraValidator):
    """See `tfx.components.infra_validator.component.InfraValidator`."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
