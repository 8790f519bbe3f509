"""COCO captions: one JSON file with `images` and `annotations`.

A row of an import is one annotation. A picture without any is a row too, rejected for want of a
caption, so that it does not get lost unseen. The file is one JSON value and is read as a whole:
this reader alone needs memory in proportion to the number of captions (not of pictures' bytes).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import DexmatchError
from data.readers.base import Reader
from data.records import Origin, Reason, Record, Reject, WrittenNumber


class CocoReader(Reader):
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

    def records(self, *, with_images: bool) -> Iterator[Record | Reject]:
        """See `Reader.records`."""
        del with_images  # The file holds paths only.
        captioned = set()
        row = 0
        for row, annotation in enumerate(self._annotations, start=1):
            origin = Origin(self._path.name, row)
            image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
            image = self._images.get(image_id) if isinstance(image_id, int | str) else None
            if image is None:
                detail = f"annotations[{row - 1}] names no picture of `images`"
                yield Reject(origin, "", Reason.MISSING_IMAGE, detail)
                continue
            captioned.add(image_id)
            yield Record(origin, _fields(image, annotation))
        for image_id, image in self._images.items():
            if image_id not in captioned:
                row += 1
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


def _fields(image: Mapping[str, Any], annotation: Mapping[str, Any]) -> dict[str, object]:
    """Both ids are called `id` in the file, and neither is the id of a pair."""
    fields: dict[str, object] = {**image, **annotation}
    fields.pop("id", None)
    fields["image_id"] = image["id"]
    if "id" in annotation:
        fields["annotation_id"] = annotation["id"]
    return fields
