"""Which libraries a model depends on."""

from importlib import metadata

_LIBRARIES = (
    "tensorflow",
    "keras",
    "tfx",
    "tensorflow-transform",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "apache-beam",
    "numpy",
)


def installed_versions() -> dict[str, str]:
    """The versions of the libraries that a model depends on, as installed here, by name."""
    return {name: metadata.version(name) for name in _LIBRARIES}
