"""What makes up for the packages of older Linux, where TFDV's own release does not install.

tfx-bsl 1.21 no longer has a module that tensorflow-data-validation 1.16 imports; `import tfx` puts
a stand-in in its place, so it must come first in every process. All of this goes with
`tools/older-linux-overrides.txt`, which says when.
"""

import functools
import importlib
import importlib.metadata

_FIRST_OWN = (1, 21)
"""The first release of TFDV that goes with tfx-bsl 1.21 by itself."""


@functools.cache
def is_installed() -> bool:
    """Whether this environment holds the packages of older Linux."""
    version = importlib.metadata.version("tensorflow-data-validation")
    return tuple(int(part) for part in version.split(".")[:2]) < _FIRST_OWN


def before_tfdv() -> None:
    """To be called before `tensorflow_data_validation` is imported."""
    if is_installed():
        importlib.import_module("tfx")


def beam_args() -> tuple[str, ...]:
    """Has Beam's workers import tfx when they start: they unpickle code of TFDV."""
    return ("--beam_plugins=tfx",) if is_installed() else ()
