"""What needs TensorFlow is done in a process of its own: loading it may end a process, or hang."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.child_processes import child_environment
from modules.network import backbones

TIMEOUT_S = 180.0
"""Seconds. On a busy machine with a cold disk it takes one of them."""
_ERROR_LINE = 300


@dataclass(frozen=True)
class Loaded:
    """What came of loading TensorFlow.

    Attributes:
      gpus: what TensorFlow calls the GPUs that it sees.
      model: what `saved_model.inspect` found, as a dict; None if there was none to look at.
      error: why it could not be loaded, in one line; None if it could.
      advice: what to do then.
    """

    gpus: tuple[str, ...] = ()
    model: dict[str, Any] | None = None
    error: str | None = None
    advice: str = ""


def load(model: Path | None, with_tfx: bool = False, timeout_s: float = TIMEOUT_S) -> Loaded:
    """Loads TensorFlow in a process of its own.

    Args:
      model: a SavedModel to look at; None for none.
      with_tfx: whether TFX is loaded too, which takes three times as long.
      timeout_s: after so many seconds the process is ended.

    Returns:
      What came of it; nothing is raised.
    """
    request = {"model": str(model) if model else None, "with_tfx": with_tfx}
    try:
        with tempfile.TemporaryDirectory(prefix="dexmatch-doctor-") as scratch:
            done = subprocess.run(
                [sys.executable, "-m", "pipeline.doctor.tensorflow_process", json.dumps(request)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                env=_environment(scratch),
            )
    except subprocess.TimeoutExpired:
        return Loaded(
            error=f"loading it did not end within {timeout_s:g} s",
            advice="look what keeps the machine or its disk busy, and try again",
        )
    if done.returncode == 0:
        told = json.loads(done.stdout.splitlines()[-1])
        return Loaded(tuple(told["gpus"]), told["model"])
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return Loaded(error=f"loading it ends the process by {name}", advice=_AFTER.get(name, ""))
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return Loaded(
        error=(said[-1].strip() if said else "it said nothing")[:_ERROR_LINE],
        advice="install the locked packages again: make setup",
    )


def _environment(scratch: str) -> dict[str, str]:
    made = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **child_environment()}
    if not (backbones.keras_home() / "keras.json").exists():
        made["KERAS_HOME"] = scratch  # Keras would write its settings there.
    return made


_AFTER = {
    "SIGILL": "the processor lacks instructions that TensorFlow's wheels need, such as AVX",
    "SIGKILL": "the system ended it, most often for want of memory; make some free",
    "SIGSEGV": "install the locked packages again: make setup",
}


def main() -> None:
    """What the process does: prints, as its last line, JSON."""
    request = json.loads(sys.argv[1])
    import tensorflow as tf

    gpus = [
        tf.config.experimental.get_device_details(each).get("device_name", each.name)
        for each in tf.config.list_physical_devices("GPU")
    ]
    if request["with_tfx"]:
        import tfx.v1  # noqa: F401
    model = None
    if request["model"]:
        from pipeline.doctor import saved_model

        model = saved_model.inspect(Path(request["model"]))
    print(json.dumps({"gpus": gpus, "model": model}))


if __name__ == "__main__":
    main()
