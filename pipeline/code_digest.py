"""A digest of our own source, so that TFX's cache notices when code changes.

TFX keys its cache by inputs and parameters. A module given as a dotted name is a parameter whose
text stays the same when its code changes; this digest, passed beside it, does not.
"""

import hashlib
import importlib.util
from pathlib import Path

_KINDS = ("*.py", "*.j2", "*.js", "*.css")


def of(*packages: str) -> str:
    """Hex digests of the source of every module, template, script and style in some packages.

    Args:
      packages: dotted names, such as "modules".
    """
    return "-".join(map(_digest, packages))


def _digest(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{package} is not a package")
    root = Path(next(iter(spec.submodule_search_locations)))
    digest = hashlib.sha256()
    for path in sorted(each for kind in _KINDS for each in root.rglob(kind)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
