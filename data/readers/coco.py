"""COCO captions: one JSON file with `images` and `annotations`.

A row of an import is one annotation. A picture without any is a row too, rejected for want of a
caption, so that it does not get lost unseen. The file is one JSON value and is read as a whole:
this reader alone needs memory in proportion to the number of captions (not of pictures' bytes).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import DexmatchError
from data.readers.base import RECORDS_PER_PART, DivisibleReader
from data.records import Origin, Reason, Record, Reject, WrittenNumber


class CocoReader(DivisibleReader):
    """COCO captions."""

    format = "coco"

    def __init__(self, source: str):
        self._path = Path(source)
        content = _load(self._path)
        self._annotations: list[Any] = content["annotations"]
        self._images = {
            image["id"]: image
            for image in content["images"]
            if isinstance(image, dict) and isinstance(image.get("id"), int | str)
        }
        self.folder = self._guess_folder()

    def parts(self) -> Sequence[slice]:
        """See `DivisibleReader.parts`: annotations, of which the last stand for the pictures too
        that have none.
        """
        starts = range(0, len(self._annotations), RECORDS_PER_PART) or range(1)
        stops: list[int | None] = [*starts[1:], None]
        return [slice(*part) for part in zip(starts, stops, strict=True)]

    def records(self, *, with_images: bool, part: slice | None = None) -> Iterator[Record | Reject]:
        """See `DivisibleReader.records`."""
        del with_images  # The file holds paths only.
        part = part or slice(0, None)
        for row, annotation in enumerate(self._annotations[part], start=part.start + 1):
            origin = Origin(self._path.name, row)
            image = self._images.get(_image_id(annotation))
            if image is None:
                detail = f"annotations[{row - 1}] names no picture of `images`"
                yield Reject(origin, "", Reason.MISSING_IMAGE, detail)
            else:
                yield Record(origin, _fields(image, annotation))
        if part.stop is not None:
            return
        captioned = set(map(_image_id, self._annotations))
        bare = (image for image_id, image in self._images.items() if image_id not in captioned)
        for row, image in enumerate(bare, start=len(self._annotations) + 1):
            yield Record(Origin(self._path.name, row), _fields(image, {}))

    def _guess_folder(self) -> Path:
        """The usual places of the pictures, tried with the first one."""
        here = self._path.parent
        split = self._path.stem.rpartition("_")[2]  # captions_val2017.json: ../val2017
        places = (here, here / "images", here.parent / "images", here.parent / split, here / split)
        first = str(next(iter(self._images.values()), {}).get("file_name", ""))
        return next((place for place in places if (place / first).is_file()), here)


def _load(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes(), parse_float=WrittenNumber)
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DexmatchError(f"{path}: not valid JSON: {error}") from error
    for key in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DexmatchError(
                f"{path}: not COCO captions: no list `{key}`; one object per line is .jsonl"
            )
    return content


def _image_id(annotation: object) -> int | str | None:
    """Which picture it names; None if that can be none."""
    image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
    return image_id if isinstance(image_id, int | str) else None


def _fields(image: Mapping[str, Any], annotation: Mapping[str, Any]) -> dict[str, object]:
    """Both ids are called `id` in the file, and neither is the id of a pair."""
    fields: dict[str, object] = {**image, **annotation}
    fields.pop("id", None)
    fields["image_id"] = image["id"]
    if "id" in annotation:
        fields["annotation_id"] = annotation["id"]
    return fields
