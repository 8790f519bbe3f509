"""The attributes that the model learns to read: how their vocabularies are named, and their ids."""

UNKNOWN = -1
"""Id of a value that the training split does not have, or of none."""


def vocabulary_name(index: int) -> str:
    """Name, among Transform's assets, of the values of an attribute."""
    return f"attribute_{index}"
