"""What the columns of a source are for, and which type they are stored as.

A model is measured on slices by value, and a value is what is written: release 2.10 is not 2.1, and
12E3 is another name than 12000. So a column is stored as text, unless all of its values are whole
numbers in their one spelling, or the user says which type it is.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from core import features
from core.errors import DexmatchError
from data.survey import INT64, FeatureType, Survey

# In the order in which they are looked for. A URL is no picture.
IMAGE_NAMES = ("image", "file_name", "filename", "image_path", "image_file", "path", "file", "img")
_CAPTION_NAMES = ("caption", "captions", "text", "description", "sentence", "sentences", "prompt")

TYPES: Mapping[str, FeatureType] = {"int": "int64", "float": "float", "text": "bytes"}
"""The types that a user may ask for."""

_MAX_FLOAT32 = 3.4028234e38


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Which column plays which part; None: to be guessed, or, once chosen, there is none.

    Attributes:
      image: path of the picture, or the picture.
      caption: the caption, or a list of captions.
      id: names the pair.
      group: what must stay on one side of a split.
      hard_caption: captions that are nearly right, and wrong.
    """

    image: str | None = None
    caption: str | None = None
    id: str | None = None
    group: str | None = None
    hard_caption: str | None = None


ALL_GUESSED = Columns()
NO_COLUMN = "none"
"""Asked for as a column, it says that none plays the part; unless a column is really called so."""
_OPTIONAL_PARTS = ("id", "group", "hard_caption")


def typed(value: object, kind: FeatureType) -> int | float | None:
    """A value in the numeric type that a user asked for; None if it is no such number."""
    try:
        if kind == "float":
            number = float(value)  # type: ignore[arg-type]
            return number if abs(number) <= _MAX_FLOAT32 else None
        whole = int(value)  # type: ignore[call-overload]
        return whole if whole in INT64 and (isinstance(value, str) or whole == value) else None
    except (TypeError, ValueError, OverflowError):
        return None


def choose(found: Survey, asked: Columns, source: str) -> Columns:
    """Finds the column for every part.

    Args:
      found: the columns that there are.
      asked: what the user named.
      source: the source's name, for messages.

    Returns:
      The columns; `image` and `caption` are never None.

    Raises:
      DexmatchError: a named column does not exist, or no column can be guessed.
    """
    for field in dataclasses.fields(asked):
        name = getattr(asked, field.name)
        is_none = name == NO_COLUMN and field.name in _OPTIONAL_PARTS
        if name is not None and name not in found.types and not is_none:
            option = f"--{field.name.replace('_', '-')}-column"
            raise DexmatchError(f"{source}: {option} {name}: no such column; {_known(found)}")
    return Columns(
        image=asked.image or _guess_image(found, source),
        caption=asked.caption or _guess(found, _CAPTION_NAMES, "caption", source),
        id=_optional(found, asked.id, "" if found.id_repeats else features.ID),
        group=_optional(found, asked.group, features.GROUP),
        hard_caption=_optional(found, asked.hard_caption, features.HARD_CAPTION),
    )


def _guess_image(found: Survey, source: str) -> str:
    named = [name for name in found.pictures if name.lower() in IMAGE_NAMES]
    pictures = sorted(named or found.pictures)
    return pictures[0] if pictures else _guess(found, IMAGE_NAMES, "image", source)


def _guess(found: Survey, names: tuple[str, ...], part: str, source: str) -> str:
    by_lower_case = {name.lower(): name for name in reversed(found.types)}
    for name in names:
        if name in by_lower_case:
            return by_lower_case[name]
    raise DexmatchError(
        f"{source}: no column looks like the {part}; name it with --{part}-column; {_known(found)}"
    )


def _optional(found: Survey, asked: str | None, usual: str) -> str | None:
    """The column that was asked for, else the one with the usual name, if there is one."""
    name = asked or usual
    return name if name in found.types else None


def _known(found: Survey) -> str:
    return f"columns: {', '.join(found.types) or 'none'}"


@dataclasses.dataclass(frozen=True, slots=True)
class Metadata:
    """A column that is kept as a metadata feature.

    Attributes:
      column: its name in the source.
      feature: its name in the examples.
      type: what it is stored as.
    """

    column: str
    feature: str
    type: FeatureType


def metadata_of(
    found: Survey,
    chosen: Columns,
    say: Callable[[str], None],
    asked: Mapping[str, FeatureType] = MappingProxyType({}),
) -> tuple[Metadata, ...]:
    """Every column that plays no other part, with a name and a type.

    Args:
      found: the columns that there are.
      chosen: the parts they play.
      say: told about each column that is renamed or left out.
      asked: the types that the user wants columns to have.

    Returns:
      The metadata columns in the order of the source.

    Raises:
      DexmatchError: a type is asked for a column that is no metadata.
    """
    taken = set(dataclasses.astuple(chosen))
    for column in asked:
        if column not in found.types:
            raise DexmatchError(f"--type {column}: no such column; {_known(found)}")
        if column in taken | found.pictures:
            raise DexmatchError(f"--type {column}: this column is no metadata; leave its type out")
    kept: dict[str, Metadata] = {}
    for column, kind in found.types.items():
        if column in taken:
            continue
        if column in found.pictures:
            say(f"column {column!r} holds pictures too and is left out")
        elif kind is None:
            say(f"column {column!r} is empty and is left out")
        else:
            feature = _feature_name(column, kept)
            if feature != column:
                say(f"column {column!r} is stored as {feature!r}")
            kept[feature] = Metadata(column, feature, asked.get(column, kind))
    return tuple(kept.values())


def _feature_name(column: str, taken: Mapping[str, Metadata]) -> str:
    """Letters, digits and `_`, not reserved, not taken."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column) or "column"
    if name in features.RESERVED:
        name = f"{name}_column"
    number = 2
    unique = name
    while unique in taken:
        unique = f"{name}_{number}"
        number += 1
    return unique
