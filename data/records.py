"""The words that the parts of an import use with each other: records, rows and rejects.

A reader turns a source into records; `data.rows` turns a record into rows, one for each caption;
a worker turns a row into a pair. Whatever cannot go on becomes a reject, so that at the end the
imported and the rejected rows add up to the rows that were read.
"""

import dataclasses
import enum
from collections.abc import Mapping


class Reason(enum.StrEnum):
    """Why a row was rejected; the code in `rejects.csv`."""

    FIELD_COUNT = "field_count"
    MALFORMED_CSV = "malformed_csv"
    OPEN_QUOTE = "open_quote"
    INVALID_JSON = "invalid_json"
    REPEATED_MEMBER = "repeated_member"
    NOT_UTF8 = "not_utf8"
    NUL_BYTE = "nul_byte"
    MISSING_IMAGE = "missing_image"
    MISSING_CAPTION = "missing_caption"
    EMPTY_CAPTION = "empty_caption"
    WORDLESS_CAPTION = "wordless_caption"
    CAPTION_NOT_TEXT = "caption_not_text"
    WRONG_TYPE = "wrong_type"
    DUPLICATE_ID = "duplicate_id"
    NOT_FETCHED = "not_fetched"
    FILE_NOT_FOUND = "file_not_found"
    NOT_A_FILE = "not_a_file"
    NOT_READABLE = "not_readable"
    OUTSIDE_FOLDER = "outside_folder"
    NOT_AN_IMAGE = "not_an_image"
    CORRUPT_IMAGE = "corrupt_image"
    UNSUPPORTED_PIXELS = "unsupported_pixels"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    STRUCK_OUT = "struck_out"


class Rejected(Exception):
    """A row, or its picture, cannot be imported."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where in the source something stands.

    Attributes:
      file: path of the file, without the folders above the source.
      row: counted from 1; for text files the number of the line on which the record starts.
    """

    file: str
    row: int


@dataclasses.dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not imported: one line of `rejects.csv`."""

    origin: Origin
    image: str
    reason: Reason
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """A picture whose bytes the source itself holds.

    Attributes:
      name: what the source calls it; may be empty, and need not be unique.
      content: the encoded file; empty where the reader was asked to leave pictures out.
    """

    name: str
    content: bytes


class WrittenNumber(float):
    """A number with the text that the source has for it, such as `2.10` or `12E3`."""

    text: str

    def __new__(cls, text: str) -> "WrittenNumber":
        """From the text."""
        number = super().__new__(cls, text)
        number.text = text
        return number


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One record of a source, as it stands there.

    Attributes:
      origin: where it stands.
      fields: column name to value: None, a scalar, a list or dict as in JSON, or an
        `EmbeddedImage`. A column may be missing.
      folder: what its picture paths are relative to, below the reader's folder.
    """

    origin: Origin
    fields: Mapping[str, object]
    folder: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One picture with one caption, checked but for the picture itself.

    Attributes:
      origin: where it stands in the source.
      image: a path relative to the picture folder, or the picture.
      caption: not empty.
      id: unique within the import.
      group: None where the source names none; the content of the picture is the group then.
      hard_captions: nearly right captions.
      metadata: feature name to value, without the missing ones.
    """

    origin: Origin
    image: str | EmbeddedImage
    caption: str
    id: str
    group: str | None
    hard_captions: tuple[str, ...]
    metadata: Mapping[str, int | float | str]

    @property
    def image_name(self) -> str:
        """What to call the picture in a message."""
        return self.image if isinstance(self.image, str) else self.image.name
