"""TFX's Pusher with an executor that never leaves half a version behind."""

from tfx.components.pusher import component as tfx_pusher
from tfx.dsl.components.base import executor_spec

from components.pusher import executor


class Pusher(tfx_pusher.Pusher):
    """See `tfx.components.pusher.component.Pusher`; pushes atomically."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
