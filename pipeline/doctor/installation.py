"""dexmatch itself, Python, the packages, and whether TensorFlow can be loaded."""

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import pipeline
from core import older_linux
from core.errors import DexmatchError
from modules.network import backbones
from pipeline.doctor.check import Check, of_error, ok, problem, warning
from pipeline.doctor.subject import Subject

NAME = "dexmatch"
SHOWN = (
    "tensorflow", "keras", "tfx", "tensorflow-transform", "tensorflow-data-validation",
    "tensorflow-model-analysis", "tfx-bsl", "ml-metadata", "apache-beam", "protobuf", "numpy",
    "pyarrow",
)  # fmt: skip
"""Packages whose versions explain most. Those that dexmatch names are compared, all of them."""
EXTRA = "pretrained"
_AGAIN = "install the locked packages again: make setup"


def checks(subject: Subject) -> Iterator[Check]:
    """See the module."""
    yield _dexmatch()
    yield _python()
    yield _packages()
    yield _extra()
    yield _weights(subject)
    yield _tensorflow(subject)


def _dexmatch() -> Check:
    place = Path(pipeline.__file__).parents[1]
    version = _version(NAME)
    if version is None:
        return warning(
            NAME,
            f"not installed as a package, runs from {place}",
            "make setup installs it, with its packages",
            version=None,
        )
    return ok(NAME, f"{version} in {place}", version=version)


def _python() -> Check:
    version = platform.python_version()
    found = f"{platform.python_implementation()} {version}"
    wanted = importlib.metadata.metadata(NAME)["Requires-Python"] if _version(NAME) else None
    if wanted and not SpecifierSet(wanted).contains(version, prereleases=True):
        advice = f"make a virtual environment with a Python {wanted}"
        return problem("Python", found, advice, version=version)
    return ok("Python", found, version=version)


def _packages() -> Check:
    """Those that dexmatch asks for."""
    versions = {name: _version(name) for name in SHOWN}
    shown = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if older_linux.is_installed():
        shown += "; the set for older Linux"
    wrong = [fault for each in _requirements("") if (fault := _fault(each))]
    if wrong:
        found = f"{'; '.join(wrong)} (beside {shown})"
        return problem("packages", found, _AGAIN, versions=versions, wrong=wrong)
    return ok("packages", shown, versions=versions, wrong=[])


def _extra() -> Check:
    """The packages of ImageNet weights."""
    asked = [each for each in _requirements(EXTRA) if each not in _requirements("")]
    wrong = [fault for each in asked if (fault := _fault(each))]
    is_none = not any(_version(each.name) for each in asked)
    if is_none:
        found = f"not installed; what `--config {EXTRA}` needs comes with dexmatch[{EXTRA}]"
        return ok(f"extra {EXTRA}", found, wrong=wrong)
    if wrong:
        return warning(f"extra {EXTRA}", "; ".join(wrong), _AGAIN, wrong=wrong)
    return ok(f"extra {EXTRA}", f"{len(asked)} packages of ImageNet weights", wrong=[])


def _weights(subject: Subject) -> Check:
    """Whether a run of this configuration could start from its weights."""
    model = subject.settings.model
    try:
        backbones.check_weights(model.backbone, model.weights)
    except DexmatchError as error:
        return of_error("weights", error, "choose others by model.weights")
    return ok("weights", f"{model.weights} for {model.backbone}")


def _tensorflow(subject: Subject) -> Check:
    loaded = subject.tensorflow
    name = "load TFX" if subject.thorough else "load TensorFlow"
    if loaded.error:
        return problem(name, loaded.error, loaded.advice, gpus=[])
    gpus = list(loaded.gpus)
    if not gpus and shutil.which("nvidia-smi"):
        return warning(
            name,
            "loads, but sees no GPU, and an NVIDIA driver is here",
            "for training on it: pip install 'tensorflow[and-cuda]' in the same version",
            gpus=gpus,
        )
    return ok(name, f"loads; GPUs: {', '.join(gpus) or 'none'}", gpus=gpus)


def _requirements(extra: str) -> list[Requirement]:
    """What dexmatch asks for on this machine; nothing if it is not installed."""
    try:
        told = importlib.metadata.requires(NAME) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    every = map(Requirement, told)
    return [each for each in every if not each.marker or each.marker.evaluate({"extra": extra})]


def _fault(requirement: Requirement) -> str | None:
    """What is wrong with a package: it is missing, or of another version."""
    version = _version(requirement.name)
    if version is None:
        return f"{requirement.name} is not installed ({requirement.specifier or 'any version'})"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, not {requirement.specifier}"
    return None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(canonicalize_name(name))
    except importlib.metadata.PackageNotFoundError:
        return None
