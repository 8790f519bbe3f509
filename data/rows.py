"""From a record to its rows: one for each caption, with an id, and everything checked as text."""

import hashlib
import json
from collections.abc import Iterator

from core.words import count_words
from data import picture_files
from data.columns import Columns, Metadata, typed
from data.ids import Ids, numbered
from data.records import EmbeddedImage, Reason, Record, Reject, Rejected, Row, WrittenNumber
from data.survey import plain

WORDLESS_OPTION = "--keep-wordless-captions"

_CAPTION_SEPARATOR = "|"
"""Between the hard captions of one cell, where a cell cannot be a list."""


class RowMaker:
    """Turns records into rows.

    An id is taken by the first complete row that names it, whatever becomes of its picture later;
    so the outcome does not depend on which worker is faster.
    """

    def __init__(
        self,
        columns: Columns,
        metadata: tuple[Metadata, ...],
        is_typed: bool,
        keep_wordless: bool = False,
        ids: Ids | None = None,
    ):
        """Makes rows of one source.

        Args:
          columns: as `columns.choose` gives them.
          metadata: as `columns.metadata_of` gives them.
          is_typed: see `Reader.is_typed`.
          keep_wordless: whether captions without a word are rows.
          ids: knows which are taken; None where no row was made yet.
        """
        assert columns.image is not None and columns.caption is not None
        self._image = columns.image
        self._caption = columns.caption
        self._id = columns.id
        self._group = columns.group
        self._hard_caption = columns.hard_caption
        self._metadata = metadata
        self._is_typed = is_typed
        self._keep_wordless = keep_wordless
        self._ids = Ids() if ids is None else ids

    def rows(self, record: Record) -> Iterator[Row | Reject]:
        """Yields a row or a reject for every caption; a record without any is one reject."""
        captions = record.fields.get(self._caption)
        several = (captions or [None]) if isinstance(captions, list) else [captions]
        explicit_id = self._text_of(record, self._id)
        for number, caption in enumerate(several, start=1):
            try:
                yield self._row(record, caption, explicit_id, number)
            except Rejected as error:
                image = _name_of(record.fields.get(self._image))
                yield Reject(record.origin, image, error.reason, error.detail)

    def _row(self, record: Record, caption: object, explicit_id: str | None, number: int) -> Row:
        """Row `number` of a record."""
        image = self._checked_image(record)
        caption = self._checked_caption(caption)
        group = self._text_of(record, self._group)
        metadata = dict(self._values(record))
        hard_captions = self._hard_captions(record, caption)
        for column, text in (
            (self._id, explicit_id),
            (self._group, group),
            *((self._hard_caption, text) for text in hard_captions),
            *((name, text) for name, text in metadata.items() if isinstance(text, str)),
        ):
            _check_text(text or "", column)
        name = image if isinstance(image, str) else image.name
        return Row(
            origin=record.origin,
            image=image,
            caption=caption,
            id=self._claim(explicit_id, number) if explicit_id else self._next_id(name),
            group=group,
            # Without a word it would be wrong by itself, whatever the picture.
            hard_captions=tuple(text for text in hard_captions if count_words(text)),
            metadata=metadata,
        )

    def _checked_image(self, record: Record) -> str | EmbeddedImage:
        image = record.fields.get(self._image)
        if isinstance(image, EmbeddedImage):
            _check_text(image.name, self._image)
            if not image.name:
                digest = hashlib.blake2b(image.content, digest_size=8).hexdigest()
                return EmbeddedImage(digest, image.content)
            return image
        name = plain(image)
        if not isinstance(name, str):
            detail = "no value" if name is None else f"{name!r} is no path"
            raise Rejected(Reason.MISSING_IMAGE, f"column {self._image}: {detail}")
        _check_text(name, self._image)
        return picture_files.tidy(name, record.folder)

    def _checked_caption(self, caption: object) -> str:
        if caption is None:
            raise Rejected(Reason.MISSING_CAPTION, f"column {self._caption}: no value")
        if not isinstance(caption, str):
            detail = f"column {self._caption}: a {type(caption).__name__} is no text"
            raise Rejected(Reason.CAPTION_NOT_TEXT, detail)
        _check_text(caption, self._caption)
        if not caption.strip():
            raise Rejected(Reason.EMPTY_CAPTION, f"column {self._caption}: only white space")
        if not (self._keep_wordless or count_words(caption)):
            # The model says 0 of it, whatever the picture: in the evaluation that would count as
            # its mistake, so it takes a decision to have such pairs.
            detail = (
                f"column {self._caption}: no letter and no digit, so the model can't read it; keep "
                f"such captions with {WORDLESS_OPTION}"
            )
            raise Rejected(Reason.WORDLESS_CAPTION, detail)
        return caption.strip()

    def _hard_captions(self, record: Record, caption: str) -> tuple[str, ...]:
        """Each once, and never the true caption: that one is not wrong."""
        value = record.fields.get(self._hard_caption) if self._hard_caption else None
        if isinstance(value, str):
            value = [value] if self._is_typed else value.split(_CAPTION_SEPARATOR)
        texts = [as_text(plain(item)) for item in value] if isinstance(value, list) else []
        return tuple(dict.fromkeys(text for text in texts if text and text != caption))

    def _values(self, record: Record) -> Iterator[tuple[str, int | float | str]]:
        """The metadata that the record has, each value in its column's type."""
        for column in self._metadata:
            value = plain(record.fields.get(column.column))
            if value is None:
                continue
            if column.type == "bytes":
                yield column.feature, as_text(value)
                continue
            number = typed(value, column.type)
            if number is None:
                kind = "whole number" if column.type == "int64" else "number"
                detail = f"column {column.column}: {as_text(value)!r} is no {kind} (--type)"
                raise Rejected(Reason.WRONG_TYPE, detail)
            yield column.feature, number

    def _text_of(self, record: Record, column: str | None) -> str | None:
        value = plain(record.fields.get(column)) if column else None
        return None if value is None else as_text(value)

    def _claim(self, explicit_id: str, number: int) -> str:
        """The id that the source names; further captions of the same record are numbered."""
        row_id = numbered(explicit_id, number)
        if self._ids.claim(row_id) > 1:
            raise Rejected(Reason.DUPLICATE_ID, f"id {row_id!r} stands in an earlier row")
        return row_id

    def _next_id(self, image: str) -> str:
        """The picture's name; further captions of the same picture are numbered."""
        return numbered(image, self._ids.number(image))


def as_text(value: object) -> str:
    """A value as text: lists and dicts as compact JSON, what JSON does not know as it prints."""
    if isinstance(value, str):
        return value
    if isinstance(value, WrittenNumber):
        return value.text
    if value is None:
        return ""
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def _check_text(text: str, column: str | None) -> None:
    """UTF-8 without NUL, which many programs take for the end."""
    if "\0" in text:
        raise Rejected(Reason.NUL_BYTE, f"column {column}: a NUL byte")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        detail = f"column {column}: character {error.start + 1} is not UTF-8"
        raise Rejected(Reason.NOT_UTF8, detail) from error


def _name_of(image: object) -> str:
    """What to call the picture in `rejects.csv`."""
    name = image.name if isinstance(image, EmbeddedImage) else image
    return name if isinstance(name, str) else ""
